/** Which page is shown and with what state, as the address says; nothing else holds it. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";

export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

export class Router {
  readonly #place: Signal<Place>;
  readonly #window: Window;

  constructor(window: Window) {
    this.#window = window;
    this.#place = signal(placeOf(window.location));
    window.addEventListener("popstate", () => this.#read());
    window.document.addEventListener("click", (event) => this.#follow(event));
  }

  get place(): ReadonlySignal<Place> {
    return this.#place;
  }

  go(path: string): void {
    this.#window.history.pushState(null, "", path);
    this.#read();
    this.#window.scrollTo(0, 0);
  }

  /** Goes there without a new entry in the history. */
  replace(path: string): void {
    this.#window.history.replaceState(this.#window.history.state, "", path);
    this.#read();
  }

  #read(): void {
    this.#place.value = placeOf(this.#window.location);
  }

  /** Plain clicks on links of this page stay in it; all others are the browser's. */
  #follow(event: MouseEvent): void {
    const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (event.defaultPrevented || event.button !== 0 || modified || !link) return;
    if (link.target || link.hasAttribute("download") || link.origin !== this.#window.location.origin) return;
    if (link.pathname.startsWith("/api/") || (link.hash && link.pathname === this.#window.location.pathname)) return;
    event.preventDefault();
    if (link.href !== this.#window.location.href) this.go(link.pathname + link.search);
  }
}

/** The address of `path` with the given query; empty values are left out. */
export function address(path: string, query: Record<string, string | number | null>): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== "");
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** Where to go after the login: a page of ours, whatever the address says. */
export function afterLogin(query: URLSearchParams): string {
  const next = query.get("next") ?? "";
  return /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : "/convert";
}

function placeOf(location: Location): Place {
  return { path: location.pathname.replace(/(.)\/+$/, "$1"), query: new URLSearchParams(location.search) };
}
