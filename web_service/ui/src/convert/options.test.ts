/** Options: to the address and back, presets, bounds, parameters. */

import { expect, test } from "vitest";

import { address } from "../app/route";
import { type ConvertOptions, PRESETS, optionsOf, paramsOf, presetOf, queryOf } from "./options";

const roundTrip = (options: ConvertOptions): ConvertOptions =>
  optionsOf(new URLSearchParams(address("/convert", queryOf(options)).split("?")[1] ?? ""));

test.each(PRESETS.map((preset) => [preset.id, preset] as const))("preset %s survives the address", (_, preset) => {
  expect(presetOf(roundTrip(preset.options))).toBe(preset);
});

test.each<ConvertOptions>([
  { format: "avif", width: 8192, quality: 1 },
  { format: "jpeg", width: null, quality: 100 },
  { format: "webp", width: 1, quality: 55 },
])("own options survive the address: %o", (options) => {
  expect(roundTrip(options)).toEqual(options);
});

test("the first preset needs no address", () => {
  expect(address("/convert", queryOf(PRESETS[0].options))).toBe("/convert");
});

test.each(["width=0", "width=8193", "width=1.5", "width=x", "quality=0", "quality=101", "format=bmp", "preset=none"])(
  "%s is passed over",
  (query) => {
    expect(optionsOf(new URLSearchParams(query))).toEqual(PRESETS[0].options);
  },
);

test("parameters leave out what does not apply", () => {
  expect(paramsOf("f1", { format: "png", width: null, quality: 80 })).toEqual({ source: "f1", format: "png" });
  expect(paramsOf("f1", { format: "webp", width: 9, quality: 80 })).toEqual({
    source: "f1",
    format: "webp",
    width: 9,
    quality: 80,
  });
});
