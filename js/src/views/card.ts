/** One task, in full. */

import { h, setAttribute, setText, watch } from "../dom.js";
import {
  ago,
  dayAndTime,
  hourAndMinute,
  secondsSince,
  statusLine,
  statusName,
  timeOfDay,
  UNKNOWN,
  wholePercent,
} from "../format.js";
import { hasEnded, isUnderway, type TaskProgress } from "../model.js";
import type { TaskEntry } from "../store.js";
import { Tween } from "../tween.js";
import { segmentedBar } from "./bar.js";
import { details } from "./details.js";
import { explained } from "./explained.js";
import { foot } from "./foot.js";
import { drawMark, stateMark } from "./mark.js";
import { type Outlook, outlookOf } from "./outlook.js";
import { preview } from "./preview.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";
import { stageNames } from "./stage-names.js";

export function taskCard(entry: TaskEntry, task: TaskSignal, scene: Scene): HTMLElement {
  const outlook = outlookOf(entry, task, scene);
  const body = h("div", "hw-body");
  body.append(
    preview(entry, task, scene, () => body.classList.add("hw-has-preview")),
    details(task, scene),
  );
  const head = h("div", "hw-head", identity(task, outlook, scene), figures(task, outlook, scene));
  const card = h(
    "article",
    "hw-card",
    head,
    segmentedBar(task, outlook, scene),
    stageNames(entry, task, outlook, scene),
    body,
    errorText(task, scene),
    foot(entry, task, scene),
  );
  watch(scene.until, () => {
    card.dataset.status = task.value.status;
    card.dataset.taskId = task.value.task_id;
    setAttribute(card, "aria-label", titleOf(task.value));
  });
  watch(scene.until, () => {
    card.toggleAttribute("data-still", outlook.fresh.value.isStill || outlook.isStalled.value);
    card.toggleAttribute("data-stalled", outlook.isStalled.value);
  });
  return card;
}

function identity(task: TaskSignal, outlook: Outlook, scene: Scene): HTMLElement {
  const mark = stateMark();
  const name = h("span", "hw-name");
  const template = h("span", "hw-template hw-quiet");
  const status = h("span", "hw-status");
  const attempt = h("span", "hw-attempt");
  const remark = h("span", "hw-remark");
  const link = h("span", "hw-link");
  const title = h("div", "hw-title", name, template);
  watch(scene.until, () => {
    const now = task.value;
    drawMark(mark, now.status);
    setText(name, titleOf(now));
    setText(template, now.template_id === titleOf(now) ? "" : (now.template_id ?? ""));
    setAttribute(title, "title", `${titleOf(now)}\n${now.task_id}`);
    const asked = now.status === "cancelled" ? now.cancel_request : null;
    setAttribute(status, "title", asked === null ? null : `asked to stop ${dayAndTime(asked.at)}`);
    setText(attempt, now.attempt > 1 ? `attempt ${now.attempt}` : "");
  });
  atEachSecond(task, outlook, scene, (now) => {
    const { asOf, isStill, note } = outlook.fresh.value;
    // How long it has been running, nobody knows while nobody vouches for it.
    setText(status, isStill && now.status !== "lost" ? statusName(now.status) : statusLine(now, asOf));
    setText(remark, isUnderway(now.status) ? outlook.left.value.note : "");
    setText(link, note);
  });
  return h(
    "div",
    "hw-identity",
    mark,
    h("div", "hw-titles", title, h("div", "hw-meta hw-quiet", status, attempt, remark, link)),
  );
}

function figures(task: TaskSignal, outlook: Outlook, scene: Scene): HTMLElement {
  const digits = h("span", "hw-digits");
  const percent = h("div", "hw-percent", digits, h("span", "hw-unit", " %"));
  const about = h("span", "hw-about");
  const range = h("span", "hw-range");
  const left = explained([about, range], "hw-left hw-quiet", scene.until);
  const tween = new Tween((value) => setText(digits, String(Math.floor(value + 1e-6))), scene.until);
  watch(scene.until, () => {
    const { overall_progress, status } = task.value;
    const whole = wholePercent(overall_progress, status);
    percent.classList.toggle("hw-unknown", whole === null);
    percent.title = whole === null ? "not known yet" : "";
    if (whole === null) setText(digits, UNKNOWN);
    else tween.to(status === "completed" ? 100 : Math.min(99, overall_progress ?? 0));
  });
  atEachSecond(task, outlook, scene, (now) => {
    const text = remaining(now, outlook);
    setText(about, text.about);
    setText(range, text.range === "" ? "" : `, ${text.range}`);
    left.explain(text.detail);
  });
  return h("div", "hw-figures", percent, left.node);
}

interface Remaining {
  readonly about: string;
  readonly range: string;
  readonly detail: readonly string[];
}

function remaining(task: TaskProgress, { fresh, left, detail }: Outlook): Remaining {
  if (hasEnded(task.status)) {
    const end = task.finished_at ?? task.updated_at;
    if (end === null) return { about: "", range: "", detail: [] };
    return { about: `at ${hourAndMinute(end)}`, range: "", detail: [`ended ${dayAndTime(end)}`] };
  }
  if (task.status === "lost") return lastWord(task, fresh.value.asOf);
  return { about: left.value.text, range: left.value.range, detail: detail() };
}

function lastWord(task: TaskProgress, now: number): Remaining {
  const silence = secondsSince(task.updated_at, null, now);
  if (task.updated_at === null || silence === null) return { about: "", range: "", detail: [] };
  const noticed = task.lost_at === null ? [] : [`found lost at ${timeOfDay(task.lost_at)}`];
  return {
    about: `last word ${ago(silence)}`,
    range: "",
    detail: [`last word of its worker at ${timeOfDay(task.updated_at)}`, ...noticed],
  };
}

/** Times change with the second, the status and the link, not with every update. */
function atEachSecond(
  task: TaskSignal,
  { fresh }: Outlook,
  scene: Scene,
  draw: (task: TaskProgress) => void,
): void {
  watch(scene.until, () => {
    void fresh.value;
    draw(hasEnded(task.peek().status) ? task.value : task.peek());
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
