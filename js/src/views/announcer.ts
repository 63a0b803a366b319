/** Says aloud what a task has become. Only changes of status are worth an interruption. */

import { h, setText, watch } from "../dom.js";
import { statusLine } from "../format.js";
import type { TaskStatus } from "../model.js";
import type { TaskEntry } from "../store.js";
import { type Scene, titleOf } from "./scene.js";

export function announcer(entries: readonly TaskEntry[], scene: Scene): HTMLElement {
  const region = h("div", "hw-spoken");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  for (const entry of entries) {
    let last: TaskStatus | null = null;
    watch(scene.until, () => {
      const task = entry.state.value;
      if (task === null || task.status === last) return;
      if (last !== null) setText(region, `${titleOf(task)}: ${statusLine(task, scene.clock.now())}`);
      last = task.status;
    });
  }
  return region;
}
