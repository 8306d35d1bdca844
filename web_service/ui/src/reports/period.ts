/** Periods of whole days, as "YYYY-MM-DD" texts; an empty side is open. */

import { isoDay } from "../format";

export interface Period {
  readonly start: string;
  readonly end: string;
}

export interface QuickChoice {
  readonly name: string;
  readonly period: Period;
}

/** The periods people ask for most, seen from `today`. */
export function quickChoices(today: Date): QuickChoice[] {
  const [year, month] = [today.getFullYear(), today.getMonth()];
  const days = (start: Date, end: Date): Period => ({ start: isoDay(start), end: isoDay(end) });
  return [
    { name: "All orders", period: { start: "", end: "" } },
    { name: "This month", period: days(new Date(year, month, 1), new Date(year, month + 1, 0)) },
    { name: "Last month", period: days(new Date(year, month - 1, 1), new Date(year, month, 0)) },
    { name: "This year", period: days(new Date(year, 0, 1), new Date(year, 11, 31)) },
    { name: "Last year", period: days(new Date(year - 1, 0, 1), new Date(year - 1, 11, 31)) },
  ];
}

export function samePeriod(a: Period, b: Period): boolean {
  return a.start === b.start && a.end === b.end;
}

/** Reads the period of an address; what is not a day is left open. */
export function periodOf(query: URLSearchParams): Period {
  return { start: dayIn(query.get("start")), end: dayIn(query.get("end")) };
}

/** What is wrong with a period, as a sentence; empty when nothing is. */
export function fault({ start, end }: Period): string {
  return start && end && start > end ? "The first day is after the last one." : "";
}

/** The parameters of reports.orders. */
export function paramsOf({ start, end }: Period): Record<string, string> {
  return { ...(start ? { start } : {}), ...(end ? { end } : {}) };
}

function dayIn(text: string | null): string {
  return text && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : "";
}
