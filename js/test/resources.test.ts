import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { parseMessages, type TaskProgress } from "../src/model.js";
import { byteCount, byteRate, memory, memoryOf, percentage } from "../src/quantity.js";
import { nearest, ResourceAxis } from "../src/resource-axis.js";
import { ResourceReaders } from "../src/resource-readers.js";
import { peakOf, RESOURCE_ROWS, rowsOf, summaryOf, topOf, warningOf } from "../src/resource-rows.js";
import { MOST_SAMPLES, parseResourcePage } from "../src/resource-sample.js";
import { ResourceSeries } from "../src/resource-series.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { GPU, MEMORY, page, START, sampleAt, seconds } from "./resource-samples.js";
import { running, withStage } from "./samples.js";

const GIB = 2 ** 30;

function row(id: string) {
  const found = RESOURCE_ROWS.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no row ${id}`);
  return found;
}

function begun(changes: Partial<TaskProgress> = {}): TaskProgress {
  return running({ started_at: new Date(START).toISOString(), finished_at: null, ...changes });
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(restoreNetwork);

describe("samples from the wire", () => {
  it("keep what is a figure and leave absent what is none", () => {
    const at = "2026-11-22T16:00:01Z";
    const value = { interval_s: 1, samples: [{ at, cpu_percent: 412.5, rss_bytes: 0, gpu_percent: null }] };
    expect(parseResourcePage(value)?.samples).toEqual([
      { at, time: Date.parse(at), cpu_percent: 412.5, rss_bytes: 0 },
    ]);
  });

  test.each([
    ["no page", null],
    ["no samples", { interval_s: 1 }],
    ["no interval", { samples: [] }],
    ["an interval of nothing", { interval_s: 0, samples: [] }],
    ["an endless one", { interval_s: Number.POSITIVE_INFINITY, samples: [] }],
    ["an interval of years", { interval_s: 1e9, samples: [] }],
  ])("are refused when they are %s", (_, value) => {
    expect(parseResourcePage(value)).toBeNull();
  });

  it("are left out one by one where they are nonsense", () => {
    const samples = [null, [], "x", { at: "soon" }, { cpu_percent: 1 }, { at: "2026-11-22T16:00:01Z" }];
    expect(parseResourcePage({ interval_s: 1, samples })?.samples).toHaveLength(1);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 1e30, "97", {}, true])(
    "have no figure %s",
    (figure) => {
      const samples = [{ at: "2026-11-22T16:00:01Z", gpu_percent: figure }];
      expect(parseResourcePage({ interval_s: 1, samples })?.samples[0]).not.toHaveProperty("gpu_percent");
    },
  );

  it("are no more than a view can hold, in order", () => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({
      at: new Date(START - 1000 * index).toISOString(),
    }));
    const parsed = parseResourcePage({ interval_s: 1, samples: many })?.samples ?? [];
    expect(parsed.length).toBeLessThanOrEqual(MOST_SAMPLES);
    expect(parsed.map((one) => one.time)).toEqual(parsed.map((one) => one.time).sort((a, b) => a - b));
  });

  it("come in a message of a task that is one", () => {
    const message = { type: "resources", task_id: "a", interval_s: 2, samples: [] };
    expect(parseMessages(message)).toEqual([message]);
    expect(parseMessages({ ...message, task_id: "../x" })).toEqual([]);
    expect(parseMessages({ ...message, samples: {} })).toEqual([]);
  });
});

describe("a series", () => {
  it("takes what comes twice once, the newest of an interval", () => {
    const series = new ResourceSeries();
    series.measured(page(seconds(1, 5)));
    series.measured(page([sampleAt(5.4, { cpu_percent: 7 }), sampleAt(6)]));
    series.measured(page(seconds(3, 5)));
    expect(series.samples.map((one) => (one.time - START) / 1000)).toEqual([1, 2, 3, 4, 5.4, 6]);
    expect(series.samples[4]?.cpu_percent).toBe(7);
  });

  it("grows coarser as the server's does, and keeps the peaks of memory and the means of the rest", () => {
    const series = new ResourceSeries();
    series.measured(
      page([sampleAt(0, { rss_bytes: 9, cpu_percent: 100 }), sampleAt(1, { rss_bytes: 3, cpu_percent: 50 })]),
    );
    series.measured(page([sampleAt(3)], 2));
    expect(series.samples).toHaveLength(2);
    expect(series.samples[0]).toMatchObject({ time: START + 1000, rss_bytes: 9, cpu_percent: 75 });
    expect(series.interval).toBe(2);
  });

  it("is not fooled by an answer that was overtaken", () => {
    const series = new ResourceSeries();
    series.measured(page([sampleAt(1), sampleAt(3), sampleAt(5)], 2));
    series.measured(page([sampleAt(1), sampleAt(2)], 1));
    expect(series.interval).toBe(2);
    expect(series.samples).toHaveLength(3);
  });

  it("has a bound, whatever a server sends", () => {
    const series = new ResourceSeries();
    for (let hour = 0; hour < 3; hour++) series.measured(page(seconds(3600 * hour + 1, 3600 * hour + 400)));
    expect(series.samples).toHaveLength(MOST_SAMPLES);
    expect(series.samples.at(-1)?.time).toBe(START + 1000 * 7600);
  });

  it("changes once a frame however much comes", () => {
    const series = new ResourceSeries();
    for (let second = 1; second < 9; second++) series.measured(page([sampleAt(second)]));
    vi.advanceTimersByTime(40);
    expect(series.changes.value).toBe(1);
  });
});

describe("the readers of a task's samples", () => {
  it("ask from the newest that all of them have", () => {
    const readers = new ResourceReaders();
    const [first, second] = [new ResourceSeries(), new ResourceSeries()];
    readers.join("a", first);
    readers.take("a", page(seconds(1, 5)));
    expect(readers.since("a")).toBe(sampleAt(5).at);
    readers.join("a", second);
    expect(readers.since("a")).toBeNull();
    readers.take("a", page(seconds(1, 7)));
    expect(readers.since("a")).toBe(sampleAt(7).at);
    readers.leave("a", first);
    readers.leave("a", second);
    expect(readers.taskIds).toEqual([]);
  });
});

describe("the rows", () => {
  it("are those of which something was measured: no GPU, no row", () => {
    const ids = (samples: Parameters<typeof rowsOf>[0]) => rowsOf(samples).map((one) => one.id);
    expect(ids(seconds(1, 3, { cpu_percent: 0, ...MEMORY }))).toEqual(["cpu", "memory"]);
    expect(ids(seconds(1, 3, { ...MEMORY, ...GPU }))).toEqual(["memory", "gpu", "gpu-memory"]);
    expect(ids([])).toEqual([]);
  });

  it("warn from nine tenths of memory on, and not before", () => {
    const at = (share: number) =>
      sampleAt(1, { gpu_memory_bytes: share * 24 * GIB, gpu_memory_total_bytes: 24 * GIB });
    expect(warningOf(row("gpu-memory"), at(0.899))).toBeNull();
    expect(warningOf(row("gpu-memory"), at(0.9))).not.toBeNull();
    expect(warningOf(row("memory"), sampleAt(1, { ...MEMORY, rss_bytes: 60 * GIB }))).not.toBeNull();
    expect(warningOf(row("memory"), sampleAt(1, { rss_bytes: 60 * GIB }))).toBeNull();
    expect(warningOf(row("gpu"), sampleAt(1, { gpu_percent: 100 }))).toBeNull();
  });

  it("warn by the task or by its whole host, whichever takes more of the memory", () => {
    const at = (own: number, host: number) =>
      warningOf(row("memory"), sampleAt(1, { ...MEMORY, rss_bytes: own * GIB, memory_bytes: host * GIB }));
    expect(at(2, 57)).toBeNull();
    expect(at(2, 62.72)).toEqual({ share: 0.98, isHost: true });
    expect(at(60, 62)?.isHost).toBe(true);
    // In a container the host is the machine around it.
    expect(at(64, 40)).toEqual({ share: 1, isHost: false });
    expect(warningOf(row("memory"), sampleAt(1, { memory_bytes: 60 * GIB }))).toBeNull();
  });

  it("end their scales where they mean something", () => {
    expect(topOf(row("gpu"), [sampleAt(1, { gpu_percent: 2 })])).toBe(100);
    expect(topOf(row("cpu"), [sampleAt(1, { cpu_percent: 3 })])).toBe(100);
    expect(topOf(row("cpu"), [sampleAt(1, { cpu_percent: 800 })])).toBeCloseTo(920);
    expect(topOf(row("gpu-memory"), [sampleAt(1, GPU)])).toBe(24 * GIB);
    expect(topOf(row("memory"), [sampleAt(1, MEMORY)])).toBeCloseTo(3.45 * GIB);
    expect(topOf(row("memory"), [sampleAt(1, { ...MEMORY, rss_bytes: 40 * GIB })])).toBe(64 * GIB);
    expect(topOf(row("power"), [sampleAt(1, { gpu_power_w: 0 })])).toBeGreaterThan(0);
  });

  it("mark the first of their highest values", () => {
    const samples = [2, 7, 7, 3].map((value, index) => sampleAt(index, { cpu_percent: value }));
    expect(peakOf(row("cpu"), samples)?.time).toBe(START + 1000);
    expect(peakOf(row("gpu"), samples)).toBeNull();
  });

  it("say what they show", () => {
    const samples = [4, 3.1].map((value, index) => sampleAt(index, { ...MEMORY, rss_bytes: value * GIB }));
    expect(summaryOf(row("memory"), samples)).toBe("Memory: 3.1 GiB now, 4.0 GiB at most");
    const full = [sampleAt(1, { ...GPU, gpu_memory_bytes: 23 * GIB })];
    expect(summaryOf(row("gpu-memory"), full)).toBe(
      "GPU memory: 23.0 GiB now, 96 % of all there is, 23.0 GiB at most",
    );
    expect(row("memory").note(sampleAt(1, MEMORY))).toBe("host 21.0 of 64.0 GiB");
    expect(row("memory").note(sampleAt(1, { rss_bytes: 1 }))).toBe("");
  });
});

describe("the time axis", () => {
  const SAMPLES = seconds(1, 95);

  it("goes from the task's start to its newest sample while it runs, and to its end after", () => {
    const live = ResourceAxis.of(begun(), SAMPLES, START + 96_000);
    expect([live?.start, live?.end]).toEqual([START, START + 95_000]);
    const silent = ResourceAxis.of(begun(), SAMPLES, START + 200_000);
    expect(silent?.end).toBe(START + 197_500);
    const over = begun({ status: "completed", finished_at: new Date(START + 95_400).toISOString() });
    expect(ResourceAxis.of(over, SAMPLES, START + 1e6)?.end).toBe(START + 95_000);
  });

  it("is never without length, and is none before anything has begun", () => {
    expect(ResourceAxis.of(begun(), [], START)?.end).toBe(START + 10_000);
    expect(ResourceAxis.of(begun({ started_at: null, created_at: null }), [], START)).toBeNull();
  });

  it("leaves out what is another attempt's", () => {
    const axis = new ResourceAxis(START, START + 50_000);
    expect(axis.within([sampleAt(-5), sampleAt(5), sampleAt(60)])).toHaveLength(1);
  });

  it("names a moment by the time since the start and the stage", () => {
    const at = (second: number) => new Date(START + second * 1000).toISOString();
    let task = begun();
    for (const stage of task.stages) task = withStage(task, stage.id, { started_at: null });
    const [first, second] = task.stages;
    task = withStage(task, first?.id ?? "", {
      status: "completed",
      started_at: at(0),
      finished_at: null,
      duration: 11,
    });
    task = withStage(task, second?.id ?? "", {
      name: "Generation",
      status: "in_progress",
      started_at: at(11),
      finished_at: null,
      duration: null,
    });
    const axis = new ResourceAxis(START, START + 100_000);
    const bands = axis.bands(task);
    expect(bands.map(({ from, to }) => [from, to])).toEqual([
      [0, 0.11],
      [0.11, 1],
    ]);
    expect(axis.name(START + 84_000, bands)).toBe("1:24, Generation");
    expect(axis.name(START + 84_000, [])).toBe("1:24");
  });

  it("finds the sample next to a time", () => {
    const at = (second: number) => nearest(SAMPLES, START + 1000 * second)?.time;
    expect(at(-100)).toBe(START + 1000);
    expect(at(41.4)).toBe(START + 41_000);
    expect(at(41.6)).toBe(START + 42_000);
    expect(at(1e6)).toBe(START + 95_000);
    expect(nearest([], START)).toBeNull();
  });
});

describe("quantities", () => {
  test.each([
    [memory(0), "0 B"],
    [memory(614 * 2 ** 20), "614 MiB"],
    [memory(3.14 * GIB), "3.1 GiB"],
    [memory(125.6 * GIB), "126 GiB"],
    [memory(1000 * 2 ** 20), "1.0 GiB"],
    [memoryOf(21.3 * GIB, 64 * GIB), "21.3 of 64.0 GiB"],
    [byteRate(999_600), "1.0 MB/s"],
    [byteRate(1.2e8), "120 MB/s"],
    [byteCount(13_204), "13.2 kB"],
    [percentage(96.6), "97 %"],
  ])("read %s", (said, expected) => {
    expect(said).toBe(expected);
  });
});
