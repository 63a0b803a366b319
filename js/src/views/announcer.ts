/** Says aloud what a task has become. Only changes of status are worth an interruption, and a task that stalls. */

import { h, setText, watch } from "../dom.js";
import { statusLine } from "../format.js";
import { isUnderway, type TaskProgress, type TaskStatus } from "../model.js";
import type { TaskEntry } from "../store.js";
import { timeLeft } from "../time-left.js";
import { type Scene, titleOf } from "./scene.js";

export function announcer(entries: readonly TaskEntry[], scene: Scene): HTMLElement {
  const region = h("div", "hw-spoken");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  for (const entry of entries) {
    let last: TaskStatus | null = null;
    let wasStalled = false;
    watch(scene.until, () => {
      const task = entry.state.value;
      if (task === null) return;
      const isStalled = task.eta?.stalled === true;
      const isNews = last !== null && (task.status !== last || (isStalled && !wasStalled));
      [last, wasStalled] = [task.status, isStalled];
      if (isNews) setText(region, news(task, entry, scene.clock.now()));
    });
  }
  return region;
}

function news(task: TaskProgress, { countdown }: TaskEntry, now: number): string {
  const status = `${titleOf(task)}: ${statusLine(task, now)}`;
  const hasEstimate = isUnderway(task.status) && task.eta !== null;
  return hasEstimate ? `${status}, ${timeLeft(task, countdown, now).spoken}` : status;
}
