/** A job's state as an icon and a word; never colour alone. */

import type { JSX } from "preact";

import type { Appearance } from "../jobs/job";
import { STATE_WORDS } from "../jobs/words";
import { Icon, type IconName } from "./icons";

const ICONS: Record<Appearance, IconName> = {
  waiting: "clock",
  running: "running",
  retrying: "again",
  cancelling: "ban",
  done: "check",
  cancelled: "ban",
  failed: "alert",
};

export function StateChip({ state }: { state: Appearance }): JSX.Element {
  return (
    <span class={`chip chip-${state}`}>
      <Icon name={ICONS[state]} />
      {STATE_WORDS[state]}
    </span>
  );
}
