/** What a task takes of its machine: sparklines on one time axis, with the stages behind them. */

import { computed, type ReadonlySignal, signal, untracked } from "@preact/signals-core";
import { h, setAttribute, setText, watch } from "../dom.js";
import { elapsed } from "../format.js";
import { hasEnded, type TaskProgress } from "../model.js";
import { nearest, ResourceAxis, type StageBand } from "../resource-axis.js";
import { type ResourceRow, rowsOf } from "../resource-rows.js";
import { ResourceSeries, type ResourceState } from "../resource-series.js";
import type { TaskEntry } from "../store.js";
import { button } from "./button.js";
import type { Panel } from "./drawer.js";
import { ResourceCursor } from "./resource-cursor.js";
import { ResourceRowView } from "./resource-row.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";
import type { Drawing } from "./sparkline.js";
import { StageBands } from "./stage-bands.js";

interface Picture extends Drawing {
  readonly bands: readonly StageBand[];
}

/** Samples come once a second and are drawn as they come; only where they stay away does the clock draw. */
const STALE_MS = 1_500;

/** Reads the task's samples until `until` aborts, which is when the panel is closed. */
export function resourcePanel(entry: TaskEntry, task: TaskSignal, scene: Scene, until: AbortSignal): Panel {
  const series = new ResourceSeries();
  const picture = signal<Picture | null>(null);
  const cursor = new ResourceCursor(() => picture.peek(), until);
  const chart = new Chart(cursor, picture, () => task.peek(), until);
  const state = h("div", "hw-resources-state hw-quiet");
  const panel = h("section", "hw-resources", state, chart.node);
  panel.setAttribute("aria-label", `Resources of ${titleOf(task.peek())}`);
  const course = computed(() => courseOf(task.value));
  let drawn = { changes: -1, course: "", at: 0 };
  watch(until, () => {
    const isOver = hasEnded(task.peek().status);
    const now = isOver ? scene.clock.now() : scene.clock.nowAndEverySecond();
    const news = { changes: series.changes.value, course: course.value, at: now };
    const isNew = news.changes !== drawn.changes || news.course !== drawn.course;
    if (!isNew && now - drawn.at < STALE_MS) return;
    drawn = news;
    picture.value = pictureOf(task.peek(), series, now);
  });
  watch(until, () => {
    void series.changes.value;
    const words = picture.value === null ? wordsFor(series.state, entry, task) : "";
    setText(state, words);
    state.hidden = words === "";
    chart.node.hidden = words !== "";
  });
  scene.resources?.followResources(entry.id, series, until);
  return { node: panel, count: () => null };
}

/** What of a task moves the axis or the stages on it. */
function courseOf(task: TaskProgress): string {
  const stages = task.stages.map((stage) => `${stage.id} ${stage.status} ${stage.started_at}`);
  return `${task.status} ${task.started_at} ${task.finished_at} ${stages.join()}`;
}

function pictureOf(task: TaskProgress, series: ResourceSeries, now: number): Picture | null {
  const axis = ResourceAxis.of(task, series.samples, now);
  const samples = axis?.within(series.samples) ?? [];
  if (axis === null || samples.length === 0) return null;
  return { axis, samples, interval: series.interval, bands: axis.bands(task) };
}

function wordsFor(state: ResourceState, entry: TaskEntry, task: TaskSignal): string {
  if (entry.isUnknown.value) return "The server does not know this task; what was measured is gone";
  if (state === "loading") return "Loading …";
  if (state === "too_old")
    return "The server's Headway is too old to tell; a newer one measures once a second";
  if (state === "away") return "The server does not answer; what was measured follows when it does";
  return hasEnded(task.value.status) ? "Nothing was measured" : "Measured once a second; nothing yet";
}

class Chart {
  readonly node: HTMLElement;
  private readonly rows = h("div", "hw-resource-rows");
  private readonly bands: StageBands;
  private readonly moment = h("span", "hw-resource-moment");
  private readonly length = h("span", "hw-resource-length");
  private readonly more: HTMLButtonElement;
  private readonly isMoreShown = signal(false);
  private readonly views = new Map<string, ResourceRowView>();

  constructor(
    private readonly cursor: ResourceCursor,
    picture: ReadonlySignal<Picture | null>,
    task: () => TaskProgress,
    until: AbortSignal,
  ) {
    this.bands = new StageBands(until);
    const toggle = () => {
      this.isMoreShown.value = !this.isMoreShown.peek();
    };
    this.more = button("hw-tool hw-resources-more", "", toggle, until);
    const ends = h("div", "hw-resource-ends hw-quiet", h("span", "", "0 s"), this.length, this.moment);
    this.node = h("div", "hw-resource-chart", this.bands.node, this.rows, ends, cursor.node, this.more);
    watch(until, () => {
      const now = picture.value;
      if (now === null) return;
      this.bands.draw(now.bands, this.node);
      setText(this.length, elapsed((now.axis.end - now.axis.start) / 1000));
      this.arrange(rowsOf(now.samples));
      for (const view of this.views.values()) view.draw(now);
      untracked(() => this.read(now, cursor.time.value, task()));
    });
    watch(until, () => {
      const time = cursor.time.value;
      const now = picture.peek();
      if (now !== null) this.read(now, time, task());
    });
  }

  private arrange(present: readonly ResourceRow[]): void {
    const isMoreShown = this.isMoreShown.value;
    const wanted = present.filter((row) => isMoreShown || !row.isMore);
    for (const [id, view] of this.views) {
      if (wanted.some((row) => row.id === id)) continue;
      view.node.remove();
      this.views.delete(id);
    }
    wanted.forEach((row, index) => {
      const view = this.views.get(row.id) ?? new ResourceRowView(row);
      this.views.set(row.id, view);
      const there = this.rows.children[index] ?? null;
      if (there !== view.node) this.rows.insertBefore(view.node, there);
    });
    this.more.hidden = !present.some((row) => row.isMore);
    setAttribute(this.more, "aria-expanded", String(isMoreShown));
    setText(this.more, isMoreShown ? "Less" : "More");
  }

  private read({ axis, samples, bands }: Picture, time: number | null, task: TaskProgress): void {
    const sample = time === null ? samples.at(-1) : nearest(samples, time);
    const words: string[] = [];
    for (const view of this.views.values()) {
      view.read(sample ?? null, axis, time !== null);
      const value = sample?.[view.row.figure];
      if (value !== undefined) words.push(`${view.row.name} ${view.row.format(value)}`);
    }
    const name = axis.name(sample?.time ?? axis.end, bands);
    this.node.toggleAttribute("data-pointed", time !== null);
    if (time !== null) this.node.style.setProperty("--hw-at", axis.at(sample?.time ?? time).toFixed(4));
    setText(this.moment, time === null ? "" : name);
    const { node } = this.cursor;
    setAttribute(node, "aria-label", `Time in ${titleOf(task)}`);
    setAttribute(node, "aria-valuemin", "0");
    setAttribute(node, "aria-valuemax", seconds(axis.end - axis.start));
    setAttribute(node, "aria-valuenow", seconds((sample?.time ?? axis.end) - axis.start));
    setAttribute(node, "aria-valuetext", [time === null ? `now, ${name}` : name, ...words].join("; "));
  }
}

function seconds(ms: number): string {
  return String(Math.round(ms / 1000));
}
