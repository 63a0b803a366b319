/** The whole of a cell's view: a card for each of a few tasks, a list for many. */

import { h } from "../dom.js";
import type { TaskEntry } from "../store.js";
import { announcer } from "./announcer.js";
import { taskCard } from "./card.js";
import { taskList } from "./list.js";
import { keepKeys } from "./own-keys.js";
import type { Scene } from "./scene.js";
import { slot } from "./slot.js";

/** More cards than this no longer fit on a screen at once. */
const MOST_CARDS = 4;

export function tasksView(entries: readonly TaskEntry[], scene: Scene): HTMLElement {
  const root = h("div", "hw-root", announcer(entries, scene));
  root.toggleAttribute("data-served", scene.server !== null);
  keepKeys(root, scene.until);
  if (entries.length === 0) root.append(h("div", "hw-none hw-quiet", "No tasks to show"));
  else if (entries.length > MOST_CARDS) root.append(taskList(entries, scene));
  else for (const entry of entries) root.append(slot(entry, scene, (task) => taskCard(entry, task, scene)));
  return root;
}
