/** One WebSocket that comes back by itself. It knows nothing of tasks. */

import { Backoff } from "./backoff.js";

export interface SocketEvents {
  opened(): void;
  /** Takes what the frame's JSON held, unchecked; whether it shows that the server does its work. */
  received(frame: unknown): boolean;
  /** The socket has stayed open without a word: it works, there is just no news. */
  settled(): void;
  /** It closed; `failures` counts the closings in a row without a message in between. */
  down(failures: number): void;
}

/** A server that opens a socket only to close it (its store is away) does so within this time. */
const SETTLED_MS = 2_000;
/** Between tries where there is nothing to hope for: a server without the extension may get it installed. */
const RESTING_MS = 60_000;

export class ReconnectingSocket {
  /** Set while the server is known not to speak Headway: tries become rare. */
  resting = false;
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;

  constructor(
    private readonly url: string,
    private readonly events: SocketEvents,
    private readonly backoff = new Backoff(),
  ) {}

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open(): void {
    if (this.socket !== null) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.timer = setTimeout(() => {
        this.works();
        this.events.settled();
      }, SETTLED_MS);
      this.events.opened();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      const frame = json(event.data);
      if (frame === undefined) return;
      if (this.events.received(frame)) this.works();
    };
    socket.onclose = () => this.closed();
  }

  send(message: object): void {
    if (this.isOpen) this.socket?.send(JSON.stringify(message));
  }

  /** For good; `open` may start it anew. */
  close(): void {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    this.failures = 0;
    this.resting = false;
    this.backoff.reset();
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private works(): void {
    clearTimeout(this.timer);
    this.failures = 0;
    this.resting = false;
    this.backoff.reset();
  }

  private closed(): void {
    this.socket = null;
    this.failures += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), this.resting ? RESTING_MS : this.backoff.nextMs());
    this.events.down(this.failures);
  }
}

function json(data: unknown): unknown {
  if (typeof data !== "string") return undefined;
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
