/** @meteorrn/core: Meteor for React Native. It runs here as it runs in its own tests, without that. */

import { register } from "node:module";
import { WebSocket } from "ws";

import { RECONNECT_MS, until } from "../support.mjs";

register("./bundler.mjs", import.meta.url); // it is written for one
globalThis.WebSocket = WebSocket;

const { default: Meteor, Mongo } = await import("@meteorrn/core");

export function open(url) {
  const stored = new Map();
  const collections = new Map();
  let connections = 0;
  let logins = 0;

  Meteor.connect(url, {
    AsyncStorage: {
      getItem: async (name) => stored.get(name) ?? null,
      setItem: async (name, value) => void stored.set(name, value),
      removeItem: async (name) => void stored.delete(name),
    },
    NetInfo: null,
    reconnectInterval: RECONNECT_MS,
  });
  Meteor.ddp.on("connected", () => (connections += 1));
  Meteor.getData().on("onLogin", () => (logins += 1));

  const collection = (name) => {
    if (!collections.has(name)) collections.set(name, new Mongo.Collection(name));
    return collections.get(name);
  };
  const promised = (start) =>
    new Promise((resolve, reject) =>
      start((error, result) => (error ? reject(error) : resolve(result))),
    );

  return {
    knowsObjectIds: true,
    resumesItsLogin: () => logins === 2,
    connected: () => new Promise((resolve) => Meteor.waitDdpConnected(resolve)),
    connections: () => connections,
    call: (name, ...params) => promised((settle) => Meteor.call(name, ...params, settle)),
    subscribe: (name, ...params) =>
      new Promise((resolve) => {
        const handle = Meteor.subscribe(name, ...params, () => resolve(handle));
      }),
    async unsubscribe(handle) {
      handle.stop();
    },
    documents: (name) =>
      Object.fromEntries(
        collection(name)
          .find({})
          .fetch()
          .map(({ _id, _version, ...fields }) => [_id, fields]),
      ),
    async logIn(username, password) {
      await promised((settle) => Meteor.loginWithPassword(username, password, settle));
      return { id: Meteor._userIdSaved, token: Meteor.getAuthToken() };
    },
    async logOut() {
      await promised((settle) => Meteor.logout(settle));
      await until(() => Meteor.getData().ddp.status === "connected", "it connects anew");
    },
    close: () => Meteor.disconnect(),
  };
}
