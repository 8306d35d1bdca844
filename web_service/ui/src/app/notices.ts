/** What the page tells a person beside its content: spoken lines, toasts, and the count in the title. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";

export interface Toast {
  readonly id: number;
  readonly tone: "good" | "bad";
  readonly text: string;
  readonly link: { readonly href: string; readonly text: string; readonly download: boolean } | null;
}

const SECONDS_SHOWN = 8;
const MOST_TOASTS = 3;

export class Notices {
  readonly #announcement: Signal<string> = signal("");
  readonly #toasts: Signal<readonly Toast[]> = signal([]);
  readonly #unseen: Signal<number> = signal(0);
  #lastId = 0;

  /** The text of the page's one polite live region. */
  get announcement(): ReadonlySignal<string> {
    return this.#announcement;
  }

  get toasts(): ReadonlySignal<readonly Toast[]> {
    return this.#toasts;
  }

  /** Jobs done since the person last looked. */
  get unseen(): ReadonlySignal<number> {
    return this.#unseen;
  }

  announce(text: string): void {
    this.#announcement.value = text;
  }

  toast(toast: Omit<Toast, "id">): void {
    this.#lastId += 1;
    const id = this.#lastId;
    this.#toasts.value = [...this.#toasts.value, { ...toast, id }].slice(-MOST_TOASTS);
    this.leaveSoon(id);
  }

  /** Tells of an action that failed; nothing on the page shows it otherwise. */
  failure(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.announce(text);
    this.toast({ tone: "bad", text, link: null });
  }

  /** Lets a toast go after its time, unless the pointer or the focus is on it. */
  leaveSoon(id: number): void {
    setTimeout(() => {
      if (document.querySelector(`[data-toast="${id}"]:is(:hover, :focus-within)`)) this.leaveSoon(id);
      else this.dismiss(id);
    }, SECONDS_SHOWN * 1000);
  }

  dismiss(id: number): void {
    this.#toasts.value = this.#toasts.value.filter((toast) => toast.id !== id);
  }

  done(): void {
    this.#unseen.value += 1;
  }

  seen(): void {
    this.#unseen.value = 0;
  }
}
