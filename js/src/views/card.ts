/** One task, in full. */

import { computed } from "@preact/signals-core";
import { h, setAttribute, setText, watch } from "../dom.js";
import { estimateDetail, hourAndMinute, statusLine, timeLeft, UNKNOWN, wholePercent } from "../format.js";
import { hasEnded, type TaskProgress } from "../model.js";
import type { TaskEntry } from "../store.js";
import { Tween } from "../tween.js";
import { segmentedBar } from "./bar.js";
import { details } from "./details.js";
import { linkNote } from "./link-note.js";
import { drawMark, stateMark } from "./mark.js";
import { preview } from "./preview.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";
import { stageNames } from "./stage-names.js";

export function taskCard(entry: TaskEntry, task: TaskSignal, scene: Scene): HTMLElement {
  const body = h("div", "hw-body");
  body.append(
    preview(entry, task, scene, () => body.classList.add("hw-has-preview")),
    details(task, scene),
  );
  const head = h("div", "hw-head", identity(task, scene), figures(task, scene));
  const card = h(
    "article",
    "hw-card",
    head,
    segmentedBar(task, scene),
    stageNames(task, scene),
    body,
    errorText(task, scene),
  );
  watch(scene.until, () => {
    card.dataset.status = task.value.status;
    card.dataset.taskId = task.value.task_id;
    setAttribute(card, "aria-label", titleOf(task.value));
  });
  return card;
}

function identity(task: TaskSignal, scene: Scene): HTMLElement {
  const mark = stateMark();
  const name = h("span", "hw-name");
  const template = h("span", "hw-template hw-quiet");
  const status = h("span", "hw-status");
  const attempt = h("span", "hw-attempt");
  const link = h("span", "hw-link");
  const title = h("div", "hw-title", name, template);
  watch(scene.until, () => {
    const now = task.value;
    drawMark(mark, now.status);
    setText(name, titleOf(now));
    setText(template, now.template_id === titleOf(now) ? "" : (now.template_id ?? ""));
    setAttribute(title, "title", `${titleOf(now)}\n${now.task_id}`);
    setText(attempt, now.attempt > 1 ? `attempt ${now.attempt}` : "");
  });
  atEachSecond(task, scene, (now, time) => {
    setText(status, statusLine(now, time));
    setText(link, hasEnded(now.status) ? "" : linkNote(scene.link.value, now.updated_at, time, Date.now()));
  });
  return h(
    "div",
    "hw-identity",
    mark,
    h("div", "hw-titles", title, h("div", "hw-meta hw-quiet", status, attempt, link)),
  );
}

function figures(task: TaskSignal, scene: Scene): HTMLElement {
  const digits = h("span", "hw-digits");
  const percent = h("div", "hw-percent", digits, h("span", "hw-unit", " %"));
  const about = h("span", "hw-about");
  const range = h("span", "hw-range");
  const left = h("div", "hw-left hw-quiet", about, range);
  const tween = new Tween((value) => setText(digits, String(Math.floor(value + 1e-6))), scene.until);
  watch(scene.until, () => {
    const { overall_progress, status } = task.value;
    const whole = wholePercent(overall_progress, status);
    percent.classList.toggle("hw-unknown", whole === null);
    percent.title = whole === null ? "not known yet" : "";
    if (whole === null) setText(digits, UNKNOWN);
    else tween.to(status === "completed" ? 100 : Math.min(99, overall_progress ?? 0));
  });
  atEachSecond(task, scene, (now, time) => {
    const text = remaining(now, time);
    setText(about, text.about);
    setText(range, text.range === "" ? "" : `, ${text.range}`);
    setAttribute(left, "title", text.detail);
  });
  return h("div", "hw-figures", percent, left);
}

function remaining(task: TaskProgress, now: number): { about: string; range: string; detail: string } {
  if (hasEnded(task.status)) {
    const end = task.finished_at ?? task.updated_at;
    return { about: end === null ? "" : `at ${hourAndMinute(end)}`, range: "", detail: end ?? "" };
  }
  if (task.status === "queued" && task.eta === null) {
    return { about: "waiting for a worker", range: "", detail: "no estimate before a worker takes it" };
  }
  const left = timeLeft(task.eta, now);
  return {
    about: left.text,
    range: left.range,
    detail: estimateDetail(task.eta),
  };
}

/** Times change with the second and with the status, not with every update. */
function atEachSecond(task: TaskSignal, scene: Scene, draw: (task: TaskProgress, now: number) => void): void {
  const status = computed(() => task.value.status);
  watch(scene.until, () => {
    if (hasEnded(status.value)) draw(task.value, scene.clock.now());
    else draw(task.peek(), scene.clock.nowAndEverySecond());
  });
}

function errorText(task: TaskSignal, scene: Scene): HTMLElement {
  // Not a <pre>: notebooks style those of their outputs, and more strongly than a class can answer.
  const text = h("div", "hw-error");
  text.setAttribute("role", "group");
  text.setAttribute("aria-label", "Error");
  text.tabIndex = 0;
  watch(scene.until, () => {
    const error = task.value.status === "failed" || task.value.status === "lost" ? task.value.error : null;
    setText(text, error ?? "");
    text.hidden = error === null || error === "";
  });
  return text;
}
