/** `node run.mjs SCENARIO CLIENT[:TRANSPORT] URL`: runs a scenario with a client, and tells of it. */

import { tell } from "./support.mjs";

const HANGS_MS = 60_000;

process.on("unhandledRejection", (reason) => tell("unhandled rejection", reason));
process.on("uncaughtException", (error) => fail(error));
setTimeout(() => fail(new Error("it hangs")), HANGS_MS).unref();

const [scenario, client, url] = process.argv.slice(2);
const [name, transport] = client.split(":");
try {
  const { open } = await import(`./drivers/${name}.mjs`);
  const { run } = await import(`./${scenario}.mjs`);
  const { TANDEM_USERNAME: username, TANDEM_PASSWORD: password } = process.env;
  await run(await open(url, transport), { username, password });
  tell("done");
  exit(0);
} catch (error) {
  fail(error);
}

function fail(error) {
  console.error(error);
  exit(1);
}

/** End once everything is written; some of the clients have timers that never end. */
function exit(code) {
  process.stdout.write("", () => process.exit(code));
}
