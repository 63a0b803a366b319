/** Beside the preview: what the stage says, its counts and rate, what it measures, and what the task was given. */

import { h, keepChildren, setText, watch } from "../dom.js";
import { counts, number, rate, secondsSince } from "../format.js";
import { hasEnded, type Stage, type TaskProgress } from "../model.js";
import type { Metadata } from "../payload.js";
import type { Scene, TaskSignal } from "./scene.js";

type Fact = readonly [name: string, value: string];

/** More measurements than this no one reads while they change. */
const MOST_MEASURES = 3;

export function details(task: TaskSignal, scene: Scene): HTMLElement {
  const message = h("div", "hw-message");
  const facts = h("div", "hw-facts");
  const params = h("div", "hw-params hw-quiet");
  const node = h("div", "hw-details", message, facts, params);
  watch(scene.until, () => {
    const stage = stageOfInterest(task.value);
    setText(message, stage?.message ?? "");
    drawFacts(facts, stage === null ? [] : factsOf(stage, task.value));
    setText(params, listed(task.value.params));
    params.title = params.textContent ?? "";
    node.hidden = hasEnded(task.value.status) && node.textContent === "";
  });
  return node;
}

/** The stage that runs; once nothing does, the one that ended the task or did most of the counted work. */
export function stageOfInterest(task: TaskProgress): Stage | null {
  const { stages } = task;
  const halted = stages.find((stage) => stage.status === "failed" || stage.status === "in_progress");
  if (task.status === "completed" || halted === undefined) return busiest(stages);
  return stages.find((stage) => stage.id === task.current_stage) ?? halted;
}

function busiest(stages: readonly Stage[]): Stage | null {
  const counted = stages.filter((stage) => stage.done !== null && stage.status !== "pending");
  return counted.reduce<Stage | null>(
    (most, stage) => ((most?.weight ?? -1) < stage.weight ? stage : most),
    null,
  );
}

function factsOf(stage: Stage, task: TaskProgress): Fact[] {
  const facts: Fact[] = [];
  const steps = counts(stage);
  if (steps !== null) facts.push(["steps", steps]);
  // Measured at the worker's last word, so that the rate stands still between two of them.
  const until = stage.finished_at ?? task.updated_at;
  const pace =
    until === null ? null : rate(stage.done, stage.duration ?? secondsSince(stage.started_at, until, 0));
  if (pace !== null) facts.push(["rate", pace]);
  for (const [name, value] of Object.entries(stage.metadata)) {
    if (typeof value === "number" && facts.length < MOST_MEASURES + 2) facts.push([name, measure(value)]);
  }
  return facts;
}

/** Spans, not a <dl>: notebooks style those of their outputs, and more strongly than a class can answer. */
function drawFacts(list: HTMLElement, facts: readonly Fact[]): void {
  keepChildren(list, facts.length, () =>
    h("div", "hw-fact", h("span", "hw-fact-name"), h("span", "hw-fact-value")),
  );
  facts.forEach(([name, value], index) => {
    const [term, description] = list.children[index]?.children ?? [];
    if (term !== undefined) setText(term, name);
    if (description !== undefined) setText(description, value);
  });
}

function listed(params: Metadata): string {
  return Object.entries(params)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .map(([name, value]) => `${name} ${typeof value === "number" ? measure(value) : String(value)}`)
    .join(" · ");
}

/** Four digits that matter; seeds and widths are whole and stay as they are. */
function measure(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 1e4 ? number(value) : String(Number(value.toPrecision(4)));
}
