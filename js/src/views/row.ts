/** One task in a list: a line of fixed height, and its card under it when it is asked for. */

import { computed } from "@preact/signals-core";
import { wishText } from "../cancelling.js";
import { explainWhenAsked, h, setAttribute, setText, watch } from "../dom.js";
import { duration, percent, secondsSince, statusName } from "../format.js";
import { hasEnded, isUnderway, type TaskProgress } from "../model.js";
import type { TaskEntry } from "../store.js";
import { plainBar } from "./bar.js";
import { taskCard } from "./card.js";
import { drawMark, stateMark } from "./mark.js";
import { outlookOf } from "./outlook.js";
import { withCard } from "./row-card.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";
import { slot, whenKnown } from "./slot.js";

/** Before its task is known it says what it waits for, and so does its card, which becomes the task's where it stands. */
export function taskRow(entry: TaskEntry, scene: Scene): HTMLElement {
  const mark = stateMark();
  drawMark(mark, "waiting");
  const name = h("button", "hw-name hw-row-open", entry.id);
  name.type = "button";
  name.tabIndex = -1;
  const words = h("span", "hw-waiting-words hw-quiet");
  const row = h("div", "hw-row hw-waiting", mark, name, words);
  const wait = (reason: string) => {
    setText(words, reason);
    setAttribute(row, "title", `${entry.id}\n${reason}`);
  };
  const begin = (task: TaskSignal) => {
    row.classList.remove("hw-waiting");
    // The name stays in its place, and with it the focus.
    words.replaceWith(...figures(entry, task, scene, { row, mark, name }));
  };
  whenKnown(entry, scene, wait, begin);
  const card = (until: AbortSignal) => {
    const inside = { ...scene, until };
    return slot(entry, inside, (task) => taskCard(entry, task, inside));
  };
  return withCard(row, name, card, scene.until);
}

interface RowParts {
  readonly row: HTMLElement;
  readonly mark: SVGElement;
  readonly name: HTMLElement;
}

/** What follows the name; the rest of the row is kept up to date along with it. */
function figures(
  entry: TaskEntry,
  task: TaskSignal,
  scene: Scene,
  { row, mark, name }: RowParts,
): HTMLElement[] {
  const outlook = outlookOf(entry, task, scene);
  const stage = h("span", "hw-row-stage hw-quiet");
  const part = h("span", "hw-row-percent");
  const left = h("span", "hw-row-left hw-quiet");
  watch(scene.until, () => {
    const now = task.value;
    drawMark(mark, now.status);
    row.dataset.status = now.status;
    row.dataset.taskId = now.task_id;
    setText(name, titleOf(now));
    setAttribute(row, "title", `${titleOf(now)} · ${statusName(now.status)}\n${now.task_id}`);
    setText(part, percent(now.overall_progress, now.status));
  });
  const status = computed(() => task.value.status);
  const wish = computed(() => (hasEnded(status.value) ? null : entry.wish.of(task.value.attempt)));
  watch(scene.until, () => {
    const isStill = outlook.fresh.value.isStill || outlook.isStalled.value;
    row.toggleAttribute("data-still", status.value === "in_progress" && isStill);
    const words = status.value === "in_progress" ? outlook.left.value.brief : outcome(task.value);
    setText(left, wish.value === null ? words : "asked to stop");
  });
  watch(scene.until, () => {
    const { text, brief } = outlook.left.value;
    // When it starts is the stage that a queued task is at, and too long for the place of the time left.
    const start = brief === "" ? text : "";
    setText(stage, status.value === "queued" ? start : currentStageName(task.value));
  });
  const explanation = () => {
    const asked = wish.peek();
    const sentences = asked === null ? [] : [wishText(asked, scene.clock.now())];
    if (isUnderway(status.peek())) sentences.push(...outlook.detail());
    return sentences.join("\n");
  };
  explainWhenAsked(left, explanation, scene.until);
  return [stage, plainBar(task, outlook, scene), part, left];
}

function currentStageName(task: TaskProgress): string {
  if (!["in_progress", "failed", "lost"].includes(task.status)) return "";
  return task.stages.find((stage) => stage.id === task.current_stage)?.name ?? "";
}

function outcome(task: TaskProgress): string {
  if (task.status === "completed")
    return duration(secondsSince(task.started_at, task.finished_at, Number.NaN));
  return statusName(task.status).toLowerCase();
}
