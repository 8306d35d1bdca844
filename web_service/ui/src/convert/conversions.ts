/** The pictures of this page: each goes from upload to job to result on its own, whatever the others do. */

import { type ReadonlySignal, type Signal, effect, signal } from "@preact/signals";

import * as format from "../format";
import { type Job, isFinished } from "../jobs/job";
import { type MyJobs, newKey } from "../jobs/my_jobs";
import { HttpError, type StoredFile } from "../net/api";
import type { Upload } from "../net/upload";
import { type ConvertOptions, paramsOf } from "./options";

const PARALLEL_UPLOADS = 3;

export type Stage =
  | { readonly at: "queued" | "submitting" | "cancelled" }
  | { readonly at: "uploading"; readonly fraction: number }
  | { readonly at: "job"; readonly job: Job }
  | { readonly at: "failed"; readonly code: string; readonly message: string };

/** One picture; `source` is set once it is stored on the server. */
export interface Conversion {
  readonly id: string;
  readonly file: File;
  readonly preview: string;
  readonly stage: ReadonlySignal<Stage>;
  readonly source: StoredFile | null;
  readonly options: ConvertOptions;
}

class Item implements Conversion {
  readonly id = newKey();
  readonly preview: string;
  readonly stage: Signal<Stage> = signal<Stage>({ at: "queued" });
  source: StoredFile | null = null;
  abort = new AbortController();
  /** Ends the following of the present job. */
  leaveJob: () => void = () => undefined;

  constructor(
    readonly file: File,
    public options: ConvertOptions,
  ) {
    this.preview = URL.createObjectURL(file);
  }
}

export class Conversions {
  readonly #jobs: MyJobs;
  readonly #upload: Upload;
  readonly #stored: (file: StoredFile, name: string) => void;
  readonly #items: Signal<readonly Item[]> = signal([]);
  readonly #queue: Item[] = [];
  #uploading = 0;

  /** `stored` is told of each file that reached the server. */
  constructor(jobs: MyJobs, upload: Upload, stored: (file: StoredFile, name: string) => void) {
    this.#jobs = jobs;
    this.#upload = upload;
    this.#stored = stored;
  }

  /** Newest first. */
  get items(): ReadonlySignal<readonly Conversion[]> {
    return this.#items;
  }

  /** Starts with all of them; `largest` is the server's limit in bytes, when it is known. */
  add(files: readonly File[], options: ConvertOptions, largest: number | null): void {
    const items = files.map((file) => new Item(file, options));
    this.#items.value = [...items, ...this.#items.value];
    for (const item of items) {
      if (largest !== null && item.file.size > largest) item.stage.value = tooLarge(item.file, largest);
      else this.#enqueue(item);
    }
  }

  async cancel(conversion: Conversion): Promise<void> {
    const item = conversion as Item;
    const stage = item.stage.value;
    if (stage.at === "job") await this.#jobs.cancel(stage.job.id);
    else {
      item.abort.abort();
      item.stage.value = { at: "cancelled" };
    }
  }

  /** Goes on where it failed: with the upload, the submit, or the job. */
  async retry(conversion: Conversion): Promise<void> {
    const item = conversion as Item;
    const stage = item.stage.value;
    if (stage.at === "job") {
      await this.#jobs.retry(stage.job.id);
      this.#follow(item, stage.job.id);
    } else if (item.source) await this.#submit(item);
    else this.#enqueue(item);
  }

  /** Makes the pictures again with other options; what is uploaded is not uploaded again. */
  async again(conversions: readonly Conversion[], options: ConvertOptions): Promise<void> {
    const items = conversions as readonly Item[];
    for (const item of items) item.options = options;
    await Promise.all(items.map((item) => (item.source ? this.#submit(item) : this.retry(item))));
  }

  remove(conversion: Conversion): void {
    const item = conversion as Item;
    item.abort.abort();
    item.leaveJob();
    URL.revokeObjectURL(item.preview);
    this.#items.value = this.#items.value.filter((other) => other !== item);
  }

  clear(): void {
    for (const item of this.#items.value) this.remove(item);
  }

  #enqueue(item: Item): void {
    item.abort = new AbortController();
    item.stage.value = { at: "queued" };
    this.#queue.push(item);
    this.#next();
  }

  #next(): void {
    while (this.#uploading < PARALLEL_UPLOADS) {
      const item = this.#queue.shift();
      if (!item) return;
      if (item.abort.signal.aborted) continue;
      this.#uploading += 1;
      void this.#send(item).finally(() => {
        this.#uploading -= 1;
        this.#next();
      });
    }
  }

  async #send(item: Item): Promise<void> {
    const { signal: aborted } = item.abort;
    item.stage.value = { at: "uploading", fraction: 0 };
    try {
      item.source = await this.#upload(
        item.file,
        (fraction) => {
          if (!aborted.aborted) item.stage.value = { at: "uploading", fraction };
        },
        aborted,
      );
    } catch (error) {
      if (!aborted.aborted) item.stage.value = failed(error);
      return;
    }
    this.#stored(item.source, item.file.name);
    // The slot is for uploads only: the next one need not wait for this one's job.
    if (!aborted.aborted) void this.#submit(item);
  }

  async #submit(item: Item): Promise<void> {
    if (!item.source) return;
    item.leaveJob();
    item.abort = new AbortController();
    const { signal: aborted } = item.abort;
    item.stage.value = { at: "submitting" };
    try {
      const id = await this.#jobs.submit("images.convert", paramsOf(item.source.id, item.options), newKey());
      if (!aborted.aborted) this.#follow(item, id);
      else await this.#jobs.cancel(id);
    } catch (error) {
      if (!aborted.aborted) item.stage.value = failed(error);
    }
  }

  /** Shows the job's state as the item's, until another job takes its place. */
  #follow(item: Item, id: string): void {
    item.leaveJob();
    const unsubscribe = this.#jobs.follow(id);
    // A job that runs again is on show as finished until the server says otherwise.
    let seenOpen = false;
    const dispose = effect(() => {
      const job = this.#jobs.byId.value.get(id);
      if (!job) return;
      item.stage.value = { at: "job", job };
      if (!isFinished(job)) seenOpen = true;
      else if (seenOpen) unsubscribe();
    });
    item.leaveJob = () => {
      dispose();
      unsubscribe();
    };
  }
}

function failed(error: unknown): Stage {
  const code = error instanceof HttpError ? error.code : String((error as { error?: unknown }).error ?? "internal");
  return { at: "failed", code, message: error instanceof Error ? error.message : String(error) };
}

function tooLarge(file: File, largest: number): Stage {
  const sizes = `${format.bytes(file.size)}, and the limit is ${format.bytes(largest)}`;
  return { at: "failed", code: "too-large", message: `This file is ${sizes}. Choose a smaller one.` };
}
