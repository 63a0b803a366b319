import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import type { TaskProgress } from "../src/model.js";
import { OutOfSight } from "../src/out-of-sight.js";
import { TabTitle } from "../src/tab-title.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { running, sample } from "./samples.js";
import { button, buttons, frame, linkStatus, stage } from "./stage.js";

const PAGE = "notebook.ipynb - JupyterLab";
const lives: AbortController[] = [];

function watching(count = 1): { view: OutOfSight; life: AbortController } {
  const life = new AbortController();
  lives.push(life);
  return { view: new OutOfSight(count, life.signal), life };
}

function named(name: string, overall_progress: number, changes: Partial<TaskProgress> = {}): TaskProgress {
  return running({ task_id: name, name, overall_progress, ...changes });
}

/** An observer of the page has been heard. */
function observed(): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(0);
}

async function title(): Promise<string> {
  await observed();
  return document.title;
}

beforeEach(() => {
  fakeNetwork();
  document.title = PAGE;
});
afterEach(() => {
  for (const life of lives.splice(0)) life.abort();
  restoreNetwork();
});

describe("the tab's title", () => {
  it("begins with how far the task is, and is as before once nothing runs", async () => {
    const { view } = watching();
    view.progress(named("portrait", 42.9));
    expect(await title()).toBe(`42 % portrait · ${PAGE}`);
    view.progress(named("portrait", 43));
    expect(await title()).toBe(`43 % portrait · ${PAGE}`);
    view.progress(named("portrait", 100));
    expect(await title()).toBe(`99 % portrait · ${PAGE}`);
    view.progress(named("portrait", 100, { status: "completed" }));
    expect(await title()).toBe(PAGE);
  });

  test.each(["queued", "completed", "failed", "cancelled", "lost"] as const)(
    "is left alone by a task that is %s",
    async (status) => {
      watching().view.progress(named("portrait", 42, { status }));
      expect(await title()).toBe(PAGE);
    },
  );

  it("is given back when the view goes, the task is unknown, or the server is not ours", async () => {
    for (const end of ["gone", "missing", "kernel"] as const) {
      const { view, life } = watching();
      view.progress(named("portrait", 42));
      expect(await title()).toContain("42 %");
      if (end === "gone") life.abort();
      else if (end === "missing") view.missing("portrait");
      else view.linked(linkStatus("kernel"));
      expect(await title()).toBe(PAGE);
      life.abort();
    }
  });

  test.each(["reconnecting", "store_down"] as const)(
    "claims no percent once the view shows that it is %s, and has it again when somebody vouches for it",
    async (link) => {
      const { view, life } = watching();
      view.progress(named("portrait", 42));
      view.linked(linkStatus(link));
      await vi.advanceTimersByTimeAsync(999);
      expect(document.title).toBe(`42 % portrait · ${PAGE}`);
      await vi.advanceTimersByTimeAsync(1);
      expect(document.title).toBe(`– portrait · ${PAGE}`);
      view.linked(linkStatus("polling"));
      expect(await title()).toBe(`42 % portrait · ${PAGE}`);
      view.linked(linkStatus(link));
      life.abort();
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it("keeps its percent through a short reconnect", async () => {
    const { view } = watching();
    view.progress(named("portrait", 42));
    for (let time = 0; time < 3; time++) {
      view.linked(linkStatus("reconnecting"));
      await vi.advanceTimersByTimeAsync(900);
      view.linked(linkStatus("live"));
      expect(await title()).toBe(`42 % portrait · ${PAGE}`);
    }
  });

  it("is not fooled by a server that takes sockets only to say that its store is away", async () => {
    const { view } = watching();
    view.progress(named("portrait", 42));
    for (const link of ["store_down", "reconnecting", "store_down"] as const) {
      view.linked(linkStatus(link));
      await vi.advanceTimersByTimeAsync(600);
    }
    expect(await title()).toBe(`– portrait · ${PAGE}`);
  });

  it("claims no percent in a view that is made while the server is away", async () => {
    const { view } = watching();
    view.linked({ ...linkStatus("reconnecting"), since: Date.now() - 60_000 });
    view.progress(named("portrait", 42));
    await vi.advanceTimersByTimeAsync(1);
    expect(document.title).toBe(`– portrait · ${PAGE}`);
  });

  it("follows the page's own when that changes", async () => {
    const { view } = watching();
    view.progress(named("portrait", 42));
    document.title = "other.ipynb - JupyterLab";
    expect(await title()).toBe("42 % portrait · other.ipynb - JupyterLab");
    view.progress(named("portrait", 50, { status: "failed" }));
    expect(await title()).toBe("other.ipynb - JupyterLab");
    document.title = "third";
    expect(await title()).toBe("third");
  });

  it("has one owner, whatever number of views show the same task", async () => {
    const [one, two] = [watching(), watching()];
    for (const { view } of [one, two]) view.progress(named("portrait", 42));
    expect(await title()).toBe(`42 % portrait · ${PAGE}`);
    one.life.abort();
    expect(await title()).toBe(`42 % portrait · ${PAGE}`);
    two.life.abort();
    expect(await title()).toBe(PAGE);
  });

  it("does not fight with another that writes into it", async () => {
    const titles: string[] = [];
    const rival = new TabTitle(document);
    const mine = new TabTitle(document);
    const [his, hers] = [{}, {}];
    rival.claim(his, { tasks: new Map([["a", { name: "a", percent: 1 }]]), isStale: false });
    mine.claim(hers, { tasks: new Map([["b", { name: "b", percent: 2 }]]), isStale: false });
    const observer = new MutationObserver(() => titles.push(document.title));
    observer.observe(document.head, { subtree: true, childList: true, characterData: true });
    document.title = `(1) ${document.title}`;
    for (let time = 0; time < 20; time++) await observed();
    observer.disconnect();
    expect(titles.length).toBeLessThanOrEqual(2);
    expect(await title()).toBe(`(1) 2 % b · 1 % a · ${PAGE}`);
    rival.claim(his, null);
    mine.claim(hers, null);
    expect(await title()).toBe(`(1) ${PAGE}`);
  });

  it("tells of several tasks how far all are, those done counting whole and those queued not at all", async () => {
    const { view } = watching(3);
    view.progress(named("a", 50));
    view.progress(named("b", 100, { status: "completed" }));
    view.progress(named("c", 0, { status: "queued" }));
    expect(await title()).toBe(`50 % 3 tasks · ${PAGE}`);
    const other = watching();
    other.view.progress(named("done long ago", 100, { status: "completed" }));
    expect(await title()).toBe(`50 % 3 tasks · ${PAGE}`);
  });

  it("has room for the page's own beside a long name of several lines", async () => {
    watching().view.progress(named(`a\n  b ${"x".repeat(500)}`, 42));
    expect((await title()).replace(/x+/, "x")).toBe(`42 % a b x… · ${PAGE}`);
    expect((await title()).length).toBeLessThan(90);
  });

  it("is written once a percent, not once an update", async () => {
    const { view } = watching(1_000);
    const written = vi.spyOn(document, "title", "set");
    for (let seq = 1; seq <= 1_000; seq++) view.progress(named("a", 10 + seq / 1_000, { seq }));
    await observed();
    for (let task = 1; task <= 1_000; task++) view.progress(named(`task ${task}`, 10));
    await observed();
    expect(written.mock.calls.length).toBeLessThanOrEqual(2);
    written.mockRestore();
  });
});

class FakeNotification {
  static permission: NotificationPermission = "granted";
  static answer: NotificationPermission = "granted";
  static asked = 0;
  static all: FakeNotification[] = [];
  onclick: (() => void) | null = null;
  isClosed = false;

  constructor(
    readonly title: string,
    readonly options: NotificationOptions,
  ) {
    FakeNotification.all.push(this);
  }
  static async requestPermission(): Promise<NotificationPermission> {
    FakeNotification.asked += 1;
    FakeNotification.permission = FakeNotification.answer;
    return FakeNotification.permission;
  }
  close(): void {
    this.isClosed = true;
  }
}

function allowed(permission: NotificationPermission, answer = permission): void {
  Object.assign(FakeNotification, { permission, answer, asked: 0, all: [] });
  vi.stubGlobal("Notification", FakeNotification);
}

function hide(hidden: boolean): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
}

const ENDED = named("portrait", 100, { status: "completed", seq: 99 });

describe("the notice at the end", () => {
  beforeEach(() => {
    localStorage.setItem("headway.notify", "on");
    allowed("granted");
    hide(true);
  });
  afterEach(() => {
    localStorage.clear();
    vi.restoreAllMocks();
  });

  it("tells what has become of the task, under a tag of its own, and leads back to the page", () => {
    const { view } = watching();
    view.progress(named("portrait", 42));
    view.progress(ENDED);
    view.progress(ENDED);
    expect(FakeNotification.all).toHaveLength(1);
    const [notice] = FakeNotification.all;
    expect(notice).toMatchObject({
      title: "portrait",
      options: { body: "Completed", tag: "headway-portrait" },
    });
    notice?.onclick?.();
    expect(notice?.isClosed).toBe(true);
  });

  it("says the last line of what went wrong", () => {
    const { view } = watching();
    view.progress(named("portrait", 42));
    view.progress({
      ...sample("progress_failed"),
      task_id: "portrait",
      error: "Traceback\nValueError: no\n",
    });
    expect(FakeNotification.all[0]?.options.body).toBe("Failed: ValueError: no");
  });

  it("is one where several views show the task", () => {
    const views = [watching(), watching()];
    for (const task of [named("portrait", 42), ENDED]) for (const { view } of views) view.progress(task);
    expect(new Set(FakeNotification.all.map((notice) => notice.options.tag)).size).toBe(1);
  });

  it("is of all where a view shows many", () => {
    const { view } = watching(6);
    const names = ["a", "b", "c", "d", "e", "f"];
    for (const name of names) view.progress(named(name, 1));
    for (const name of names)
      view.progress(named(name, 100, { status: name === "c" ? "failed" : "completed", seq: 99 }));
    expect(FakeNotification.all).toHaveLength(1);
    expect(FakeNotification.all[0]).toMatchObject({
      title: "6 tasks are over",
      options: { body: "5 completed, 1 failed" },
    });
  });

  test.each([
    ["the page is looked at", () => hide(false)],
    ["nobody wants it", () => localStorage.clear()],
    ["it is not allowed", () => allowed("denied")],
    ["the browser has none", () => Reflect.deleteProperty(globalThis, "Notification")],
  ])("does not come when %s", (_, arrange) => {
    arrange();
    const { view } = watching();
    view.progress(named("portrait", 42));
    view.progress(ENDED);
    expect(FakeNotification.all).toEqual([]);
  });

  it("does not come for a task that was over when it was found, nor where it cannot be made", () => {
    watching().view.progress(ENDED);
    expect(FakeNotification.all).toEqual([]);
    vi.stubGlobal(
      "Notification",
      Object.assign(
        () => {
          throw new TypeError("Illegal constructor");
        },
        { permission: "granted" },
      ),
    );
    const { view } = watching();
    view.progress(named("portrait", 42));
    expect(() => view.progress(ENDED)).not.toThrow();
  });
});

describe("the bell", () => {
  let shown: ReturnType<typeof stage> | null = null;

  beforeEach(() => {
    localStorage.clear();
    allowed("default", "granted");
  });
  afterEach(() => {
    shown?.life.abort();
    localStorage.clear();
  });

  function bell(root: Element): Element | null {
    return root.querySelector(".hw-bell");
  }

  it("asks for leave when it is pressed and not before, and is remembered", async () => {
    shown = stage([running()]);
    expect(FakeNotification.asked).toBe(0);
    expect(bell(shown.root)?.getAttribute("aria-pressed")).toBe("false");
    button(shown.root, "Notify me").click();
    await observed();
    expect(FakeNotification.asked).toBe(1);
    expect(bell(shown.root)?.getAttribute("aria-pressed")).toBe("true");
    shown.life.abort();
    shown = stage([running()]);
    expect(buttons(shown.root)).toContain("Will notify");
    button(shown.root, "Will notify").click();
    await observed();
    expect(bell(shown.root)?.getAttribute("aria-pressed")).toBe("false");
    expect(FakeNotification.asked).toBe(1);
  });

  it("rings in all cards at once", async () => {
    shown = stage([running(), running({ task_id: "other" })]);
    button(shown.root, "Notify me").click();
    await observed();
    const pressed = [...shown.root.querySelectorAll(".hw-bell")].map((one) =>
      one.getAttribute("aria-pressed"),
    );
    expect(pressed).toEqual(["true", "true"]);
  });

  it("says that the browser does not allow it", async () => {
    allowed("default", "denied");
    shown = stage([running()]);
    button(shown.root, "Notify me").click();
    await observed();
    expect(buttons(shown.root)).toContain("The browser does not allow it");
    expect(bell(shown.root)?.getAttribute("aria-pressed")).toBe("false");
  });

  test.each([
    ["the browser has no notices", () => Reflect.deleteProperty(globalThis, "Notification")],
    ["they are forbidden", () => allowed("denied")],
  ])("is not there where %s", (_, arrange) => {
    arrange();
    shown = stage([running()]);
    expect(buttons(shown.root)).toEqual(["Logs", "Resources", "Cancel"]);
  });

  it("is not there for a task that is over", () => {
    shown = stage([running({ status: "completed" })]);
    expect(buttons(shown.root)).toEqual(["Logs", "Resources"]);
  });

  it("does without a storage", async () => {
    vi.stubGlobal("localStorage", undefined);
    shown = stage([running()]);
    button(shown.root, "Notify me").click();
    await observed();
    frame();
    expect(bell(shown.root)?.getAttribute("aria-pressed")).toBe("false");
    vi.unstubAllGlobals();
  });
});
