/** Convert: choose what pictures become, drop them, and watch each one until it is done. */

import { useEffect } from "preact/hooks";
import type { JSX } from "preact";

import { useTandem } from "../app/tandem";
import * as format from "../format";
import { imageResult, isFinished } from "../jobs/job";
import { Icon } from "../parts/icons";
import type { Conversion } from "./conversions";
import { DropZone } from "./drop_zone";
import { type ConvertOptions, optionsOf, sameOptions } from "./options";
import { OptionsPanel } from "./options_panel";
import { ConversionRow } from "./row";

export function ConvertPage(): JSX.Element {
  const { router, conversions, session } = useTandem();
  const options = optionsOf(router.place.value.query);
  const items = conversions.items.value;
  const largest = session.user.value?.limits?.fileBytes ?? null;
  const add = (files: readonly File[]): void => conversions.add(files, options, largest);

  useEffect(() => {
    const paste = (event: ClipboardEvent): void => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) add(files);
    };
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  });

  return (
    <div class="page">
      <header class="page-head">
        <h1>Convert images</h1>
        <p class="lead">Smaller files in a modern format. The work goes on when you leave the page.</p>
      </header>
      <div class="split">
        <OptionsPanel options={options} />
        <div class="stack">
          <DropZone onFiles={add} small={items.length > 0} />
          {items.length > 0 && <Totals items={items} options={options} />}
          {items.length > 0 && (
            <ul class="rows" aria-label="Images">
              {items.map((item) => (
                <ConversionRow key={item.id} item={item} />
              ))}
            </ul>
          )}
          {items.length === 0 && (
            <p class="hint">
              Earlier pictures are in <a href="/jobs">My jobs</a>, as long as the server keeps them.
            </p>
          )}
        </div>
      </div>
    </div>
  );
}

/** The sum over all rows, and the way to make them all again with other options. */
function Totals({ items, options }: { items: readonly Conversion[]; options: ConvertOptions }): JSX.Element {
  const { conversions, notices } = useTandem();
  const done = items.flatMap((item) => {
    const stage = item.stage.value;
    return stage.at === "job" && stage.job.state === "completed" ? [{ item, picture: imageResult(stage.job) }] : [];
  });
  const before = done.reduce((sum, { picture }) => sum + (picture?.sourceSize ?? 0), 0);
  const after = done.reduce((sum, { picture }) => sum + (picture?.size ?? 0), 0);
  const outdated = done.map(({ item }) => item).filter((item) => !sameOptions(item.options, options));
  const settled = items.every(({ stage: { value } }) =>
    value.at === "job" ? isFinished(value.job) : value.at === "failed" || value.at === "cancelled",
  );

  const again = (): void => {
    conversions.again(outdated, options).catch((error: unknown) => notices.failure(error));
  };

  return (
    <div class="totals">
      <p>
        <strong>
          {format.count(done.length)} of {format.plural(items.length, "image")} done
        </strong>
        {before > 0 && (
          <span class="muted">
            {format.bytes(before)} → {format.bytes(after)} <b class="saving">{format.change(before, after)}</b>
          </span>
        )}
      </p>
      {outdated.length > 0 && (
        <button type="button" class="button button-soft" onClick={again}>
          <Icon name="again" />
          Convert {outdated.length === 1 ? "it" : `all ${outdated.length}`} again with these options
        </button>
      )}
      {settled && outdated.length === 0 && (
        <button type="button" class="button button-quiet" onClick={() => conversions.clear()}>
          Clear the list
        </button>
      )}
    </div>
  );
}
