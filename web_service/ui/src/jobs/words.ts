/** Jobs in words: what one is called, what it does, how it is going. */

import * as format from "../format";
import { type Appearance, type Filter, type Job, fraction, secondsLeft } from "./job";

export const STATE_WORDS: Record<Appearance, string> = {
  waiting: "Waiting",
  running: "Running",
  retrying: "Trying again",
  cancelling: "Cancelling",
  done: "Done",
  cancelled: "Cancelled",
  failed: "Failed",
};

export const FILTER_WORDS: Record<Filter, string> = {
  all: "All",
  running: "Running",
  done: "Done",
  failed: "Failed",
};

const FORMAT_WORDS: Record<string, string> = { jpeg: "JPEG", png: "PNG", webp: "WebP", avif: "AVIF" };

export function formatWord(format: unknown): string {
  return FORMAT_WORDS[String(format)] ?? String(format);
}

/** The line that says what a job does, from its type and parameters. */
export function description(job: Job): string {
  const { width, quality, format: target } = job.params;
  switch (job.type) {
    case "images.convert":
      return join("To " + formatWord(target), size(width), quality === undefined ? "" : `quality\u00a0${quality}`);
    case "images.thumbnail":
      return join("Thumbnail", size(width), target ? formatWord(target) : "");
    case "reports.orders":
      return "Excel report of orders";
    default:
      return job.type;
  }
}

/** What a job is called; `source` is its source file's name, when that is known. */
export function title(job: Job, source: string | null): string {
  if (job.type === "reports.orders") {
    const days = period(job.params["start"], job.params["end"]);
    return days ? `Orders, ${days}` : "All orders";
  }
  if (job.type.startsWith("images.")) return source ?? job.files[0]?.filename ?? "Image";
  return job.type;
}

/** A period whose ends are "YYYY-MM-DD" texts, dates, or not there; empty when it is all time. */
export function period(start: unknown, end: unknown): string {
  const [from, to] = [dayText(start), dayText(end)];
  if (!from && !to) return "";
  if (!from) return `until ${format.dayInWords(to)}`;
  if (!to) return `from ${format.dayInWords(from)}`;
  if (from === to) return format.dayInWords(from);
  const [year] = from.split("-");
  if (from === `${year}-01-01` && to === `${year}-12-31`) return `${year}`;
  return `${format.dayInWords(from)} – ${format.dayInWords(to)}`;
}

/** How far a running job is: "41,200 of 100,000 rows · 41 % · about 40 s left". */
export function progressText(job: Job, now: number): string {
  const share = fraction(job);
  const { progress } = job;
  if (!progress) return "";
  if (share === null) return progress.note ?? "";
  const left = secondsLeft(job, now);
  const steps =
    progress.total !== null && progress.total > 1 && progress.total !== 100
      ? `${format.count(progress.done)} of ${format.count(progress.total)}${unit(job)}`
      : "";
  // All is done but the result's way to the storage: 100 % that stays would look stuck.
  if (share === 1) return join(steps, "saving");
  return join(steps, format.percent(share), left === null ? "" : `about ${format.duration(left)} left`);
}

function unit(job: Job): string {
  return job.type === "reports.orders" ? " rows" : "";
}

function size(width: unknown): string {
  return typeof width === "number" ? `${format.count(width)}\u00a0px` : "";
}

function dayText(value: unknown): string {
  if (value instanceof Date) return format.isoDay(value);
  return typeof value === "string" ? value.slice(0, 10) : "";
}

function join(...parts: string[]): string {
  return parts.filter(Boolean).join(" · ");
}
