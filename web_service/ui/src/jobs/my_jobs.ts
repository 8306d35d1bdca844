/** The jobs of whoever is logged in: live, newest first, as many as asked for. */

import { type ReadonlySignal, type Signal, computed, effect, signal } from "@preact/signals";

import type { DdpClient, Subscription } from "../ddp/client";
import type { Fields } from "../ddp/collection";
import { ConnectionLost } from "../ddp/errors";
import { type Job, isFinished, jobOf } from "./job";

export const PAGE = 25;

export class MyJobs {
  readonly #ddp: DdpClient;
  /** A document that did not change stays the same job, so its row need not be drawn again. */
  readonly #known = new WeakMap<Fields, Job>();
  readonly #byId: ReadonlySignal<ReadonlyMap<string, Job>>;
  readonly #newestFirst: ReadonlySignal<readonly Job[]>;
  readonly #subscription: Signal<Subscription | null> = signal(null);
  readonly #limit: Signal<number> = signal(PAGE);

  constructor(ddp: DdpClient) {
    this.#ddp = ddp;
    const documents = ddp.collection("jobs");
    this.#byId = computed(() => new Map([...documents.value].map(([id, fields]) => [id, this.#job(id, fields)])));
    this.#newestFirst = computed(() =>
      [...this.#byId.value.values()].sort(
        (a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1),
      ),
    );
  }

  get byId(): ReadonlySignal<ReadonlyMap<string, Job>> {
    return this.#byId;
  }

  get newestFirst(): ReadonlySignal<readonly Job[]> {
    return this.#newestFirst;
  }

  /** How many of the newest jobs the server is asked for. */
  get limit(): ReadonlySignal<number> {
    return this.#limit;
  }

  get ready(): boolean {
    return this.#subscription.value?.ready.value ?? false;
  }

  get error(): Error | null {
    return this.#subscription.value?.error.value ?? null;
  }

  start(): void {
    this.#subscription.value = this.#ddp.subscribe("jobs.mine", { limit: this.#limit.value });
  }

  stop(): void {
    this.#subscription.value?.stop();
    this.#subscription.value = null;
    this.#limit.value = PAGE;
  }

  /** Asks for more; the shorter list stays on show until the longer one is complete. */
  show(limit: number): void {
    const before = this.#subscription.value;
    if (limit <= this.#limit.value) return;
    this.#limit.value = limit;
    if (!before) return;
    const next = this.#ddp.subscribe("jobs.mine", { limit });
    const dispose = effect(() => {
      if (!next.ready.value && !next.error.value) return;
      queueMicrotask(() => {
        dispose();
        before.stop();
        this.#subscription.value = next;
      });
    });
  }

  /** Follows one job, also when it is not among the newest; returns how to stop. */
  follow(id: string): () => void {
    const subscription = this.#ddp.subscribe("jobs.one", id);
    return () => subscription.stop();
  }

  /** Submits a job, once per key, however often the connection is lost meanwhile; returns its id. */
  async submit(type: string, params: Fields, key: string): Promise<string> {
    for (;;) {
      await this.#connected();
      try {
        const answer = (await this.#ddp.call("jobs.submit", { type, params, key })) as { id: string };
        return answer.id;
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
      }
    }
  }

  async cancel(id: string): Promise<void> {
    await this.#ddp.call("jobs.cancel", id);
  }

  async retry(id: string): Promise<void> {
    await this.#ddp.call("jobs.retry", id);
  }

  /** Calls back for each job that finishes from now on; returns how to stop. */
  onFinished(callback: (job: Job) => void): () => void {
    const open = new Set<string>();
    return effect(() => {
      for (const [id, job] of this.#byId.value) {
        if (!isFinished(job)) open.add(id);
        else if (open.delete(id)) queueMicrotask(() => callback(job));
      }
    });
  }

  #connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      const dispose = effect(() => {
        const { state } = this.#ddp.status.value;
        if (state !== "connected" && state !== "closed") return;
        queueMicrotask(() => dispose());
        if (state === "connected") resolve();
        else reject(new ConnectionLost(false));
      });
    });
  }

  #job(id: string, fields: Fields): Job {
    let job = this.#known.get(fields);
    if (!job) this.#known.set(fields, (job = jobOf(id, fields)));
    return job;
  }
}

/** A key for one submit; `crypto.randomUUID` is missing on plain http. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
