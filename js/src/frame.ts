/** All writes that lead to drawing, once per animation frame and as one batch. */

import { batch, type ReadonlySignal, signal } from "@preact/signals-core";

let waiting: Array<() => void> = [];

export function inNextFrame(write: () => void): void {
  if (waiting.push(write) === 1) requestAnimationFrame(run);
}

function run(): void {
  const writes = waiting;
  waiting = [];
  batch(() => {
    for (const write of writes) write();
  });
}

/** Something that changes often: `changes` rises with it, at most once per animation frame. */
export abstract class Changing {
  private readonly count = signal(0);
  readonly changes: ReadonlySignal<number> = this.count;
  private isWaiting = false;

  /** A hidden page draws no frames, so nothing may pile up for the next one. */
  protected change(): void {
    if (this.isWaiting) return;
    this.isWaiting = true;
    inNextFrame(() => {
      this.isWaiting = false;
      this.count.value += 1;
    });
  }
}
