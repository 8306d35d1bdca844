/** Jobs: how they look, how far they are, what they are called. */

import { expect, test } from "vitest";

import { type Job, type JobState, appearance, fraction, imageResult, jobOf, matches, secondsLeft } from "./job";
import { description, period, progressText, title } from "./words";

const START = new Date(2026, 10, 23, 12, 0, 0);

function job(fields: Partial<Job>): Job {
  return jobOf("j1", { type: "reports.orders", state: "executing", createdAt: START, ...fields });
}

test("what the server leaves out is empty", () => {
  expect(jobOf("j1", { type: "x", state: "available", createdAt: START, files: null })).toMatchObject({
    id: "j1",
    files: [],
    attempts: [],
    progress: null,
    cancelRequested: false,
  });
});

test.each<[JobState, boolean, string]>([
  ["scheduled", false, "waiting"],
  ["available", false, "waiting"],
  ["executing", false, "running"],
  ["executing", true, "cancelling"],
  ["retryable", false, "retrying"],
  ["completed", true, "done"],
  ["cancelled", true, "cancelled"],
  ["discarded", false, "failed"],
])("%s (cancel requested: %s) looks %s", (state, cancelRequested, look) => {
  expect(appearance(job({ state, cancelRequested }))).toBe(look);
});

test("each job but a cancelled one is in one filter beside all", () => {
  const filters = (state: JobState): string[] =>
    (["all", "running", "done", "failed"] as const).filter((filter) => matches(filter, job({ state })));
  expect(filters("retryable")).toEqual(["all", "running"]);
  expect(filters("completed")).toEqual(["all", "done"]);
  expect(filters("discarded")).toEqual(["all", "failed"]);
  expect(filters("cancelled")).toEqual(["all"]);
});

test("progress is a share only with a total, and never beyond 1", () => {
  const share = (done: number, total: number | null): number | null =>
    fraction(job({ progress: { done, total, note: null } }));
  expect([share(1, 4), share(5, 4), share(1, null), share(1, 0)]).toEqual([0.25, 1, null, null]);
});

test("the time left is told after 5 s and a tenth, from the present attempt on", () => {
  const running = (done: number): Job =>
    job({
      startedAt: START,
      progress: { done, total: 100, note: null },
      attempts: [{ n: 2, startedAt: new Date(START.getTime() + 60_000), endedAt: null, outcome: null, error: null }],
    });
  const after = (seconds: number): number => START.getTime() + 60_000 + seconds * 1000;
  expect(secondsLeft(running(50), after(4))).toBeNull();
  expect(secondsLeft(running(9), after(10))).toBeNull();
  expect(secondsLeft(running(25), after(10))).toBe(30);
  expect(secondsLeft(running(99), after(10))).toBeNull();
});

test("progress in words", () => {
  const text = progressText(job({ progress: { done: 41_200, total: 100_000, note: null } }), START.getTime());
  expect(text.replaceAll("\u00a0", " ")).toBe("41,200 of 100,000 rows · 41 %");
  const all = progressText(job({ progress: { done: 500, total: 500, note: null } }), 0);
  expect(all).toBe("500 of 500 rows · saving");
  expect(progressText(job({ progress: { done: 0, total: null, note: "reading" } }), 0)).toBe("reading");
});

test("names and descriptions", () => {
  const picture = job({ type: "images.convert", params: { source: "f", format: "webp", width: 1600, quality: 80 } });
  expect(description(picture).replaceAll("\u00a0", " ")).toBe("To WebP · 1,600 px · quality 80");
  expect(title(picture, "a.jpg")).toBe("a.jpg");
  expect(title(picture, null)).toBe("Image");
  expect(title(job({ params: { start: "2025-01-01", end: "2025-12-31" } }), null)).toBe("Orders, 2025");
  expect(title(job({}), null)).toBe("All orders");
});

test.each([
  ["", "", ""],
  ["2026-01-05", "", "from 5 Jan 2026"],
  ["", "2026-01-05", "until 5 Jan 2026"],
  ["2026-01-05", "2026-01-05", "5 Jan 2026"],
  ["2026-01-05", "2026-02-01", "5 Jan 2026 – 1 Feb 2026"],
])("the period from %s to %s is %s", (start, end, words) => {
  expect(period(start, end)).toBe(words);
});

test("only image jobs have an image's result", () => {
  const result = { width: 4, height: 3, size: 10, sourceSize: 100 };
  expect(imageResult(job({ result }))).toEqual(result);
  expect(imageResult(job({ result: { rows: 5 } }))).toBeNull();
});
