/** Where in a task's history of previews the one that is looked at stands: percent, time, and its place among all. */

import { h, setText } from "../dom.js";
import { elapsed, secondsSince } from "../format.js";
import type { TaskProgress } from "../model.js";
import type { PreviewFact } from "../preview-fact.js";
import { titleOf } from "./scene.js";

/** More ticks than this run into each other. */
const MOST_TICKS = 32;

export class PreviewStrip {
  readonly node: HTMLElement;
  private readonly percent = h("span", "hw-strip-percent");
  private readonly time = h("span", "hw-strip-time");
  private readonly track = h("div", "hw-strip-track", h("div", "hw-strip-place"));

  constructor() {
    this.node = h("div", "hw-strip", h("div", "hw-strip-words", this.percent, this.time), this.track);
    this.node.setAttribute("aria-hidden", "true");
  }

  draw(facts: readonly PreviewFact[], index: number, startedAt: string | null): void {
    const fact = facts[index];
    this.node.hidden = fact === undefined || facts.length < 2;
    if (fact === undefined) return;
    const [percent, time] = momentOf(fact, startedAt);
    setText(this.percent, percent);
    setText(this.time, time);
    this.track.style.setProperty("--hw-count", String(facts.length));
    this.track.style.setProperty("--hw-index", String(index));
    this.track.toggleAttribute("data-ticks", facts.length <= MOST_TICKS);
  }
}

/** "34 %" and "0:41"; the time is empty where the task's start is not known. */
export function momentOf(fact: PreviewFact, startedAt: string | null): [percent: string, time: string] {
  const since = secondsSince(startedAt, fact.at, 0);
  return [`${Math.floor(fact.progress + 1e-6)} %`, since === null ? "" : elapsed(since)];
}

/** The same in one: "34 %, 0:41". */
export function spokenMoment(fact: PreviewFact, startedAt: string | null): string {
  return momentOf(fact, startedAt)
    .filter((part) => part !== "")
    .join(", ");
}

/** "Preview of portrait at 34 %, 0:41", as far as that is known. */
export function previewName(task: TaskProgress, fact: PreviewFact | null): string {
  const moment = fact === null ? "" : ` at ${spokenMoment(fact, task.started_at)}`;
  return `Preview of ${titleOf(task)}${moment}`;
}
