/** ddp.js: the bare protocol. EJSON, documents and subscribing again are left to us. */

import ddpjs from "ddp.js";
import { WebSocket } from "ws";

import { Documents, RECONNECT_MS } from "../support.mjs";

export function open(url) {
  return driving(url, WebSocket);
}

/** Also over SockJS, by another `SocketConstructor`. */
export function driving(url, SocketConstructor) {
  const ddp = new ddpjs.default({
    endpoint: url,
    SocketConstructor,
    reconnectInterval: RECONNECT_MS,
  });
  const documents = new Documents();
  const methods = new Map();
  const subs = new Map();
  const stopping = new Map();
  let connections = 0;

  for (const name of ["added", "changed", "removed"]) ddp.on(name, (m) => documents[name](m));
  ddp.on("connected", () => {
    connections += 1;
    documents.clear();
    for (const [id, { name, params }] of subs) ddp.sub(name, params, id);
  });
  ddp.on("result", ({ id, error, result }) => {
    const { resolve, reject } = methods.get(id);
    methods.delete(id);
    if (error) reject(error);
    else resolve(result);
  });
  ddp.on("ready", ({ subs: ids }) => {
    for (const id of ids) subs.get(id).resolve(id);
  });
  ddp.on("nosub", ({ id, error }) => {
    if (error) subs.get(id)?.reject(error);
    else stopping.get(id)();
    subs.delete(id);
  });

  return {
    knowsObjectIds: true, // it shows them as they are written
    tellsOfRefusedSubscriptions: true,
    connected: () => new Promise((resolve) => ddp.on("connected", resolve)),
    connections: () => connections,
    call: (method, ...params) =>
      new Promise((resolve, reject) =>
        methods.set(ddp.method(method, params), { resolve, reject }),
      ),
    subscribe: (name, ...params) =>
      new Promise((resolve, reject) =>
        subs.set(ddp.sub(name, params), { name, params, resolve, reject }),
      ),
    unsubscribe: (id) => new Promise((resolve) => stopping.set(ddp.unsub(id), resolve)),
    documents: (collection) => documents.of(collection),
    close: () => ddp.disconnect(),
  };
}
