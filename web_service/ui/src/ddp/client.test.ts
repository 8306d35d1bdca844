/** The client against a fake socket: settling, reconnecting, subscriptions, collections, heartbeat. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FakeNetwork } from "../testing/fake_socket";
import { DdpClient } from "./client";
import { ConnectionLost, MethodError } from "./errors";

let network: FakeNetwork;
let client: DdpClient;

beforeEach(() => {
  vi.useFakeTimers();
  network = new FakeNetwork();
  client = new DdpClient({
    open: network.open,
    random: () => 0.5,
    timing: { heartbeatInterval: 1000, heartbeatTimeout: 500, shortestWait: 100, longestWait: 400, resumeWithin: 300 },
  });
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
});

function connect(): void {
  client.connect();
  network.last.accept();
}

function added(id: string, fields: object): void {
  network.last.says({ msg: "added", collection: "jobs", id, fields });
}

function shown(): Record<string, unknown> {
  vi.advanceTimersByTime(0);
  return Object.fromEntries(client.collection("jobs").value);
}

describe("connecting", () => {
  test("proposes version 1 and is connected when the server says so", () => {
    client.connect();
    expect(client.status.value.state).toBe("connecting");
    network.last.onopen?.();
    expect(network.last.sent).toEqual([{ msg: "connect", version: "1", support: ["1"] }]);
    network.last.says({ server_id: "0" });
    expect(client.status.value.state).toBe("connecting");
    network.last.says({ msg: "connected", session: "s" });
    expect(client.status.value.state).toBe("connected");
  });

  test("waits longer after each failure, up to the longest wait, and says until when", () => {
    connect();
    const waits = [];
    for (let time = 0; time < 5; time += 1) {
      network.last.drops();
      const status = client.status.value;
      if (status.state !== "waiting") throw new Error(status.state);
      waits.push(status.retryAt - Date.now());
      vi.advanceTimersByTime(status.retryAt - Date.now());
      expect(client.status.value.state).toBe("connecting");
    }
    expect(waits).toEqual([50, 100, 200, 200, 200]);
    network.last.accept();
    network.last.drops();
    expect(client.status.value).toEqual({ state: "waiting", retryAt: Date.now() + 50 });
  });

  test("gives up on a server that accepts the socket and says nothing", () => {
    client.connect();
    network.last.onopen?.();
    vi.advanceTimersByTime(500);
    expect(client.status.value.state).toBe("waiting");
    expect(network.sockets[0]?.closed).toBe(true);
  });

  test("wake cuts a wait short", () => {
    connect();
    network.last.drops();
    client.wake();
    expect(network.sockets).toHaveLength(2);
    vi.advanceTimersByTime(400);
    expect(network.sockets).toHaveLength(2);
  });

  test("a refused version is a failure like any other", () => {
    client.connect();
    network.last.onopen?.();
    network.last.says({ msg: "failed", version: "pre1" });
    expect(client.status.value.state).toBe("waiting");
  });

  test("after close nothing is tried again", () => {
    connect();
    client.close();
    vi.advanceTimersByTime(60_000);
    expect(network.sockets).toHaveLength(1);
    expect(client.status.value.state).toBe("closed");
  });
});

describe("calls", () => {
  test("send EJSON and resolve with EJSON", async () => {
    connect();
    const call = client.call("echo", new Date(5), { a: 1 });
    const sent = network.last.answers({ at: { $date: 7 } });
    expect(sent).toEqual({ msg: "method", id: "1", method: "echo", params: [{ $date: 5 }, { a: 1 }] });
    await expect(call).resolves.toEqual({ at: new Date(7) });
  });

  test("resolve with undefined when the server sends no result", async () => {
    connect();
    const call = client.call("nothing");
    network.last.says({ msg: "result", id: "1" });
    await expect(call).resolves.toBeUndefined();
  });

  test("are matched by id, not by order", async () => {
    connect();
    const calls = [client.call("a"), client.call("b")];
    network.last.says({ msg: "result", id: "2", result: "b" });
    network.last.says({ msg: "result", id: "1", result: "a" });
    await expect(Promise.all(calls)).resolves.toEqual(["a", "b"]);
  });

  test("reject with the server's own words", async () => {
    connect();
    const call = client.call("nope");
    network.last.says({
      msg: "result",
      id: "1",
      error: { error: 404, reason: "Method 'nope' not found", message: "Method 'nope' not found [404]", details: 1 },
    });
    const error = await call.catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(MethodError);
    expect(error).toMatchObject({ error: 404, message: "Method 'nope' not found", details: 1 });
  });

  test("in flight when the connection drops are sent again when the session is resumed", async () => {
    connect();
    const call = client.call("slow", 1);
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.accept("s1");
    expect(network.last.got("method")).toEqual([{ msg: "method", id: "1", method: "slow", params: [1] }]);
    network.last.answers("done");
    expect(await call).toBe("done");
  });

  test("in flight when the session is lost fail, and may have run", async () => {
    connect();
    const call = client.call("slow");
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.accept("s2");
    const error = await call.catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(ConnectionLost);
    expect(error).toMatchObject({ error: "connection-lost", mayHaveRun: true });
    expect(network.last.got("method")).toEqual([]);
  });

  test("in flight fail when no connection comes back in time, and when the client closes", async () => {
    connect();
    const call = client.call("slow");
    network.last.drops();
    vi.advanceTimersByTime(300);
    await expect(call).rejects.toMatchObject({ mayHaveRun: true });
    network.last.accept("s1");
    const another = client.call("slow");
    client.close();
    await expect(another).rejects.toMatchObject({ mayHaveRun: true });
  });

  test("without a connection fail at once, and have not run", async () => {
    await expect(client.call("x")).rejects.toMatchObject({ error: "connection-lost", mayHaveRun: false });
    client.connect();
    await expect(client.call("x")).rejects.toMatchObject({ error: "connection-lost", mayHaveRun: false });
  });

  test("are not answered by a connection that was left", async () => {
    connect();
    const left = network.last;
    const call = client.call("x");
    client.connect();
    left.onmessage?.({ data: JSON.stringify({ msg: "result", id: "1", result: 1 }) });
    network.last.accept("s2");
    await expect(call).rejects.toBeInstanceOf(ConnectionLost);
    left.drops();
    expect(client.status.value.state).toBe("connected");
  });
});

describe("subscriptions", () => {
  test("are sent once connected, ready when the server says so, and stopped once", () => {
    const subscription = client.subscribe("jobs.mine", { limit: 5 });
    connect();
    expect(network.last.got("sub")).toEqual([{ msg: "sub", id: "1", name: "jobs.mine", params: [{ limit: 5 }] }]);
    expect(subscription.ready.value).toBe(false);
    network.last.completes();
    expect(subscription.ready.value).toBe(true);
    subscription.stop();
    subscription.stop();
    expect(network.last.got("unsub")).toEqual([{ msg: "unsub", id: "1" }]);
  });

  test("are sent again with the same ids after a reconnect, but not those that were stopped", () => {
    connect();
    client.subscribe("a");
    client.subscribe("b").stop();
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.accept("s2");
    expect(network.last.got("sub")).toEqual([{ msg: "sub", id: "1", name: "a", params: [] }]);
  });

  test("that the server refuses tell why, and are not sent again", () => {
    connect();
    const subscription = client.subscribe("secret");
    network.last.says({ msg: "nosub", id: "1", error: { error: 403, reason: "Log in first." } });
    expect(subscription.error.value).toMatchObject({ error: 403, message: "Log in first." });
    client.connect();
    network.last.accept();
    expect(network.last.got("sub")).toEqual([]);
  });
});

describe("a session", () => {
  test("is offered with the count of its messages, pings and pongs apart", () => {
    connect();
    client.subscribe("jobs.mine");
    added("a", {});
    network.last.says({ msg: "ping" });
    network.last.completes();
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.onopen?.();
    expect(network.last.sent).toEqual([
      { msg: "connect", session: "s1", receivedCount: 3, version: "1", support: ["1"] },
    ]);
    network.last.says({ msg: "connected", session: "s1" });
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.onopen?.();
    expect(network.last.sent[0]).toMatchObject({ receivedCount: 4 });
    network.last.says({ msg: "connected", session: "other" });
    client.connect();
    network.last.onopen?.();
    expect(network.last.sent[0]).toMatchObject({ session: "other", receivedCount: 1 });
  });

  test("that is resumed keeps its documents and goes on where it was", () => {
    connect();
    client.subscribe("jobs.mine");
    added("a", { n: 1 });
    network.last.completes();
    client.subscribe("late").stop();
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.accept("s1");
    expect(network.last.got("unsub")).toEqual([{ msg: "unsub", id: "2" }]);
    network.last.says({ msg: "changed", collection: "jobs", id: "a", fields: { n: 2 } });
    expect(shown()).toEqual({ a: { n: 2 } });
    network.last.says({ msg: "nosub", id: "2" });
    client.connect();
    network.last.accept("s1");
    expect(network.last.got("unsub")).toEqual([]);
  });

  test("ends with the client's word", () => {
    connect();
    client.close();
    expect(network.last.got("disconnect")).toEqual([{ msg: "disconnect" }]);
    client.connect();
    network.last.onopen?.();
    expect(network.last.sent).toEqual([{ msg: "connect", version: "1", support: ["1"] }]);
  });
});

test("says nothing to a socket that is closing", () => {
  connect();
  network.last.readyState = 2;
  client.close();
  expect(network.last.got("disconnect")).toEqual([]);
});

describe("collections", () => {
  test("follow added, changed, cleared and removed", () => {
    connect();
    added("a", { state: "executing", at: { $date: 5 }, note: "x" });
    added("b", {});
    expect(shown()).toEqual({ a: { state: "executing", at: new Date(5), note: "x" }, b: {} });
    network.last.says({ msg: "changed", collection: "jobs", id: "a", fields: { state: "done" }, cleared: ["note"] });
    network.last.says({ msg: "removed", collection: "jobs", id: "b" });
    expect(shown()).toEqual({ a: { state: "done", at: new Date(5) } });
  });

  test("change once for a burst of messages, and keep documents that did not change", () => {
    connect();
    added("a", { n: 1 });
    shown();
    const before = client.collection("jobs").value.get("a");
    const changes: number[] = [];
    client.collection("jobs").subscribe((documents) => changes.push(documents.size));
    for (let id = 0; id < 50; id += 1) added(`n${id}`, {});
    vi.advanceTimersByTime(0);
    expect(changes).toEqual([1, 51]);
    expect(client.collection("jobs").value.get("a")).toBe(before);
  });

  test("show what belongs to a subscription no later than that it is ready", () => {
    connect();
    const subscription = client.subscribe("jobs.mine");
    added("a", {});
    network.last.completes();
    expect(subscription.ready.value).toBe(true);
    expect(client.collection("jobs").value.size).toBe(1);
  });

  test("keep the old documents on show after a reconnect until the new ones are complete", () => {
    connect();
    client.subscribe("jobs.mine");
    added("a", { n: 1 });
    added("gone", {});
    network.last.completes();
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.accept("s2");
    added("a", { n: 2 });
    expect(shown()).toEqual({ a: { n: 1 }, gone: {} });
    network.last.completes();
    expect(shown()).toEqual({ a: { n: 2 } });
  });

  test("lose what a refused subscription held", () => {
    connect();
    client.subscribe("jobs.mine");
    added("a", {});
    network.last.completes();
    network.last.drops();
    vi.advanceTimersByTime(50);
    network.last.accept("s2");
    network.last.says({ msg: "nosub", id: "1", error: { error: 403, reason: "no" } });
    expect(shown()).toEqual({});
  });

  test("are empty after close", () => {
    connect();
    added("a", {});
    shown();
    client.close();
    expect(client.collection("jobs").value.size).toBe(0);
  });
});

describe("heartbeat", () => {
  test("answers pings, with the id if there is one", () => {
    connect();
    network.last.says({ msg: "ping" });
    network.last.says({ msg: "ping", id: "7" });
    expect(network.last.got("pong")).toEqual([{ msg: "pong" }, { msg: "pong", id: "7" }]);
  });

  test("pings a silent server and leaves one that does not answer", () => {
    connect();
    vi.advanceTimersByTime(1000);
    expect(network.last.got("ping")).toHaveLength(1);
    network.last.says({ msg: "pong" });
    vi.advanceTimersByTime(1500);
    expect(client.status.value.state).toBe("connected");
    expect(network.last.got("ping")).toHaveLength(2);
    vi.advanceTimersByTime(500);
    expect(client.status.value.state).toBe("waiting");
  });

  test("counts any message as a sign of life", () => {
    connect();
    for (let time = 0; time < 5; time += 1) {
      vi.advanceTimersByTime(900);
      added(String(time), {});
    }
    expect(network.last.got("ping")).toHaveLength(0);
  });
});

test("messages that are no DDP are passed over", () => {
  connect();
  for (const data of ["", "null", "5", "[]", "{", new ArrayBuffer(2)]) network.last.onmessage?.({ data });
  expect(client.status.value.state).toBe("connected");
});
