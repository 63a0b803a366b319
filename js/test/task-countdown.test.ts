import { describe, expect, it } from "vitest";
import type { TaskProgress } from "../src/model.js";
import { TaskCountdown } from "../src/task-countdown.js";
import { estimate, running, sample, withStage } from "./samples.js";

const NOW = Date.parse("2026-11-22T16:00:10.250Z");

function left(countdown: TaskCountdown, now: number): number | null {
  const finish = countdown.finish.instants(now);
  return finish === null ? null : (finish.median - now) / 1000;
}

function task(seconds: number, changes: Partial<TaskProgress> = {}): TaskProgress {
  return running({ eta: estimate(NOW, [seconds * 0.8, seconds, seconds * 1.2]), ...changes });
}

describe("the countdown of a task", () => {
  it("begins with the first estimate that comes", () => {
    const countdown = new TaskCountdown();
    countdown.heard(running({ eta: null }), NOW);
    expect(left(countdown, NOW)).toBeNull();
    countdown.heard(task(60), NOW);
    expect(left(countdown, NOW)).toBe(60);
  });

  it("puts low, median and high in order, whatever came", () => {
    const countdown = new TaskCountdown();
    countdown.heard(running({ eta: estimate(NOW, [300, 120, 180]) }), NOW);
    const shown = countdown.finish.instants(NOW);
    expect([shown?.low, shown?.median, shown?.high]).toEqual([120, 180, 300].map((s) => NOW + 1000 * s));
  });

  it("starts over with another attempt, without easing into its first estimate", () => {
    const countdown = new TaskCountdown();
    countdown.heard(task(60), NOW);
    countdown.heard(task(500, { attempt: 2 }), NOW);
    expect(left(countdown, NOW)).toBe(500);
  });

  it.each(["completed", "failed", "cancelled", "lost"] as const)("ends with a task that is %s", (status) => {
    const countdown = new TaskCountdown();
    countdown.heard(task(60), NOW);
    countdown.heard(task(60, { status }), NOW);
    expect(left(countdown, NOW)).toBeNull();
    countdown.heard(task(90), NOW);
    expect(left(countdown, NOW)).toBe(90);
  });

  it("goes on from the queue into the work", () => {
    const countdown = new TaskCountdown();
    countdown.heard(task(60, { status: "queued" }), NOW);
    countdown.heard(task(63), NOW);
    expect(left(countdown, NOW)).toBe(60);
  });
});

describe("a wait in the queue", () => {
  const queued = sample("progress_queued");
  const SEEN = Date.parse("2026-11-22T16:00:30Z");
  const until = (countdown: TaskCountdown) => ((countdown.start.instants(SEEN)?.median ?? 0) - SEEN) / 1000;

  it("that was found is counted from when its estimate was made", () => {
    const countdown = new TaskCountdown();
    countdown.heard(queued, SEEN);
    expect(until(countdown)).toBe(90.5);
  });

  it("that is told again is counted from when it comes", () => {
    const countdown = new TaskCountdown();
    countdown.heard({ ...queued, eta: null }, SEEN - 1_000);
    countdown.heard(queued, SEEN - 1_000);
    const wait = { low: 55, median: 92, high: 200 };
    countdown.heard({ ...queued, eta: estimate(SEEN, [150, 200, 240], { wait }) }, SEEN);
    expect(countdown.start.instants(SEEN + 60_000)?.median).toBeCloseTo(SEEN + 92_000, -2);
  });

  it("is over when the task runs", () => {
    const countdown = new TaskCountdown();
    countdown.heard(queued, SEEN);
    countdown.heard({ ...queued, status: "in_progress" }, SEEN);
    expect(countdown.start.instants(SEEN)).toBeNull();
    expect(countdown.finish.instants(SEEN)).not.toBeNull();
  });
});

describe("what a stage takes yet", () => {
  const stage = (id: string) => {
    const found = running().stages.find((one) => one.id === id);
    if (found === undefined) throw new Error(`there is no stage ${id}`);
    return found;
  };

  it("runs down while it runs, never below nothing, and stands while it is to come", () => {
    const countdown = new TaskCountdown();
    countdown.heard(running(), NOW);
    const median = (id: string, seconds: number) =>
      countdown.stageLeft(stage(id), NOW + 1000 * seconds)?.median;
    expect([0, 5, 100].map((seconds) => median("generation", seconds))).toEqual([12.25, 7.25, 0]);
    expect([0, 5, 100].map((seconds) => median("post_processing", seconds))).toEqual([2, 2, 2]);
  });

  it("is nothing for a stage that is over, and unknown for one of which nothing was said", () => {
    const countdown = new TaskCountdown();
    const odd = running({
      eta: estimate(NOW, [1, 2, 3], { stages: [{ id: "queue", low: 1, median: 2, high: 3 }] }),
    });
    countdown.heard(odd, NOW);
    expect(countdown.stageLeft(stage("queue"), NOW)).toBeNull();
    expect(countdown.stageLeft(stage("generation"), NOW)).toBeNull();
  });

  it("is not counted anew with every state of a second that repeats its estimate", () => {
    const countdown = new TaskCountdown();
    countdown.heard(running(), NOW);
    const later = withStage(running({ seq: 43 }), "generation", { done: 157 });
    countdown.heard(later, NOW + 900);
    expect(countdown.stageLeft(stage("generation"), NOW + 1_000)?.median).toBeCloseTo(11.25, 6);
  });
});
