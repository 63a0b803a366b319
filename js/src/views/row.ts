/** One task in a list: a line of fixed height. */

import { computed } from "@preact/signals-core";
import { h, setAttribute, setText, watch } from "../dom.js";
import { duration, percent, secondsSince, statusName, timeLeft } from "../format.js";
import type { TaskProgress } from "../model.js";
import type { TaskEntry } from "../store.js";
import { plainBar } from "./bar.js";
import { freshnessOf } from "./freshness.js";
import { drawMark, stateMark } from "./mark.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";

export function taskRow(entry: TaskEntry, task: TaskSignal, scene: Scene): HTMLElement {
  const mark = stateMark();
  const name = h("span", "hw-name");
  const stage = h("span", "hw-row-stage hw-quiet");
  const part = h("span", "hw-row-percent");
  const left = h("span", "hw-row-left hw-quiet");
  const row = h("div", "hw-row", mark, name, stage, plainBar(task, scene), part, left);
  watch(scene.until, () => {
    const now = task.value;
    drawMark(mark, now.status);
    row.dataset.status = now.status;
    row.dataset.taskId = now.task_id;
    setText(name, titleOf(now));
    setAttribute(row, "title", `${titleOf(now)} · ${statusName(now.status)}\n${now.task_id}`);
    setText(stage, currentStageName(now));
    setText(part, percent(now.overall_progress, now.status));
  });
  const status = computed(() => task.value.status);
  const fresh = freshnessOf(entry, task, scene);
  watch(scene.until, () => {
    const isRunning = status.value === "in_progress";
    row.toggleAttribute("data-still", isRunning && fresh.value.isStill);
    setText(left, isRunning ? timeLeft(task.peek().eta, fresh.value.asOf).text : outcome(task.value));
  });
  return row;
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
