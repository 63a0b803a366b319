/** The bar: one track, cut into segments as wide as the stages' weights. */

import { explainWhenAsked, h, keepChildren, setAttribute, watch } from "../dom.js";
import { spokenProgress, wholePercent } from "../format.js";
import type { Stage, TaskProgress } from "../model.js";
import type { Outlook } from "./outlook.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";

export function segmentedBar(task: TaskSignal, outlook: Outlook, scene: Scene): HTMLElement {
  const bar = h("div", "hw-bar");
  makeProgressbar(bar, task, outlook, scene);
  watch(scene.until, () => {
    const { stages, status } = task.value;
    bar.dataset.status = status;
    keepChildren(bar, stages.length, (index) => {
      const segment = h("div", "hw-seg", h("div", "hw-fill"));
      explainWhenAsked(segment, () => outlook.stage(task.peek().stages[index]), scene.until);
      return segment;
    });
    const weights = shares(stages);
    stages.forEach((stage, index) => {
      const segment = bar.children[index];
      if (segment instanceof HTMLElement) drawSegment(segment, stage, weights[index] ?? 0);
    });
  });
  return bar;
}

/** For rows: one fill for the whole task. */
export function plainBar(task: TaskSignal, outlook: Outlook, scene: Scene): HTMLElement {
  const fill = h("div", "hw-fill");
  const bar = h("div", "hw-bar hw-bar-plain", h("div", "hw-seg", fill));
  makeProgressbar(bar, task, outlook, scene);
  watch(scene.until, () => {
    const { status, overall_progress } = task.value;
    bar.dataset.status = status;
    setProgress(fill, status === "completed" ? 1 : (overall_progress ?? 0) / 100);
  });
  return bar;
}

/** The stages' parts of the whole. Where no stage has a weight they are equal. */
export function shares(stages: readonly Pick<Stage, "weight">[]): number[] {
  const sum = stages.reduce((total, stage) => total + stage.weight, 0);
  return stages.map((stage) => (sum > 0 ? stage.weight / sum : 1 / stages.length));
}

function drawSegment(segment: HTMLElement, stage: Stage, share: number): void {
  segment.dataset.status = stage.status;
  segment.toggleAttribute("data-unmeasured", stage.status === "in_progress" && stage.progress === 0);
  const grow = share.toFixed(4);
  if (segment.style.flexGrow !== grow) segment.style.flexGrow = grow;
  const fill = segment.firstElementChild;
  if (fill instanceof HTMLElement) setProgress(fill, stage.status === "completed" ? 1 : stage.progress);
}

function setProgress(fill: HTMLElement, progress: number): void {
  const value = progress.toFixed(4);
  if (fill.style.getPropertyValue("--hw-p") !== value) fill.style.setProperty("--hw-p", value);
}

function makeProgressbar(bar: HTMLElement, task: TaskSignal, outlook: Outlook, scene: Scene): void {
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  watch(scene.until, () => {
    const now: TaskProgress = task.value;
    const whole = wholePercent(now.overall_progress, now.status);
    setAttribute(bar, "aria-label", titleOf(now));
    setAttribute(bar, "aria-valuenow", whole === null ? null : String(whole));
    setAttribute(bar, "aria-valuetext", spokenProgress(now, outlook.left.value.spoken));
  });
}
