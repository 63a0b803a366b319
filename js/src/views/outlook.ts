/** What all views of a task say of its time, each second: one figure, made in one place. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import type { Stage } from "../model.js";
import type { TaskEntry } from "../store.js";
import { estimateDetail, stageDetail, type TimeLeft, timeLeft } from "../time-left.js";
import { type Freshness, freshnessOf } from "./freshness.js";
import type { Scene, TaskSignal } from "./scene.js";

export interface Outlook {
  readonly fresh: ReadonlySignal<Freshness>;
  readonly left: ReadonlySignal<TimeLeft>;
  /** The task should have ended and says nothing, so nothing may look as if it went on. */
  readonly isStalled: ReadonlySignal<boolean>;
  /** The sentences behind `left`, as of now. */
  detail(): string[];
  /** The name of a stage of the task, and what is expected of it. */
  stage(stage: Stage | undefined): string;
}

export function outlookOf(entry: TaskEntry, task: TaskSignal, scene: Scene): Outlook {
  const { countdown } = entry;
  const fresh = freshnessOf(entry, task, scene);
  return {
    fresh,
    left: computed(() => timeLeft(task.peek(), countdown, fresh.value.asOf)),
    isStalled: computed(() => task.value.status === "in_progress" && task.value.eta?.stalled === true),
    detail: () => estimateDetail(task.peek(), countdown, fresh.peek().asOf),
    stage: (stage) => (stage === undefined ? "" : stageDetail(stage, countdown, fresh.peek().asOf)),
  };
}
