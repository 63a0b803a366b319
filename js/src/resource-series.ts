/** The samples of one task that a view holds: bounded as the server's own, coarser as they grow, oldest first. */

import { Changing } from "./frame.js";
import { MOST_SAMPLES, merged, type ResourcePage, type ResourceSample } from "./resource-sample.js";

/** Why there may be nothing to see; "loading" as well while the server does not know the task. */
export type ResourceState = "loading" | "measured" | "too_old" | "away";

/** What the samples of a task are given to. */
export interface ResourceReader {
  measured(page: ResourcePage): void;
  /** Whether the server has told, and if not, why. */
  became(state: ResourceState): void;
}

export class ResourceSeries extends Changing implements ResourceReader {
  state: ResourceState = "loading";
  /** Seconds between the samples. */
  interval = 1;
  private held: ResourceSample[] = [];

  get samples(): readonly ResourceSample[] {
    return this.held;
  }

  measured(page: ResourcePage): void {
    const { samples } = page;
    const newest = samples.at(-1);
    if (newest === undefined) return;
    // An answer that was overtaken knows of an older interval.
    if (newest.time >= (this.held.at(-1)?.time ?? 0)) this.become(page.interval_s);
    const intervals = new Map(this.held.map((sample) => [this.intervalOf(sample), sample]));
    for (const sample of samples) {
      const known = intervals.get(this.intervalOf(sample));
      if (known === undefined || known.time <= sample.time) intervals.set(this.intervalOf(sample), sample);
    }
    this.held = [...intervals.values()].sort((a, b) => a.time - b.time).slice(-MOST_SAMPLES);
    this.change();
  }

  became(state: ResourceState): void {
    if (state === this.state) return;
    this.state = state;
    this.change();
  }

  /** The samples are kept for longer intervals from now on, or an attempt began again with short ones. */
  private become(interval: number): void {
    const wasFiner = interval > this.interval;
    this.interval = interval;
    if (!wasFiner) return;
    const groups = new Map<number, ResourceSample[]>();
    for (const sample of this.held) {
      const key = this.intervalOf(sample);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [sample]);
      else group.push(sample);
    }
    this.held = [...groups.values()].map(merged).filter((sample) => sample !== null);
  }

  private intervalOf(sample: ResourceSample): number {
    return Math.floor(sample.time / 1000 / this.interval);
  }
}
