/** What a picture becomes: presets, own values, and both as the address says them. */

export const IMAGE_FORMATS = ["jpeg", "png", "webp", "avif"] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** The contract's own bounds (images.convert). */
export const MAX_WIDTH = 8192;

export interface ConvertOptions {
  readonly format: ImageFormat;
  /** Pixels at most; null keeps the picture's own width. */
  readonly width: number | null;
  /** From 1 to 100; PNG has none. */
  readonly quality: number;
}

export interface Preset {
  readonly id: string;
  readonly name: string;
  readonly options: ConvertOptions;
}

export const PRESETS: readonly [Preset, ...Preset[]] = [
  { id: "web", name: "Web", options: { format: "webp", width: 1600, quality: 80 } },
  { id: "email", name: "E-mail", options: { format: "jpeg", width: 1200, quality: 75 } },
  { id: "thumbnail", name: "Thumbnail", options: { format: "webp", width: 256, quality: 75 } },
  { id: "full", name: "Full size", options: { format: "avif", width: null, quality: 60 } },
];

export function sameOptions(a: ConvertOptions, b: ConvertOptions): boolean {
  return a.format === b.format && a.width === b.width && (a.format === "png" || a.quality === b.quality);
}

export function presetOf(options: ConvertOptions): Preset | null {
  return PRESETS.find((preset) => sameOptions(preset.options, options)) ?? null;
}

/** Reads the options of an address; what is missing or out of bounds is as in the first preset. */
export function optionsOf(query: URLSearchParams): ConvertOptions {
  const preset = PRESETS.find(({ id }) => id === query.get("preset")) ?? PRESETS[0];
  const { options } = preset;
  const width = query.get("width");
  return {
    format: IMAGE_FORMATS.find((format) => format === query.get("format")) ?? options.format,
    width: width === "keep" ? null : (within(width, MAX_WIDTH) ?? options.width),
    quality: within(query.get("quality"), 100) ?? options.quality,
  };
}

/** The query of an address that says these options; empty for the first preset. */
export function queryOf(options: ConvertOptions): Record<string, string | number | null> {
  const preset = presetOf(options);
  if (preset) return { preset: preset === PRESETS[0] ? null : preset.id };
  const { format, width, quality } = options;
  return { format, width: width ?? "keep", quality: format === "png" ? null : quality };
}

/** The parameters of images.convert. */
export function paramsOf(source: string, options: ConvertOptions): Record<string, unknown> {
  const { format, width, quality } = options;
  return {
    source,
    format,
    ...(width === null ? {} : { width }),
    ...(format === "png" ? {} : { quality }),
  };
}

function within(text: string | null, largest: number): number | null {
  const value = Number(text);
  return text && Number.isInteger(value) && value >= 1 && value <= largest ? value : null;
}
