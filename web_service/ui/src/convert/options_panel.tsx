/** The options of the next pictures; they live in the address, so that they can be kept and shared. */

import { useState } from "preact/hooks";
import type { JSX } from "preact";

import { address } from "../app/route";
import { useTandem } from "../app/tandem";
import { formatWord } from "../jobs/words";
import { Icon } from "../parts/icons";
import { type ConvertOptions, IMAGE_FORMATS, type ImageFormat, MAX_WIDTH, PRESETS, presetOf, queryOf } from "./options";

export function OptionsPanel({ options }: { options: ConvertOptions }): JSX.Element {
  const { router } = useTandem();
  const preset = presetOf(options);
  // On a phone the drop zone comes first; where there is room the fields are open.
  const [open, setOpen] = useState(() => matchMedia("(min-width: 58rem)").matches);
  const choose = (next: ConvertOptions): void => router.replace(address("/convert", queryOf(next)));

  return (
    <form class="card options" aria-label="Options" onSubmit={(event) => event.preventDefault()}>
      <fieldset class="presets">
        <legend>Preset</legend>
        {PRESETS.map(({ id, name, options: values }) => (
          <label key={id}>
            <input
              type="radio"
              name="preset"
              value={id}
              aria-label={name}
              checked={preset?.id === id}
              onChange={() => choose(values)}
            />
            <span>
              <b>{name}</b>
              <small>
                {formatWord(values.format)}, {values.width === null ? "own size" : `${values.width} px`}
              </small>
            </span>
          </label>
        ))}
      </fieldset>
      <details class="fine" open={open || preset === null} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          {formatWord(options.format)} · {options.width === null ? "own size" : `${options.width} px`}
          {options.format === "png" ? "" : ` · quality ${options.quality}`}
          <Icon name="chevron" />
        </summary>
        <div class="fine-fields">
          <label class="field">
            <span>Format</span>
            <select
              value={options.format}
              onChange={(event) => choose({ ...options, format: event.currentTarget.value as ImageFormat })}
            >
              {IMAGE_FORMATS.map((format) => (
                <option key={format} value={format} selected={format === options.format}>
                  {formatWord(format)}
                </option>
              ))}
            </select>
          </label>
          <WidthField options={options} choose={choose} />
          <QualityField options={options} choose={choose} />
        </div>
      </details>
    </form>
  );
}

interface FieldProps {
  readonly options: ConvertOptions;
  readonly choose: (options: ConvertOptions) => void;
}

function WidthField({ options, choose }: FieldProps): JSX.Element {
  return (
    <label class="field">
      <span>
        Largest width <small>px</small>
      </span>
      <input
        type="number"
        inputMode="numeric"
        min={1}
        max={MAX_WIDTH}
        placeholder="as it is"
        value={options.width ?? ""}
        onInput={(event) => {
          // Not only when the field is left: files may be dropped or pasted before that.
          const { value, valueAsNumber, validity } = event.currentTarget;
          if (validity.valid) choose({ ...options, width: value === "" ? null : valueAsNumber });
        }}
        onChange={(event) => event.currentTarget.reportValidity()}
      />
    </label>
  );
}

function QualityField({ options, choose }: FieldProps): JSX.Element {
  const lossless = options.format === "png";
  return (
    <div class="field field-quality">
      <label for="quality">Quality</label>
      <output for="quality">{lossless ? "lossless" : options.quality}</output>
      <input
        id="quality"
        type="range"
        min={1}
        max={100}
        value={lossless ? 100 : options.quality}
        disabled={lossless}
        onInput={(event) => choose({ ...options, quality: event.currentTarget.valueAsNumber })}
      />
    </div>
  );
}
