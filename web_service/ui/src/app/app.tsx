/** The page's frame: header, the page that the address names, live region and toasts. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentType, JSX } from "preact";

import { ConvertPage } from "../convert/page";
import { JobsPage } from "../jobs/page";
import { LoginPage } from "../login/page";
import { ReportsPage } from "../reports/page";
import { Header } from "./header";
import { address, afterLogin } from "./route";
import { useTandem } from "./tandem";
import { Toasts } from "./toasts";

interface Page {
  readonly title: string;
  readonly Content: ComponentType;
}

const PAGES: Record<string, Page> = {
  "/convert": { title: "Convert images", Content: ConvertPage },
  "/reports": { title: "Reports", Content: ReportsPage },
  "/jobs": { title: "My jobs", Content: JobsPage },
  "/login": { title: "Log in", Content: LoginPage },
};

const MISSING: Page = { title: "Nothing here", Content: MissingPage };

export function App(): JSX.Element {
  const { session, router, notices } = useTandem();
  const [unreachable, setUnreachable] = useState("");
  const user = session.user.value;
  const { path, query } = router.place.value;

  const check = (): void => {
    setUnreachable("");
    session.check().catch((error: Error) => setUnreachable(error.message));
  };
  useEffect(check, []);
  useEffect(() => {
    if (user === null && path !== "/login") {
      const here = path === "/" ? null : path + location.search;
      router.replace(address("/login", { next: here }));
    } else if (user && path === "/") router.replace("/convert");
    else if (user && path === "/login") router.replace(afterLogin(query));
  }, [user, path]);

  if (unreachable) return <Unreachable message={unreachable} again={check} />;
  // Nothing for the moment that the answer takes: the right page follows.
  const elsewhere = user ? path === "/" || path === "/login" : path !== "/login";
  if (user === undefined || elsewhere) return <main />;

  const { title, Content } = PAGES[path] ?? MISSING;
  return (
    <>
      <a class="skip" href="#content">
        Skip to content
      </a>
      {user && <Header user={user} />}
      <TitleAndFocus title={title} path={path} />
      <main id="content" class={user ? "" : "outside"} tabIndex={-1}>
        <Content />
      </main>
      <div class="unseen" role="status" aria-live="polite" id="announcements">
        {notices.announcement.value}
      </div>
      <Toasts />
    </>
  );
}

/** Keeps the document's title, and moves the focus to a page that was just gone to. */
function TitleAndFocus({ title, path }: { title: string; path: string }): null {
  const { notices, jobs } = useTandem();
  const first = useRef(true);
  const done = notices.unseen.value;
  const running = jobs.newestFirst.value.filter((job) => job.state === "executing").length;
  const news = done ? `✓ ${done} done · ` : running ? `▸ ${running} running · ` : "";
  useEffect(() => {
    document.title = `${news}${title} · Tandem`;
  }, [news, title]);
  useEffect(() => {
    if (first.current) first.current = false;
    else {
      document.getElementById("content")?.focus({ preventScroll: true });
      notices.seen();
    }
  }, [path]);
  return null;
}

function MissingPage(): JSX.Element {
  return (
    <section class="empty">
      <h1>Nothing here</h1>
      <p>This address has no page.</p>
      <a class="button button-main" href="/convert">
        Convert images
      </a>
    </section>
  );
}

function Unreachable({ message, again }: { message: string; again: () => void }): JSX.Element {
  return (
    <main class="outside">
      <section class="empty" role="alert">
        <h1>Not connected</h1>
        <p>{message}</p>
        <button type="button" class="button button-main" onClick={again}>
          Try again
        </button>
      </section>
    </main>
  );
}
