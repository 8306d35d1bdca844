/** One picture's row: what it is, how far it is, and what can be done with it. */

import { useState } from "preact/hooks";
import type { JSX } from "preact";

import { useTandem } from "../app/tandem";
import * as format from "../format";
import { type Job, appearance, fraction, imageResult, isFinished } from "../jobs/job";
import { formatWord } from "../jobs/words";
import { fileUrl } from "../net/api";
import { Bar } from "../parts/bar";
import { Fault } from "../parts/fault";
import { Icon } from "../parts/icons";
import { Compare } from "./compare";
import type { Conversion, Stage } from "./conversions";

export function ConversionRow({ item }: { item: Conversion }): JSX.Element {
  const stage = item.stage.value;
  const job = stage.at === "job" ? stage.job : null;
  const failure = failureOf(stage);
  return (
    <li class="row" aria-label={item.file.name}>
      <Thumbnail item={item} job={job} />
      <div class="row-body">
        <p class="row-title" title={item.file.name}>
          {item.file.name}
        </p>
        <p class="row-line">
          <StageLine item={item} stage={stage} />
        </p>
        <StageBar item={item} stage={stage} />
      </div>
      <Actions item={item} stage={stage} />
      {failure && (
        <div class="row-more">
          <Fault {...failure} />
        </div>
      )}
    </li>
  );
}

/** The person's own file at once, then what was made of it. */
function Thumbnail({ item, job }: { item: Conversion; job: Job | null }): JSX.Element {
  const [broken, setBroken] = useState("");
  const file = job?.state === "completed" ? job.files[0] : undefined;
  const src = file ? fileUrl(file.id, "inline") : item.preview;
  return (
    <div class="thumb">
      {broken === src ? (
        <Icon name="picture" />
      ) : (
        <img src={src} alt="" decoding="async" onError={() => setBroken(src)} />
      )}
    </div>
  );
}

function StageLine({ item, stage }: { item: Conversion; stage: Stage }): JSX.Element {
  const before = format.bytes(item.file.size);
  const picture = stage.at === "job" && stage.job.state === "completed" ? imageResult(stage.job) : null;
  if (picture) {
    const grew = picture.size > picture.sourceSize;
    return (
      <>
        <span class="word word-done">
          <Icon name="check" /> Done
        </span>
        <b class={grew ? "saving saving-none" : "saving"}>{format.change(picture.sourceSize, picture.size)}</b>
        <span>
          {format.bytes(picture.sourceSize)} → {format.bytes(picture.size)}
        </span>
        <span class="muted">
          {formatWord(item.options.format)} · {picture.width} × {picture.height}
        </span>
      </>
    );
  }
  return (
    <>
      <span class={`word word-${wordClass(stage)}`}>{stageWord(stage)}</span>
      <span class="muted">{before}</span>
    </>
  );
}

function StageBar({ item, stage }: { item: Conversion; stage: Stage }): JSX.Element {
  const label = `${item.file.name}: ${stageWord(stage)}`;
  switch (stage.at) {
    case "uploading":
      return <Bar label={label} fraction={stage.fraction} />;
    case "submitting":
      return <Bar label={label} fraction={null} />;
    case "job":
      if (stage.job.state === "executing") return <Bar label={label} fraction={fraction(stage.job)} />;
      if (!isFinished(stage.job)) return <Bar label={label} fraction={0} />;
      break;
    case "queued":
      return <Bar label={label} fraction={0} />;
  }
  // As high as a bar, so that nothing moves when the work ends.
  return <div class="bar bar-none" />;
}

function Actions({ item, stage }: { item: Conversion; stage: Stage }): JSX.Element {
  const { conversions, notices } = useTandem();
  const [comparing, setComparing] = useState(false);
  const attempt = (action: Promise<void>): void => void action.catch((error: unknown) => notices.failure(error));
  const { name } = item.file;
  const state = stage.at === "job" ? stage.job.state : stage.at;
  const file = stage.at === "job" && stage.job.state === "completed" ? stage.job.files[0] : undefined;
  const over = ["completed", "cancelled", "discarded", "failed"].includes(state);
  return (
    <>
      {over && (
        <div class="row-actions">
          {file ? (
            <>
              <button
                type="button"
                class="button button-soft"
                onClick={() => setComparing(true)}
                aria-label={`Compare ${name}`}
              >
                <Icon name="compare" />
                Compare
              </button>
              <a
                class="button button-main"
                href={fileUrl(file.id)}
                download={file.filename}
                aria-label={`Download ${file.filename}`}
              >
                <Icon name="download" />
                Download
              </a>
            </>
          ) : (
            <button
              type="button"
              class="button button-soft"
              onClick={() => attempt(conversions.retry(item))}
              aria-label={`Try again: ${name}`}
            >
              <Icon name="again" />
              Try again
            </button>
          )}
        </div>
      )}
      <div class="row-end">
        {over ? (
          <button
            type="button"
            class="button button-icon"
            onClick={() => conversions.remove(item)}
            aria-label={`Remove ${name}`}
          >
            <Icon name="cross" />
          </button>
        ) : (
          <button
            type="button"
            class="button button-quiet button-folds"
            disabled={stage.at === "job" && stage.job.cancelRequested}
            onClick={() => attempt(conversions.cancel(item))}
            aria-label={`Cancel ${name}`}
          >
            <Icon name="cross" />
            <span>Cancel</span>
          </button>
        )}
      </div>
      {comparing && stage.at === "job" && <Compare item={item} job={stage.job} onClose={() => setComparing(false)} />}
    </>
  );
}

function stageWord(stage: Stage): string {
  switch (stage.at) {
    case "queued":
      return "Waiting to upload";
    case "uploading":
      return stage.fraction < 1 ? `Uploading ${format.percent(stage.fraction)}` : "Uploaded";
    case "submitting":
      return "Uploaded";
    case "failed":
      return "Failed";
    case "cancelled":
      return "Cancelled";
    case "job":
      return jobWord(stage.job);
  }
}

function jobWord(job: Job): string {
  const share = fraction(job);
  switch (appearance(job)) {
    case "running":
      return share === null ? "Running" : share === 1 ? "Saving" : `Running ${format.percent(share)}`;
    case "waiting":
      return "Waiting for its turn";
    case "retrying":
      return `Trying again, attempt ${job.attemptCount + 1} of ${job.maxAttempts}`;
    case "cancelling":
      return "Cancelling";
    case "cancelled":
      return "Cancelled";
    case "failed":
      return "Failed";
    case "done":
      return "Done";
  }
}

function wordClass(stage: Stage): string {
  if (stage.at === "job") return appearance(stage.job);
  return stage.at === "queued" || stage.at === "submitting" ? "waiting" : stage.at;
}

function failureOf(stage: Stage): { message: string; code: string } | null {
  if (stage.at === "failed") return stage;
  const error = stage.at === "job" && stage.job.state === "discarded" ? stage.job.error : null;
  return error ? { message: error.message, code: error.code } : null;
}
