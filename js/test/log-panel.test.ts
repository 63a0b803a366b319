import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MOST_ENTRIES } from "../src/log-book.js";
import type { LogEntry } from "../src/log-entry.js";
import type { TaskProgress } from "../src/model.js";
import { RowHeights } from "../src/views/row-heights.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { counts, logEntries, logEntry } from "./log-entries.js";
import { running } from "./samples.js";
import { button, buttons, frame, linkStatus, stage, text } from "./stage.js";

const ROW = 20;
const HEIGHT = 280;
const TRACEBACK = "Traceback (most recent call last):\n  File x\n    y\nValueError: bad seed\n";

let shown: ReturnType<typeof stage> | null = null;

function opened(entries: readonly LogEntry[] = [], task: TaskProgress = running()) {
  shown = stage([task]);
  const { root, logs } = shown;
  button(root, "Logs").click();
  const list = root.querySelector<HTMLElement>(".hw-log-list");
  if (list === null) throw new Error("there is no list");
  Object.defineProperty(list, "clientHeight", { value: HEIGHT });
  if (entries.length > 0) give(entries);
  return { ...shown, list, logs };
}

function give(entries: readonly LogEntry[], dropped = 0, total: number | null = null): void {
  shown?.logs.last.logged(entries, counts(dropped, total));
  shown?.logs.last.caughtUp();
  frame(40);
}

function rows(list: Element): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>(".hw-log-row")];
}

function ids(list: Element): number[] {
  return rows(list).map((row) => Number(row.dataset.entry));
}

function scroll(list: HTMLElement, top: number): void {
  list.scrollTop = top;
  list.dispatchEvent(new Event("scroll"));
  frame(40);
}

function search(root: Element, words: string): void {
  const input = root.querySelector<HTMLInputElement>(".hw-log-search");
  if (input === null) throw new Error("there is no search");
  input.value = words;
  input.dispatchEvent(new Event("input"));
  frame(40);
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(() => {
  shown?.life.abort();
  restoreNetwork();
});

describe("the logs button", () => {
  it("asks for no log before it is pressed, and knows no count", () => {
    shown = stage([running()]);
    expect(shown.logs.readers).toHaveLength(0);
    expect(buttons(shown.root)[0]).toBe("Logs");
    expect(button(shown.root, "Logs").getAttribute("aria-expanded")).toBe("false");
  });

  it("opens the log with its count, and closes it for good", () => {
    const { root, logs } = opened();
    give(logEntries(1, 12), 1_200);
    expect(buttons(root)[0]).toBe("Logs1,212");
    expect(button(root, "Logs").getAttribute("aria-expanded")).toBe("true");
    button(root, "Logs").click();
    expect(logs.readers[0]?.until.aborted).toBe(true);
    expect(root.querySelector(".hw-log")).toBeNull();
    expect(buttons(root)[0]).toBe("Logs");
    button(root, "Logs").click();
    expect(logs.readers).toHaveLength(2);
  });

  it("counts no line twice that stands in the panel and was dropped from the store since", () => {
    const { root } = opened();
    give(logEntries(1, 2_000), 0, 2_000);
    give(logEntries(2_001, 3_003), 1_003, 3_003);
    expect(buttons(root)[0]).toBe("Logs3,003");
    expect(text(root, ".hw-log-losses")).toBe("");
  });

  it("is not there without a server, nor with one that is not ours", () => {
    shown = stage([running()], null);
    expect(buttons(shown.root)).toEqual([]);
    shown.life.abort();
    shown = stage([running()]);
    shown.link.value = linkStatus("kernel");
    expect(buttons(shown.root)).toEqual([]);
  });

  it("lets go of the log with its card", () => {
    const { logs, life } = opened(logEntries(1, 3));
    life.abort();
    expect(logs.readers[0]?.until.aborted).toBe(true);
    frame(5_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is no part of the rows of a list", () => {
    shown = stage(Array.from({ length: 50 }, (_, index) => running({ task_id: `task-${index}` })));
    expect(shown.root.querySelectorAll(".hw-foot")).toHaveLength(0);
  });
});

describe("a log of ten thousand entries", () => {
  it("has only the rows in sight in the page, wherever one scrolls", () => {
    const { list } = opened(logEntries(1, MOST_ENTRIES));
    expect(list.querySelector<HTMLElement>(".hw-log-canvas")?.style.height).toBe(`${MOST_ENTRIES * ROW}px`);
    for (const top of [0, 77_777, 3_210, MOST_ENTRIES * ROW - HEIGHT, 100_000]) {
      scroll(list, top);
      expect(rows(list).length).toBeLessThanOrEqual(HEIGHT / ROW + 14);
      const first = Math.floor(top / ROW) + 1;
      expect(ids(list)).toContain(first);
      expect(ids(list)).toEqual([...ids(list)].sort((a, b) => a - b));
    }
  });

  it("tells a screen reader where in it a row is", () => {
    const { list } = opened(logEntries(1, MOST_ENTRIES));
    scroll(list, 100 * ROW);
    const row = rows(list).find((one) => one.dataset.entry === "101");
    expect([row?.getAttribute("aria-posinset"), row?.getAttribute("aria-setsize")]).toEqual(["101", "10000"]);
    expect(list.getAttribute("role")).toBe("list");
    expect(list.tabIndex).toBe(0);
  });

  it("lets go of the oldest, says so, and leaves what is read where it is once nobody scrolls", () => {
    const { root, list } = opened(logEntries(1, MOST_ENTRIES));
    scroll(list, 500 * ROW + 7);
    give(logEntries(MOST_ENTRIES + 1, MOST_ENTRIES + 100), 340, MOST_ENTRIES + 140);
    expect(list.scrollTop).toBe(500 * ROW + 7);
    frame(200);
    expect(list.scrollTop).toBe(400 * ROW + 7);
    expect(ids(list)).toContain(501);
    expect(text(root, ".hw-log-losses")).toBe(
      "40 dropped to keep the log short, debug first · 100 older ones not kept here: a page holds 10,000",
    );
  });

  it("draws each of its rows once while it grows", () => {
    const { list } = opened(logEntries(1, 20));
    const before = rows(list).at(-1);
    give(logEntries(21, 22));
    expect(rows(list).find((row) => row.dataset.entry === "20")).toBe(before);
  });
});

describe("following", () => {
  it("sticks to the end until one scrolls up, and again at the button", () => {
    const { root, list } = opened(logEntries(1, 100));
    expect(list.scrollTop).toBe(100 * ROW - HEIGHT);
    give(logEntries(101, 110));
    expect(ids(list)).toContain(110);
    expect(buttons(root)).not.toContain("To the newest");
    scroll(list, 900);
    give(logEntries(111, 150));
    expect(list.scrollTop).toBe(900);
    button(root, "To the newest").click();
    expect(list.scrollTop).toBe(150 * ROW - HEIGHT);
    give(logEntries(151, 160));
    expect(ids(list)).toContain(160);
    expect(buttons(root)).not.toContain("To the newest");
  });

  it("is taken up again by whoever scrolls to the end", () => {
    const { list } = opened(logEntries(1, 100));
    scroll(list, 0);
    scroll(list, 100 * ROW - HEIGHT);
    give(logEntries(101, 130));
    expect(list.scrollTop).toBe(130 * ROW - HEIGHT);
  });

  it("is not offered where everything is in sight", () => {
    const { root, list } = opened(logEntries(1, 100));
    scroll(list, 300);
    search(root, "line 77");
    expect(buttons(root)).not.toContain("To the newest");
  });
});

describe("an entry", () => {
  it("has its time, level, message and values, and the whole time when it is pointed at", () => {
    const { list } = opened([logEntry(1, { level: "warning", metadata: { sigma: 0.25, device: "cuda 0" } })]);
    const [row] = rows(list);
    const time = row?.querySelector("time");
    expect(time?.textContent).toMatch(/^\d\d:\d\d:00$/);
    expect(text(list, ".hw-log-level")).toBe("warning");
    expect(text(list, ".hw-log-text")).toBe('line 1sigma=0.25 device="cuda 0"');
    expect(time?.title).toBe("");
    time?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(time?.title).toContain("2026-11-22T16:00:00.250000Z");
  });

  it("is text, whatever it holds", () => {
    const evil = "<img src=x onerror=alert(1)>";
    const { root, list } = opened([logEntry(1, { message: `${evil}\n${evil}`, metadata: { [evil]: evil } })]);
    search(root, "<img");
    list.querySelector<HTMLElement>(".hw-log-text")?.click();
    expect(root.querySelector("img")).toBeNull();
    expect(text(list, ".hw-log-whole")).toBe(`${evil}\n${evil}`);
    expect(list.querySelectorAll("mark")).toHaveLength(4);
  });

  it("of several lines shows the first and the last, and unfolds at a click or a key", () => {
    const { list } = opened([logEntry(1, { level: "error", message: TRACEBACK }), logEntry(2)]);
    expect(text(list, ".hw-log-text")).toBe(
      "Traceback (most recent call last): ⋯ 2 more ⋯ ValueError: bad seed",
    );
    const fold = list.querySelector("button");
    expect(fold?.getAttribute("aria-expanded")).toBe("false");
    fold?.focus();
    fold?.click();
    expect(text(list, ".hw-log-whole")).toBe(TRACEBACK);
    expect(list.querySelector("button")?.getAttribute("aria-expanded")).toBe("true");
    expect(document.activeElement).toBe(list.querySelector("button"));
    expect(rows(list)).toHaveLength(2);
    list.querySelector<HTMLElement>(".hw-log-text")?.click();
    expect(text(list, ".hw-log-between")).toBe(" ⋯ 2 more ⋯ ");
  });

  it("of one short line has nothing to unfold", () => {
    const { list } = opened([logEntry(1)]);
    expect(list.querySelector("button")).toBeNull();
    list.querySelector<HTMLElement>(".hw-log-text")?.click();
    expect(list.querySelector(".hw-log-whole")).toBeNull();
  });

  it("with values unfolds where the style shows no values in a folded row, and only there", () => {
    const { list } = opened([logEntry(1, { metadata: { step: 3 } }), logEntry(2)]);
    const [short, bare] = rows(list);
    expect([short?.dataset.folding, bare?.dataset.folding]).toEqual(["narrow", "no"]);
    const arrow = short?.querySelector("button");
    arrow?.style.setProperty("visibility", "hidden");
    short?.querySelector<HTMLElement>(".hw-log-text")?.click();
    expect(list.querySelector("[data-unfolded]")).toBeNull();
    arrow?.style.setProperty("visibility", "visible");
    short?.querySelector<HTMLElement>(".hw-log-text")?.click();
    expect(text(list, ".hw-log-whole + .hw-log-metadata")).toBe("step=3");
  });

  it("that had the focus leaves it with the list when it scrolls away", () => {
    const { list } = opened([logEntry(1, { message: TRACEBACK }), ...logEntries(2, 500)]);
    scroll(list, 0);
    list.querySelector("button")?.focus();
    scroll(list, 5_000);
    expect(document.activeElement).toBe(list);
  });
});

describe("finding", () => {
  const mixed = (["debug", "info", "warning", "error"] as const).map((level, index) =>
    logEntry(index + 1, { level, message: `${level} of NaN` }),
  );

  it("shows a level and what is above it", () => {
    const { root, list } = opened(mixed);
    const select = root.querySelector<HTMLSelectElement>(".hw-log-levels");
    expect([...(select?.options ?? [])].map((option) => option.textContent)).toEqual([
      "All levels",
      "Info and above",
      "Warnings and errors",
      "Errors only",
    ]);
    for (const [level, left] of [
      ["warning", [3, 4]],
      ["error", [4]],
      ["debug", [1, 2, 3, 4]],
    ] as const) {
      if (select !== null) select.value = level;
      select?.dispatchEvent(new Event("change"));
      frame(40);
      expect(ids(list)).toEqual(left);
    }
  });

  it("marks what is found, counts it, and says when nothing is", () => {
    const { root, list } = opened(mixed);
    search(root, "error of nan");
    expect(ids(list)).toEqual([4]);
    expect(text(list, "mark")).toBe("error of NaN");
    expect(text(root, ".hw-log-found")).toBe("1 of 4");
    give([logEntry(5, { message: "another" })]);
    expect(ids(list)).toEqual([4]);
    search(root, "nowhere");
    expect(text(root, ".hw-log-state")).toBe("Nothing logged matches");
    search(root, "");
    expect(ids(list)).toEqual([1, 2, 3, 4, 5]);
    expect(list.querySelector("mark")).toBeNull();
    expect(text(root, ".hw-log-found")).toBe("");
  });
});

describe("what there is to say of a log", () => {
  it("is that it loads, that it is empty, or why it does not come", () => {
    const { root, store, link, logs } = opened();
    const state = () => text(root, ".hw-log-state");
    expect(state()).toBe("Loading …");
    link.value = linkStatus("reconnecting");
    expect(state()).toBe("The server does not answer; the log follows when it does");
    link.value = linkStatus("store_down");
    expect(state()).toBe("The store does not answer; the log follows when it does");
    link.value = linkStatus("live");
    logs.last.caughtUp();
    frame();
    expect(state()).toBe("Nothing logged yet");
    expect(buttons(root)[0]).toBe("Logs0");
    store.progress(running({ seq: 43, status: "completed" }), null);
    frame();
    expect(state()).toBe("Nothing was logged");
    store.missing(running().task_id);
    frame();
    expect(state()).toBe("Loading …");
    frame(4_000);
    expect(state()).toBe("The server does not know this task; its log is gone");
  });
});

describe("taking a log along", () => {
  it("copies the entries shown as text, and says so", async () => {
    const writeText = vi.fn((_: string) => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    const { root } = opened([logEntry(1), logEntry(2, { level: "error", metadata: { step: 3 } })]);
    search(root, "line 2");
    button(root, "Copy").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(writeText).toHaveBeenCalledWith("2026-11-22T16:00:00.250000Z ERROR line 2 step=3");
    expect(text(root, ".hw-log-said")).toBe("1 entry copied");
    await vi.advanceTimersByTimeAsync(3_000);
    expect(text(root, ".hw-log-said")).toBe("");
  });

  it("says when the browser does not let it", async () => {
    vi.stubGlobal("navigator", {});
    const { root } = opened(logEntries(1, 2));
    button(root, "Copy").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(text(root, ".hw-log-said")).toBe("The browser does not let this page copy");
  });

  it("downloads the entries as JSON lines, under the task's name", async () => {
    let blob: Blob | null = null;
    let name = "";
    vi.spyOn(URL, "createObjectURL").mockImplementation((made) => {
      blob = made instanceof Blob ? made : null;
      return "blob:x";
    });
    const revoked = vi.spyOn(URL, "revokeObjectURL");
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      name = this.download;
    });
    const entries = [logEntry(1, { message: TRACEBACK }), logEntry(2, { metadata: { sigma: 0.1 + 0.2 } })];
    const { root } = opened(entries);
    button(root, "Download").click();
    const lines = (await (blob as Blob | null)?.text())?.trimEnd().split("\n") ?? [];
    expect(lines.map((line) => JSON.parse(line))).toEqual(entries);
    expect(name).toBe("gray-scott-7f3k2m9q.log.jsonl");
    expect(revoked).toHaveBeenCalledWith("blob:x");
    vi.restoreAllMocks();
  });
});

describe("where the rows lie", () => {
  it("is found in both directions, with some of them unfolded", () => {
    const heights = new RowHeights();
    const entries = logEntries(1, 50);
    for (const [id, height] of [
      [3, 100],
      [10, 60],
    ] as const) {
      heights.toggle(id);
      heights.measured(id, height);
    }
    heights.arrange(entries, 1);
    expect(heights.total).toBe(50 * ROW + 80 + 40);
    expect([2, 3, 9, 10].map((index) => heights.top(index))).toEqual([40, 140, 260, 320]);
    for (let index = 0; index < 50; index++) {
      expect(heights.at(heights.top(index))).toBe(index);
      expect(heights.at(heights.top(index + 1) - 1)).toBe(index);
    }
  });

  it("is forgotten of what does not come back", () => {
    const heights = new RowHeights();
    heights.toggle(3);
    heights.arrange(logEntries(5, 9), 1);
    expect(heights.isUnfolded(3)).toBe(true);
    heights.arrange(logEntries(5, 9), 5);
    expect(heights.isUnfolded(3)).toBe(false);
  });
});
