/** Against the conformance peer: one event for each thing that an application relies on. */

import { tell, until, within } from "./support.mjs";

const MOMENT = new Date(1_700_000_000_000);

export async function run(client) {
  await within(client.connected(), "connected");
  tell("connected");
  await calls(client);
  const items = await subscriptions(client);
  await drop(client, () => call(client, "drop"));
  await follows(client, "dropped");
  if (!client.mayOutliveCuts) await cut(client);
  await stops(client, items);
}

async function calls(client) {
  const texts = ["text", "", "Zoë 鳥 🐦 \u2028 \"\\\n", { nested: [{ deep: { er: null } }, []] }];
  tell("echo", await call(client, "echo", 1, -2.5, 1e21, true, null, ...texts));
  tell("none", await call(client, "echo"));
  tell("nul", await call(client, "nul"));
  tell("nothing", await call(client, "nothing"));
  const asked = [call(client, "slow", 30, "first"), call(client, "add", 1, 2)];
  tell("two at a time", await Promise.all(asked));
  tell("date echoed", await call(client, "echo", MOMENT));
  tell("bytes echoed", await call(client, "echo", new Uint8Array([0, 127, 255])));
  tell("literal echoed", await call(client, "echo", { $date: 5 }));
  for (const name of ["dt", "bin", "inf", "re", "lit"]) tell(name, await call(client, name));
  if (client.knowsObjectIds) tell("oid", await call(client, "oid"));
  for (const name of ["fail", "failBare", "failNum", "boom", "nope"]) {
    tell(`error ${name}`, await errorOf(call(client, name)));
  }
}

async function subscriptions(client) {
  for (const name of ["failing", "nope"]) {
    if (client.tellsOfRefusedSubscriptions) {
      tell(`refused ${name}`, await errorOf(within(client.subscribe(name), name)));
    }
  }
  const items = await within(client.subscribe("items"), "items are ready");
  tell("items", client.documents("items"));
  await call(client, "touch");
  await until(() => !client.documents("items").b, "b is removed");
  tell("touched", client.documents("items"));
  const others = await within(client.subscribe("items2"), "items2 are ready");
  tell("both", client.documents("items"));
  await within(client.unsubscribe(others), "items2 are gone");
  await until(() => !client.documents("items").c, "c is removed");
  tell("one", client.documents("items"));
  return items;
}

/** Lose the connection, have another, and use it. */
async function drop(client, how) {
  const before = client.connections();
  const answer = await how();
  if (answer !== undefined) tell("drop", answer);
  await until(() => client.connections() > before, "connected again");
  tell("connected again");
  tell("call", await call(client, "add", 2, 3));
}

/** b comes only with a new subscription, and a change only to one that lives. */
async function follows(client, name) {
  await until(() => client.documents("items").b, "subscribed again");
  tell(`${name}: items`, client.documents("items"));
  await call(client, "touch");
  await until(() => !client.documents("items").b, "b is removed");
  tell(`${name}: touched`, client.documents("items"));
}

async function cut(client) {
  const asked = client.settlesWhatWasAsked ? await ask(client) : undefined;
  await drop(client, () => tell("cut me"));
  await follows(client, "cut");
  if (asked) await settles(client, asked);
}

/** Have a method run; where it is unblocked, a later one can tell that it runs. */
async function ask(client) {
  await call(client, "seq");
  const asked = errorOf(client.call("slowUnblock", 60_000, "long"));
  tell("asked", await call(client, "seq"));
  return { asked };
}

async function settles(client, { asked }) {
  tell("settled", await within(asked, "what was asked before the drop"));
  tell("not asked again", await call(client, "seq"));
}

async function stops(client, items) {
  await within(client.unsubscribe(items), "unsubscribed");
  await until(() => Object.keys(client.documents("items")).length === 0, "no items are left");
  tell("unsubscribed", client.documents("items"));
  await client.close();
}

function call(client, name, ...params) {
  return within(client.call(name, ...params), name);
}

async function errorOf(promise) {
  try {
    return { result: await promise };
  } catch ({ error, reason, details, message, errorType, isClientSafe }) {
    return { error, reason, details, message, errorType, isClientSafe };
  }
}
