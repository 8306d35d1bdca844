/** The parts of the page, built once and handed down to the components. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";

import { Conversions } from "../convert/conversions";
import { DdpClient, type Socket } from "../ddp/client";
import { MyJobs } from "../jobs/my_jobs";
import { SourceNames } from "../jobs/source_names";
import { Api } from "../net/api";
import { upload } from "../net/upload";
import { Notices } from "./notices";
import { Router } from "./route";
import { Session } from "./session";
import { type Theme, keptTheme } from "./theme";

export interface Tandem {
  readonly api: Api;
  readonly ddp: DdpClient;
  readonly session: Session;
  readonly router: Router;
  readonly theme: Signal<Theme>;
  readonly notices: Notices;
  readonly jobs: MyJobs;
  readonly names: SourceNames;
  readonly conversions: Conversions;
  /** Milliseconds since the epoch, a second's tick. */
  readonly now: ReadonlySignal<number>;
}

export function buildTandem(window: Window): Tandem {
  const api = new Api();
  const ddp = new DdpClient({ open: () => new WebSocket(liveUrl(window.location)) as Socket });
  const jobs = new MyJobs(ddp);
  const names = new SourceNames(api);
  return {
    api,
    ddp,
    session: new Session(api, ddp),
    router: new Router(window),
    theme: keptTheme(window.document, window.localStorage),
    notices: new Notices(),
    jobs,
    names,
    conversions: new Conversions(jobs, upload, ({ id }, name) => names.learn(id, name)),
    now: ticking(window),
  };
}

export const TandemContext = createContext<Tandem | null>(null);

export function useTandem(): Tandem {
  const tandem = useContext(TandemContext);
  if (!tandem) throw new Error("useTandem needs a TandemContext.Provider above it");
  return tandem;
}

function liveUrl({ protocol, host }: Location): string {
  return `${protocol === "https:" ? "wss:" : "ws:"}//${host}/websocket`;
}

function ticking(window: Window): ReadonlySignal<number> {
  const now = signal(Date.now());
  window.setInterval(() => (now.value = Date.now()), 1000);
  return now;
}
