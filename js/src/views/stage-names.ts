/** The names under the bar, as many as fit, each with its duration once the stage is over. */

import { computed } from "@preact/signals-core";
import { explainWhenAsked, h, keepChildren, onResize, setText, watch } from "../dom.js";
import { about, rounded } from "../figure.js";
import { duration } from "../format.js";
import { isUnderway, type Stage, type TaskProgress } from "../model.js";
import type { TaskEntry } from "../store.js";
import { shares } from "./bar.js";
import { fitLabels } from "./fit.js";
import type { Outlook } from "./outlook.js";
import type { Scene, TaskSignal } from "./scene.js";

/** Between two names, px. */
const GAP = 6;
const SEGMENT_GAP = 2;
/** An expectation that changes by a smaller part than this is left as it stands. */
const WORTH_SAYING = 0.15;

export function stageNames(entry: TaskEntry, task: TaskSignal, outlook: Outlook, scene: Scene): HTMLElement {
  const line = h("div", "hw-stages");
  line.setAttribute("role", "list");
  line.setAttribute("aria-label", "Stages");
  const expected = expectations(entry);
  const notes = computed(() => task.value.stages.map((stage) => note(stage, expected(stage, task.value))));
  const signature = computed(() => signatureOf(task.value, notes.value));
  const arrange = () => place(line, task.peek().stages);
  watch(scene.until, () => {
    void signature.value;
    const { stages } = task.peek();
    keepChildren(line, stages.length, (index) =>
      label(() => outlook.stage(task.peek().stages[index]), scene),
    );
    draw(line, stages, notes.peek());
    arrange();
  });
  onResize(line, arrange, scene.until);
  return line;
}

/** What the names depend on; progress is not among it, so most updates stop here. */
function signatureOf({ stages }: TaskProgress, notes: readonly string[]): string {
  return JSON.stringify([stages.map(({ name, weight, status }) => [name, weight, status]), notes]);
}

/** How long a stage that is to come should take, in seconds; it keeps its last answer where that is as good. */
function expectations({ countdown }: TaskEntry): (stage: Stage, task: TaskProgress) => number | null {
  const kept = new Map<string, number>();
  return (stage, { status }) => {
    if (stage.status !== "pending" || !isUnderway(status)) return null;
    const seconds = countdown.stageLeft(stage, 0)?.median;
    if (seconds === undefined) return null;
    const last = kept.get(stage.id);
    if (last !== undefined && Math.abs(seconds - last) <= WORTH_SAYING * last) return last;
    kept.set(stage.id, seconds);
    return seconds;
  };
}

function label(explain: () => string, scene: Scene): HTMLElement {
  const node = h("div", "hw-stage", h("span", "hw-stage-name"), h("span", "hw-stage-time"));
  node.setAttribute("role", "listitem");
  explainWhenAsked(node, explain, scene.until);
  return node;
}

function draw(line: HTMLElement, stages: readonly Stage[], notes: readonly string[]): void {
  stages.forEach((stage, index) => {
    const label = line.children[index];
    const [name, time] = label?.children ?? [];
    if (!(label instanceof HTMLElement) || name === undefined || time === undefined) return;
    label.dataset.status = stage.status;
    setText(name, stage.name);
    setText(time, notes[index] ?? "");
  });
}

function note(stage: Stage, expected: number | null): string {
  if (stage.status === "skipped") return "skipped";
  if (expected !== null) return about(rounded(expected));
  return stage.duration === null ? "" : duration(stage.duration);
}

function place(line: HTMLElement, stages: readonly Stage[]): void {
  const lineWidth = line.clientWidth;
  const elements = [...line.children].filter((child) => child instanceof HTMLElement);
  const widths = elements.map((element) => element.offsetWidth);
  const segments = segmentSpans(stages, lineWidth);
  const labels = elements.map((_, index) => ({
    ...(segments[index] ?? { start: 0, end: 0 }),
    width: widths[index] ?? 0,
    priority: priorityOf(stages[index]),
  }));
  fitLabels(labels, lineWidth, GAP).forEach((edge, index) => {
    const element = elements[index];
    if (element === undefined) return;
    element.classList.toggle("hw-crowded-out", edge === null);
    element.style.transform = `translateX(${edge ?? 0}px)`;
  });
}

function segmentSpans(stages: readonly Stage[], lineWidth: number): Array<{ start: number; end: number }> {
  const room = lineWidth - SEGMENT_GAP * (stages.length - 1);
  let start = 0;
  return shares(stages).map((share) => {
    const end = start + share * room;
    const span = { start, end };
    start = end + SEGMENT_GAP;
    return span;
  });
}

/** What runs or went wrong is always named; among the rest the long stages matter more. */
function priorityOf(stage: Stage | undefined): number {
  if (stage === undefined) return 0;
  const urgent = stage.status === "in_progress" || stage.status === "failed";
  return (urgent ? 2 : 0) + (stage.status === "skipped" ? 0 : 1) + stage.weight;
}
