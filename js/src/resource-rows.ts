/** What is drawn of a task's samples, row by row: which figure, on which scale, in which words. Pure. */

import { byteRate, celsius, memory, memoryOf, percentage, watts } from "./quantity.js";
import type { ResourceFigure, ResourceSample } from "./resource-sample.js";

export interface ResourceRow {
  readonly id: string;
  readonly name: string;
  /** The figure that is drawn in full. */
  readonly figure: ResourceFigure;
  /** One of the same unit that is drawn quietly over it. */
  readonly beside: ResourceFigure | null;
  /** What the figure fills up; from nine tenths of it on the row warns. */
  readonly whole: ResourceFigure | null;
  /** What all of the machine take of the same whole, which ends the task as well. */
  readonly host: ResourceFigure | null;
  /** Whether the scale ends at the whole, or at 100; else it ends a little above the highest value. */
  readonly scale: "whole" | "hundred" | "peak";
  format(value: number): string;
  /** What else there is to say of a sample. */
  note(sample: ResourceSample): string;
  /** Not among the first that are shown. */
  readonly isMore: boolean;
}

/** From here on memory is about to end the task. */
const WARNING_SHARE = 0.9;

const NOTHING = (): string => "";
const PLAIN = { beside: null, whole: null, host: null, note: NOTHING, isMore: false } as const;
const MORE = { ...PLAIN, isMore: true } as const;

export const RESOURCE_ROWS: readonly ResourceRow[] = [
  {
    ...PLAIN,
    id: "cpu",
    name: "CPU",
    figure: "cpu_percent",
    scale: "peak",
    format: percentage,
    note: (sample) => noted("host", sample.host_cpu_percent, percentage),
  },
  {
    ...PLAIN,
    id: "memory",
    name: "Memory",
    figure: "rss_bytes",
    whole: "memory_total_bytes",
    host: "memory_bytes",
    scale: "peak",
    format: memory,
    note: (sample) => {
      const { memory_bytes: taken, memory_total_bytes: total } = sample;
      if (taken === undefined) return "";
      return `host ${total === undefined ? memory(taken) : memoryOf(taken, total)}`;
    },
  },
  { ...PLAIN, id: "gpu", name: "GPU", figure: "gpu_percent", scale: "hundred", format: percentage },
  {
    ...PLAIN,
    id: "gpu-memory",
    name: "GPU memory",
    figure: "gpu_memory_bytes",
    beside: "process_gpu_memory_bytes",
    whole: "gpu_memory_total_bytes",
    scale: "whole",
    format: memory,
    note: (sample) => noted("of", sample.gpu_memory_total_bytes, memory),
  },
  {
    ...MORE,
    id: "host-cpu",
    name: "Host CPU",
    figure: "host_cpu_percent",
    scale: "hundred",
    format: percentage,
  },
  {
    ...MORE,
    id: "temperature",
    name: "GPU temperature",
    figure: "gpu_temperature_c",
    scale: "hundred",
    format: celsius,
  },
  { ...MORE, id: "power", name: "GPU power", figure: "gpu_power_w", scale: "peak", format: watts },
  {
    ...MORE,
    id: "disk",
    name: "Disk read",
    figure: "disk_read_bytes_s",
    beside: "disk_written_bytes_s",
    scale: "peak",
    format: byteRate,
    note: (sample) => noted("written", sample.disk_written_bytes_s, byteRate),
  },
  {
    ...MORE,
    id: "network",
    name: "Net received",
    figure: "net_received_bytes_s",
    beside: "net_sent_bytes_s",
    scale: "peak",
    format: byteRate,
    note: (sample) => noted("sent", sample.net_sent_bytes_s, byteRate),
  },
];

function noted(word: string, value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "" : `${word} ${format(value)}`;
}

/** Those of which something was measured: no GPU, no row. */
export function rowsOf(samples: readonly ResourceSample[]): ResourceRow[] {
  return RESOURCE_ROWS.filter((row) => samples.some((sample) => sample[row.figure] !== undefined));
}

export interface Warning {
  /** Of the whole, 0 to 1. */
  readonly share: number;
  /** Whether the whole machine takes that much, and the task itself less. */
  readonly isHost: boolean;
}

/** That a whole is nearly full, by whichever takes more of it; null while there is room, or no whole is known. */
export function warningOf(row: ResourceRow, sample: ResourceSample): Warning | null {
  const whole = row.whole === null ? undefined : sample[row.whole];
  if (whole === undefined || whole <= 0) return null;
  const own = sample[row.figure] ?? 0;
  const host = row.host === null ? 0 : (sample[row.host] ?? 0);
  const share = Math.max(own, host) / whole;
  return share >= WARNING_SHARE ? { share, isHost: host > own } : null;
}

/** "host 98 % full", in the place of a longer note. */
export function hostNote({ share }: Warning): string {
  return `host ${percentage(100 * share)} full`;
}

/** "98 % of all there is, by the whole host". */
export function warningText({ share, isHost }: Warning): string {
  return `${percentage(100 * share)} of all there is${isHost ? ", by the whole host" : ""}`;
}

/** The sample of the highest value, the first of several. */
export function peakOf(row: ResourceRow, samples: readonly ResourceSample[]): ResourceSample | null {
  let peak: ResourceSample | null = null;
  for (const sample of samples) if ((sample[row.figure] ?? -1) > (peak?.[row.figure] ?? -1)) peak = sample;
  return peak;
}

/** Noise over nothing is not to look like a peak: scales end no lower than this. */
const LEAST_TOP: Readonly<Partial<Record<ResourceFigure, number>>> = {
  cpu_percent: 100,
  gpu_power_w: 50,
  disk_read_bytes_s: 1e6,
  net_received_bytes_s: 1e6,
};
/** A figure that has ever taken this part of its whole is drawn against the whole. */
const LARGE_SHARE = 0.5;
const HEADROOM = 1.15;

/** The value at the upper end of the row's scale. */
export function topOf(row: ResourceRow, samples: readonly ResourceSample[]): number {
  const figures = row.beside === null ? [row.figure] : [row.figure, row.beside];
  const highest = figures.map((figure) => most(samples, figure)).reduce((a, b) => Math.max(a, b), 0);
  if (row.scale === "hundred") return Math.max(100, highest);
  const whole = row.whole === null ? 0 : most(samples, row.whole);
  if (whole > 0 && (row.scale === "whole" || highest >= LARGE_SHARE * whole)) return Math.max(whole, highest);
  return Math.max(highest * HEADROOM, LEAST_TOP[row.figure] ?? 1);
}

function most(samples: readonly ResourceSample[], figure: ResourceFigure): number {
  return samples.reduce((highest, sample) => Math.max(highest, sample[figure] ?? 0), 0);
}

/** "memory: 3.1 GB now, 4.0 GB at most", for those who do not see the line. */
export function summaryOf(row: ResourceRow, samples: readonly ResourceSample[]): string {
  const newest = samples.filter((sample) => sample[row.figure] !== undefined).at(-1);
  const peak = peakOf(row, samples);
  const [now, highest] = [newest?.[row.figure], peak?.[row.figure]];
  if (newest === undefined || now === undefined || highest === undefined) return row.name;
  const warning = warningOf(row, newest);
  const words = warning === null ? "" : `, ${warningText(warning)}`;
  return `${row.name}: ${row.format(now)} now${words}, ${row.format(highest)} at most`;
}
