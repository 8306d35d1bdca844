/** What is read out of answers: names in headers, problems in bodies. */

import { expect, test } from "vitest";

import { filenameOf, problem } from "./api";

test.each([
  ['attachment; filename="a b.jpg"', "a b.jpg"],
  ['attachment; filename="quote \\" here.png"', 'quote " here.png'],
  ["attachment; filename=plain.webp", "plain.webp"],
  ["attachment; filename=\"x.jpg\"; filename*=UTF-8''%C3%A9t%C3%A9.jpg", "été.jpg"],
  ["attachment; filename*=UTF-8''%ZZ; filename=\"fallback.jpg\"", "fallback.jpg"],
  ["attachment", null],
])("%s names %s", (header, name) => {
  expect(filenameOf(header)).toBe(name);
});

test("a problem is shown in the server's words", () => {
  const body = JSON.stringify({ title: "Too large", status: 413, code: "too-large", detail: "The limit is 50 MB." });
  expect(problem(413, body)).toMatchObject({ status: 413, code: "too-large", message: "The limit is 50 MB." });
});

test("an answer of no known form still has a code and a sentence", () => {
  expect(problem(502, "<html>")).toMatchObject({ code: "http-502", message: expect.stringMatching(/\.$/) as string });
  expect(problem(503, "").message).toMatch(/busy/);
});
