import { describe, expect, it } from "vitest";
import { fitLabels } from "../src/views/fit.js";

function label(start: number, end: number, width: number, priority = 0) {
  return { start, end, width, priority };
}

describe("labels under the bar", () => {
  it("stand where their segments begin while there is room", () => {
    expect(fitLabels([label(0, 100, 60), label(102, 300, 80)], 300, 8)).toEqual([0, 102]);
  });

  it("the last one moves left rather than leave the line", () => {
    expect(fitLabels([label(0, 200, 60), label(250, 300, 90)], 300, 8)).toEqual([0, 210]);
  });

  it("the important one is placed first, and what collides with it goes", () => {
    expect(fitLabels([label(0, 30, 60, 1), label(32, 60, 90, 2)], 300, 8)).toEqual([null, 32]);
  });

  it("one whose beginning is taken may end where its segment ends", () => {
    expect(fitLabels([label(0, 40, 120, 2), label(42, 200, 60, 1)], 300, 8)).toEqual([0, 140]);
  });

  it("are hidden rather than stand under another segment", () => {
    expect(fitLabels([label(0, 100, 50, 2), label(102, 120, 400, 1)], 300, 8)).toEqual([0, null]);
  });

  it("never overlap and never leave the line, whatever their widths", () => {
    for (let seed = 1; seed < 200; seed++) {
      const labels = Array.from({ length: 7 }, (_, index) =>
        label(index * 50, index * 50 + 48, 10 + ((seed * (index + 3) * 37) % 90), (seed * index) % 3),
      );
      const shown = fitLabels(labels, 350, 6)
        .map((from, index) => ({ from, to: (from ?? 0) + (labels[index]?.width ?? 0) }))
        .filter((span) => span.from !== null)
        .sort((a, b) => (a.from ?? 0) - (b.from ?? 0));
      shown.forEach((span, index) => {
        expect(span.from).toBeGreaterThanOrEqual(0);
        expect(span.to).toBeLessThanOrEqual(350);
        const next = shown[index + 1];
        if (next !== undefined) expect(next.from).toBeGreaterThanOrEqual(span.to + 6);
      });
    }
  });
});
