/** Takes the addresses that npm writes (of funding pages) out of a folder's package-lock.json. */

import { readFileSync, writeFileSync } from "node:fs";

const LOCK = "package-lock.json"; // npm runs scripts in the folder of their package.json
const lock = JSON.parse(readFileSync(LOCK, "utf8"));
for (const entry of Object.values(lock.packages)) {
  delete entry.funding;
  delete entry.resolved;
}
writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
