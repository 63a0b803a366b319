/** Samples as an image model would leave them on a machine with a GPU, or without. */

import type { ResourceSource } from "../src/resource-readers.js";
import type { ResourceSample } from "../src/resource-sample.js";
import type { ResourceReader, ResourceState } from "../src/resource-series.js";

const GIB = 2 ** 30;

/** The same at every look, and not the same from second to second. */
function noise(index: number, salt: number): number {
  const wave = Math.sin(index * 12.9898 + salt * 78.233) * 43_758.5453;
  return wave - Math.floor(wave);
}

/** From 0 to 1 between two seconds, softly. */
function ramp(second: number, from: number, to: number): number {
  const way = Math.min(1, Math.max(0, (second - from) / (to - from)));
  return way * way * (3 - 2 * way);
}

/** A second of a task that reads weights up to the 11th, draws up to `over`, and then writes. */
function sampleAt(start: number, second: number, over: number, hunger: number): ResourceSample {
  const loading = ramp(second, 0, 2) * (1 - ramp(second, 10, 12));
  const drawing = ramp(second, 10, 13) * (1 - ramp(second, over, over + 1));
  const writing = ramp(second, over, over + 1);
  const n = (salt: number) => noise(second, salt);
  const step = Math.sin(second / 3.1);
  const time = start + second * 1000;
  return {
    at: new Date(time).toISOString(),
    time,
    cpu_percent:
      18 + 370 * loading * (0.8 + 0.4 * n(1)) + 96 * drawing + 12 * n(2) + 620 * writing * (0.8 + 0.3 * n(9)),
    host_cpu_percent: 9 + 26 * loading + 8 * drawing + 5 * n(3) + 40 * writing,
    rss_bytes:
      GIB * (0.9 + 5.4 * ramp(second, 1, 10) - 3.1 * ramp(second, 10, 14) + 0.05 * n(4) + 0.9 * writing),
    memory_bytes: GIB * (19.5 + 5 * ramp(second, 1, 10) - 3 * ramp(second, 10, 14)),
    memory_total_bytes: 125.6 * GIB,
    gpu_percent: Math.min(
      100,
      3 * loading * n(5) + drawing * (93 + 5 * step + 3 * n(6)) + 22 * writing * n(6),
    ),
    gpu_memory_bytes: GIB * (0.6 + 6.9 * ramp(second, 5, 11) + hunger * ramp(second, 12, 16) + 0.4 * writing),
    gpu_memory_total_bytes: 24 * GIB,
    process_gpu_memory_bytes: GIB * (6.6 * ramp(second, 5, 11) + hunger * ramp(second, 12, 16)),
    gpu_temperature_c: 41 + 33 * (1 - Math.exp(-Math.max(0, second - 11) / 22)) + n(7),
    gpu_power_w: 64 + 310 * drawing + 14 * step * drawing + 18 * n(8),
    disk_read_bytes_s: 1.9e9 * loading * (0.7 + 0.5 * n(9)) + 2e5 * n(10),
    disk_written_bytes_s: 4e5 * n(11) + 9e7 * writing,
    net_received_bytes_s: 4e4 + 9e4 * n(12) + (second % 17 === 0 ? 2e6 : 0),
    net_sent_bytes_s: 2e4 + 6e4 * n(13) + (second % 5 === 0 ? 1.3e5 : 0),
  };
}

export interface Made {
  /** Seconds since the task began, and at which the drawing is over. */
  readonly length: number;
  readonly over?: number;
  /** GiB that the drawing takes on the GPU. */
  readonly hunger?: number;
  readonly hasGpu?: boolean;
  /** Seconds of which nothing was heard. */
  readonly hole?: readonly [from: number, to: number];
}

export function samplesOf({
  length,
  over = 1e9,
  hunger = 9.3,
  hasGpu = true,
  hole = [0, 0],
}: Made): ResourceSample[] {
  const start = Date.now() - length * 1000;
  const seconds = Array.from({ length: Math.floor(length) }, (_, index) => index + 1);
  return seconds
    .filter((second) => second < hole[0] || second >= hole[1])
    .map((second) => sampleAt(start, second, over, hunger))
    .map((sample) => (hasGpu ? sample : withoutGpu(sample)));
}

function withoutGpu(sample: ResourceSample): ResourceSample {
  const figures = Object.entries(sample).filter(([name]) => !name.includes("gpu"));
  return { at: sample.at, time: sample.time, ...Object.fromEntries(figures) };
}

export class GalleryResources implements ResourceSource {
  private readonly readers = new Set<ResourceReader>();

  constructor(
    private readonly samples: readonly ResourceSample[],
    private readonly state: ResourceState = "measured",
  ) {}

  followResources(_: string, reader: ResourceReader): void {
    this.readers.add(reader);
    reader.measured({ interval_s: 1, samples: this.samples });
    reader.became(this.state);
  }

  add(sample: ResourceSample): void {
    for (const reader of this.readers) reader.measured({ interval_s: 1, samples: [sample] });
  }
}
