/** ddp: EJSON and documents of its own; subscribing again is left to us. */

import DDPClient from "ddp";

import { RECONNECT_MS } from "../support.mjs";

export function open(url) {
  const client = new DDPClient({ url, autoReconnectTimer: RECONNECT_MS });
  const find = (collection) => Object.values(client.collections[collection] ?? {});
  return { ...driving(client, find), knowsObjectIds: true };
}

/** Also for ddp-client, its fork. `find`: the documents of a collection, each with its `_id`. */
export function driving(client, find) {
  const subs = new Map();
  let connections = 0;

  const subscribe = (key, { name, params }, settle) =>
    subs.set(key, { name, params, id: client.subscribe(name, params, settle) });

  return {
    tellsOfRefusedSubscriptions: true,
    settlesWhatWasAsked: true,
    connected: () =>
      new Promise((resolve, reject) =>
        client.connect((error, wasReconnect) => {
          if (error) return reject(new Error(error));
          connections += 1;
          if (wasReconnect) for (const [key, sub] of subs) subscribe(key, sub);
          resolve();
        }),
      ),
    connections: () => connections,
    call: (name, ...params) =>
      new Promise((resolve, reject) =>
        client.call(name, params, (error, result) => (error ? reject(error) : resolve(result))),
      ),
    subscribe: (name, ...params) =>
      new Promise((resolve, reject) => {
        const key = Symbol(name);
        subscribe(key, { name, params }, (error) => {
          if (!error) return resolve(key);
          subs.delete(key);
          reject(error);
        });
      }),
    unsubscribe(key) {
      client.unsubscribe(subs.get(key).id);
      subs.delete(key);
      return Promise.resolve();
    },
    documents: (collection) =>
      Object.fromEntries(find(collection).map(({ _id, ...fields }) => [_id, fields])),
    close: () => client.close(),
  };
}
