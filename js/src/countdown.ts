/**
 * What is shown of an instant that is estimated anew again and again. Pure: time comes in as an argument.
 *
 * Between two estimates what is shown counts down. A small revision is approached slowly, so that noise averages out; a
 * large one that lasts is followed at once. Low, median and high walk the same share of their ways, so that they stay
 * in order. How far what is shown may be from the newest estimate follows: by more than a quarter of the time left for
 * two seconds at most.
 */

import { type Coarseness, type Figure, settled } from "./figure.js";

/** On the server's clock, ms, in order. */
export interface Instants {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

export interface Figures {
  readonly low: Figure;
  readonly median: Figure;
  readonly high: Figure;
}

/** A revision by more than this part of the time left is large. */
const LARGE = 0.25;
/** So is a smaller one that leaves the range which was shown; a range narrower than the noise proves nothing. */
const LARGE_OUTSIDE = 0.15;
/** Within this part of the time left, what is shown has arrived. */
const ARRIVED = 0.05;
/** Close to the end every revision is large in proportion; it is compared with at least so much time left. */
const NEAR_MS = 6_000;
/** An estimate comes at most once a second, so one that has stood for so long is no outlier. */
const PATIENCE_MS = 1_000;
/** Time constants of the walk: nine tenths of the way are gone after 2.3 of them. */
const QUICK_MS = 400;
const SLOW_SHARE = 0.12;
const LEAST_SLOW_MS = 1_000;
const MOST_SLOW_MS = 20_000;
/** Text changes at most once a second, give or take a late timer. */
const READABLE_MS = 900;

export class Countdown {
  private target: Instants | null = null;
  private shown: Instants | null = null;
  /** The time up to which `shown` has walked. */
  private walkedTo = 0;
  /** Since when the estimate has been far from what is shown. */
  private strayedAt: number | null = null;
  private figures: Figures | null = null;
  private figuresAt = 0;

  /** An estimate has come. */
  heard(target: Instants, now: number): void {
    this.walk(now);
    this.target = target;
    if (this.shown === null) {
      this.shown = target;
      this.walkedTo = now;
    } else if (this.strayedAt === null) {
      if (isLarge(this.shown, target, now)) this.strayedAt = now;
    } else if (revision(this.shown, target, now) < ARRIVED) {
      this.strayedAt = null;
    }
  }

  /** Nothing is expected any more; the next estimate is the first. */
  forget(): void {
    this.target = this.shown = this.strayedAt = this.figures = null;
  }

  instants(now: number): Instants | null {
    this.walk(now);
    return this.shown;
  }

  /** The time left in round figures, the same for everybody who asks within a second. */
  read(now: number): Figures | null {
    const shown = this.instants(now);
    if (shown === null) return null;
    if (this.figures !== null && Math.abs(now - this.figuresAt) < READABLE_MS) return this.figures;
    const last = this.figures;
    const figure = (part: keyof Instants, coarse: Coarseness) =>
      settled(last?.[part] ?? null, (shown[part] - now) / 1000, coarse);
    const median = figure("median", "fine");
    const coarse = median.step > 1 ? "coarse" : "fine";
    const [low, high] = [figure("low", coarse), figure("high", coarse)];
    this.figuresAt = now;
    this.figures = {
      low: low.seconds < median.seconds ? low : median,
      median,
      high: high.seconds > median.seconds ? high : median,
    };
    return this.figures;
  }

  /** Time that runs backwards, as after a clock was set, walks nowhere. */
  private walk(now: number): void {
    const hurriesAt = this.strayedAt === null ? now : this.strayedAt + PATIENCE_MS;
    const left = (this.shown?.median ?? 0) - this.walkedTo;
    this.step(Math.min(now, hurriesAt), Math.min(MOST_SLOW_MS, Math.max(LEAST_SLOW_MS, SLOW_SHARE * left)));
    this.step(now, QUICK_MS);
  }

  private step(until: number, constant: number): void {
    const { shown, target } = this;
    if (shown === null || target === null || until <= this.walkedTo) return;
    const share = 1 - Math.exp((this.walkedTo - until) / constant);
    const moved = (part: keyof Instants) => shown[part] + share * (target[part] - shown[part]);
    this.shown = { low: moved("low"), median: moved("median"), high: moved("high") };
    this.walkedTo = until;
  }
}

function isLarge(shown: Instants, target: Instants, now: number): boolean {
  const isInside = shown.low <= target.median && target.median <= shown.high;
  return revision(shown, target, now) > (isInside ? LARGE : LARGE_OUTSIDE);
}

/** How much an estimate differs, as a part of the time left. The far end is uncertain by nature and counts half. */
function revision(shown: Instants, target: Instants, now: number): number {
  const part = (which: keyof Instants) =>
    Math.abs(target[which] - shown[which]) / Math.max(NEAR_MS, shown[which] - now);
  return Math.max(part("median"), part("high") / 2);
}
