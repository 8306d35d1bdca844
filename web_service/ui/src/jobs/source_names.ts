/** Names of the files that jobs read: a job knows only their ids, the server the names. */

import { type Signal, signal } from "@preact/signals";

import type { Api } from "../net/api";
import type { Job } from "./job";

export class SourceNames {
  readonly #api: Api;
  readonly #names = new Map<string, Signal<string | null>>();

  constructor(api: Api) {
    this.#api = api;
  }

  /** What the page knows already, from an upload of its own. */
  learn(id: string, name: string): void {
    this.#names.set(id, signal(name));
  }

  forget(): void {
    this.#names.clear();
  }

  /** The name of a job's source; null while it is not known. Asks the server once per file. */
  of(job: Job): string | null {
    const id = job.params["source"];
    if (typeof id !== "string") return null;
    let name = this.#names.get(id);
    if (!name) {
      name = signal(null);
      this.#names.set(id, name);
      void this.#ask(id, name);
    }
    return name.value;
  }

  async #ask(id: string, name: Signal<string | null>): Promise<void> {
    name.value = await this.#api.filename(id);
  }
}
