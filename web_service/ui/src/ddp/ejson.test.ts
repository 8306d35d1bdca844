/** EJSON both ways, with the cases of DDP.md. */

import { describe, expect, test } from "vitest";

import { fromJson, toJson } from "./ejson";

const BYTES = new Uint8Array([0, 1, 254, 255]);

describe("both ways", () => {
  test.each([
    ["a date", new Date(1_700_000_000_123), { $date: 1_700_000_000_123 }],
    ["bytes", BYTES, { $binary: "AAH+/w==" }],
    ["no bytes", new Uint8Array(), { $binary: "" }],
    ["infinity", Infinity, { $InfNaN: 1 }],
    ["minus infinity", -Infinity, { $InfNaN: -1 }],
    ["nested", { a: [{ at: new Date(5) }] }, { a: [{ at: { $date: 5 } }] }],
    ["a literal $date", { $date: 5 }, { $escape: { $date: 5 } }],
    ["a literal $escape", { $escape: { a: 1 } }, { $escape: { $escape: { a: 1 } } }],
    ["a date inside an escape", { $date: new Date(5) }, { $escape: { $date: { $date: 5 } } }],
    ["a literal custom type", { $type: "oid", $value: "x" }, { $escape: { $type: "oid", $value: "x" } }],
    ["plain data", { a: 1, b: "x", c: null, d: [true] }, { a: 1, b: "x", c: null, d: [true] }],
  ])("%s", (_, value, wire) => {
    expect(toJson(value)).toEqual(wire);
    expect(fromJson(wire)).toEqual(value);
  });
});

test("not a number", () => {
  expect(toJson(NaN)).toEqual({ $InfNaN: 0 });
  expect(fromJson({ $InfNaN: 0 })).toBeNaN();
});

test("what only looks like EJSON is plain data", () => {
  for (const plain of [{ $date: 5, x: 1 }, { $foo: 1 }, { $date: "today" }, { $type: "nope", $value: 1 }]) {
    expect(fromJson(plain)).toEqual(plain);
  }
});

test("undefined is left out of objects, and null in arrays", () => {
  expect(toJson({ a: undefined, b: [undefined, 1] })).toEqual({ b: [null, 1] });
});
