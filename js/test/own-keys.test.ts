import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { running } from "./samples.js";
import { button, stage } from "./stage.js";

const REFUSAL = "data-lm-suppress-shortcuts";

let shown: ReturnType<typeof stage> | null = null;

beforeEach(() => fakeNetwork());
afterEach(() => {
  shown?.life.abort();
  restoreNetwork();
});

/** What JupyterLab, which looks when a key has come up to it, sees on the focused element. */
function press(target: Element, key: string, held: KeyboardEventInit = {}): boolean | null {
  let isRefused: boolean | null = null;
  const look = () => {
    isRefused = target.hasAttribute(REFUSAL);
  };
  document.addEventListener("keydown", look, { once: true });
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...held }));
  return isRefused;
}

function release(target: Element, key: string, held: KeyboardEventInit = {}): void {
  target.dispatchEvent(new KeyboardEvent("keyup", { key, bubbles: true, ...held }));
}

function logs(): HTMLButtonElement {
  shown = stage([running()]);
  const found = button(shown.root, "Logs");
  found.focus();
  return found;
}

describe("keys in a card", () => {
  it("are refused to the notebook by whatever has the focus, before one is pressed", () => {
    expect(logs().hasAttribute(REFUSAL)).toBe(true);
  });

  test.each(["b", "x", "j", "ArrowDown", "Enter", "Escape"])("stay there: %s", (key) => {
    expect(press(logs(), key)).toBe(true);
  });

  test.each([
    ["s", { ctrlKey: true }],
    ["s", { metaKey: true }],
    ["C", { ctrlKey: true, shiftKey: true }],
  ])("go on to JupyterLab where they are a chord: %s %o", (key, held) => {
    expect(press(logs(), key, held)).toBe(false);
  });

  test.each([
    ["Backspace", { ctrlKey: true }],
    ["Enter", { ctrlKey: true }],
    ["ArrowUp", { ctrlKey: true, shiftKey: true }],
    ["a", { ctrlKey: true }],
    ["Enter", { shiftKey: true }],
  ])("stay there where the chord would do something to a cell: %s %o", (key, held) => {
    expect(press(logs(), key, held)).toBe(true);
  });

  it("are refused again once the chord is released", () => {
    const focused = logs();
    press(focused, "Control", { ctrlKey: true });
    expect(focused.hasAttribute(REFUSAL)).toBe(false);
    press(focused, "s", { ctrlKey: true });
    release(focused, "s", { ctrlKey: true });
    expect(focused.hasAttribute(REFUSAL)).toBe(false);
    release(focused, "Control");
    expect(focused.hasAttribute(REFUSAL)).toBe(true);
  });

  it("stay in a list, too", () => {
    shown = stage(Array.from({ length: 50 }, (_, index) => running({ task_id: `task-${index}` })));
    const rows = shown.root.querySelector<HTMLElement>(".hw-rows");
    rows?.focus();
    expect(rows?.hasAttribute(REFUSAL)).toBe(true);
  });

  it("are the page's again when the view is gone", () => {
    const focused = logs();
    shown?.life.abort();
    focused.removeAttribute(REFUSAL);
    expect(press(focused, "b")).toBe(false);
  });
});
