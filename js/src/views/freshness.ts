/** How fresh the picture is, and the quiet words for one that may be old. Pure, but for what hangs it on the signals. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { elapsed } from "../format.js";
import { isBroken, type LinkStatus, PATIENCE_MS } from "../link.js";
import { hasEnded } from "../model.js";
import type { TaskEntry } from "../store.js";
import type { Scene, TaskSignal } from "./scene.js";

export interface Freshness {
  /** What is seen is as of then (server's clock, ms): now, while somebody vouches for it. */
  readonly asOf: number;
  /** Nobody does, so nothing may look as if it went on. */
  readonly isStill: boolean;
  /** Empty while there is nothing to say. */
  readonly note: string;
}

/** What one can tell about the picture besides the link. */
export interface Word {
  /** The worker's last (server's clock, ms). */
  readonly at: number | null;
  /** The server does not know the task. */
  readonly isMissing: boolean;
}

/** After an outage requests are answered first, and the socket mostly follows. */
const POLLING_PATIENCE_MS = 4_000;
/** A worker that says nothing for so long may have nothing to say; it is only worth a word when nobody else watches it. */
const QUIET_MS = 10_000;

/** `now` is the server's clock, `browserNow` the browser's (ms). */
export function freshness(status: LinkStatus, word: Word, now: number, browserNow: number): Freshness {
  const fresh = { asOf: now, isStill: false, note: "" };
  const lasted = browserNow - status.since;
  const silence = word.at === null ? 0 : now - word.at;
  const age = status.heardAt === null ? 0 : browserNow - status.heardAt;
  if (isBroken(status.link)) {
    if (lasted < PATIENCE_MS) return fresh;
    return { asOf: now - age, isStill: true, note: `${TROUBLE[status.link]}${stateOf(status, age)}` };
  }
  if (word.isMissing && silence >= QUIET_MS) {
    const note = `unknown to the server · no change for ${elapsed(silence / 1000)}`;
    return { asOf: now - silence, isStill: true, note };
  }
  if (status.link === "polling" && lasted >= POLLING_PATIENCE_MS) {
    return { ...fresh, note: "no live connection, asked every second" };
  }
  if (status.link === "kernel" && silence >= QUIET_MS) {
    return { ...fresh, note: `no change for ${elapsed(silence / 1000)}` };
  }
  return fresh;
}

const TROUBLE = { reconnecting: "reconnecting", store_down: "the store does not answer" } as const;

function stateOf({ heardAt }: LinkStatus, age: number): string {
  return heardAt === null ? "" : ` · state of ${elapsed(age / 1000)} ago`;
}

/** A task's, looked at anew each second until the task has ended. */
export function freshnessOf(entry: TaskEntry, task: TaskSignal, scene: Scene): ReadonlySignal<Freshness> {
  const status = computed(() => task.value.status);
  return computed(() => {
    if (hasEnded(status.value)) return { asOf: scene.clock.now(), isStill: false, note: "" };
    const { updated_at } = task.peek();
    const word = { at: updated_at === null ? null : Date.parse(updated_at), isMissing: entry.missing.value };
    return freshness(scene.link.value, word, scene.clock.nowAndEverySecond(), Date.now());
  });
}
