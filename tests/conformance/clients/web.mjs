/** Against the web service: a login, a job that is watched live, a lost connection, a logout. */

import { tell, until, within } from "./support.mjs";

export async function run(client, user) {
  await within(client.connected(), "connected");
  tell("wrong password", await errorOf(plainLogin(client, { ...user, password: "wrong" })));
  const login = await within(logIn(client, user), "logged in");
  tell("login", Object.keys(login).sort());
  // Not fewer: some clients keep what leaves a full list between a cut and their subscribing again.
  const jobs = await within(client.subscribe("jobs.mine", { limit: 500 }), "jobs.mine is ready");
  tell("job", await completed(client));

  const before = client.connections();
  tell("cut me");
  await until(() => client.connections() > before, "connected again");
  if (client.resumesItsLogin) await until(() => client.resumesItsLogin(), "logged in again");
  else tell("resumed", (await call(client, "login", { resume: login.token })).id === login.id);
  tell("job after the cut", await completed(client));

  await within(client.logOut?.() ?? client.call("logout"), "logout");
  tell("after logout", await errorOf(submit(client)));
  await until(() => Object.keys(client.documents("jobs")).length === 0, "no jobs are left");
  tell("resume after logout", await errorOf(call(client, "login", { resume: login.token })));
  await within(client.unsubscribe(jobs), "unsubscribed");
  await client.close();
}

function logIn(client, user) {
  return client.logIn?.(user.username, user.password) ?? plainLogin(client, user);
}

function plainLogin(client, { username, password }) {
  return call(client, "login", { user: { username }, password });
}

/** Submit a job, and see it through to its end. */
async function completed(client) {
  const { id } = await submit(client);
  await until(() => client.documents("jobs")[id]?.state === "completed", `job ${id} completed`);
  const { type, state, createdAt } = client.documents("jobs")[id];
  return { type, state, dated: createdAt instanceof Date };
}

function submit(client) {
  return call(client, "jobs.submit", { type: "system.echo", params: { value: "hello" } });
}

function call(client, name, ...params) {
  return within(client.call(name, ...params), name);
}

async function errorOf(promise) {
  try {
    return { result: await promise };
  } catch ({ error, reason, details }) {
    return { error, reason, details };
  }
}
