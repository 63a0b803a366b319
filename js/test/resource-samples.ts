/** Resource samples, made from the few figures a test says of them, at seconds since a task's start. */

import type { ResourceFigure, ResourcePage, ResourceSample } from "../src/resource-sample.js";

export const START = Date.parse("2026-11-22T16:00:00Z");
const GIB = 2 ** 30;

export type Figures = Partial<Record<ResourceFigure, number>>;

export function sampleAt(second: number, figures: Figures = { cpu_percent: 100 }): ResourceSample {
  const time = START + 1000 * second;
  return { at: new Date(time).toISOString(), time, ...figures };
}

export function page(samples: readonly ResourceSample[], interval_s = 1): ResourcePage {
  return { interval_s, samples };
}

/** One a second, from the first second to the last. */
export function seconds(first: number, last: number, figures?: Figures): ResourceSample[] {
  return Array.from({ length: last - first + 1 }, (_, index) => sampleAt(first + index, figures));
}

export const MEMORY: Figures = {
  rss_bytes: 3 * GIB,
  memory_bytes: 21 * GIB,
  memory_total_bytes: 64 * GIB,
};
export const GPU: Figures = {
  gpu_percent: 97,
  gpu_memory_bytes: 18 * GIB,
  gpu_memory_total_bytes: 24 * GIB,
  process_gpu_memory_bytes: 17 * GIB,
};
