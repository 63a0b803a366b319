/** The server's time, as far as the browser can tell, and a tick that runs only while someone looks at it. */

import { type ReadonlySignal, signal } from "@preact/signals-core";
import { inNextFrame } from "./frame.js";

/** Enough to hold one message that travelled fast, few enough to follow a clock that is set. */
const SAMPLES = 16;
const TICK_MS = 1_000;

export class Clock {
  private readonly ticks: ReadonlySignal<number>;
  private readonly samples: number[] = [];
  private offsetMs = 0;

  constructor() {
    let timer: ReturnType<typeof setInterval> | undefined;
    const ticks = signal(0, {
      watched: () => {
        timer = setInterval(() => inNextFrame(() => (ticks.value += 1)), TICK_MS);
      },
      unwatched: () => clearInterval(timer),
    });
    this.ticks = ticks;
  }

  /** Milliseconds on the server's clock. */
  now(): number {
    return Date.now() + this.offsetMs;
  }

  /** The same, and the effect that asks runs again every second. */
  nowAndEverySecond(): number {
    void this.ticks.value;
    return this.now();
  }

  /** A message sent at `sentAt` has come. The one that travelled least shows the largest difference. */
  heard(sentAt: number): void {
    this.samples.push(sentAt - Date.now());
    if (this.samples.length > SAMPLES) this.samples.shift();
    this.offsetMs = Math.max(...this.samples);
  }

  /** Something was written at `time`, so it is at least that late; weaker than `heard`, and silent once that spoke. */
  isAtLeast(time: number): void {
    if (this.samples.length === 0) this.offsetMs = Math.max(this.offsetMs, time - Date.now());
  }
}
