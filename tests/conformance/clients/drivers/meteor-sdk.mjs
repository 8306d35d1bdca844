/** meteor-sdk: simpleddp's successor. What it calls its entry is TypeScript; it ships this too. */

import { createRequire } from "node:module";
import { WebSocket } from "ws";

import { RECONNECT_MS } from "../support.mjs";
import { driving } from "./simpleddp.mjs";

const { default: DDPClient } = createRequire(import.meta.url)("meteor-sdk/src/DDPClient.js");

export function open(url) {
  return driving(
    new DDPClient({
      endpoint: url,
      SocketConstructor: WebSocket,
      reconnectInterval: RECONNECT_MS,
    }),
    "_id",
  );
}
