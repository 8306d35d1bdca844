/** asteroid: ddp.js with calls, logins and subscriptions that come back; no documents, no EJSON. */

import { createClass } from "asteroid";
import { WebSocket } from "ws";

import { Documents, RECONNECT_MS, until } from "../support.mjs";

export function open(url) {
  const asteroid = new (createClass())({
    endpoint: url,
    SocketConstructor: WebSocket,
    reconnectInterval: RECONNECT_MS,
  });
  const documents = new Documents();
  let connections = 0;
  let loggedIn = 0;
  let token; // asteroid keeps it to itself

  asteroid.ddp.on("connected", () => {
    connections += 1;
    documents.clear();
  });
  for (const name of ["added", "changed", "removed"]) {
    asteroid.ddp.on(name, (message) => documents[name](message));
  }
  asteroid.on("loggedIn", () => (loggedIn += 1));
  asteroid.ddp.on("result", ({ result }) => (token = result?.token ?? token));

  return {
    knowsObjectIds: true, // it shows them as they are written
    tellsOfRefusedSubscriptions: true,
    resumesItsLogin: () => loggedIn === 2,
    connected: () => new Promise((resolve) => asteroid.on("connected", resolve)),
    connections: () => connections,
    call: (name, ...params) => asteroid.call(name, ...params),
    subscribe(name, ...params) {
      const sub = asteroid.subscribe(name, ...params);
      return new Promise((resolve, reject) => {
        sub.on("ready", () => resolve(sub));
        sub.on("error", reject);
      });
    },
    async unsubscribe(sub) {
      asteroid.unsubscribe(sub.id);
      await until(() => !asteroid.subscriptions.cache.get(sub.id), "nosub");
    },
    documents: (collection) => documents.of(collection),
    async logIn(username, password) {
      const id = await asteroid.loginWithPassword({ username, password });
      return { id, token };
    },
    logOut: () => asteroid.logout(),
    close: () => asteroid.disconnect(),
  };
}
