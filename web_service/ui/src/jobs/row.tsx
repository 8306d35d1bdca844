/** One job's row: state, progress, attempts, error, files, and what can be done with it. */

import type { JSX } from "preact";

import { useTandem } from "../app/tandem";
import * as format from "../format";
import { fileUrl } from "../net/api";
import { Bar } from "../parts/bar";
import { Fault } from "../parts/fault";
import { Icon } from "../parts/icons";
import { StateChip } from "../parts/state_chip";
import { type Attempt, type Job, appearance, fraction, imageResult, isFinished } from "./job";
import { description, progressText, title } from "./words";

export function JobRow({ job }: { job: Job }): JSX.Element {
  const { names, now } = useTandem();
  const name = title(job, job.type.startsWith("images.") ? names.of(job) : null);
  const running = job.state === "executing";
  return (
    <li class="row row-job" aria-label={name} data-job={job.id}>
      <JobIcon job={job} />
      <div class="row-body">
        <p class="row-title" title={name}>
          {name}
        </p>
        <p class="row-text muted">
          {description(job)} ·{" "}
          <time dateTime={job.createdAt.toISOString()} title={format.moment(job.createdAt)}>
            {format.ago(job.createdAt, now.value)}
          </time>
        </p>
        <p class="row-line">
          <StateChip state={appearance(job)} />
          <Outcome job={job} now={now.value} />
        </p>
        {running && <Bar label={`${name}: progress`} fraction={fraction(job)} />}
      </div>
      <JobActions job={job} name={name} />
      <More job={job} />
    </li>
  );
}

function JobIcon({ job }: { job: Job }): JSX.Element {
  const [file] = job.files;
  if (file?.contentType.startsWith("image/") && job.state === "completed") {
    return (
      <div class="thumb">
        <img src={fileUrl(file.id, "inline")} alt="" loading="lazy" decoding="async" />
      </div>
    );
  }
  return (
    <div class="thumb">
      <Icon name={job.type === "reports.orders" ? "report" : job.type.startsWith("images.") ? "picture" : "running"} />
    </div>
  );
}

/** What there is to say beside the state: how far, how much smaller, when again. */
function Outcome({ job, now }: { job: Job; now: number }): JSX.Element {
  const picture = imageResult(job);
  if (picture && job.state === "completed") {
    return (
      <>
        <b class={picture.size > picture.sourceSize ? "saving saving-none" : "saving"}>
          {format.change(picture.sourceSize, picture.size)}
        </b>
        <span>
          {format.bytes(picture.sourceSize)} → {format.bytes(picture.size)}
        </span>
        <Kept job={job} />
      </>
    );
  }
  if (job.state === "completed") {
    const rows = job.result?.["rows"];
    const [file] = job.files;
    return (
      <>
        {typeof rows === "number" && <span>{format.plural(rows, "row")}</span>}
        {file && <span class="muted">{format.bytes(file.size)}</span>}
        <Kept job={job} />
      </>
    );
  }
  if (job.state === "executing") return <span class="numbers">{progressText(job, now)}</span>;
  if ((job.state === "retryable" || job.state === "scheduled") && job.runAt) {
    const seconds = Math.ceil((job.runAt.getTime() - now) / 1000);
    return <span class="numbers">{seconds > 0 ? `in ${format.duration(seconds)}` : "any moment"}</span>;
  }
  return <></>;
}

function Kept({ job }: { job: Job }): JSX.Element {
  const until = job.files[0]?.expiresAt;
  if (!until) return <></>;
  return <span class="muted">kept until {format.moment(until)}</span>;
}

/** The last error, and the attempts so far; nothing for a job that did it at the first. */
function More({ job }: { job: Job }): JSX.Element {
  const error = job.state === "completed" ? null : job.error;
  const several = job.attempts.length > 1 || (job.attempts.length === 1 && job.state === "retryable");
  if (!error && !several) return <></>;
  return (
    <div class="row-more">
      {error && <Fault message={error.message} code={error.code} />}
      {several && (
        <details class="attempts">
          <summary>
            Attempt {job.attemptCount} of {job.maxAttempts}
          </summary>
          <ol>
            {job.attempts.map((attempt) => (
              <li key={attempt.n}>{attemptText(attempt)}</li>
            ))}
          </ol>
        </details>
      )}
    </div>
  );
}

function attemptText({ startedAt, endedAt, outcome, error }: Attempt): string {
  const length = endedAt ? `, ${format.duration((endedAt.getTime() - startedAt.getTime()) / 1000)}` : "";
  return `${format.moment(startedAt)}${length}: ${error?.message ?? outcome ?? "running"}`;
}

function JobActions({ job, name }: { job: Job; name: string }): JSX.Element {
  const { jobs, notices } = useTandem();
  const attempt = (action: Promise<void>): void => void action.catch((error: unknown) => notices.failure(error));
  return (
    <div class="row-end">
      {job.state === "completed" &&
        job.files.map((file) => (
          <a
            key={file.id}
            class="button button-soft button-folds"
            href={fileUrl(file.id)}
            download={file.filename}
            aria-label={`Download ${file.filename}`}
          >
            <Icon name="download" />
            <span>Download</span>
          </a>
        ))}
      {(job.state === "discarded" || job.state === "cancelled") && (
        <button
          type="button"
          class="button button-quiet button-folds"
          onClick={() => attempt(jobs.retry(job.id))}
          aria-label={`Try again: ${name}`}
        >
          <Icon name="again" />
          <span>Try again</span>
        </button>
      )}
      {!isFinished(job) && (
        <button
          type="button"
          class="button button-quiet button-folds"
          disabled={job.cancelRequested}
          onClick={() => attempt(jobs.cancel(job.id))}
          aria-label={`Cancel ${name}`}
        >
          <Icon name="cross" />
          <span>Cancel</span>
        </button>
      )}
    </div>
  );
}
