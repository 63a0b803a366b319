import { describe, expect, it, test } from "vitest";
import type { Link } from "../src/link.js";
import { freshness } from "../src/views/freshness.js";

const NOW = Date.parse("2026-11-22T16:00:00Z");
/** The browser's clock is a minute behind the server's. */
const HERE = NOW - 60_000;

function seen(link: Link, lasted_s: number, age_s: number | null, silence_s = 0, isMissing = false) {
  const heardAt = age_s === null ? null : HERE - age_s * 1000;
  const status = { link, since: HERE - lasted_s * 1000, heardAt };
  const { asOf, isStill, note } = freshness(status, { at: NOW - silence_s * 1000, isMissing }, NOW, HERE);
  return { asOf_s: (asOf - NOW) / 1000, isStill, note };
}

const FRESH = { asOf_s: 0, isStill: false, note: "" };

describe("what is shown", () => {
  it("is of now while the server vouches for it, however long its worker is silent", () => {
    expect(seen("live", 500, 1, 90)).toEqual(FRESH);
    expect(seen("connecting", 5, null, 90)).toEqual(FRESH);
  });

  test.each(["reconnecting", "store_down"] as const)(
    "is not called old in the first second of %s",
    (link) => {
      expect(seen(link, 0.9, 1.9)).toEqual(FRESH);
      expect(seen(link, 1, 2).isStill).toBe(true);
    },
  );

  it("is as old as the server's last word, and stands still", () => {
    expect(seen("reconnecting", 8, 12)).toEqual({
      asOf_s: -12,
      isStill: true,
      note: "reconnecting · state of 12 s ago",
    });
    expect(seen("store_down", 120, 125).note).toBe("the store does not answer · state of 2:05 ago");
    expect(seen("store_down", 3, null).note).toBe("the store does not answer");
  });

  it("is not called polled while a socket may follow the first answers", () => {
    expect(seen("polling", 1, 0)).toEqual(FRESH);
    expect(seen("polling", 5, 0)).toEqual({ ...FRESH, note: "no live connection, asked every second" });
  });

  it("is worth a word without a server once the kernel is silent", () => {
    expect(seen("kernel", 60, null, 5)).toEqual(FRESH);
    expect(seen("kernel", 60, null, 15)).toEqual({ ...FRESH, note: "no change for 15 s" });
  });

  it("stands still where the server does not know the task and nobody else speaks of it", () => {
    expect(seen("live", 60, 0, 5, true)).toEqual(FRESH);
    expect(seen("live", 60, 0, 75, true)).toEqual({
      asOf_s: -75,
      isStill: true,
      note: "unknown to the server · no change for 1:15",
    });
  });
});
