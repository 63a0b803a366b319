/** All writes that lead to drawing, once per animation frame and as one batch. */

import { batch } from "@preact/signals-core";

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
