/** Numbers, sizes, dates and durations as people read them. */

const MINUS = "\u2212";
// A line never breaks between a number and its unit.
const SPACE = "\u00a0";

const integers = new Intl.NumberFormat("en");
const amounts = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const moments = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export function count(value: number): string {
  return integers.format(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)}${SPACE}${value === 1 ? one : many}`;
}

/** Cents as an amount, without a currency: orders do not say theirs. */
export function amount(cents: number): string {
  return amounts.format(cents / 100);
}

/** Bytes in decimal units, as file managers show them: three digits that matter. */
export function bytes(size: number): string {
  if (size < 1000) return `${size}${SPACE}B`;
  const units = ["kB", "MB", "GB"];
  let value = size / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 99.95 ? value.toFixed(1) : value.toFixed(0)}${SPACE}${units[unit]}`;
}

/** The change of a size: "−72 %", "+5 %", "±0 %"; "−100 %" only when nothing is left. */
export function change(before: number, after: number): string {
  if (before <= 0) return "";
  const percent = Math.max(Math.round((after / before - 1) * 100), after > 0 ? -99 : -100);
  const sign = percent > 0 ? "+" : percent < 0 ? MINUS : "±";
  return `${sign}${Math.abs(percent)}${SPACE}%`;
}

/** A fraction as whole percent; 100 only when it is all. */
export function percent(fraction: number): string {
  const whole = fraction >= 1 ? 100 : Math.min(99, Math.floor(fraction * 100));
  return `${whole}${SPACE}%`;
}

export function day(date: Date): string {
  return days.format(date);
}

/** A day as "YYYY-MM-DD" in the reader's own time zone, as date inputs have it. */
export function isoDay(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** "YYYY-MM-DD" as a day in words; other texts come back as they are. */
export function dayInWords(iso: string): string {
  const [year, month, date] = iso.split("-").map(Number);
  return year && month && date ? day(new Date(year, month - 1, date)) : iso;
}

export function moment(date: Date): string {
  return moments.format(date);
}

/** How long ago, in one unit: "just now", "5 min ago", then the time of day or the day. */
export function ago(date: Date, now: number): string {
  const seconds = (now - date.getTime()) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${SPACE}min ago`;
  if (isoDay(date) === isoDay(new Date(now))) return `at ${clock.format(date)}`;
  return moment(date);
}

/** A length of time in seconds: "0.4 s", "12 s", "3 min", "2 h". */
export function duration(seconds: number): string {
  if (seconds < 9.95 && !Number.isInteger(seconds)) return `${Math.max(0, seconds).toFixed(1)}${SPACE}s`;
  if (seconds < 90) return `${Math.round(seconds)}${SPACE}s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}${SPACE}min`;
  return `${Math.round(seconds / 3600)}${SPACE}h`;
}
