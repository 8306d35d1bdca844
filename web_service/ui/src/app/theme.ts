/** The theme a person chose: the system's, light or dark; kept in this browser. */

import { type Signal, effect, signal } from "@preact/signals";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "tandem.theme";

/** A signal that the root element's `data-theme` and the browser's storage follow. */
export function keptTheme(document: Document, storage: Storage): Signal<Theme> {
  const theme = signal(stored(storage));
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
    try {
      storage.setItem(KEY, theme.value);
    } catch {
      // Storage may be full or forbidden: the choice then lasts as long as the page.
    }
  });
  return theme;
}

function stored(storage: Storage): Theme {
  const value = storage.getItem(KEY);
  return THEMES.find((theme) => theme === value) ?? "auto";
}
