/** ddp-client: ddp's fork for browsers, with documents in minimongo-cache. */

import { WebSocket } from "ws";

import { RECONNECT_MS } from "../support.mjs";
import { driving } from "./ddp.mjs";

globalThis.WebSocket = WebSocket; // its own option for this is misspelt

const { default: DDPClient } = await import("ddp-client");

export function open(url) {
  const client = new DDPClient({ url, autoReconnectTimer: RECONNECT_MS });
  return driving(client, (name) =>
    (client.collections[name]?.find({}) ?? []).map(({ _version, ...document }) => document),
  );
}
