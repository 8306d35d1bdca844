/** Who is logged in; the connection follows: it is open while somebody is. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";

import type { DdpClient } from "../ddp/client";
import type { Api, User } from "../net/api";

export class Session {
  readonly #api: Api;
  readonly #ddp: DdpClient;
  readonly #user: Signal<User | null | undefined> = signal(undefined);

  constructor(api: Api, ddp: DdpClient) {
    this.#api = api;
    this.#ddp = ddp;
  }

  /** The user; null when nobody is logged in, undefined while that is not known yet. */
  get user(): ReadonlySignal<User | null | undefined> {
    return this.#user;
  }

  /** Asks the server who is logged in. Raises HttpError when it can't be asked. */
  async check(): Promise<void> {
    this.#become(await this.#api.me());
  }

  async login(username: string, password: string): Promise<void> {
    const { id, username: name, role, limits } = await this.#api.login(username, password);
    this.#become({ id, username: name, role, ...(limits ? { limits } : {}) });
  }

  /** The server ends the connections of a login with it; ours leaves before. */
  async logout(): Promise<void> {
    this.#ddp.close();
    try {
      await this.#api.logout();
    } catch (error) {
      this.#ddp.connect();
      throw error;
    }
    this.#become(null);
  }

  /** The cookie logs the connection in, so another user needs another connection. */
  #become(user: User | null): void {
    const before = this.#user.value;
    const other = before === undefined || before?.id !== user?.id;
    // Closed first: what ends with the user must not speak on a connection that is gone.
    if (other) this.#ddp.close();
    this.#user.value = user;
    if (other && user) this.#ddp.connect();
  }
}
