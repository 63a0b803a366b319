import { describe, expect, it, test } from "vitest";
import { about, type Figure, rounded, said, settled, written } from "../src/figure.js";

describe("a figure", () => {
  test.each([
    [-5, "a moment"],
    [1.9, "a moment"],
    [2, "about 2 s"],
    [19.4, "about 19 s"],
    [22.4, "about 20 s"],
    [58, "about 1 min"],
    [92, "about 1½ min"],
    [164, "about 2½ min"],
    [180, "about 3 min"],
    [1_900, "about 30 min"],
    [5_400, "about 1½ h"],
    [72 * 3600, "about 3 days"],
    [36 * 3600, "about 2 days"],
  ])("of %s s is %s", (seconds, text) => {
    expect(about(rounded(seconds))).toBe(text);
  });

  it("is said in full words", () => {
    expect([1, 60, 92, 3600, 86_400 * 2].map((seconds) => said(rounded(seconds)))).toEqual([
      "a moment",
      "1 minute",
      "1 and a half minutes",
      "1 hour",
      "2 days",
    ]);
  });

  it("never grows as the time shrinks", () => {
    let last = rounded(200_000);
    for (let seconds = 200_000; seconds > 0; seconds -= 0.5) {
      const next = rounded(seconds);
      expect(next.seconds).toBeLessThanOrEqual(last.seconds);
      last = next;
    }
  });

  it("beside a coarse one has no precision of a second", () => {
    expect([2, 7, 17, 43].map((seconds) => written(rounded(seconds, "coarse")))).toEqual([
      "a moment",
      "5 s",
      "15 s",
      "45 s",
    ]);
  });
});

describe("the figure that follows another", () => {
  function series(...seconds: number[]): string[] {
    let last: Figure | null = null;
    return seconds.map((value) => {
      last = settled(last, value);
      return written(last);
    });
  }

  it("falls as soon as it is rounded down", () => {
    expect(series(14.6, 14.4, 12.4)).toEqual(["15 s", "14 s", "12 s"]);
  });

  it("does not rise for a value that trembles on the edge", () => {
    expect(series(164, 166, 164, 170, 165)).toEqual(["2½ min", "2½ min", "2½ min", "2½ min", "2½ min"]);
    expect(series(14.4, 14.6, 15.4, 14.4)).toEqual(["14 s", "14 s", "14 s", "14 s"]);
    expect(series(1.9, 2.2, 1.9)).toEqual(["a moment", "a moment", "a moment"]);
  });

  it("rises to what is true once that is clearly more", () => {
    expect(series(164, 181)).toEqual(["2½ min", "3 min"]);
    expect(series(14.4, 15.6)).toEqual(["14 s", "16 s"]);
    expect(series(1.9, 40)).toEqual(["a moment", "40 s"]);
  });
});
