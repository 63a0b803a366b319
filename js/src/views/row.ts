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

export function taskRow(entry: TaskEntry, task: TaskSignal, scene: Scene): HTMLElement {
  const outlook = outlookOf(entry, task, scene);
  const mark = stateMark();
  const name = h("button", "hw-name hw-row-open");
  name.type = "button";
  name.tabIndex = -1;
  const stage = h("span", "hw-row-stage hw-quiet");
  const part = h("span", "hw-row-percent");
  const left = h("span", "hw-row-left hw-quiet");
  const row = h("div", "hw-row", mark, name, stage, plainBar(task, outlook, scene), part, left);
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
  return withCard(row, name, (until) => taskCard(entry, task, { ...scene, until }), scene.until);
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
