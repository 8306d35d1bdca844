/** Texts as people read them; spaces between number and unit do not break. */

import { expect, test } from "vitest";

import * as format from "./format";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [99_949, "99.9 kB"],
  [99_950, "100 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [4_120_000, "4.1 MB"],
  [2_500_000_000_000, "2500 GB"],
])("%d bytes are %s", (size, text) => {
  expect(plain(format.bytes(size))).toBe(text);
});

test.each([
  [4_100_000, 1_148_000, "−72 %"],
  [100, 105, "+5 %"],
  [100, 100, "±0 %"],
  [1000, 1, "−99 %"],
  [0, 5, ""],
])("from %d to %d is %s", (before, after, text) => {
  expect(plain(format.change(before, after))).toBe(text);
});

test("percent reaches 100 only when all is done", () => {
  expect([0, 0.999, 1].map((share) => plain(format.percent(share)))).toEqual(["0 %", "99 %", "100 %"]);
});

test.each([
  [0.42, "0.4 s"],
  [3, "3 s"],
  [42.4, "42 s"],
  [200, "3 min"],
  [7300, "2 h"],
])("%d seconds are %s", (seconds, text) => {
  expect(plain(format.duration(seconds))).toBe(text);
});

test("ago says less the longer it is", () => {
  const now = new Date(2026, 10, 23, 18, 0, 0);
  const before = (seconds: number): string =>
    plain(format.ago(new Date(now.getTime() - seconds * 1000), now.getTime()));
  expect(before(-2)).toBe("just now");
  expect(before(59)).toBe("just now");
  expect(before(3599)).toBe("59 min ago");
  expect(before(3 * 3600)).toBe("at 15:00");
  expect(before(19 * 3600)).toMatch(/^Sun,? 22 Nov,? (at )?23:00$/);
});

test("days go both ways", () => {
  expect(format.isoDay(new Date(2026, 0, 5, 23, 59))).toBe("2026-01-05");
  expect(format.dayInWords("2026-01-05")).toBe("5 Jan 2026");
  expect(format.dayInWords("soon")).toBe("soon");
});

test("plurals", () => {
  expect([1, 2, 41_200].map((value) => plain(format.plural(value, "row")))).toEqual(["1 row", "2 rows", "41,200 rows"]);
});
