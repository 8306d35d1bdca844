/** Checks what the compiler can't: module headers and lengths, what a strict CSP forbids, a lock file without hosts. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LONGEST_MODULE = 400;
const LONGEST_LINE = 120;
const FORBIDDEN = [
  [/dangerouslySetInnerHTML|\.innerHTML\b|\beval\(|new Function\(/, "writes markup or code from text"],
  [/\bstyle="/, "has a style attribute in text; use an object, which CSP allows"],
  [/\bconsole\.log\(/, "logs to the console"],
  [/\bas any\b|: any\b|@ts-ignore|@ts-nocheck/, "leaves the type system"],
  [/\b(?:TODO|FIXME|XXX)\b/, "has an open end"],
];

const faults = [];
const modules = readdirSync(join(ROOT, "src"), { recursive: true }).filter((name) => /\.tsx?$/.test(name));

for (const name of modules) {
  const text = readFileSync(join(ROOT, "src", name), "utf8");
  const lines = text.split("\n");
  if (!text.startsWith("/**")) faults.push(`${name} does not begin by saying what it is`);
  if (lines.length > LONGEST_MODULE) faults.push(`${name} has ${lines.length} lines; the limit is ${LONGEST_MODULE}`);
  lines.forEach((line, index) => {
    const place = `${name}:${index + 1}`;
    if (line.length > LONGEST_LINE) faults.push(`${place} is longer than ${LONGEST_LINE} characters`);
    if (/\s$/.test(line)) faults.push(`${place} ends in white space`);
    for (const [pattern, fault] of FORBIDDEN) if (pattern.test(line)) faults.push(`${place} ${fault}`);
  });
}

const lock = readFileSync(join(ROOT, "package-lock.json"), "utf8");
if (lock.includes("://") || lock.includes('"resolved"')) {
  faults.push("package-lock.json holds addresses; run `npm run lock`");
}

for (const fault of faults) console.error(fault);
console.log(`${modules.length} modules, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
