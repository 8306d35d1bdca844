/** Starts the page: builds its parts, then draws it. */

import { effect } from "@preact/signals";
import { render } from "preact";

import { App } from "./app/app";
import { tellOfJobs } from "./app/job_news";
import { TandemContext, buildTandem } from "./app/tandem";

const tandem = buildTandem(window);

// What belongs to a person goes when the person does.
effect(() => {
  if (tandem.session.user.value) tandem.jobs.start();
  else {
    tandem.jobs.stop();
    tandem.names.forget();
    tandem.conversions.clear();
  }
});

// A refused subscription may mean that the login is over: then the login page follows.
effect(() => {
  if (tandem.jobs.error) tandem.session.check().catch(() => undefined);
});

// A laptop that wakes, or a phone that comes back, need not wait for the next try.
window.addEventListener("online", () => tandem.ddp.wake());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") tandem.ddp.wake();
});

tellOfJobs(tandem);

render(
  <TandemContext.Provider value={tandem}>
    <App />
  </TandemContext.Provider>,
  document.getElementById("app") as HTMLElement,
);
