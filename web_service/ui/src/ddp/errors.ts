/** The two ways a call can fail: the server's answer, or no answer at all. */

/** The server's error: `error` is its code, `message` is fit to be shown. */
export class MethodError extends Error {
  constructor(
    readonly error: string | number,
    readonly reason: string,
    readonly details?: unknown,
  ) {
    super(reason || String(error));
    this.name = "MethodError";
  }
}

/** The connection is gone; `mayHaveRun` says whether the call had been sent. */
export class ConnectionLost extends Error {
  readonly error = "connection-lost";

  constructor(readonly mayHaveRun: boolean) {
    super("The connection to the server was lost.");
    this.name = "ConnectionLost";
  }
}
