/** Pictures from file to result over a fake socket and a fake upload: each on its own way. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { DdpClient } from "../ddp/client";
import { MyJobs } from "../jobs/my_jobs";
import { HttpError, type StoredFile } from "../net/api";
import { FakeNetwork } from "../testing/fake_socket";
import { type Conversion, Conversions } from "./conversions";
import { PRESETS } from "./options";

interface Sending {
  readonly file: File;
  readonly progress: (fraction: number) => void;
  readonly signal: AbortSignal;
  readonly stored: (file: StoredFile) => void;
  readonly refused: (error: Error) => void;
}

const OPTIONS = PRESETS[0].options;

let network: FakeNetwork;
let client: DdpClient;
let sending: Sending[];
let conversions: Conversions;

beforeEach(() => {
  vi.useFakeTimers();
  network = new FakeNetwork();
  client = new DdpClient({ open: network.open, random: () => 0.5 });
  sending = [];
  conversions = new Conversions(
    new MyJobs(client),
    (file, progress, signal) =>
      new Promise((stored, refused) => sending.push({ file, progress, signal, stored, refused })),
    () => undefined,
  );
  client.connect();
  network.last.accept();
});

afterEach(() => {
  conversions.clear();
  client.close();
  vi.useRealTimers();
});

function picture(name: string, size = 3): File {
  return new File([new Uint8Array(size)], name, { type: "image/jpeg" });
}

function only(): Conversion {
  const [item] = conversions.items.value;
  if (!item) throw new Error("no item");
  return item;
}

async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(1);
}

/** Brings the one picture to a job that runs. */
async function running(): Promise<Conversion> {
  conversions.add([picture("a.jpg")], OPTIONS, null);
  sending[0]?.stored({ id: "f1", filename: "a.jpg", contentType: "image/jpeg", size: 3 });
  await settle();
  network.last.answers({ id: "j1" });
  await settle();
  job("added", { type: "images.convert", state: "executing", createdAt: { $date: 0 } });
  await settle();
  return only();
}

function job(msg: "added" | "changed", fields: object): void {
  network.last.says({ msg, collection: "jobs", id: "j1", fields });
}

test("goes from upload to job to result", async () => {
  const item = await running();
  expect(network.last.got("method")[0]).toMatchObject({
    method: "jobs.submit",
    params: [{ type: "images.convert", params: { source: "f1", format: "webp", width: 1600, quality: 80 } }],
  });
  expect(item.stage.value).toMatchObject({ at: "job", job: { state: "executing" } });
  job("changed", { state: "completed" });
  await settle();
  expect(item.stage.value).toMatchObject({ at: "job", job: { state: "completed" } });
  expect(network.last.got("unsub")).toHaveLength(1);
});

test("sends three at a time, and shows how far each is", async () => {
  conversions.add(["a", "b", "c", "d"].map((name) => picture(name)), OPTIONS, null);
  expect(sending.map(({ file }) => file.name)).toEqual(["a", "b", "c"]);
  sending[1]?.progress(0.5);
  expect(conversions.items.value.map(({ stage }) => stage.value)).toEqual([
    { at: "uploading", fraction: 0 },
    { at: "uploading", fraction: 0.5 },
    { at: "uploading", fraction: 0 },
    { at: "queued" },
  ]);
  sending[0]?.refused(new HttpError(415, "bad-image", "not an image"));
  await settle();
  expect(sending.map(({ file }) => file.name)).toEqual(["a", "b", "c", "d"]);
});

test("one that is refused says why, and can be tried again", async () => {
  conversions.add([picture("a.jpg")], OPTIONS, null);
  sending[0]?.refused(new HttpError(507, "quota", "You have no room left."));
  await settle();
  expect(only().stage.value).toEqual({ at: "failed", code: "quota", message: "You have no room left." });
  await conversions.retry(only());
  expect(sending).toHaveLength(2);
  expect(only().stage.value).toEqual({ at: "uploading", fraction: 0 });
});

test("one that is too large is not sent", () => {
  conversions.add([picture("big.jpg", 11), picture("small.jpg", 10)], OPTIONS, 10);
  expect(sending.map(({ file }) => file.name)).toEqual(["small.jpg"]);
  expect(only().stage.value).toMatchObject({ at: "failed", code: "too-large" });
});

test("a cancelled upload ends, and makes room for the next one", async () => {
  conversions.add(["a", "b", "c", "d"].map((name) => picture(name)), OPTIONS, null);
  await conversions.cancel(only());
  expect(sending[0]?.signal.aborted).toBe(true);
  sending[0]?.refused(new Error("aborted"));
  await settle();
  expect(only().stage.value).toEqual({ at: "cancelled" });
  expect(sending).toHaveLength(4);
});

test("one that is cancelled while it waits is never sent", async () => {
  conversions.add(["a", "b", "c", "d", "e"].map((name) => picture(name)), OPTIONS, null);
  await conversions.cancel(conversions.items.value[3] as Conversion);
  sending[0]?.refused(new Error("no"));
  await settle();
  expect(sending.map(({ file }) => file.name)).toEqual(["a", "b", "c", "e"]);
});

test("a cancelled job is cancelled on the server", async () => {
  const item = await running();
  const cancel = conversions.cancel(item);
  expect(network.last.answers(null)).toMatchObject({ method: "jobs.cancel", params: ["j1"] });
  await cancel;
});

test("a failed job that is tried again is followed until it finishes again", async () => {
  const item = await running();
  job("changed", { state: "discarded", error: { code: "crashed", message: "killed" } });
  await settle();
  const retry = conversions.retry(item);
  network.last.answers(null);
  await retry;
  expect(network.last.got("sub")).toHaveLength(2);
  expect(network.last.got("unsub")).toHaveLength(1);
  job("changed", { state: "executing" });
  await settle();
  expect(item.stage.value).toMatchObject({ at: "job", job: { state: "executing" } });
  job("changed", { state: "completed" });
  await settle();
  expect(network.last.got("unsub")).toHaveLength(2);
});

test("making it again uses what is uploaded", async () => {
  const item = await running();
  const again = conversions.again([item], { format: "avif", width: null, quality: 50 });
  await settle();
  expect(sending).toHaveLength(1);
  expect(network.last.answers({ id: "j2" })["params"]).toMatchObject([
    { params: { source: "f1", format: "avif", quality: 50 } },
  ]);
  await again;
});
