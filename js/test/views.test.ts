import { signal } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { Clock } from "../src/clock.js";
import type { LinkStatus } from "../src/link.js";
import { TASK_STATUSES, type TaskProgress } from "../src/model.js";
import { TaskStore } from "../src/store.js";
import { stageOfInterest } from "../src/views/details.js";
import { tasksView } from "../src/views/tasks.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { estimate, running, sample, withStage } from "./samples.js";

const LIVE: LinkStatus = { link: "live", since: 0, heardAt: null };

function away(seconds: number): LinkStatus {
  const at = Date.now() - seconds * 1000;
  return { link: "reconnecting", since: at, heardAt: at };
}

const lives: AbortController[] = [];

function frame(ms = 20): void {
  vi.advanceTimersByTime(ms);
}

function shown(tasks: readonly TaskProgress[], status = LIVE, ids = tasks.map((task) => task.task_id)) {
  const clock = new Clock();
  const store = new TaskStore(clock);
  const life = new AbortController();
  lives.push(life);
  const link = signal(status);
  const root = tasksView(store.keep(ids), {
    clock,
    link,
    server: null,
    logs: null,
    resources: null,
    until: life.signal,
  });
  document.body.replaceChildren(root);
  for (const task of tasks) store.progress(task, null);
  frame();
  return { root, store, life, link };
}

function text(root: Element, selector: string): string {
  return root.querySelector(selector)?.textContent ?? "";
}

/** What a screen reader says of the time left, and what is seen when it is pointed at. */
function reasons(root: Element): string[] {
  const id = root.querySelector(".hw-left")?.getAttribute("aria-describedby");
  const panel = [...root.querySelectorAll(".hw-reasons")].find((one) => one.id === id);
  return [...(panel?.children ?? [])].map((line) => line.textContent ?? "");
}

function bar(root: Element): Element {
  const found = root.querySelector('[role="progressbar"]');
  if (found === null) throw new Error("there is no progressbar");
  return found;
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(() => {
  for (const life of lives.splice(0)) life.abort();
  restoreNetwork();
});

describe("a card", () => {
  it("shows name, template, percent, time left, stages, counts and parameters of a running task", () => {
    const { root } = shown([running()]);
    expect(text(root, ".hw-name")).toBe("Gray–Scott coral");
    expect(text(root, ".hw-template")).toBe("gray-scott");
    expect(text(root, ".hw-percent")).toBe("47 %");
    expect(text(root, ".hw-left")).toBe("about 14 s, 9–20");
    expect(text(root, ".hw-status")).toBe("Running for 11 s");
    expect(text(root, ".hw-message")).toBe("coral growing");
    expect(text(root, ".hw-params")).toBe("width 768 · steps 400 · sampler euler");
    expect([...root.querySelectorAll(".hw-fact")].map((fact) => fact.textContent)).toEqual([
      "steps156 / 400",
      "rate19/s",
      "feed0.0545",
    ]);
    expect([...root.querySelectorAll(".hw-stage")].map((stage) => stage.textContent)).toEqual([
      "Queue0.3 s",
      "Model loading3.4 s",
      "Generation",
      "Post-processingabout 2 s",
    ]);
  });

  it("draws segments as wide as the weights and fills them by their progress", () => {
    const { root } = shown([running()]);
    const segments = [...root.querySelectorAll<HTMLElement>(".hw-seg")];
    expect(segments.map((segment) => Number(segment.style.flexGrow))).toEqual([0.05, 0.15, 0.7, 0.1]);
    expect(segments.map((segment) => segment.dataset.status)).toEqual([
      "completed",
      "completed",
      "in_progress",
      "pending",
    ]);
    const fills = [...root.querySelectorAll<HTMLElement>(".hw-fill")];
    expect(fills.map((fill) => Number(fill.style.getPropertyValue("--hw-p")))).toEqual([1, 1, 0.39, 0]);
  });

  it("is a progressbar with a name and a spoken value", () => {
    const { root } = shown([running()]);
    expect(bar(root).getAttribute("aria-label")).toBe("Gray–Scott coral");
    expect(bar(root).getAttribute("aria-valuenow")).toBe("47");
    expect(bar(root).getAttribute("aria-valuetext")).toBe(
      "Running, 47 percent, about 14 seconds left, between 9 and 20 seconds",
    );
  });

  test.each(TASK_STATUSES)("marks %s by shape, by word and for a screen reader", (status) => {
    const { root } = shown([running({ status })]);
    const name = {
      queued: "Queued",
      in_progress: "Running",
      completed: "Completed",
      failed: "Failed",
      cancelled: "Cancelled",
      lost: "Lost",
    }[status];
    expect(root.querySelector(".hw-mark")?.getAttribute("data-status")).toBe(status);
    expect(root.querySelector(".hw-mark")?.childElementCount).toBeGreaterThan(0);
    expect(text(root, ".hw-status").startsWith(name)).toBe(true);
    expect(bar(root).getAttribute("aria-valuetext")?.startsWith(name)).toBe(true);
    expect(bar(root).getAttribute("data-status")).toBe(status);
  });

  it("every status has a mark of its own shape", () => {
    const shapes = TASK_STATUSES.map((status) => {
      const mark = shown([running({ status })]).root.querySelector(".hw-mark");
      return [...(mark?.children ?? [])].map((part) => part.getAttribute("d") ?? part.outerHTML).join();
    });
    expect(new Set(shapes).size).toBe(TASK_STATUSES.length);
  });

  it("shows the error of a failed task, its failed stage and its skipped one", () => {
    const { root } = shown([sample("progress_failed")]);
    expect(text(root, ".hw-error")).toBe("ValueError: expected a positive pitch, got -3");
    expect(root.querySelector<HTMLElement>(".hw-error")?.hidden).toBe(false);
    expect(text(root, ".hw-status")).toBe("Failed after 1.5 s");
    expect(text(root, ".hw-attempt")).toBe("attempt 2");
    expect(root.querySelector<HTMLElement>(".hw-seg")?.dataset.status).toBe("skipped");
    expect(text(root, ".hw-stage")).toBe("Queueskipped");
  });

  it("has a dash with a reason where something is not known, and no value for a screen reader", () => {
    const { root } = shown([running({ status: "queued", overall_progress: 0, eta: null })]);
    expect(text(root, ".hw-digits")).toBe("–");
    expect(bar(root).hasAttribute("aria-valuenow")).toBe(false);
    const { root: other } = shown([running({ eta: null })]);
    expect(text(other, ".hw-left")).toBe("–");
    expect(reasons(other)[0]).toContain("no estimate yet");
  });

  it("never shows 100 % before the task is completed", () => {
    const { root, store } = shown([running({ overall_progress: 99.99 })]);
    expect(text(root, ".hw-digits")).toBe("99");
    store.progress(running({ seq: 43, status: "completed", overall_progress: 99.99 }), null);
    frame(1_000);
    expect(text(root, ".hw-digits")).toBe("100");
  });

  it("lets the percent walk to its new value, and start over with a new attempt", () => {
    const { root, store } = shown([running()]);
    store.progress(running({ seq: 43, overall_progress: 80 }), null);
    frame(100);
    const between = Number(text(root, ".hw-digits"));
    expect(between).toBeGreaterThan(47);
    expect(between).toBeLessThan(80);
    frame(1_000);
    expect(text(root, ".hw-digits")).toBe("80");
    store.progress(running({ attempt: 2, seq: 1, overall_progress: 3 }), null);
    frame();
    expect(text(root, ".hw-digits")).toBe("3");
  });

  it("changes the time left at most once a second", () => {
    const { root, store } = shown([running()]);
    const seen = new Set<string>();
    for (let seq = 43; seq < 52; seq++) {
      store.progress(running({ seq, eta: estimate(Date.now(), [seq, seq, seq]) }), null);
      frame(100);
      seen.add(text(root, ".hw-left"));
    }
    expect(seen.size).toBeLessThanOrEqual(2);
  });

  it("treats what a task brings along as text", () => {
    const evil = "<img src=x onerror=alert(1)>";
    const task = withStage(running({ name: evil, params: { [evil]: evil } }), "generation", {
      name: evil,
      message: evil,
    });
    const { root } = shown([task]);
    expect(root.querySelector("img")).toBeNull();
    expect(text(root, ".hw-name")).toBe(evil);
    expect(text(root, ".hw-message")).toBe(evil);
  });

  it("says quietly that the link is down while the task runs, and nothing once it has ended", () => {
    expect(text(shown([running()], away(12)).root, ".hw-link")).toBe("reconnecting · state of 12 s ago");
    expect(text(shown([running({ status: "completed" })], away(12)).root, ".hw-link")).toBe("");
    expect(text(shown([running()]).root, ".hw-link")).toBe("");
  });

  it("counts how old its state is, and lets nothing else seem to go on", () => {
    const { root, link } = shown([running()], away(0));
    const looks = () => [text(root, ".hw-link"), text(root, ".hw-status"), text(root, ".hw-left")];
    const still = () => root.querySelector(".hw-card")?.hasAttribute("data-still");
    expect(looks()).toEqual(["", "Running for 11 s", "about 14 s, 9–20"]);
    expect(still()).toBe(false);
    frame(2_020);
    expect(looks()).toEqual(["reconnecting · state of 2 s ago", "Running", "about 14 s, 9–20"]);
    frame(5_000);
    expect(looks()).toEqual(["reconnecting · state of 7 s ago", "Running", "about 14 s, 9–20"]);
    expect(still()).toBe(true);
    link.value = LIVE;
    expect(looks()).toEqual(["", "Running for 18 s", "about 7 s, 2–13"]);
    expect(still()).toBe(false);
  });

  it("does not flash a word at a reconnect of less than a second", () => {
    const { root, link } = shown([running()]);
    const seen = new Set<string>();
    link.value = away(0);
    for (let ms = 0; ms < 900; ms += 20) {
      seen.add(text(root, ".hw-link"));
      frame(20);
    }
    link.value = LIVE;
    expect([...seen, text(root, ".hw-link")]).toEqual(["", ""]);
  });

  it("says that the server does not know the task any more, once nobody speaks of it", () => {
    const { root, store } = shown([running()]);
    store.missing(running().task_id);
    frame();
    expect(text(root, ".hw-link")).toBe("");
    frame(12_000);
    expect(text(root, ".hw-link")).toBe("unknown to the server · no change for 12 s");
    store.progress(running({ seq: 1 }), Date.now());
    frame();
    expect(text(root, ".hw-link")).toBe("");
  });

  it("shows of a lost task what was last known, and follows when it comes back", () => {
    const lost = {
      status: "lost",
      updated_at: "2026-11-22T15:58:00Z",
      lost_at: "2026-11-22T15:58:10Z",
    } as const;
    const { root, store } = shown([running({ ...lost, seq: 43 })]);
    expect(text(root, ".hw-status")).toBe("Lost · the worker stopped answering");
    expect(text(root, ".hw-left")).toBe("last word 2 min ago");
    expect(reasons(root)[1]).toContain("found lost at");
    expect(text(root, ".hw-percent")).toBe("47 %");
    expect(text(root, ".hw-message")).toBe("coral growing");
    expect(root.querySelector('.hw-stage[data-status="in_progress"]')?.textContent).toBe("Generation");
    frame(60_000);
    expect(text(root, ".hw-left")).toBe("last word 3 min ago");
    store.progress(running({ seq: 44, overall_progress: 48 }), Date.now());
    frame(1_000);
    expect(text(root, ".hw-status")).toMatch(/^Running for/);
    expect(text(root, ".hw-percent")).toBe("48 %");
  });

  it("stops every timer when it goes", () => {
    const { life } = shown([running()]);
    life.abort();
    frame(50);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the time left", () => {
  const soon = (low: number, median: number, high: number, changes = {}) =>
    estimate(Date.now(), [low, median, high], changes);

  it("is one figure on the card, on its bar and in its row", () => {
    const task = running({ eta: soon(100, 150, 220) });
    const { root, store } = shown([task]);
    const { root: list } = shown([task, ...["a", "b", "c", "d"].map((id) => running({ task_id: id }))]);
    store.progress({ ...task, seq: 43, eta: soon(104, 155, 230) }, null);
    frame(1_000);
    expect(text(root, ".hw-about")).toBe("about 2½ min");
    expect(text(list, ".hw-row-left")).toBe("about 2½ min");
    expect(bar(root).getAttribute("aria-valuetext")).toContain("about 2 and a half minutes left");
    expect(bar(list).getAttribute("aria-valuetext")).toContain("about 2 and a half minutes left");
  });

  it("follows a revision that lasts within two seconds and a tick, by steps", () => {
    const { root, store } = shown([running({ eta: soon(50, 60, 70) })]);
    store.progress(running({ seq: 43, eta: soon(250, 300, 350) }), null);
    const seen = [1, 2, 3].map(() => {
      frame(1_000);
      return text(root, ".hw-about");
    });
    expect(seen.at(-1)).toBe("about 5 min");
    expect(new Set(seen).size).toBeGreaterThan(1);
  });

  it("begins anew with another attempt", () => {
    const { root, store } = shown([running({ eta: soon(50, 60, 70) })]);
    store.progress(running({ attempt: 2, seq: 1, eta: soon(250, 300, 350) }), null);
    frame(1_020);
    expect(text(root, ".hw-about")).toBe("about 5 min");
  });

  it("of a late task goes on, with a note where it says how long it has run", () => {
    const { root } = shown([running({ eta: soon(30, 41, 55, { late: true }) })]);
    expect(text(root, ".hw-left")).toBe("about 40 s, 30–55");
    expect(text(root, ".hw-remark")).toBe("longer than usual");
    expect(reasons(root)[0]).toContain("nine in ten");
  });

  it("of a stalled task is in doubt, and nothing looks as if it went on", () => {
    const { root, store } = shown([running({ eta: soon(3, 60, 400, { stalled: true }) })]);
    expect([text(root, ".hw-left"), text(root, ".hw-remark")]).toEqual(["stalled?", "usually done by now"]);
    expect(root.querySelector(".hw-card[data-stalled][data-still]")).not.toBeNull();
    store.progress(running({ seq: 43, eta: soon(3, 60, 400) }), null);
    frame(1_020);
    expect(text(root, ".hw-remark")).toBe("");
    expect(root.querySelector(".hw-card[data-still]")).toBeNull();
  });

  it("of a queued task is when it starts and how many are ahead, until it runs", () => {
    const wait = { low: 70, median: 122, high: 235 };
    const evidence = { runs: 3, same: 0, pace_share: null, coverage: null, usual_s: null, ahead: 3 };
    const queued = { ...running(), status: "queued", updated_at: null } as const;
    const { root, store } = shown([{ ...queued, eta: soon(190, 300, 420, { wait, evidence }) }]);
    expect(text(root, ".hw-left")).toBe("starts in about 2 min, 1–4");
    expect(text(root, ".hw-remark")).toBe("3 ahead");
    expect(bar(root).getAttribute("aria-valuetext")).toBe(
      "Queued, starts in about 2 minutes, between 1 and 4 minutes, 3 ahead",
    );
    store.progress(running({ seq: 43, eta: soon(130, 170, 220, { wait, evidence }) }), null);
    frame(1_020);
    expect(text(root, ".hw-left")).not.toContain("starts");
    expect(text(root, ".hw-remark")).toBe("");
  });

  it("is a button that shows its reasons while it has the focus or the pointer, and hides them at Escape", () => {
    const open: string[] = [];
    Object.assign(HTMLElement.prototype, {
      showPopover(this: HTMLElement) {
        open.push(this.id);
      },
      hidePopover(this: HTMLElement) {
        open.splice(open.indexOf(this.id), 1);
      },
    });
    try {
      const { root } = shown([running()]);
      const word = root.querySelector<HTMLElement>("button.hw-left");
      const panel = root.querySelector(".hw-reasons");
      expect(panel?.getAttribute("role")).toBe("tooltip");
      word?.focus();
      expect(open).toEqual([panel?.id]);
      word?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
      expect(open).toEqual([]);
      word?.parentElement?.dispatchEvent(new Event("pointerenter"));
      expect(open).toEqual([panel?.id]);
      document.dispatchEvent(new Event("scroll"));
      expect(open).toEqual([]);
    } finally {
      Reflect.deleteProperty(HTMLElement.prototype, "showPopover");
      Reflect.deleteProperty(HTMLElement.prototype, "hidePopover");
    }
  });

  it("has its reasons for a title where the browser has no popovers", () => {
    const { root } = shown([running()]);
    expect(root.querySelector(".hw-left")?.getAttribute("title")).toMatch(
      /^finishes about .*\nGeneration about/,
    );
    expect(root.querySelector<HTMLElement>(".hw-reasons")?.hidden).toBe(true);
  });
});

describe("what is expected of a stage", () => {
  const stages = (post: number) => [{ id: "post_processing", low: post / 2, median: post, high: post * 2 }];
  const expecting = (post: number) => estimate(Date.now(), [9, 14, 20], { stages: stages(post) });
  const last = (root: Element) => root.querySelector(".hw-stage:last-child")?.textContent;

  it("stands under its name until it is over, and does not tremble", () => {
    const { root, store } = shown([running({ eta: expecting(12) })]);
    expect(last(root)).toBe("Post-processingabout 12 s");
    store.progress(running({ seq: 43, eta: expecting(13) }), null);
    frame();
    expect(last(root)).toBe("Post-processingabout 12 s");
    store.progress(running({ seq: 44, eta: expecting(16) }), null);
    frame();
    expect(last(root)).toBe("Post-processingabout 16 s");
    const done = withStage(running({ seq: 45, eta: expecting(16) }), "post_processing", {
      status: "completed",
      duration: 14,
    });
    store.progress(done, null);
    frame();
    expect(last(root)).toBe("Post-processing14 s");
  });

  it("is gone with a task that has ended", () => {
    const { root } = shown([running({ status: "cancelled", eta: expecting(12) })]);
    expect(last(root)).toBe("Post-processing");
  });

  it("is told of its segment and its name when the pointer comes", () => {
    const { root } = shown([running()]);
    for (const selector of [".hw-seg:nth-child(3)", ".hw-stage:nth-child(3)"]) {
      const element = root.querySelector(selector);
      element?.dispatchEvent(new Event("pointerenter"));
      expect(element?.getAttribute("title")).toMatch(/^Generation\nabout \d+ s yet/);
    }
  });
});

describe("waiting", () => {
  it("names the task, and is honest when the server does not know it", () => {
    const { root, store } = shown([], LIVE, ["nobody-knows"]);
    expect(text(root, ".hw-waiting")).toBe("nobody-knowsWaiting for its first news");
    store.missing("nobody-knows");
    frame(2_500);
    expect(text(root, ".hw-waiting-words")).toBe("Waiting for its first news");
    frame(1_500);
    expect(text(root, ".hw-waiting-words")).toBe("The server does not know this task (yet)");
    store.progress(running({ task_id: "nobody-knows" }), null);
    frame();
    expect(root.querySelector(".hw-waiting")).toBeNull();
    expect(text(root, ".hw-percent")).toBe("47 %");
  });

  it("for nothing says so", () => {
    expect(text(shown([]).root, ".hw-none")).toBe("No tasks to show");
  });
});

describe("announcements", () => {
  it("are made when the status changes, and not for the state that was found", () => {
    const { root, store } = shown([running()]);
    expect(text(root, '[role="status"]')).toBe("");
    store.progress(running({ seq: 43 }), null);
    frame();
    expect(text(root, '[role="status"]')).toBe("");
    store.progress(running({ seq: 44, status: "completed", finished_at: "2026-11-22T16:00:24Z" }), null);
    frame();
    expect(text(root, '[role="status"]')).toBe("Gray–Scott coral: Completed in 25 s");
  });

  it("tell when a task that begins will end", () => {
    const { root, store } = shown([running({ status: "queued", seq: 1, eta: null })]);
    store.progress(running(), null);
    frame();
    expect(text(root, '[role="status"]')).toMatch(
      /^Gray–Scott coral: Running for \d+ s, about 14 seconds left, between/,
    );
  });

  it("are made once of a task that stalls", () => {
    const { root, store } = shown([running()]);
    const region = root.querySelector('[role="status"]');
    for (const seq of [43, 44]) {
      store.progress(running({ seq, eta: estimate(Date.now(), [3, 60, 400], { stalled: true }) }), null);
      frame();
      expect(region?.textContent).toMatch(seq === 43 ? /perhaps stalled, usually done by now$/ : /^$/);
      if (region !== null) region.textContent = "";
    }
  });
});

describe("a list", () => {
  const tasks = TASK_STATUSES.map((status, index) =>
    running({ task_id: `task-${index}`, name: `Task ${index}`, status, finished_at: "2026-11-22T16:00:24Z" }),
  );

  it("takes the place of cards for more than four tasks, with counts by status", () => {
    const { root } = shown(tasks);
    expect(root.querySelectorAll(".hw-row")).toHaveLength(6);
    expect(root.querySelectorAll(".hw-card")).toHaveLength(0);
    expect(text(root, ".hw-total")).toBe("6 tasks");
    const legend = [...root.querySelectorAll<HTMLElement>(".hw-legend-part")].filter((part) => !part.hidden);
    expect(legend.map((part) => part.textContent)).toContain("1 failed");
    expect(shown(tasks.slice(0, 4)).root.querySelectorAll(".hw-card")).toHaveLength(4);
  });

  it("has a row of name, stage, bar, percent and time left for each", () => {
    const { root } = shown(tasks);
    const rows = [...root.querySelectorAll(".hw-row")].map((row) => [
      text(row, ".hw-name"),
      text(row, ".hw-row-stage"),
      text(row, ".hw-row-percent"),
      text(row, ".hw-row-left"),
    ]);
    expect(rows[0]).toEqual(["Task 0", "", "–", "queued"]);
    expect(rows[1]).toEqual(["Task 1", "Generation", "47 %", "about 14 s"]);
    expect(rows[2]).toEqual(["Task 2", "", "100 %", "25 s"]);
    expect(rows[3]).toEqual(["Task 3", "Generation", "47 %", "failed"]);
    expect(rows[5]).toEqual(["Task 5", "Generation", "47 %", "lost"]);
  });

  it("tells of a queued task when it starts, and of an overdue one in a word", () => {
    const wait = { low: 70, median: 122, high: 235 };
    const eta = estimate(Date.now(), [190, 300, 420], { wait });
    const queued = tasks.map((task) => ({ ...task, status: "queued", eta, updated_at: null }) as const);
    const { root } = shown(queued);
    expect([text(root, ".hw-row-stage"), text(root, ".hw-row-left")]).toEqual([
      "starts in about 2 min",
      "queued",
    ]);
    const overdue = estimate(Date.now(), [-60, -30, -5]);
    const { root: late } = shown(
      tasks.map((task) => ({ ...task, status: "in_progress", eta: overdue }) as const),
    );
    const left = late.querySelector(".hw-row-left");
    left?.dispatchEvent(new Event("pointerenter"));
    expect(left?.textContent).toBe("late");
    expect(left?.getAttribute("title")).toMatch(/^was expected about/);
  });

  it("says in a row that its task was asked to stop, and who asked when one points at it", () => {
    const cancel_request = { by: "maria", at: new Date(Date.now() - 12_000).toISOString() };
    const { root, store } = shown(tasks.map((task) => ({ ...task, cancel_request })));
    const left = [...root.querySelectorAll<HTMLElement>(".hw-row-left")];
    expect(left.map((one) => one.textContent)).toEqual([
      "asked to stop",
      "asked to stop",
      "25 s",
      "failed",
      "cancelled",
      "asked to stop",
    ]);
    left[1]?.dispatchEvent(new Event("pointerenter"));
    expect(left[1]?.title).toMatch(/^Asked to stop by maria 12 s ago\n/);
    store.progress(running({ task_id: "task-1", attempt: 2, seq: 1 }), null);
    frame();
    expect(left[1]?.textContent).toBe("about 14 s");
  });

  it("stands still and says why while the link is down", () => {
    const { root } = shown(tasks, away(3));
    expect(text(root, ".hw-link")).toBe("reconnecting · state of 3 s ago");
    const still = [...root.querySelectorAll<HTMLElement>(".hw-row[data-still]")];
    expect(still.map((row) => row.dataset.status)).toEqual(["in_progress"]);
  });

  it("redraws the rows that changed and no others", async () => {
    const { root, store } = shown(tasks);
    const changed: string[] = [];
    const observer = new MutationObserver((records) => {
      for (const { target } of records) {
        const element = target instanceof Element ? target : target.parentElement;
        const id = element?.closest<HTMLElement>(".hw-row")?.dataset.taskId;
        if (id !== undefined) changed.push(id);
      }
    });
    observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
    store.progress(
      { ...running({ task_id: "task-1", seq: 43, overall_progress: 60 }), name: "Task 1" },
      null,
    );
    frame();
    await vi.advanceTimersByTimeAsync(0);
    observer.disconnect();
    expect(new Set(changed)).toEqual(new Set(["task-1"]));
  });

  it("of a thousand is drawn with a ticker of its own and no other timers", () => {
    const many = Array.from({ length: 1000 }, (_, index) => running({ task_id: `task-${index}` }));
    const { root } = shown(many);
    expect(root.querySelectorAll('[role="listitem"]')).toHaveLength(1000);
    expect(vi.getTimerCount()).toBe(1);
  });
});

describe("the stage that is told about", () => {
  it("is the one that runs, the one that failed, or the one that did the most", () => {
    expect(stageOfInterest(running())?.id).toBe("generation");
    expect(stageOfInterest(sample("progress_failed"))?.id).toBe("preparation");
    const done = withStage(running({ status: "completed" }), "generation", { status: "completed" });
    expect(stageOfInterest(done)?.id).toBe("generation");
  });
});
