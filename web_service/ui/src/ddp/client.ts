/**
 * A DDP client (version 1) over a browser's WebSocket.
 *
 * Every call settles: with the result, a `MethodError`, or `ConnectionLost`. After a lost
 * connection it reconnects with full-jitter backoff and offers its session, as Meteor 3.5
 * does. If the server resumes it, nothing was missed and the calls in flight are answered.
 * If not, they fail, and the subscriptions are sent again with their ids; the old documents
 * stay on show until the new ones are complete.
 */

import { type ReadonlySignal, type Signal, batch, signal } from "@preact/signals";

import { Collection, type Documents, type Fields } from "./collection";
import { fromJson, toJson } from "./ejson";
import { ConnectionLost, MethodError } from "./errors";

const OPEN = 1;

/** What the client needs of a WebSocket. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  readonly readyState: number;
  send(text: string): void;
  close(): void;
}

export type Status =
  | { readonly state: "closed" | "connected" }
  | { readonly state: "connecting"; readonly again: boolean }
  | { readonly state: "waiting"; readonly retryAt: number };

export interface Timing {
  /** Milliseconds of silence before a ping; also how often it is looked at. */
  readonly heartbeatInterval: number;
  /** Milliseconds for an answer to a ping, or to `connect`. */
  readonly heartbeatTimeout: number;
  /** The first upper bound of the wait before reconnecting; it doubles up to `longestWait`. */
  readonly shortestWait: number;
  readonly longestWait: number;
  /** How long calls in flight wait for their session to be resumed. */
  readonly resumeWithin: number;
}

export interface Options {
  readonly open: () => Socket;
  readonly random?: () => number;
  readonly timing?: Partial<Timing>;
}

/** Meteor's own intervals for the heartbeat (ddp-client), so that both ends keep one rhythm. */
const TIMING: Timing = {
  heartbeatInterval: 17_500,
  heartbeatTimeout: 15_000,
  shortestWait: 500,
  longestWait: 15_000,
  resumeWithin: 15_000,
};

export interface Subscription {
  readonly id: string;
  readonly ready: ReadonlySignal<boolean>;
  /** Set when the server refused or ended the subscription with an error. */
  readonly error: ReadonlySignal<MethodError | null>;
  stop(): void;
}

interface SubscriptionState {
  readonly name: string;
  readonly params: readonly unknown[];
  readonly ready: Signal<boolean>;
  readonly error: Signal<MethodError | null>;
  /** Whether this connection still owes the answer to `sub`. */
  awaited: boolean;
}

interface Call {
  readonly message: Message;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

type Message = Record<string, unknown> & { msg?: string };
type Timer = ReturnType<typeof setTimeout>;

export class DdpClient {
  readonly #open: () => Socket;
  readonly #random: () => number;
  readonly #timing: Timing;
  readonly #status = signal<Status>({ state: "closed" });
  readonly #calls = new Map<string, Call>();
  readonly #subscriptions = new Map<string, SubscriptionState>();
  readonly #collections = new Map<string, Collection>();
  readonly #unshown = new Set<Collection>();
  /** Subscriptions that were stopped and not yet confirmed to be. */
  readonly #stopped = new Set<string>();
  #socket: Socket | null = null;
  #session: string | null = null;
  /** Messages of this session, pings and pongs apart; the server compares it with its own count. */
  #received = 0;
  #lastId = 0;
  #failures = 0;
  #silent = true;
  #timer: Timer | undefined;
  #showTimer: Timer | undefined;
  #resumeTimer: Timer | undefined;

  constructor(options: Options) {
    this.#open = options.open;
    this.#random = options.random ?? Math.random;
    this.#timing = { ...TIMING, ...options.timing };
  }

  get status(): ReadonlySignal<Status> {
    return this.#status;
  }

  /** Connects now: a connection that exists is left, a wait is cut short. */
  connect(): void {
    this.#leave();
    this.#status.value = { state: "connecting", again: this.#failures > 0 };
    const socket = this.#open();
    this.#socket = socket;
    const offer = this.#session === null ? {} : { session: this.#session, receivedCount: this.#received };
    socket.onopen = () => this.#send({ msg: "connect", ...offer, version: "1", support: ["1"] });
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost();
    this.#timer = setTimeout(() => this.#lost(), this.#timing.heartbeatTimeout);
  }

  /** Connects now if it is waiting to; asks for a sign of life if it seems connected. */
  wake(): void {
    const { state } = this.#status.value;
    if (state === "waiting") this.connect();
    else if (state === "connected") this.#ping();
  }

  /** Leaves for good: calls fail, subscriptions and documents are forgotten. */
  close(): void {
    if (this.#status.value.state === "connected") this.#send({ msg: "disconnect" });
    this.#leave();
    this.#session = null;
    this.#failCalls();
    this.#failures = 0;
    this.#status.value = { state: "closed" };
    this.#subscriptions.clear();
    batch(() => {
      for (const collection of this.#collections.values()) {
        collection.restart();
        collection.show();
      }
    });
  }

  call(method: string, ...params: unknown[]): Promise<unknown> {
    if (this.#status.value.state !== "connected") return Promise.reject(new ConnectionLost(false));
    const id = this.#newId();
    const message = { msg: "method", id, method, params: params.map(toJson) };
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { message, resolve, reject });
      this.#send(message);
    });
  }

  subscribe(name: string, ...params: unknown[]): Subscription {
    const id = this.#newId();
    const state = { name, params, ready: signal(false), error: signal(null), awaited: true };
    this.#subscriptions.set(id, state);
    if (this.#status.value.state === "connected") this.#sendSubscription(id, state);
    return { id, ready: state.ready, error: state.error, stop: () => this.#unsubscribe(id) };
  }

  collection(name: string): ReadonlySignal<Documents> {
    return this.#collectionNamed(name).documents;
  }

  #receive(data: unknown): void {
    this.#silent = false;
    const message = parse(data);
    if (message?.msg && message.msg !== "ping" && message.msg !== "pong") this.#received += 1;
    switch (message?.msg) {
      case "connected":
        return this.#connected(String(message["session"]));
      case "failed":
        return this.#lost();
      case "ping":
        return this.#send("id" in message ? { msg: "pong", id: message["id"] } : { msg: "pong" });
      case "result":
        return this.#settle(String(message["id"]), message);
      case "ready":
        for (const id of message["subs"] as string[]) this.#ready(id);
        return;
      case "nosub":
        return this.#noSubscription(String(message["id"]), message["error"]);
      case "added":
      case "changed":
      case "removed":
        return this.#data(message.msg, message);
      case "error":
        return console.warn("DDP:", message["reason"], message["offendingMessage"]);
    }
  }

  #connected(session: string): void {
    this.#failures = 0;
    clearTimeout(this.#resumeTimer);
    if (session === this.#session) this.#resumed();
    else this.#begin(session);
    this.#status.value = { state: "connected" };
    // The server passes over those that it has.
    for (const [id, state] of this.#subscriptions) this.#sendSubscription(id, state);
    this.#watch();
    this.#showSoon();
  }

  /** What was sent just before the connection broke may not have arrived; twice does no harm. */
  #resumed(): void {
    for (const { message } of this.#calls.values()) this.#send(message);
    for (const id of this.#stopped) this.#send({ msg: "unsub", id });
  }

  #begin(session: string): void {
    this.#session = session;
    this.#received = 1;
    this.#failCalls();
    this.#stopped.clear();
    for (const state of this.#subscriptions.values()) state.awaited = true;
    for (const collection of this.#collections.values()) {
      collection.restart();
      this.#unshown.add(collection);
    }
  }

  #data(event: "added" | "changed" | "removed", message: Message): void {
    const collection = this.#collectionNamed(String(message["collection"]));
    const id = String(message["id"]);
    const fields = (fromJson(message["fields"]) ?? {}) as Fields;
    if (event === "added") collection.added(id, fields);
    else if (event === "removed") collection.removed(id);
    else collection.changed(id, fields, (message["cleared"] as string[] | undefined) ?? []);
    this.#unshown.add(collection);
    this.#showSoon();
  }

  /** A burst of messages becomes one change on show; one that is incomplete is not shown yet. */
  #showSoon(): void {
    this.#showTimer ??= setTimeout(() => this.#show(), 0);
  }

  #show(): void {
    clearTimeout(this.#showTimer);
    this.#showTimer = undefined;
    const states = [...this.#subscriptions.values()];
    // Subscriptions that were complete before the connection was lost hold back the new documents.
    if (states.some((state) => state.awaited && state.ready.value)) return;
    batch(() => {
      for (const collection of this.#unshown) collection.show();
      this.#unshown.clear();
    });
  }

  #settle(id: string, message: Message): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (message["error"] === undefined) call?.resolve(fromJson(message["result"]));
    else call?.reject(methodError(message["error"]));
  }

  #sendSubscription(id: string, state: SubscriptionState): void {
    this.#send({ msg: "sub", id, name: state.name, params: state.params.map(toJson) });
  }

  #unsubscribe(id: string): void {
    if (!this.#subscriptions.delete(id)) return;
    this.#stopped.add(id);
    if (this.#status.value.state === "connected") this.#send({ msg: "unsub", id });
  }

  #ready(id: string): void {
    const state = this.#subscriptions.get(id);
    if (!state) return;
    state.awaited = false;
    batch(() => {
      this.#show();
      state.ready.value = true;
    });
  }

  #noSubscription(id: string, error: unknown): void {
    this.#stopped.delete(id);
    const state = this.#subscriptions.get(id);
    if (!state) return;
    this.#subscriptions.delete(id);
    if (error !== undefined) state.error.value = methodError(error);
    this.#showSoon();
  }

  #watch(): void {
    clearTimeout(this.#timer);
    this.#silent = true;
    this.#timer = setTimeout(() => {
      if (this.#silent) this.#ping();
      else this.#watch();
    }, this.#timing.heartbeatInterval);
  }

  #ping(): void {
    clearTimeout(this.#timer);
    this.#silent = true;
    this.#send({ msg: "ping" });
    this.#timer = setTimeout(() => {
      if (this.#silent) this.#lost();
      else this.#watch();
    }, this.#timing.heartbeatTimeout);
  }

  #lost(): void {
    if (this.#status.value.state === "connected") {
      this.#resumeTimer = setTimeout(() => this.#failCalls(), this.#timing.resumeWithin);
    }
    this.#leave();
    const bound = Math.min(this.#timing.longestWait, this.#timing.shortestWait * 2 ** this.#failures);
    const wait = this.#random() * bound;
    this.#failures += 1;
    this.#status.value = { state: "waiting", retryAt: Date.now() + wait };
    this.#timer = setTimeout(() => this.connect(), wait);
  }

  #leave(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #failCalls(): void {
    clearTimeout(this.#resumeTimer);
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(new ConnectionLost(true));
  }

  #send(message: Message): void {
    // The server may have closed it just now: nothing is sent then, and browsers complain.
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(message));
  }

  #newId(): string {
    this.#lastId += 1;
    return String(this.#lastId);
  }

  #collectionNamed(name: string): Collection {
    let collection = this.#collections.get(name);
    if (!collection) this.#collections.set(name, (collection = new Collection()));
    return collection;
  }
}

function parse(data: unknown): Message | null {
  if (typeof data !== "string") return null;
  try {
    return JSON.parse(data) as Message | null;
  } catch {
    return null;
  }
}

function methodError(error: unknown): MethodError {
  const { error: code, reason, details } = error as { error?: string | number; reason?: string; details?: unknown };
  return new MethodError(code ?? 500, reason ?? "", details);
}
