/** A report that is being made: its rows counted up, large enough to watch. */

import type { JSX } from "preact";

import { useTandem } from "../app/tandem";
import * as format from "../format";
import { type Job, appearance, fraction, secondsLeft } from "../jobs/job";
import { title } from "../jobs/words";
import { Bar } from "../parts/bar";
import { Fault } from "../parts/fault";
import { StateChip } from "../parts/state_chip";

export function ReportInWork({ job }: { job: Job }): JSX.Element {
  const { jobs, notices, now } = useTandem();
  const name = title(job, null);
  const share = fraction(job);
  const running = job.state === "executing";
  const left = secondsLeft(job, now.value);
  const saving = running && share === 1;
  return (
    <article class="card in-work" aria-label={name} data-job={job.id}>
      <header>
        <h3>{name}</h3>
        <StateChip state={appearance(job)} />
      </header>
      <p class="in-work-rows">
        <b>{format.count(job.progress?.done ?? 0)}</b>{" "}
        {job.progress?.total ? `of ${format.count(job.progress.total)} rows` : "rows"}
      </p>
      <Bar label={`${name}: progress`} fraction={saving || (running && share === null) ? null : (share ?? 0)} />
      {job.error && <Fault message={job.error.message} code={job.error.code} />}
      <footer>
        <span class="muted">
          {saving ? "Saving the workbook" : share === null ? "" : format.percent(share)}
          {left === null ? "" : ` · about ${format.duration(left)} left`}
        </span>
        <button
          type="button"
          class="button button-quiet"
          disabled={job.cancelRequested}
          onClick={() => void jobs.cancel(job.id).catch((error: unknown) => notices.failure(error))}
          aria-label={`Cancel ${name}`}
        >
          Cancel
        </button>
      </footer>
    </article>
  );
}
