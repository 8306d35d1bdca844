/** EJSON, DDP's JSON: dates, bytes and non-finite numbers as `$` objects (DDP.md, "EJSON"). */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Decodes a value of `fields`, `params` or `result`. Unknown `$` objects stay plain data. */
export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (!isObject(value)) return value;
  const keys = Object.keys(value);
  if (keys.length === 1) {
    const inner = value[keys[0] as string];
    switch (keys[0]) {
      case "$date":
        if (typeof inner === "number") return new Date(inner);
        break;
      case "$binary":
        if (typeof inner === "string") return bytesFromBase64(inner);
        break;
      case "$InfNaN":
        return inner === 1 ? Infinity : inner === -1 ? -Infinity : NaN;
      case "$escape":
        // Literal keys for one level; what is inside is EJSON again.
        if (isObject(inner)) return mapValues(inner, fromJson);
        break;
    }
  }
  return mapValues(value, fromJson);
}

/** Encodes a value; a plain object that looks like EJSON is escaped. `undefined` is left out. */
export function toJson(value: unknown): Json {
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof Uint8Array) return { $binary: base64FromBytes(value) };
  if (typeof value === "number" && !Number.isFinite(value)) {
    return { $InfNaN: Number.isNaN(value) ? 0 : value > 0 ? 1 : -1 };
  }
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : toJson(item)));
  if (!isObject(value)) return value as Json;
  const encoded = mapValues(value, toJson) as { [key: string]: Json };
  return looksEncoded(encoded) ? { $escape: encoded } : encoded;
}

const WIRE_FORMS = [["$date"], ["$binary"], ["$InfNaN"], ["$escape"], ["$type", "$value"], ["$regexp", "$flags"]];

function looksEncoded(value: object): boolean {
  const keys = Object.keys(value);
  return WIRE_FORMS.some((form) => form.length === keys.length && form.every((key) => key in value));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function mapValues<T>(value: Record<string, unknown>, change: (item: unknown) => T): Record<string, T> {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, change(item)]),
  );
}

function bytesFromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function base64FromBytes(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
