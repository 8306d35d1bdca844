/** My jobs over a fake socket: order, showing more, submits that survive a lost connection. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { DdpClient } from "../ddp/client";
import { FakeNetwork } from "../testing/fake_socket";
import { MyJobs, PAGE } from "./my_jobs";

let network: FakeNetwork;
let client: DdpClient;
let jobs: MyJobs;

beforeEach(() => {
  vi.useFakeTimers();
  network = new FakeNetwork();
  client = new DdpClient({ open: network.open, random: () => 0.5 });
  jobs = new MyJobs(client);
  client.connect();
  network.last.accept();
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
});

function added(id: string, state: string, minute: number): void {
  const createdAt = { $date: minute * 60_000 };
  network.last.says({ msg: "added", collection: "jobs", id, fields: { type: "system.echo", state, createdAt } });
}

test("newest first, and by id when they are equally new", () => {
  jobs.start();
  added("a", "completed", 1);
  added("b", "executing", 3);
  added("c", "executing", 1);
  network.last.completes();
  expect(jobs.ready).toBe(true);
  expect(jobs.newestFirst.value.map(({ id }) => id)).toEqual(["b", "c", "a"]);
});

test("a job whose document did not change stays the same object", () => {
  added("a", "completed", 1);
  vi.advanceTimersByTime(0);
  const before = jobs.byId.value.get("a");
  added("b", "executing", 2);
  vi.advanceTimersByTime(0);
  expect(jobs.byId.value.get("a")).toBe(before);
});

test("showing more asks anew, and leaves the shorter list only when the longer one is complete", async () => {
  jobs.start();
  network.last.completes();
  jobs.show(75);
  expect(network.last.got("sub").map(({ params }) => params)).toEqual([[{ limit: PAGE }], [{ limit: 75 }]]);
  expect(network.last.got("unsub")).toEqual([]);
  network.last.completes();
  await vi.advanceTimersByTimeAsync(0);
  expect(network.last.got("unsub")).toEqual([{ msg: "unsub", id: "1" }]);
  expect(jobs.ready).toBe(true);
});

test("a submit whose connection drops is sent again with the same key", async () => {
  const submit = jobs.submit("images.convert", { source: "f" }, "key-1");
  await vi.advanceTimersByTimeAsync(0);
  const first = network.last.got("method");
  network.last.drops();
  await vi.advanceTimersByTimeAsync(500);
  network.last.accept("s2");
  await vi.advanceTimersByTimeAsync(0);
  expect(network.last.got("method")[0]?.["params"]).toEqual(first[0]?.["params"]);
  network.last.answers({ id: "j1" });
  await expect(submit).resolves.toBe("j1");
});

test("a submit fails when the person logs out", async () => {
  network.last.drops();
  const submit = jobs.submit("images.convert", {}, "key-1");
  client.close();
  await expect(submit).rejects.toMatchObject({ error: "connection-lost" });
});

test("a job that finishes is told of once, and one that was finished before is not", async () => {
  const finished: string[] = [];
  const stop = jobs.onFinished(({ id }) => finished.push(id));
  added("old", "completed", 1);
  added("new", "executing", 2);
  await vi.advanceTimersByTimeAsync(0);
  network.last.says({ msg: "changed", collection: "jobs", id: "new", fields: { state: "completed" } });
  await vi.advanceTimersByTimeAsync(0);
  network.last.says({ msg: "changed", collection: "jobs", id: "new", fields: { result: 1 } });
  await vi.advanceTimersByTimeAsync(0);
  expect(finished).toEqual(["new"]);
  stop();
});
