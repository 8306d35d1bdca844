/** A job as the publications `jobs.mine` and `jobs.one` show it, and what can be said of it. */

import type { Fields } from "../ddp/collection";
import type { StoredFile } from "../net/api";

export type JobState =
  | "scheduled"
  | "available"
  | "executing"
  | "retryable"
  | "completed"
  | "cancelled"
  | "discarded";

export interface JobError {
  readonly code: string;
  readonly message: string;
}

export interface Attempt {
  readonly n: number;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly outcome: string | null;
  readonly error: JobError | null;
}

export interface Progress {
  readonly done: number;
  readonly total: number | null;
  readonly note: string | null;
}

export interface Job {
  readonly id: string;
  readonly type: string;
  readonly state: JobState;
  readonly params: Fields;
  readonly progress: Progress | null;
  readonly attemptCount: number;
  readonly maxAttempts: number;
  readonly attempts: readonly Attempt[];
  readonly result: Fields | null;
  readonly files: readonly JobFile[];
  readonly error: JobError | null;
  readonly createdAt: Date;
  readonly runAt: Date | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly cancelRequested: boolean;
}

export interface JobFile extends StoredFile {
  /** When the server deletes it; absent when it does not say. */
  readonly expiresAt?: Date | null;
}

/** Reads a document of the collection `jobs`; a field that is not there is empty. */
export function jobOf(id: string, fields: Fields): Job {
  const defaults = {
    progress: null,
    attemptCount: 0,
    maxAttempts: 1,
    attempts: [],
    params: {},
    result: null,
    files: [],
    error: null,
    runAt: null,
    startedAt: null,
    endedAt: null,
    cancelRequested: false,
  };
  const given = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return { ...defaults, ...Object.fromEntries(given), id } as unknown as Job;
}

/** How a job looks to its owner: one word and one icon for each. */
export type Appearance = "waiting" | "running" | "retrying" | "cancelling" | "done" | "cancelled" | "failed";

export function appearance(job: Job): Appearance {
  switch (job.state) {
    case "completed":
      return "done";
    case "cancelled":
      return "cancelled";
    case "discarded":
      return "failed";
    case "scheduled":
    case "available":
      return "waiting";
    case "retryable":
      return job.cancelRequested ? "cancelling" : "retrying";
    case "executing":
      return job.cancelRequested ? "cancelling" : "running";
  }
}

export function isFinished(job: Job): boolean {
  return job.state === "completed" || job.state === "cancelled" || job.state === "discarded";
}

/** How much is done, from 0 to 1; null when the job does not say. */
export function fraction(job: Job): number | null {
  const { progress } = job;
  if (!progress?.total) return null;
  return Math.min(1, Math.max(0, progress.done / progress.total));
}

/** Whole seconds that remain at the present rate; null before a tenth is done, or 5 s have passed. */
export function secondsLeft(job: Job, now: number): number | null {
  const share = fraction(job);
  const started = job.attempts.at(-1)?.startedAt ?? job.startedAt;
  if (job.state !== "executing" || share === null || share < 0.1 || !started) return null;
  const passed = (now - started.getTime()) / 1000;
  const left = Math.ceil((passed * (1 - share)) / share);
  return passed < 5 || left < 2 ? null : left;
}

export interface ImageResult {
  readonly width: number;
  readonly height: number;
  readonly size: number;
  readonly sourceSize: number;
}

/** What a finished image job says about its picture; null for other jobs. */
export function imageResult(job: Job): ImageResult | null {
  const { result } = job;
  return result && typeof result["sourceSize"] === "number" ? (result as unknown as ImageResult) : null;
}

export type Filter = "all" | "running" | "done" | "failed";

export const FILTERS: readonly Filter[] = ["all", "running", "done", "failed"];

export function matches(filter: Filter, job: Job): boolean {
  switch (filter) {
    case "all":
      return true;
    case "running":
      return !isFinished(job);
    case "done":
      return job.state === "completed";
    case "failed":
      return job.state === "discarded";
  }
}
