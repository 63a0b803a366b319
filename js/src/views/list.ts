/** Many tasks: how many of each status, one bar of them all, and a row for each. */

import { computed } from "@preact/signals-core";
import { h, setText, watch } from "../dom.js";
import { number, statusName } from "../format.js";
import { hasEnded, TASK_STATUSES, type TaskStatus } from "../model.js";
import type { TaskEntry } from "../store.js";
import { freshness } from "./freshness.js";
import { taskRow } from "./row.js";
import { steerRows } from "./row-keys.js";
import type { Scene } from "./scene.js";

type Counts = ReadonlyMap<TaskStatus | "waiting", number>;

/** The list as a whole has no worker whose word it could wait for. */
const NOBODY = { at: null, isMissing: false };

/** Read from left to right like the life of a task, so that the bar grows. */
const ORDER = ["completed", "failed", "cancelled", "lost", "in_progress", "queued", "waiting"] as const;

function countByStatus(entries: readonly TaskEntry[]): Counts {
  const counts = new Map<TaskStatus | "waiting", number>();
  for (const entry of entries) {
    const status = entry.state.value?.status ?? "waiting";
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  return counts;
}

export function taskList(entries: readonly TaskEntry[], scene: Scene): HTMLElement {
  const rows = h("div", "hw-rows");
  rows.setAttribute("role", "list");
  rows.setAttribute("aria-label", "Tasks");
  // JupyterLab takes keys for itself wherever nothing can be typed into.
  rows.dataset.lmSuppressShortcuts = "true";
  steerRows(rows, scene.until);
  for (const entry of entries) {
    const place = taskRow(entry, scene);
    place.setAttribute("role", "listitem");
    rows.append(place);
  }
  return h("section", "hw-list", heading(entries, scene), rows);
}

function heading(entries: readonly TaskEntry[], scene: Scene): HTMLElement {
  const total = h("span", "hw-total", `${number(entries.length)} tasks`);
  const legend = h("span", "hw-legend");
  const link = h("span", "hw-link hw-quiet");
  const stack = h("div", "hw-stack");
  stack.setAttribute("aria-hidden", "true");
  const parts = new Map(ORDER.map((status) => [status, part(status)]));
  for (const { bar, word } of parts.values()) {
    stack.append(bar);
    legend.append(word);
  }
  const counts = computed(() => countByStatus(entries));
  watch(scene.until, () => {
    for (const [status, { bar, word, figure }] of parts) {
      const count = counts.value.get(status) ?? 0;
      bar.style.flexGrow = String(count);
      bar.hidden = word.hidden = count === 0;
      setText(figure, number(count));
    }
  });
  const alive = computed(() =>
    [...counts.value.keys()].some((status) => status !== "waiting" && !hasEnded(status)),
  );
  watch(scene.until, () => {
    const now = alive.value ? scene.clock.nowAndEverySecond() : null;
    setText(link, now === null ? "" : freshness(scene.link.value, NOBODY, now, Date.now()).note);
  });
  return h("header", "hw-list-head", h("div", "hw-list-line", total, legend, link), stack);
}

function part(status: TaskStatus | "waiting"): { bar: HTMLElement; word: HTMLElement; figure: HTMLElement } {
  const bar = h("div", "hw-stack-part");
  bar.dataset.status = status;
  const figure = h("span", "hw-count");
  const name = TASK_STATUSES.some((known) => known === status) ? statusName(status as TaskStatus) : "Waiting";
  const word = h("span", "hw-legend-part", h("span", "hw-swatch"), figure, ` ${name.toLowerCase()}`);
  word.dataset.status = status;
  return { bar, word, figure };
}
