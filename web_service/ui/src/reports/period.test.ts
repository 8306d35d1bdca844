/** Periods: the quick choices, the address, the fault, the parameters. */

import { expect, test } from "vitest";

import { fault, paramsOf, periodOf, quickChoices, samePeriod } from "./period";

const choices = (today: Date): Record<string, [string, string]> =>
  Object.fromEntries(quickChoices(today).map(({ name, period }) => [name, [period.start, period.end]]));

test("quick choices in January reach back into the last year", () => {
  expect(choices(new Date(2026, 0, 31))).toEqual({
    "All orders": ["", ""],
    "This month": ["2026-01-01", "2026-01-31"],
    "Last month": ["2025-12-01", "2025-12-31"],
    "This year": ["2026-01-01", "2026-12-31"],
    "Last year": ["2025-01-01", "2025-12-31"],
  });
});

test("the last month of a leap year's March has 29 days", () => {
  expect(choices(new Date(2028, 2, 31))["Last month"]).toEqual(["2028-02-01", "2028-02-29"]);
});

test("an address gives its days, and nothing for what is no day", () => {
  const read = (query: string): unknown => periodOf(new URLSearchParams(query));
  expect(read("start=2026-01-01&end=2026-02-28")).toEqual({ start: "2026-01-01", end: "2026-02-28" });
  expect(read("start=2026-13-01&end=<b>")).toEqual({ start: "", end: "" });
});

test("a period that ends before it starts is a fault; one day is not", () => {
  expect(fault({ start: "2026-02-02", end: "2026-02-01" })).toMatch(/after/);
  expect(fault({ start: "2026-02-02", end: "2026-02-02" })).toBe("");
  expect(fault({ start: "2026-02-02", end: "" })).toBe("");
});

test("open sides are no parameters", () => {
  expect(paramsOf({ start: "", end: "" })).toEqual({});
  expect(paramsOf({ start: "", end: "2026-01-01" })).toEqual({ end: "2026-01-01" });
  expect(samePeriod({ start: "", end: "" }, periodOf(new URLSearchParams()))).toBe(true);
});
