/** The names under the bar, as many as fit, each with its duration once the stage is over. */

import { computed } from "@preact/signals-core";
import { h, setText, watch } from "../dom.js";
import { duration } from "../format.js";
import type { Stage, TaskProgress } from "../model.js";
import { shares } from "./bar.js";
import { fitLabels } from "./fit.js";
import type { Scene, TaskSignal } from "./scene.js";

/** Between two names, px. */
const GAP = 6;
const SEGMENT_GAP = 2;

export function stageNames(task: TaskSignal, scene: Scene): HTMLElement {
  const line = h("div", "hw-stages");
  line.setAttribute("role", "list");
  line.setAttribute("aria-label", "Stages");
  const signature = computed(() => signatureOf(task.value));
  const arrange = () => place(line, task.peek().stages);
  watch(scene.until, () => {
    void signature.value;
    draw(line, task.peek().stages);
    arrange();
  });
  const observer = new ResizeObserver(arrange);
  observer.observe(line);
  scene.until.addEventListener("abort", () => observer.disconnect(), { once: true });
  return line;
}

/** What of the stages the names depend on; progress is not among it, so most updates stop here. */
function signatureOf({ stages }: TaskProgress): string {
  return JSON.stringify(stages.map((stage) => [stage.name, stage.weight, stage.status, stage.duration]));
}

function draw(line: HTMLElement, stages: readonly Stage[]): void {
  while (line.childElementCount > stages.length) line.lastElementChild?.remove();
  while (line.childElementCount < stages.length) {
    const label = h("div", "hw-stage", h("span", "hw-stage-name"), h("span", "hw-stage-time"));
    label.setAttribute("role", "listitem");
    line.append(label);
  }
  stages.forEach((stage, index) => {
    const label = line.children[index];
    const [name, time] = label?.children ?? [];
    if (!(label instanceof HTMLElement) || name === undefined || time === undefined) return;
    label.dataset.status = stage.status;
    setText(name, stage.name);
    setText(time, note(stage));
  });
}

function note(stage: Stage): string {
  if (stage.status === "skipped") return "skipped";
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
