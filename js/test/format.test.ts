import { describe, expect, it, test } from "vitest";
import {
  ago,
  counts,
  duration,
  elapsed,
  estimateDetail,
  percent,
  rate,
  secondsSince,
  spokenProgress,
  statusLine,
  timeLeft,
  wholePercent,
} from "../src/format.js";
import { TASK_STATUSES } from "../src/model.js";
import { running } from "./samples.js";

const NOW = Date.parse("2026-11-22T16:00:00Z");

function eta(low: number, median: number, high: number) {
  const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();
  return { low: at(low), median: at(median), high: at(high), basis: "14 earlier runs" };
}

function said(low: number, median: number, high: number): string {
  const left = timeLeft(eta(low, median, high), NOW);
  return left.range === "" ? left.text : `${left.text}, ${left.range}`;
}

describe("percent", () => {
  test.each([
    [0, "0 %"],
    [0.99, "0 %"],
    [47.3, "47 %"],
    [28.9999999999, "29 %"],
    [99.97, "99 %"],
    [100, "99 %"],
  ])("%s of a running task reads %s", (progress, text) => {
    expect(percent(progress, "in_progress")).toBe(text);
  });

  it("is 100 for a completed task whatever was reported last", () => {
    expect(percent(99.2, "completed")).toBe("100 %");
  });

  it("is a dash where it is not known, never 0", () => {
    expect(percent(null, "in_progress")).toBe("–");
    expect(percent(0, "queued")).toBe("–");
  });

  it("reaches 100 for no other status", () => {
    const full = TASK_STATUSES.filter((status) => wholePercent(100, status) === 100);
    expect(full).toEqual(["completed"]);
  });
});

describe("duration", () => {
  test.each([
    [0, "<0.1 s"],
    [0.3, "0.3 s"],
    [3.4, "3.4 s"],
    [9.94, "9.9 s"],
    [9.96, "10 s"],
    [24.4, "24 s"],
    [59.6, "1:00"],
    [84, "1:24"],
    [3599.7, "1 h"],
    [4320, "1 h 12 min"],
    [86_400 * 2 + 3 * 3600, "2 d 3 h"],
  ])("%s s reads %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  test.each([null, Number.NaN, -1, Number.POSITIVE_INFINITY])("%s is a dash", (seconds) => {
    expect(duration(seconds)).toBe("–");
  });

  it("of something that goes on changes with whole seconds only", () => {
    expect([0.2, 0.9, 1.99, 59.9, 60].map(elapsed)).toEqual(["0 s", "0 s", "1 s", "59 s", "1:00"]);
  });
});

describe("ago", () => {
  test.each([
    [-1, "0 s ago"],
    [12.9, "12 s ago"],
    [60, "1 min ago"],
    [134, "2 min ago"],
    [3 * 3600 + 59, "3 h ago"],
    [86_400, "1 day ago"],
    [3 * 86_400, "3 days ago"],
  ])("%s s reads %s", (seconds, text) => {
    expect(ago(seconds)).toBe(text);
  });
});

describe("time left", () => {
  test.each([
    [10, 12, 15, "about 12 s, 10–15"],
    [30, 43, 55, "about 45 s, 30–55"],
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
    [-9, -6, -1, "longer than expected"],
  ])("of %s, %s, %s s reads %s", (low, median, high, text) => {
    expect(said(low, median, high)).toBe(text);
  });

  it("is a dash without an estimate", () => {
    expect(timeLeft(null, NOW).text).toBe("–");
    expect(estimateDetail(null)).toContain("no estimate yet");
  });

  it("never reads 0 s and never is negative while the task runs", () => {
    for (let seconds = -10; seconds < 300; seconds += 0.25) {
      expect(said(seconds - 3, seconds, seconds + 4)).not.toMatch(/(^|\D)0( |–)|-\d/);
    }
  });

  it("grows rounder with the distance: no estimate has more than two digits that move", () => {
    const texts = new Set<string>();
    for (let seconds = 2; seconds < 86_400; seconds += 1)
      texts.add(timeLeft(eta(seconds, seconds, seconds), NOW).text);
    expect(texts.size).toBeLessThan(90);
  });

  it("puts low, median and high in order, whatever came", () => {
    expect(said(300, 120, 180)).toBe("about 3 min, 2–5");
  });

  it("is spoken in full words", () => {
    expect(timeLeft(eta(120, 180, 300), NOW).spoken).toBe("about 3 minutes left, between 2 and 5 minutes");
    expect(timeLeft(eta(40, 60, 130), NOW).spoken).toBe(
      "about 1 minute left, between 40 seconds and 2 minutes",
    );
    expect(timeLeft(eta(80, 92, 95), NOW).spoken).toBe("about 1 and a half minutes left");
  });

  it("names the basis in the tooltip", () => {
    expect(estimateDetail(eta(120, 180, 300))).toContain("from 14 earlier runs");
  });
});

describe("rate and counts", () => {
  test.each([
    [156, 20, "7.8/s"],
    [400, 3, "133/s"],
    [4_000, 1, "4,000/s"],
    [10, 21, "2.1 s each"],
    [1, 84, "1:24 each"],
    [995, 1000, "1.0/s"],
  ])("%s in %s s is %s", (done, seconds, text) => {
    expect(rate(done, seconds)).toBe(text);
  });

  it("there is no rate before something is done", () => {
    expect([rate(0, 3), rate(null, 3), rate(3, 0), rate(3, null)]).toEqual([null, null, null, null]);
  });

  it("counts name the total where it is known", () => {
    expect(counts({ done: 156, total: 400 })).toBe("156 / 400");
    expect(counts({ done: 1200, total: null })).toBe("1,200");
    expect(counts({ done: null, total: 400 })).toBeNull();
  });
});

describe("status", () => {
  it("says how long it has been, or how long it took", () => {
    const now = Date.parse("2026-11-22T16:00:10.750Z");
    expect(statusLine(running(), now)).toBe("Running for 12 s");
    const over = { finished_at: "2026-11-22T16:00:24Z" };
    expect(statusLine(running({ status: "completed", ...over }), now)).toBe("Completed in 25 s");
    expect(statusLine(running({ status: "lost" }), now)).toBe("Lost · the worker stopped answering");
    expect(statusLine(running({ status: "queued" }), now)).toBe("Queued for 12 s");
    expect(statusLine(running({ status: "in_progress", started_at: null }), now)).toBe("Running");
  });

  it("is spoken with percent and time left", () => {
    const task = running();
    const left = timeLeft(task.eta, Date.parse("2026-11-22T16:00:10Z"));
    expect(spokenProgress(task, left)).toBe(
      "Running, 47 percent, about 15 seconds left, between 10 and 20 seconds",
    );
    expect(spokenProgress(running({ status: "completed" }), null)).toBe("Completed");
  });

  it("no elapsed time is negative, however the clocks differ", () => {
    expect(secondsSince("2026-11-22T16:00:05Z", null, NOW)).toBe(0);
  });
});
