import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fakeNetwork, restoreNetwork, SERVER } from "./fake-network.js";
import { running } from "./samples.js";
import { button, buttons, frame, linkStatus, stage, text } from "./stage.js";

let list: ReturnType<typeof stage> | null = null;

function opened(count = 6) {
  const tasks = Array.from({ length: count }, (_, index) =>
    running({ task_id: `task-${index}`, name: `Task ${index}` }),
  );
  const made = stage(tasks);
  list = made;
  return made;
}

function row(root: Element, index: number): HTMLElement {
  const found = root.querySelectorAll<HTMLElement>(".hw-row")[index];
  if (found === undefined) throw new Error(`there is no row ${index}`);
  return found;
}

function name(root: Element, index: number): HTMLButtonElement {
  const found = row(root, index).querySelector("button");
  if (found === null) throw new Error(`row ${index} has no button`);
  return found;
}

function cards(root: Element): (string | undefined)[] {
  return [...root.querySelectorAll<HTMLElement>(".hw-card")].map((card) => card.dataset.taskId);
}

function press(key: string, target: Element | null = document.activeElement): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  target?.dispatchEvent(event);
  return event;
}

beforeEach(() => {
  fakeNetwork(() => ({ status: 202, body: {} }));
});
afterEach(() => {
  list?.life.abort();
  restoreNetwork();
});

describe("the card of a row", () => {
  it("is made when the row is pressed, under it, and gone when it is pressed again", () => {
    const { root } = opened();
    expect([cards(root), name(root, 2).getAttribute("aria-expanded")]).toEqual([[], "false"]);
    row(root, 2).querySelector<HTMLElement>(".hw-row-percent")?.click();
    expect([cards(root), name(root, 2).getAttribute("aria-expanded")]).toEqual([["task-2"], "true"]);
    expect(row(root, 2).nextElementSibling?.firstElementChild?.className).toBe("hw-card");
    expect(root.querySelectorAll('.hw-rows > [role="listitem"]')).toHaveLength(6);
    name(root, 2).click();
    expect([cards(root), name(root, 2).getAttribute("aria-expanded")]).toEqual([[], "false"]);
  });

  it("has all that a card has, and follows its task", async () => {
    const { root, store, logs } = opened();
    name(root, 1).click();
    frame();
    expect(buttons(root)).toEqual(["Logs", "Resources", "Cancel"]);
    button(root, "Logs").click();
    expect(logs.readers).toHaveLength(1);
    button(root, "Cancel").click();
    button(root, "Stop").click();
    await vi.advanceTimersByTimeAsync(0);
    expect(text(root, ".hw-cancel-words")).toBe("Asked to stop just now");
    expect(text(row(root, 1), ".hw-row-left")).toBe("asked to stop");
    const error = "ValueError: bad seed";
    store.progress(running({ task_id: "task-1", name: "Task 1", seq: 43, status: "failed", error }), null);
    frame();
    expect(text(root, ".hw-error")).toBe(error);
  });

  it("takes along what it had open, and leaves the focus on its row", () => {
    const { root, logs } = opened();
    name(root, 3).click();
    button(root, "Logs").click();
    button(root, "Logs").focus();
    row(root, 3).click();
    expect(logs.readers[0]?.until.aborted).toBe(true);
    expect(document.activeElement).toBe(name(root, 3));
  });

  it("goes with the list, and leaves no timer behind", () => {
    const { root, logs, life } = opened();
    name(root, 0).click();
    button(root, "Logs").click();
    life.abort();
    expect(logs.readers[0]?.until.aborted).toBe(true);
    frame(5_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is not opened by whoever selects text in the row", () => {
    const { root } = opened();
    getSelection()?.selectAllChildren(name(root, 0));
    row(root, 0).click();
    expect(cards(root)).toEqual([]);
    name(root, 0).click();
    expect(cards(root)).toEqual(["task-0"]);
    getSelection()?.removeAllRanges();
  });

  it("costs a list nothing that is not open", () => {
    const { root, store } = opened(200);
    const elements = root.querySelectorAll("*").length;
    name(root, 50).click();
    expect(cards(root)).toEqual(["task-50"]);
    name(root, 50).click();
    expect(root.querySelectorAll("*")).toHaveLength(elements);
    store.progress(running({ task_id: "task-50", seq: 43 }), null);
    frame();
    expect(cards(root)).toEqual([]);
  });
});

describe("the row of a task that is not known yet", () => {
  function waiting() {
    const ids = Array.from({ length: 6 }, (_, index) => `later-${index}`);
    const made = stage([], SERVER, ids);
    list = made;
    return made;
  }

  it("opens too, and says what it waits for", () => {
    const { root, store, link } = waiting();
    expect(row(root, 2).title).toBe("later-2\nWaiting for its first news");
    name(root, 2).click();
    expect(text(root, ".hw-card")).toBe("later-2Waiting for its first news");
    link.value = linkStatus("reconnecting");
    expect(text(root, ".hw-card .hw-waiting-words")).toBe("The server does not answer");
    expect(text(row(root, 2), ".hw-waiting-words")).toBe("The server does not answer");
    link.value = linkStatus("live");
    store.missing("later-2");
    frame(4_000);
    expect(text(root, ".hw-card .hw-waiting-words")).toBe("The server does not know this task (yet)");
    name(root, 2).click();
    expect(root.querySelector(".hw-card")).toBeNull();
  });

  it("becomes the task's where it stands: open, focused and the list's stop of the Tab key", () => {
    const { root, store } = waiting();
    name(root, 2).focus();
    const here = document.activeElement;
    name(root, 2).click();
    store.progress(running({ task_id: "later-2", name: "Here at last" }), null);
    frame();
    expect([document.activeElement, name(root, 2)]).toEqual([here, here]);
    expect([name(root, 2).textContent, name(root, 2).tabIndex]).toEqual(["Here at last", 0]);
    expect(cards(root)).toEqual(["later-2"]);
    expect(root.querySelectorAll(".hw-card")).toHaveLength(1);
    expect([row(root, 2).className, text(row(root, 2), ".hw-row-percent")]).toEqual(["hw-row", "47 %"]);
    expect(row(root, 2).querySelector(".hw-waiting-words")).toBeNull();
    press("ArrowDown");
    expect(document.activeElement).toBe(name(root, 3));
  });
});

describe("the keys of a list", () => {
  it("go from row to row, of which one is a stop of the Tab key", () => {
    const { root } = opened();
    const rows = root.querySelector<HTMLElement>(".hw-rows");
    const stops = () =>
      [...root.querySelectorAll<HTMLElement>(".hw-rows, .hw-rows *")].filter((one) => one.tabIndex === 0);
    expect(stops()).toEqual([rows]);
    rows?.focus();
    expect(document.activeElement).toBe(name(root, 0));
    for (const [key, index] of [
      ["ArrowDown", 1],
      ["ArrowDown", 2],
      ["ArrowUp", 1],
      ["End", 5],
      ["ArrowDown", 5],
      ["Home", 0],
      ["ArrowUp", 0],
    ] as const) {
      expect(press(key).defaultPrevented).toBe(true);
      expect(document.activeElement).toBe(name(root, index));
      expect(stops()).toEqual([name(root, index)]);
    }
    expect(press("PageDown").defaultPrevented).toBe(false);
    expect(rows?.dataset.lmSuppressShortcuts).toBe("true");
  });

  it("are the card's in a card", () => {
    const { root } = opened();
    name(root, 0).click();
    button(root, "Logs").focus();
    expect(press("ArrowDown").defaultPrevented).toBe(false);
    expect(document.activeElement).toBe(button(root, "Logs"));
  });
});
