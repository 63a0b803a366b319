/** One WebSocket that comes back by itself, and does not wait for one that has gone silent. It knows nothing of tasks. */

import { Backoff } from "./backoff.js";

export interface SocketEvents {
  opened(): void;
  /** Takes what the frame's JSON held, unchecked; whether it shows that the server does its work. */
  received(frame: unknown): boolean;
  /** It is gone; `failures` counts how many in a row went without a message. */
  down(failures: number): void;
}

/** The server says something every 1.5 s, if only that it is there: after this two heartbeats are missing. */
const DEAD_MS = 4_000;
/** Browsers hold a socket back after many that failed, Chromium for up to 5 s; that is not a hang yet. */
const OPENING_MS = 6_000;
/** A handshake on a way that works takes no longer, so one that does is not waited for when there is better hope. */
const BRISK_MS = 1_000;
/** A dead link is to be noticed within 5 s. */
const PULSE_MS = 500;
/** Whoever waits for the server must see it within a second of its return. */
const LONGEST_WAIT_MS = 800;

/**
 * eager: by the back-off; slow: others bring the news meanwhile; rare: the server does not speak Headway, or another
 * watches for its return.
 */
export type Pace = "eager" | "slow" | "rare";

const WAIT_MS: Readonly<Record<Exclude<Pace, "eager">, number>> = { slow: 5_000, rare: 60_000 };

export class ReconnectingSocket {
  pace: Pace = "eager";
  private socket: WebSocket | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private pulse: ReturnType<typeof setInterval> | undefined;
  /** Of this socket's last word, or of its making. */
  private heardAt = 0;
  private failures = 0;

  constructor(
    private readonly url: string,
    private readonly events: SocketEvents,
    private readonly backoff = new Backoff(LONGEST_WAIT_MS),
  ) {}

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open(): void {
    if (this.socket !== null) return;
    clearTimeout(this.retry);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.heardAt = Date.now();
    this.pulse = setInterval(() => this.feelPulse(), PULSE_MS);
    socket.onopen = () => {
      this.heardAt = Date.now();
      this.events.opened();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      this.heardAt = Date.now();
      const frame = json(event.data);
      if (frame !== undefined && this.events.received(frame)) this.startOver();
    };
    socket.onclose = () => {
      this.lose();
      this.retry = setTimeout(() => this.open(), this.waitMs());
    };
  }

  send(message: object): void {
    if (this.isOpen) this.socket?.send(JSON.stringify(message));
  }

  /** There is reason to hope, so tries now, unless the present socket gives as much hope. */
  hurry(): void {
    this.startOver();
    if (this.isSilent(this.isOpen ? DEAD_MS : BRISK_MS)) this.lose();
    this.open();
  }

  /** For good; `open` may start it anew. */
  close(): void {
    this.release();
    this.startOver();
  }

  private startOver(): void {
    this.failures = 0;
    this.pace = "eager";
    this.backoff.reset();
  }

  private feelPulse(): void {
    if (!this.isSilent(this.isOpen ? DEAD_MS : OPENING_MS)) return;
    this.lose();
    this.open();
  }

  /** By the wall clock, which goes on while the computer sleeps; one that was set back tells nothing, so asks anew. */
  private isSilent(limitMs: number): boolean {
    const silence = Date.now() - this.heardAt;
    return this.socket !== null && (silence < 0 || silence > limitMs);
  }

  private lose(): void {
    this.release();
    this.failures += 1;
    this.events.down(this.failures);
  }

  /** Does not wait for the closing handshake, which hangs where the link is dead. */
  private release(): void {
    clearTimeout(this.retry);
    clearInterval(this.pulse);
    const socket = this.socket;
    this.socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private waitMs(): number {
    return this.pace === "eager" ? this.backoff.nextMs() : WAIT_MS[this.pace];
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
