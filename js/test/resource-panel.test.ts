import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import type { TaskProgress } from "../src/model.js";
import type { ResourceSample } from "../src/resource-sample.js";
import type { ResourceState } from "../src/resource-series.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { type Figures, GPU, MEMORY, page, sampleAt, seconds } from "./resource-samples.js";
import { running } from "./samples.js";
import { button, frame, stage, text } from "./stage.js";

const GIB = 2 ** 30;
const WIDTH = 200;
let shown: ReturnType<typeof stage> | null = null;

function task(changes: Partial<TaskProgress> = {}): TaskProgress {
  const stages = running().stages.map((one) =>
    one.id === "generation"
      ? { ...one, started_at: "2026-11-22T16:00:02Z", finished_at: null }
      : { ...one, started_at: null },
  );
  return running({ started_at: "2026-11-22T16:00:00Z", stages, ...changes });
}

function opened(samples: readonly ResourceSample[], changes: Partial<TaskProgress> = {}) {
  shown = stage([task(changes)]);
  const { root, resources } = shown;
  button(root, "Resources").click();
  give(samples);
  const slider = root.querySelector<HTMLElement>('.hw-resources [role="slider"]');
  if (slider === null) throw new Error("there is no slider");
  slider.getBoundingClientRect = () => new DOMRect(0, 0, WIDTH, 100);
  return { ...shown, resources, slider };
}

function give(samples: readonly ResourceSample[], state: ResourceState = "measured"): void {
  if (samples.length > 0) shown?.resources.last.measured(page(samples));
  shown?.resources.last.became(state);
  frame(40);
}

function values(root: Element): string[] {
  return [...root.querySelectorAll(".hw-resource-value")].map((one) => one.textContent ?? "");
}

function press(slider: HTMLElement, key: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  slider.dispatchEvent(event);
  return event;
}

function point(slider: HTMLElement, part: number): void {
  slider.dispatchEvent(new PointerEvent("pointermove", { clientX: part * WIDTH }));
}

function cpu(count: number): ResourceSample[] {
  return Array.from({ length: count }, (_, index) => sampleAt(index + 1, { cpu_percent: 10 * (index + 1) }));
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(() => {
  shown?.life.abort();
  restoreNetwork();
});

describe("the resources button", () => {
  it("asks for nothing before it is pressed, and for nothing after it is pressed again", () => {
    const { root, resources } = opened(seconds(1, 10));
    expect(resources.readers).toHaveLength(1);
    button(root, "Resources").click();
    expect(resources.readers[0]?.until.aborted).toBe(true);
    expect(root.querySelector(".hw-resources")).toBeNull();
  });
});

describe("the resource panel", () => {
  it("has a row for what was measured and none for what was not", () => {
    const { root } = opened(seconds(1, 10, { cpu_percent: 120, ...MEMORY }));
    expect([...root.querySelectorAll<HTMLElement>(".hw-resource")].map((one) => one.dataset.row)).toEqual([
      "cpu",
      "memory",
    ]);
    expect(values(root)).toEqual(["120 %", "3.0 GiB"]);
    expect(text(root, '[data-row="memory"] .hw-resource-note')).toBe("host 21.0 of 64.0 GiB");
    give([sampleAt(11, { cpu_percent: 90, ...MEMORY, ...GPU })]);
    expect(values(root)).toEqual(["90 %", "3.0 GiB", "97 %", "18.0 GiB"]);
  });

  it("says each row in words and draws it as a line", () => {
    const { root } = opened(cpu(10));
    const spark = root.querySelector(".hw-spark");
    expect(spark?.getAttribute("role")).toBe("img");
    expect(spark?.getAttribute("aria-label")).toBe("CPU: 100 % now, 100 % at most");
    expect(root.querySelector(".hw-spark-line")?.getAttribute("d")).toMatch(/^M100\.0 91\.3L200\.0 82\.6/);
    expect(root.querySelector(".hw-spark-area")?.getAttribute("d")).toMatch(/V100H100\.0Z$/);
  });

  it("leaves a hole where nothing was heard", () => {
    const { root } = opened([...seconds(1, 3), ...seconds(8, 10)]);
    expect(root.querySelector(".hw-spark-line")?.getAttribute("d")?.split("M")).toHaveLength(3);
  });

  it("warns by colour, by sign and by word from nine tenths of memory on", () => {
    const { root } = opened(seconds(1, 10, { ...GPU, gpu_memory_bytes: 22 * GIB }));
    const row = root.querySelector('[data-row="gpu-memory"]');
    expect(row?.hasAttribute("data-warning")).toBe(true);
    expect(row?.querySelector(".hw-resource-sign")?.hasAttribute("hidden")).toBe(false);
    expect(row?.querySelector(".hw-spark")?.getAttribute("aria-label")).toContain("92 % of all there is");
    give([sampleAt(11, GPU)]);
    expect(row?.hasAttribute("data-warning")).toBe(false);
    expect(row?.querySelector(".hw-resource-sign")?.hasAttribute("hidden")).toBe(true);
  });

  it("warns of a full host at the host's figure, not at the task's", () => {
    const { root } = opened(seconds(1, 10, { ...MEMORY, memory_bytes: 62.8 * GIB }));
    const row = root.querySelector<HTMLElement>('[data-row="memory"]');
    expect(row?.dataset.warning).toBe("host");
    expect(row?.querySelector(".hw-resource-note")?.contains(row.querySelector(".hw-resource-sign"))).toBe(
      true,
    );
    expect(text(root, '[data-row="memory"] .hw-resource-note')).toBe("host 98 % full");
    expect(row?.title).toBe("98 % of all there is, by the whole host\nhost 62.8 of 64.0 GiB");
    expect(row?.querySelector(".hw-spark")?.getAttribute("aria-label")).toBe(
      "Memory: 3.0 GiB now, 98 % of all there is, by the whole host, 3.0 GiB at most",
    );
    give([sampleAt(11, { ...MEMORY, rss_bytes: 60 * GIB })]);
    expect(row?.dataset.warning).toBe("task");
    expect(row?.querySelector(".hw-resource-now .hw-resource-sign")?.hasAttribute("hidden")).toBe(false);
    expect(text(root, '[data-row="memory"] .hw-resource-note')).toBe("host 21.0 of 64.0 GiB");
    give([sampleAt(12, MEMORY)]);
    expect([row?.dataset.warning, row?.title]).toEqual([undefined, ""]);
  });

  it("keeps temperature, power, disk and network until they are asked for", () => {
    const figures: Figures = {
      cpu_percent: 5,
      gpu_temperature_c: 71,
      gpu_power_w: 287,
      disk_read_bytes_s: 1.2e8,
    };
    const { root } = opened(
      seconds(1, 10, { ...figures, net_received_bytes_s: 2e6, disk_written_bytes_s: 3e6 }),
    );
    expect(values(root)).toEqual(["5 %"]);
    button(root, "More").click();
    expect(values(root)).toEqual(["5 %", "71 °C", "287 W", "120 MB/s", "2.0 MB/s"]);
    expect(text(root, '[data-row="disk"] .hw-resource-note')).toBe("written 3.0 MB/s");
    button(root, "Less").click();
    expect(values(root)).toEqual(["5 %"]);
  });

  test.each<[ResourceState, string]>([
    ["loading", "Loading …"],
    ["measured", "Measured once a second; nothing yet"],
    ["too_old", "The server's Headway is too old to tell; a newer one measures once a second"],
    ["away", "The server does not answer; what was measured follows when it does"],
  ])("says why there is nothing to see: %s", (state, words) => {
    const { root } = opened([]);
    give([], state);
    expect(text(root, ".hw-resources-state")).toBe(words);
    expect(root.querySelector<HTMLElement>(".hw-resource-chart")?.hidden).toBe(true);
    give(seconds(1, 3));
    expect(root.querySelector<HTMLElement>(".hw-resources-state")?.hidden).toBe(true);
    expect(root.querySelector<HTMLElement>(".hw-resource-chart")?.hidden).toBe(false);
  });

  it("says that the server does not know the task, once it has had time to hear of it", () => {
    const { root, store } = opened([]);
    const words = () => text(root, ".hw-resources-state");
    give([], "loading");
    store.missing(running().task_id);
    frame(2_500);
    expect(words()).toBe("Loading …");
    frame(1_500);
    expect(words()).toBe("The server does not know this task; what was measured is gone");
    store.progress(running({ seq: 1 }), null);
    give([], "measured");
    expect(words()).toBe("Measured once a second; nothing yet");
  });

  it("keeps what was drawn when the server goes away", () => {
    const { root } = opened(cpu(10));
    give([], "away");
    expect(values(root)).toEqual(["100 %"]);
  });

  it("says of a task that is over that nothing was measured", () => {
    const { root } = opened([], { status: "completed", finished_at: "2026-11-22T16:00:09Z" });
    expect(text(root, ".hw-resources-state")).toBe("Nothing was measured");
  });
});

describe("a moment of the past", () => {
  it("is read in all rows where the pointer is, with the time and the stage", () => {
    const { root, slider } = opened(cpu(10));
    point(slider, 0.4);
    expect(values(root)).toEqual(["40 %"]);
    expect(text(root, ".hw-resource-moment")).toBe("4 s, Generation");
    expect(slider.getAttribute("aria-valuetext")).toBe("4 s, Generation; CPU 40 %");
    expect(root.querySelector<HTMLElement>(".hw-spark-dot")?.hidden).toBe(false);
    expect(root.querySelector<HTMLElement>(".hw-resource-chart")?.style.getPropertyValue("--hw-at")).toBe(
      "0.4000",
    );
    slider.dispatchEvent(new PointerEvent("pointerleave"));
    expect(values(root)).toEqual(["100 %"]);
    expect(root.querySelector<HTMLElement>(".hw-spark-dot")?.hidden).toBe(true);
  });

  it("stays the same moment while samples come", () => {
    const { root, slider } = opened(cpu(10));
    point(slider, 0.4);
    give([sampleAt(11, { cpu_percent: 1 }), sampleAt(12, { cpu_percent: 2 })]);
    expect(values(root)).toEqual(["40 %"]);
  });

  it("is walked to with the keys, which the notebook does not get", () => {
    const { root, slider } = opened(cpu(10));
    const event = press(slider, "ArrowLeft");
    expect(event.defaultPrevented).toBe(true);
    expect(values(root)).toEqual(["90 %"]);
    press(slider, "PageDown");
    expect(values(root)).toEqual(["80 %"]);
    press(slider, "Home");
    press(slider, "ArrowLeft");
    expect(values(root)).toEqual(["10 %"]);
    expect(slider.getAttribute("aria-valuenow")).toBe("1");
    press(slider, "Escape");
    expect(values(root)).toEqual(["100 %"]);
    expect(press(slider, "a").defaultPrevented).toBe(false);
  });

  it("has a dash where a figure was not there yet", () => {
    const { root, slider } = opened([
      sampleAt(2, { cpu_percent: 5 }),
      ...seconds(3, 10, { cpu_percent: 5, ...GPU }),
    ]);
    point(slider, 0.2);
    expect(values(root)).toEqual(["5 %", "–", "–"]);
  });
});
