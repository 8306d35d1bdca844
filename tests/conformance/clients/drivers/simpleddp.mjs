/** simpleddp: EJSON, documents of its own, subscribes again by itself. */

import SimpleDDP from "simpleddp";
import { WebSocket } from "ws";

import { RECONNECT_MS } from "../support.mjs";

export function open(url) {
  return driving(
    new SimpleDDP({
      endpoint: url,
      SocketConstructor: WebSocket,
      reconnectInterval: RECONNECT_MS,
    }),
    "id",
  );
}

/** Also for meteor-sdk, which is the same in TypeScript. `idName`: of the field with the id. */
export function driving(client, idName) {
  let connections = 0;
  client.on("connected", () => (connections += 1));
  return {
    tellsOfRefusedSubscriptions: true,
    connected: () => client.connect(),
    connections: () => connections,
    call: (name, ...params) => client.call(name, ...params),
    async subscribe(name, ...params) {
      const sub = client.subscribe(name, ...params);
      await sub.ready();
      return sub;
    },
    unsubscribe: (sub) => sub.stop(),
    documents: (collection) =>
      Object.fromEntries(
        (client.collections[collection] ?? []).map(({ [idName]: id, ...fields }) => [id, fields]),
      ),
    close: () => client.disconnect(),
  };
}
