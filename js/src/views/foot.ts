/** The quiet buttons at a card's foot, and what they open. */

import { h, watch } from "../dom.js";
import type { TaskEntry } from "../store.js";
import { bell } from "./bell.js";
import { cancelControl } from "./cancel.js";
import { drawer } from "./drawer.js";
import { logPanel } from "./log-panel.js";
import { resourcePanel } from "./resource-panel.js";
import type { Scene, TaskSignal } from "./scene.js";

/** Nothing where there is no server to ask. */
export function foot(entry: TaskEntry, task: TaskSignal, scene: Scene): HTMLElement {
  const place = h("footer", "hw-foot");
  place.hidden = true;
  if (scene.server === null) return place;
  const logs = drawer("Logs", (until) => logPanel(entry, task, scene, until), scene.until);
  const resources = drawer("Resources", (until) => resourcePanel(entry, task, scene, until), scene.until);
  const buttons = [logs.toggle, resources.toggle, bell(task, scene), cancelControl(entry, task, scene)];
  place.append(h("div", "hw-foot-line", ...buttons), resources.place, logs.place);
  watch(scene.until, () => {
    // A server of others, which knows no tasks.
    place.hidden = scene.link.value.link === "kernel";
  });
  return place;
}
