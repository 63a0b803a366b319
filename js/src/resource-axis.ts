/** The one time axis under all of a task's sparklines: from its start to now, or to its end. Pure. */

import { elapsed } from "./format.js";
import type { TaskProgress } from "./model.js";
import type { ResourceSample } from "./resource-sample.js";
import { firstFrom } from "./sorted.js";

export interface StageBand {
  readonly name: string;
  /** 0 to 1, of the axis. */
  readonly from: number;
  readonly to: number;
}

/** A young task's line grows from the left instead of filling all of it with two samples. */
const LEAST_MS = 10_000;
/** A sample is this late at most while all is well, and the line reaches the edge. */
const LATE_MS = 2_500;

export class ResourceAxis {
  constructor(
    /** ms on the server's clock. */
    readonly start: number,
    readonly end: number,
  ) {}

  /** The axis of a task of which these samples were taken, as of `now`. */
  static of(task: TaskProgress, samples: readonly ResourceSample[], now: number): ResourceAxis | null {
    const start = parsed(task.started_at) ?? samples[0]?.time ?? parsed(task.created_at);
    if (start === null || start === undefined) return null;
    const over = parsed(task.finished_at) ?? (task.status === "lost" ? parsed(task.updated_at) : null);
    const newest = samples.at(-1)?.time ?? start;
    const end = Math.max((over ?? now) - LATE_MS, Math.min(newest, over ?? newest));
    return new ResourceAxis(start, Math.max(end, start + (over === null ? LEAST_MS : 1_000)));
  }

  /** 0 at its start, 1 at its end. */
  at(time: number): number {
    return (time - this.start) / (this.end - this.start);
  }

  time(at: number): number {
    return this.start + at * (this.end - this.start);
  }

  /** Those of the samples that lie on it; another attempt's do not. */
  within(samples: readonly ResourceSample[]): readonly ResourceSample[] {
    const isInside = (sample: ResourceSample) => sample.time >= this.start && sample.time <= this.end;
    return samples.every(isInside) ? samples : samples.filter(isInside);
  }

  /** Where the task's stages lie on it, as far as they have begun. */
  bands(task: TaskProgress): StageBand[] {
    const bands: StageBand[] = [];
    for (const stage of task.stages) {
      const start = parsed(stage.started_at);
      if (start === null || stage.status === "skipped" || stage.status === "pending") continue;
      const lasted = stage.duration === null ? null : start + 1000 * stage.duration;
      const end = parsed(stage.finished_at) ?? lasted ?? this.end;
      const [from, to] = [Math.max(0, this.at(start)), Math.min(1, this.at(end))];
      if (to > from) bands.push({ name: stage.name, from, to });
    }
    return bands;
  }

  /** "1:24, Generation": how long the task had been running, and what it was at. */
  name(time: number, bands: readonly StageBand[]): string {
    const at = this.at(time);
    const stage = bands.find((band) => band.from <= at && at <= band.to)?.name;
    const since = elapsed((time - this.start) / 1000);
    return stage === undefined ? since : `${since}, ${stage}`;
  }
}

function parsed(time: string | null): number | null {
  return time === null ? null : Date.parse(time);
}

/** The sample closest to a time; they are in order. */
export function nearest(samples: readonly ResourceSample[], time: number): ResourceSample | null {
  const index = firstFrom(samples, (sample) => sample.time, time);
  const [before, after] = [samples[index - 1], samples[index]];
  if (before === undefined || after === undefined) return before ?? after ?? null;
  return time - before.time < after.time - time ? before : after;
}
