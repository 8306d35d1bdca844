/** Short-lived news in a corner; the live region has said it already, so they are silent. */

import type { JSX } from "preact";

import { Icon } from "../parts/icons";
import { useTandem } from "./tandem";

export function Toasts(): JSX.Element {
  const { notices } = useTandem();
  return (
    <aside class="toasts" aria-label="News">
      {notices.toasts.value.map((toast) => (
        <div key={toast.id} class={`toast toast-${toast.tone}`} data-toast={toast.id}>
          <Icon name={toast.tone === "good" ? "check" : "alert"} />
          <span class="toast-text">{toast.text}</span>
          {toast.link && (
            <a class="button button-quiet" href={toast.link.href} {...(toast.link.download ? { download: "" } : {})}>
              {toast.link.text}
            </a>
          )}
          <button
            type="button"
            class="button button-icon"
            aria-label="Dismiss"
            onClick={() => notices.dismiss(toast.id)}
          >
            <Icon name="cross" />
          </button>
        </div>
      ))}
    </aside>
  );
}
