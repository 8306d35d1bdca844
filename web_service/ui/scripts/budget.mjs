/** Checks the built page: JavaScript and CSS within their budgets, nothing inline, every name hashed. */

import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url);
const BUDGETS = [
  { name: "JavaScript, gzipped", ending: ".js", limit: 45_000, size: (content) => gzipSync(content, { level: 9 }).length },
  { name: "CSS, raw", ending: ".css", limit: 20_000, size: (content) => content.length },
];

const faults = [];
const assets = readdirSync(new URL("assets/", DIST));

for (const { name, ending, limit, size } of BUDGETS) {
  const sizes = assets
    .filter((asset) => asset.endsWith(ending))
    .map((asset) => size(readFileSync(new URL(`assets/${asset}`, DIST))));
  const total = sizes.reduce((sum, part) => sum + part, 0);
  console.log(`${name}: ${total} of ${limit} bytes`);
  if (total === 0 || total > limit) faults.push(`${name} is ${total} bytes; it must be from 1 to ${limit}`);
}

for (const asset of assets) {
  if (!/-[\w-]{8}\.\w+$/.test(asset)) faults.push(`assets/${asset} has no hash in its name`);
}

const html = readFileSync(new URL("index.html", DIST), "utf8");
if (/<script(?![^>]*\ssrc=)/.test(html)) faults.push("index.html has an inline script");
if (/<style|\sstyle=|\son\w+=/.test(html)) faults.push("index.html has an inline style or handler");
if (/\b(?:https?:)?\/\/[\w.-]+\.\w/.test(html)) faults.push("index.html names another host");

for (const fault of faults) console.error(fault);
process.exit(faults.length ? 1 : 0);
