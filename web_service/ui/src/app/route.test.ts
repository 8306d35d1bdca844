/** Addresses: what is written, and where a login may lead. */

import { expect, test } from "vitest";

import { address, afterLogin } from "./route";

test("an address leaves out what is empty", () => {
  expect(address("/jobs", { state: null, show: "" })).toBe("/jobs");
  expect(address("/jobs", { state: "failed", show: 75 })).toBe("/jobs?state=failed&show=75");
  expect(address("/login", { next: "/jobs?state=done" })).toBe("/login?next=%2Fjobs%3Fstate%3Ddone");
});

test.each([
  ["/jobs?state=done", "/jobs?state=done"],
  ["", "/convert"],
  ["//evil.example", "/convert"],
  ["/\\evil.example", "/convert"],
  ["https://evil.example", "/convert"],
  ["/login?next=/login", "/convert"],
])("after a login with next=%s comes %s", (next, path) => {
  expect(afterLogin(new URLSearchParams({ next }))).toBe(path);
});
