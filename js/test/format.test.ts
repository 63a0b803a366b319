import { describe, expect, it, test } from "vitest";
import {
  ago,
  counts,
  duration,
  elapsed,
  percent,
  rate,
  secondsSince,
  spokenProgress,
  statusLine,
  wholePercent,
} from "../src/format.js";
import { TASK_STATUSES } from "../src/model.js";
import { running } from "./samples.js";

const NOW = Date.parse("2026-11-22T16:00:00Z");

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
    expect(spokenProgress(running(), "about 15 seconds left")).toBe(
      "Running, 47 percent, about 15 seconds left",
    );
    expect(spokenProgress(running({ status: "queued" }), "starts in about 2 minutes")).toBe(
      "Queued, starts in about 2 minutes",
    );
    expect(spokenProgress(running({ status: "completed" }), "about 15 seconds left")).toBe("Completed");
  });

  it("no elapsed time is negative, however the clocks differ", () => {
    expect(secondsSince("2026-11-22T16:00:05Z", null, NOW)).toBe(0);
  });
});
