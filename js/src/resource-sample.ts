/** What was measured of a task's process and its machine, as it travels, and the gate through which it comes in. */

import { isRecord, nonNegative, type Timestamp, timestamp } from "./payload.js";

/** Of these the most that was seen counts where samples are merged; of the others the mean does. */
const PEAKS = [
  "rss_bytes",
  "memory_bytes",
  "memory_total_bytes",
  "gpu_memory_bytes",
  "gpu_memory_total_bytes",
  "process_gpu_memory_bytes",
  "gpu_temperature_c",
] as const;
const MEANS = [
  "cpu_percent",
  "host_cpu_percent",
  "gpu_percent",
  "gpu_power_w",
  "disk_read_bytes_s",
  "disk_written_bytes_s",
  "net_received_bytes_s",
  "net_sent_bytes_s",
] as const;
const FIGURES = [...PEAKS, ...MEANS];

export type ResourceFigure = (typeof FIGURES)[number];

/** What is not there to be measured is absent, and never zero. */
export interface ResourceSample extends Readonly<Partial<Record<ResourceFigure, number>>> {
  /** The end of the interval that it stands for. */
  readonly at: Timestamp;
  /** The same in ms. */
  readonly time: number;
}

/** What a task's samples come in, by whatever way. */
export interface ResourcePage {
  /** Seconds between the samples as they are kept now. */
  readonly interval_s: number;
  readonly samples: readonly ResourceSample[];
}

/** A server keeps 240; whatever it sends, no view holds more than twice that. */
export const MOST_SAMPLES = 480;
/** A figure beyond this is none: the whole internet would fit into it. */
const MOST = 1e18;
/** One that doubles each time a year old series is full does not get there. */
const LONGEST_INTERVAL_S = 2 ** 20;

export function parseResourcePage(value: unknown): ResourcePage | null {
  if (!isRecord(value) || !Array.isArray(value.samples)) return null;
  const interval = nonNegative(value.interval_s);
  if (interval === null || interval < 1 || interval > LONGEST_INTERVAL_S) return null;
  const newest = value.samples.slice(-MOST_SAMPLES);
  const samples = newest.map(parseSample).filter((sample) => sample !== null);
  return { interval_s: interval, samples: samples.sort((a, b) => a.time - b.time) };
}

function parseSample(value: unknown): ResourceSample | null {
  const at = isRecord(value) ? timestamp(value.at) : null;
  if (!isRecord(value) || at === null) return null;
  const figures: Partial<Record<ResourceFigure, number>> = {};
  for (const name of FIGURES) {
    const figure = nonNegative(value[name]);
    if (figure !== null && figure <= MOST) figures[name] = figure;
  }
  return { at, time: Date.parse(at), ...figures };
}

/** One sample for several of one interval, as the worker itself would have merged them. */
export function merged(samples: readonly ResourceSample[]): ResourceSample | null {
  const last = samples.at(-1);
  if (last === undefined || samples.length === 1) return last ?? null;
  const figures: Partial<Record<ResourceFigure, number>> = {};
  const put = (name: ResourceFigure, merge: (values: readonly number[]) => number) => {
    const values = samples.map((sample) => sample[name]).filter((value) => value !== undefined);
    if (values.length > 0) figures[name] = merge(values);
  };
  for (const name of PEAKS) put(name, (values) => Math.max(...values));
  for (const name of MEANS)
    put(name, (values) => values.reduce((sum, value) => sum + value, 0) / values.length);
  return { at: last.at, time: last.time, ...figures };
}
