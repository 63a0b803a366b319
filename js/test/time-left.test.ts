import { describe, expect, it, test } from "vitest";
import type { Estimate, TaskProgress } from "../src/model.js";
import { TaskCountdown } from "../src/task-countdown.js";
import { estimateDetail, stageDetail, type TimeLeft, timeLeft } from "../src/time-left.js";
import { estimate, running, sample } from "./samples.js";

const NOW = Date.parse("2026-11-22T16:00:10.250Z");
type Three = readonly [low: number, median: number, high: number];

function heard(task: TaskProgress): TaskCountdown {
  const countdown = new TaskCountdown();
  countdown.heard(task, NOW);
  return countdown;
}

function of(task: TaskProgress): TimeLeft {
  return timeLeft(task, heard(task), NOW);
}

function left(three: Three, changes: Partial<Estimate> = {}): TimeLeft {
  return of(running({ eta: estimate(NOW, three, changes) }));
}

function read({ text, range }: TimeLeft): string {
  return range === "" ? text : `${text}, ${range}`;
}

function detail(changes: Partial<Estimate> = {}, three: Three = [120, 180, 300]): string[] {
  const task = running({ eta: estimate(NOW, three, changes) });
  return estimateDetail(task, heard(task), NOW);
}

describe("time left", () => {
  test.each([
    [10, 12, 15, "about 12 s, 10–15"],
    [30, 43, 55, "about 45 s, 30–55"],
    [17, 41, 95, "about 40 s, 15 s–1½ min"],
    [40, 58, 130, "about 1 min, 40 s–2 min"],
    [80, 92, 95, "about 1½ min"],
    [120, 180, 300, "about 3 min, 2–5"],
    [700, 720, 730, "about 12 min"],
    [1500, 1900, 2500, "about 30 min, 25–40"],
    [3000, 5400, 9000, "about 1½ h, 50 min–2½ h"],
    [4 * 3600, 5 * 3600, 7 * 3600, "about 5 h, 4–7"],
    [40 * 3600, 72 * 3600, 96 * 3600, "about 3 days, 2–4"],
    [-5, 180, 300, "about 3 min, up to 5"],
    [-5, 50, 300, "about 50 s, up to 5 min"],
    [-3, 1, 2, "a moment"],
    [-3, -1, 20, "a moment, up to 20 s"],
    [-9, -6, -1, "a moment"],
    [-9, -6, -2, "longer than usual"],
  ])("of %s, %s, %s s reads %s", (low, median, high, text) => {
    expect(read(left([low, median, high]))).toBe(text);
  });

  it("is a dash without an estimate", () => {
    expect(of(running({ eta: null })).text).toBe("–");
  });

  it("never reads 0 s and never is negative while the task runs", () => {
    for (let seconds = -10; seconds < 300; seconds += 0.25) {
      expect(read(left([seconds - 3, seconds, seconds + 4]))).not.toMatch(/(^|\D)0( |–)|-\d/);
    }
  });

  it("is spoken in full words", () => {
    expect(left([120, 180, 300]).spoken).toBe("about 3 minutes left, between 2 and 5 minutes");
    expect(left([40, 60, 130]).spoken).toBe("about 1 minute left, between 40 seconds and 2 minutes");
    expect(left([80, 92, 95]).spoken).toBe("about 1 and a half minutes left");
    expect(left([-1, 92, 200]).spoken).toBe("about 1 and a half minutes left, at most 3 minutes");
    expect(left([-3, 1, 3]).spoken).toBe("a moment left");
  });

  it("of a late task is told with that it takes longer than usual", () => {
    const late = left([30, 41, 55], { late: true });
    expect([late.text, late.note, late.brief]).toEqual(["about 40 s", "longer than usual", "about 40 s"]);
    expect(late.spoken).toBe("about 40 seconds left, between 30 and 55 seconds, longer than usual");
  });

  it("that has passed altogether is longer than usual, said once", () => {
    const passed = left([-60, -30, -5], { late: true });
    expect([passed.text, passed.range, passed.note, passed.brief]).toEqual([
      "longer than usual",
      "",
      "",
      "late",
    ]);
  });

  it("of a stalled task is not told, but that it should have ended", () => {
    const stalled = left([3, 60, 400], { late: true, stalled: true });
    expect([stalled.text, stalled.range, stalled.note]).toEqual(["stalled?", "", "usually done by now"]);
    expect(stalled.spoken).toBe("perhaps stalled, usually done by now");
  });

  it("is short enough for a row", () => {
    const all = [
      left([-60, -30, -5]),
      left([3, 60, 400], { stalled: true }),
      left([80, 92, 95]),
      of(running()),
    ];
    expect(all.map(({ brief }) => brief)).toEqual(["late", "stalled?", "about 1½ min", "about 14 s"]);
  });
});

describe("of a queued task", () => {
  const queued = sample("progress_queued");
  const wait = (low: number, median: number, high: number, ahead: number | null = null) => ({
    ...queued,
    updated_at: null,
    eta: estimate(NOW, [200, 300, 400], {
      wait: { low, median, high },
      evidence: { runs: 3, same: 0, pace_share: null, coverage: null, usual_s: null, ahead },
    }),
  });

  it("without an estimate it waits for a worker", () => {
    expect(of({ ...queued, eta: null }).text).toBe("waiting for a worker");
  });

  it("it says when it starts and who is ahead", () => {
    const start = of(wait(70, 122, 235, 3));
    expect(read(start)).toBe("starts in about 2 min, 1–4");
    expect(start.note).toBe("3 ahead");
    expect(start.spoken).toBe("starts in about 2 minutes, between 1 and 4 minutes, 3 ahead");
    expect(of(wait(0, 1, 2)).text).toBe("starts in a moment");
    expect(of(wait(70, 122, 235)).note).toBe("");
  });

  it("it waits for a worker once the start has passed", () => {
    const task = wait(3, 5, 9, 1);
    expect(timeLeft(task, heard(task), NOW + 10_000).text).toBe("waiting for a worker");
  });

  it("it says when it ends where nothing is known of the queue", () => {
    expect(of({ ...queued, eta: estimate(NOW, [120, 180, 300]) }).text).toBe("about 3 min");
  });

  it("none of it is left when it runs", () => {
    expect(of({ ...wait(70, 122, 235, 3), status: "in_progress" })).toMatchObject({
      text: "about 5 min",
      note: "",
    });
  });

  it("start, end and stages stand behind it", () => {
    const lines = estimateDetail(queued, heard(queued), NOW);
    expect(lines[0]).toMatch(/^starts about \d.* \(.*\d.*–.*\d.*\)$/);
    expect(lines[1]).toMatch(/^finishes about \d/);
    expect(lines[2]).toBe("Model loading about 4 s, Generation about 20 s, Post-processing about 2 s");
    expect(estimateDetail({ ...queued, eta: null }, new TaskCountdown(), NOW)).toEqual([
      "no estimate before a worker takes it",
    ]);
  });
});

describe("what stands behind an estimate", () => {
  it("is its reasons, a sentence a line", () => {
    const lines = estimateDetail(running(), heard(running()), NOW);
    expect(lines[0]).toMatch(/^finishes about .*:25.* \(.*:20.*–.*31.*\)$/);
    expect(lines.slice(1)).toEqual([
      "Generation about 12 s yet, Post-processing about 2 s",
      "from pace of the current stage",
      "72 % current speed, 28 % history",
      "usually takes about 30 s",
      "such ranges held 81 % of the time lately",
    ]);
  });

  it("is no finer than what is said", () => {
    expect(detail()[0]).not.toMatch(/\d:\d\d:\d\d/);
    expect(detail({}, [10, 12, 15])[0]).toMatch(/\d:\d\d:\d\d/);
    expect(detail({}, [20 * 3600, 30 * 3600, 50 * 3600])[0]).toMatch(/Sun|Mon|Tue/);
  });

  it("says a time once where the range is no wider", () => {
    expect(detail({}, [11.9, 12, 12.1])[0]).toMatch(/^finishes about [^()]+$/);
    expect(detail({}, [10, 12, 15])[0]).toMatch(/^finishes about [^()]+ \(.+\)$/);
  });

  it("leaves out what is not known", () => {
    expect(detail()).toHaveLength(1);
    expect(detail({ basis: "14 earlier runs" })[1]).toBe("from 14 earlier runs");
    const evidence = { runs: 3, same: 0, pace_share: 1, coverage: null, usual_s: null, ahead: null };
    expect(detail({ evidence })).toHaveLength(1);
  });

  it("owns up to guessing at the first of its kind", () => {
    const evidence = { runs: 0, same: 0, pace_share: 1, coverage: null, usual_s: null, ahead: null };
    expect(detail({ evidence })[1]).toBe("none of its kind has finished yet, so the range is a guess");
    expect(detail({ evidence, late: true })[0]).toBe("it takes longer than nine in ten similar ones did");
    expect(detail({ evidence: { ...evidence, usual_s: 30 } })[2]).toBe(
      "similar ones usually take about 30 s",
    );
  });

  it("warns before anything else", () => {
    expect(detail({ late: true })[0]).toBe("it takes longer than nine in ten of its kind did");
    const stalled = detail({ late: true, stalled: true });
    expect(stalled[0]).toBe("nothing was heard for long, and such a task is usually done by now");
    expect(stalled[1]).toMatch(/^if it still works, it finishes about /);
    expect(detail({}, [-60, -30, -5])[0]).toMatch(/^was expected about /);
  });

  it("names three stages and counts the others", () => {
    const stages = ["a", "b", "c", "d", "e"].map((id) => ({ id, low: 1, median: 5, high: 9 }));
    const pending = running().stages.at(-1);
    if (pending === undefined) throw new Error("the sample has stages");
    const task = running({
      eta: estimate(NOW, [1, 2, 3], { stages }),
      stages: stages.map(({ id }) => ({ ...pending, id, name: id.toUpperCase() })),
    });
    expect(estimateDetail(task, heard(task), NOW)[1]).toBe("A about 5 s, B about 5 s, C about 5 s, 2 more");
  });

  it("is why there is none", () => {
    const none = estimateDetail(running({ eta: null }), new TaskCountdown(), NOW);
    expect(none[0]).toContain("no estimate yet");
  });

  it("tells of a stage its name and what it takes yet", () => {
    const lines = running().stages.map((stage) => stageDetail(stage, heard(running()), NOW));
    expect(lines).toEqual([
      "Queue",
      "Model loading",
      "Generation\nabout 12 s yet (9–18)",
      "Post-processing\nabout 2 s (up to 3)",
    ]);
  });
});
