/** Before and after over each other: a divider to drag, and a slider and a number for all other hands. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { JSX, TargetedEvent, TargetedPointerEvent } from "preact";

import * as format from "../format";
import { type Job, imageResult } from "../jobs/job";
import { formatWord } from "../jobs/words";
import { fileUrl } from "../net/api";
import { Icon } from "../parts/icons";
import type { Conversion } from "./conversions";

interface Props {
  readonly item: Conversion;
  readonly job: Job;
  readonly onClose: () => void;
}

export function Compare({ item, job, onClose }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [split, setSplit] = useState(50);
  const [beforeShown, setBeforeShown] = useState(true);
  const picture = imageResult(job);
  const file = job.files[0];
  useEffect(() => dialog.current?.showModal(), []);

  const drag = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    else if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setSplit(Math.round(Math.min(100, Math.max(0, ((event.clientX - left) / width) * 100))));
  };

  return (
    <dialog
      ref={dialog}
      class="compare"
      aria-label={`Before and after: ${item.file.name}`}
      style={{ "--ratio": picture ? String(picture.width / picture.height) : "1.5" }}
      onClose={onClose}
    >
      <header class="compare-head">
        <h2 title={item.file.name}>{item.file.name}</h2>
        <button type="button" class="button button-icon" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="cross" />
        </button>
      </header>
      <div
        class="stage"
        style={{ "--split": `${split}%` }}
        onPointerDown={drag}
        onPointerMove={drag}
      >
        {file && <img src={fileUrl(file.id, "inline")} alt={`After: ${file.filename}`} draggable={false} />}
        {beforeShown && (
          <img
            class="stage-before"
            src={item.preview}
            alt={`Before: ${item.file.name}`}
            draggable={false}
            onError={() => setBeforeShown(false)}
          />
        )}
        {beforeShown && (
          <div aria-hidden="true">
            <div class="stage-line" />
            <span class="stage-tag">Before</span>
            <span class="stage-tag stage-tag-after">After</span>
          </div>
        )}
      </div>
      {beforeShown ? (
        <Split value={split} onChange={setSplit} />
      ) : (
        <p class="hint">This browser can’t show the original, so you see the result alone.</p>
      )}
      <footer class="compare-foot">
        <p>
          <span>Before</span>
          <b>{format.bytes(picture?.sourceSize ?? item.file.size)}</b>
        </p>
        {picture && (
          <p class="compare-after">
            <span>
              After · {formatWord(job.params["format"])} · {picture.width} × {picture.height}
            </span>
            <b>
              {format.bytes(picture.size)} <span class="saving">{format.change(picture.sourceSize, picture.size)}</span>
            </b>
          </p>
        )}
      </footer>
    </dialog>
  );
}

function Split({ value, onChange }: { value: number; onChange: (value: number) => void }): JSX.Element {
  const change = (event: TargetedEvent<HTMLInputElement>): void => {
    const next = event.currentTarget.valueAsNumber;
    if (next >= 0 && next <= 100) onChange(Math.round(next));
  };
  return (
    <div class="compare-split">
      <input type="range" min={0} max={100} value={value} onInput={change} aria-label="Share of the original" />
      <label>
        <input
          type="number"
          min={0}
          max={100}
          value={value}
          onInput={change}
          aria-label="Share of the original in percent"
        />
        {" %"}
      </label>
    </div>
  );
}
