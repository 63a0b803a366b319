/** The network: sockets that do what a test tells them, and answers to fetch by address. */

import { vi } from "vitest";
import { JupyterServer } from "../src/server.js";

export const SERVER = new JupyterServer("http://host/", "ws://host/", "");

export class FakeSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 3;
  static all: FakeSocket[] = [];

  readyState = FakeSocket.CONNECTING;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly sent: unknown[] = [];

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }

  accept(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  /** The server or the network ends it. */
  drop(): void {
    this.readyState = FakeSocket.CLOSED;
    this.onclose?.();
  }

  deliver(...messages: unknown[]): void {
    this.onmessage?.({ data: JSON.stringify(messages.length === 1 ? messages[0] : messages) });
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = FakeSocket.CLOSED;
  }
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Fakes the clock and the network, nothing else. `answer` may return null for a network that fails. */
export function fakeNetwork(answer: (url: string, init: RequestInit) => Answer | null = () => null): {
  requests: string[];
  inits: RequestInit[];
} {
  const requests: string[] = [];
  const inits: RequestInit[] = [];
  FakeSocket.all = [];
  vi.useFakeTimers({
    now: new Date("2026-11-22T16:00:10.500Z"),
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "Date",
      "requestAnimationFrame",
      "cancelAnimationFrame",
      "performance",
    ],
  });
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    requests.push(url);
    inits.push(init);
    const given = answer(url, init);
    if (given === null) return Promise.reject(new TypeError("Failed to fetch"));
    return Promise.resolve(new Response(JSON.stringify(given.body), { status: given.status }));
  });
  return { requests, inits };
}

export function restoreNetwork(): void {
  // A frame that is asked for and never comes would keep the next test from asking.
  vi.advanceTimersByTime(40);
  vi.useRealTimers();
  vi.unstubAllGlobals();
}
