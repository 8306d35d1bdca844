/** The frame's top: where one can go, whether the page is live, and the account's menu. */

import type { JSX } from "preact";

import { isFinished } from "../jobs/job";
import type { User } from "../net/api";
import { Icon, type IconName, Mark } from "../parts/icons";
import { useTandem } from "./tandem";
import { THEMES, type Theme } from "./theme";

const LINKS: readonly { href: string; name: string; icon: IconName }[] = [
  { href: "/convert", name: "Convert", icon: "picture" },
  { href: "/reports", name: "Reports", icon: "report" },
  { href: "/jobs", name: "My jobs", icon: "list" },
];

const THEME_WORDS: Record<Theme, string> = { auto: "Auto", light: "Light", dark: "Dark" };

export function Header({ user }: { user: User }): JSX.Element {
  return (
    <header class="top">
      <div class="top-row">
        <a class="brand" href="/convert" aria-label="Tandem, start page">
          <Mark />
          <span>Tandem</span>
        </a>
        <Navigation />
        <LiveDot />
        <AccountMenu user={user} />
      </div>
    </header>
  );
}

function Navigation(): JSX.Element {
  const { router, jobs } = useTandem();
  const { path } = router.place.value;
  const open = jobs.newestFirst.value.filter((job) => !isFinished(job)).length;
  return (
    <nav class="nav" aria-label="Main">
      {LINKS.map(({ href, name, icon }) => (
        <a key={href} href={href} {...(path === href ? { "aria-current": "page" as const } : {})}>
          <Icon name={icon} />
          <span>{name}</span>
          {href === "/jobs" && open > 0 && (
            <span class="badge">
              {open}
              <span class="unseen"> in progress</span>
            </span>
          )}
        </a>
      ))}
    </nav>
  );
}

/** Says whether what is shown is live; a wait for the next try can be cut short. */
function LiveDot(): JSX.Element {
  const { ddp, now } = useTandem();
  const status = ddp.status.value;
  if (status.state === "connected") {
    return (
      <span class="live live-on">
        <span class="dot" />
        Live
      </span>
    );
  }
  if (status.state !== "waiting") {
    const again = status.state === "connecting" && status.again;
    return (
      <span class={again ? "live live-off" : "live"}>
        <span class="dot" />
        {again ? "Reconnecting" : "Connecting"}
      </span>
    );
  }
  const seconds = Math.max(1, Math.ceil((status.retryAt - now.value) / 1000));
  return (
    <button type="button" class="live live-off" onClick={() => ddp.connect()} title="Try now">
      <span class="dot" />
      <span class="wide">Reconnecting in </span>
      <span class="narrow">Retry in </span>
      {seconds} s
    </button>
  );
}

function AccountMenu({ user }: { user: User }): JSX.Element {
  const { session, notices } = useTandem();
  const logout = (): void => {
    session.logout().catch((error: unknown) => notices.failure(error));
  };
  return (
    <>
      <button type="button" class="account" popovertarget="account">
        <Icon name="account" />
        <span class="unseen">Account: </span>
        <span class="account-name">{user.username}</span>
        <Icon name="chevron" />
      </button>
      <div id="account" class="menu" popover="auto">
        <p class="menu-who">
          Logged in as <strong>{user.username}</strong>
          {user.role === "operator" && <span class="role">operator</span>}
        </p>
        <ThemeChoice />
        <button type="button" class="button menu-item" onClick={logout}>
          <Icon name="out" />
          Log out
        </button>
      </div>
    </>
  );
}

function ThemeChoice(): JSX.Element {
  const { theme } = useTandem();
  return (
    <fieldset class="segments">
      <legend>Theme</legend>
      {THEMES.map((choice) => (
        <label key={choice}>
          <input
            type="radio"
            name="theme"
            value={choice}
            checked={theme.value === choice}
            onChange={() => (theme.value = choice)}
          />
          <span>
            <Icon name={choice} />
            {THEME_WORDS[choice]}
          </span>
        </label>
      ))}
    </fieldset>
  );
}
