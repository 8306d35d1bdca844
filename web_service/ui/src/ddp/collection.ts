/** One DDP collection: the server's documents, shown as a signal that changes at most once a tick. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";

export type Fields = Record<string, unknown>;
export type Documents = ReadonlyMap<string, Fields>;

export class Collection {
  readonly #shown: Signal<Documents> = signal<Documents>(new Map());
  #documents = new Map<string, Fields>();

  get documents(): ReadonlySignal<Documents> {
    return this.#shown;
  }

  added(id: string, fields: Fields): void {
    this.#documents.set(id, fields);
  }

  /** A changed document is a new object, so that whoever shows it can compare by identity. */
  changed(id: string, fields: Fields, cleared: readonly string[]): void {
    const next = { ...this.#documents.get(id), ...fields };
    for (const name of cleared) delete next[name];
    this.#documents.set(id, next);
  }

  removed(id: string): void {
    this.#documents.delete(id);
  }

  /** Forgets the server's documents, and goes on showing them until the next `show`. */
  restart(): void {
    this.#documents.clear();
  }

  show(): void {
    this.#shown.value = new Map(this.#documents);
  }
}
