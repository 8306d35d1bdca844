/** The other end of a DDP connection in tests: it keeps what was sent, and says what it is told to. */

import type { Socket } from "../ddp/client";

type Message = Record<string, unknown>;

export class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: Message[] = [];
  closed = false;
  readyState = 1;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Message);
  }

  close(): void {
    this.closed = true;
  }

  /** Opens, and accepts the client's `connect`. */
  accept(session = "s1"): void {
    this.onopen?.();
    this.says({ msg: "connected", session });
  }

  says(message: Message): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** Goes away, as a network does. */
  drops(): void {
    this.onclose?.();
  }

  /** The messages of one kind that the client sent, oldest first. */
  got(msg: string): Message[] {
    return this.sent.filter((message) => message["msg"] === msg);
  }

  /** Answers the newest call with a result, and returns the call. */
  answers(result: unknown): Message {
    const call = this.got("method").at(-1) as Message;
    this.says({ msg: "updated", methods: [call["id"]] });
    this.says({ msg: "result", id: call["id"], result });
    return call;
  }

  /** Says that the newest subscription is complete. */
  completes(): void {
    this.says({ msg: "ready", subs: [this.got("sub").at(-1)?.["id"]] });
  }
}

/** Every socket that a client opened, newest last. */
export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];

  readonly open = (): FakeSocket => {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    return socket;
  };

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("no socket was opened");
    return socket;
  }
}
