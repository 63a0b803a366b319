/** The place of one task: words of waiting until there is a state, then its view for good. */

import { computed, untracked } from "@preact/signals-core";
import { h, setText, watch } from "../dom.js";
import type { Link } from "../link.js";
import type { TaskEntry } from "../store.js";
import { drawMark, stateMark } from "./mark.js";
import type { Scene, TaskSignal } from "./scene.js";

export function slot(entry: TaskEntry, scene: Scene, view: (task: TaskSignal) => HTMLElement): HTMLElement {
  const words = h("span", "hw-waiting-words");
  const place = h("div", "hw-slot", placeholder(entry, words));
  whenKnown(
    entry,
    scene,
    (reason) => setText(words, reason),
    (task) => place.replaceChildren(view(task)),
  );
  return place;
}

/** Calls `wait` with the reason, and again with each other one, until it calls `begin` once. */
export function whenKnown(
  entry: TaskEntry,
  scene: Scene,
  wait: (reason: string) => void,
  begin: (task: TaskSignal) => void,
): void {
  let hasBegun = false;
  watch(scene.until, () => {
    // An effect that reads nothing is not called again, of which a long list would have one for each of its rows.
    if (hasBegun) return;
    const first = entry.state.value;
    if (first === null) {
      const reason = WAITING[scene.link.value.link];
      wait(entry.isUnknown.value ? "The server does not know this task (yet)" : reason);
      return;
    }
    hasBegun = true;
    const task = computed(() => entry.state.value ?? first);
    // The view makes effects of its own, which must not hang on this one.
    untracked(() => begin(task));
  });
}

const WAITING: Readonly<Record<Link, string>> = {
  connecting: "Waiting for the server",
  live: "Waiting for its first news",
  polling: "Waiting for its first news",
  reconnecting: "The server does not answer",
  store_down: "The store does not answer",
  kernel: "Waiting for the kernel",
};

function placeholder(entry: TaskEntry, words: HTMLElement): HTMLElement {
  const mark = stateMark();
  drawMark(mark, "waiting");
  return h("div", "hw-card hw-waiting", mark, h("span", "hw-waiting-id", entry.id), words);
}
