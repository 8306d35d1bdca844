/** Tells of jobs that finish: to the live region, as a toast on other pages, and in the title's count. */

import { effect } from "@preact/signals";

import * as format from "../format";
import { type Job, appearance, fraction, imageResult } from "../jobs/job";
import { title } from "../jobs/words";
import { fileUrl } from "../net/api";
import type { Tandem } from "./tandem";

/** Seconds after which a job is long enough to be told of at each quarter. */
const LONG = 5;

/** Runs as long as the page does. */
export function tellOfJobs(tandem: Tandem): void {
  tandem.jobs.onFinished((job) => finished(tandem, job));
  tellOfQuarters(tandem);
  document.addEventListener("visibilitychange", () => {
    // Long enough to read the title's count after coming back.
    if (document.visibilityState === "visible") setTimeout(() => tandem.notices.seen(), 5000);
  });
}

function finished({ notices, router, names }: Tandem, job: Job): void {
  const name = title(job, names.of(job));
  const state = appearance(job);
  if (state === "cancelled") return notices.announce(`${name}: cancelled`);
  if (state === "failed") {
    const text = `${name}: failed. ${job.error?.message ?? ""}`;
    notices.announce(text);
    if (!onShow(job, router.place.value.path)) {
      notices.toast({ tone: "bad", text, link: { href: "/jobs?state=failed", text: "Show", download: false } });
    }
    return;
  }
  const picture = imageResult(job);
  const smaller = picture ? `, ${format.change(picture.sourceSize, picture.size)}` : "";
  notices.announce(`${name}: done${smaller}`);
  notices.done();
  const [file] = job.files;
  if (onShow(job, router.place.value.path)) return;
  const link = file ? { href: fileUrl(file.id), text: "Download", download: true } : null;
  notices.toast({ tone: "good", text: `${name} is ready${smaller}`, link });
}

/** Whether the page at `path` shows this job anyhow. */
function onShow(job: Job, path: string): boolean {
  if (path === "/jobs") return true;
  return path === (job.type === "reports.orders" ? "/reports" : "/convert");
}

function tellOfQuarters({ jobs, notices, names, now }: Tandem): void {
  const told = new Map<string, number>();
  effect(() => {
    for (const job of jobs.byId.value.values()) {
      if (job.state !== "executing" || !job.startedAt) continue;
      if (now.peek() - job.startedAt.getTime() < LONG * 1000) continue;
      const quarter = Math.floor((fraction(job) ?? 0) * 4);
      if (quarter < 1 || quarter > 3 || quarter <= (told.get(job.id) ?? 0)) continue;
      told.set(job.id, quarter);
      queueMicrotask(() => notices.announce(`${title(job, names.of(job))}: ${quarter * 25} percent`));
    }
  });
}
