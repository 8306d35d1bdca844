/** A progress bar: real numbers, or a moving stripe when there are none. */

import type { JSX } from "preact";

interface Props {
  /** What is making progress. */
  readonly label: string;
  /** From 0 to 1; null when unknown. */
  readonly fraction: number | null;
}

export function Bar({ label, fraction }: Props): JSX.Element {
  const known = fraction !== null;
  return (
    <div
      class={known ? "bar" : "bar bar-unknown"}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(known ? { "aria-valuenow": Math.floor(fraction * 100) } : {})}
    >
      <div class="bar-fill" style={{ "--fraction": String(fraction ?? 1) }} />
    </div>
  );
}
