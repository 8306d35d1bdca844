/** ddp.js over sockjs-client, by one of its transports: Meteor's way where WebSockets fail. */

import SockJS from "sockjs-client";

import { driving } from "./ddp.js.mjs";

export function open(url, transport) {
  const endpoint = url.replace(/^ws/, "http").replace(/websocket$/, "sockjs");
  const client = driving(endpoint, function OverSockJS(address) {
    return new SockJS(address, null, { transports: [transport] });
  });
  return { ...client, mayOutliveCuts: transport === "xhr-polling" }; // between two polls
}
