/**
 * One figure over time as a filled line.
 *
 * An SVG whose drawing is stretched to its place and whose strokes are not: it is sharp on every screen, follows the
 * theme's colours and a change of width without being drawn again, and costs one short string a second. A canvas
 * would need all three by hand, and uPlot as much code again as everything else here together.
 */

import { h, setAttribute, svg } from "../dom.js";
import type { ResourceAxis } from "../resource-axis.js";
import type { ResourceFigure, ResourceSample } from "../resource-sample.js";

const WIDTH = 1000;
const HEIGHT = 100;
/** So many intervals without a sample are a hole, and a line over it would be made up. */
const HOLE_INTERVALS = 3;

export interface Drawing {
  readonly axis: ResourceAxis;
  readonly samples: readonly ResourceSample[];
  /** Seconds between two of them. */
  readonly interval: number;
}

export class Sparkline {
  readonly node: HTMLElement;
  private readonly area = svg("path", { class: "hw-spark-area" });
  private readonly beside = svg("path", { class: "hw-spark-beside", "vector-effect": "non-scaling-stroke" });
  private readonly line = svg("path", { class: "hw-spark-line", "vector-effect": "non-scaling-stroke" });
  private readonly peak = h("span", "hw-spark-peak");
  private readonly dot = h("span", "hw-spark-dot");

  constructor() {
    const drawing = svg(
      "svg",
      {
        class: "hw-spark-drawing",
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      this.area,
      this.beside,
      this.line,
    );
    this.node = h("div", "hw-spark", h("div", "hw-spark-field", this.peak, this.dot));
    this.node.firstElementChild?.prepend(drawing);
    this.node.setAttribute("role", "img");
    this.dot.hidden = true;
  }

  draw(drawing: Drawing, figure: ResourceFigure, beside: ResourceFigure | null, top: number): void {
    const runs = runsOf(drawing, figure);
    setAttribute(this.line, "d", runs.map((run) => lineThrough(run, drawing.axis, figure, top)).join(""));
    setAttribute(this.area, "d", runs.map((run) => areaUnder(run, drawing.axis, figure, top)).join(""));
    const second = beside === null ? [] : runsOf(drawing, beside);
    const quiet = second.map((run) => lineThrough(run, drawing.axis, beside ?? figure, top));
    setAttribute(this.beside, "d", quiet.join(""));
  }

  markPeak(sample: ResourceSample | null, axis: ResourceAxis, figure: ResourceFigure, top: number): void {
    place(this.peak, sample, axis, figure, top);
  }

  /** Marks what is being read. */
  point(sample: ResourceSample | null, axis: ResourceAxis, figure: ResourceFigure, top: number): void {
    place(this.dot, sample, axis, figure, top);
  }
}

function place(
  mark: HTMLElement,
  sample: ResourceSample | null,
  axis: ResourceAxis,
  figure: ResourceFigure,
  top: number,
): void {
  const value = sample?.[figure];
  mark.hidden = sample === null || value === undefined;
  if (sample === null || value === undefined) return;
  mark.style.left = `${(100 * axis.at(sample.time)).toFixed(2)}%`;
  mark.style.top = `${(100 * (1 - value / top)).toFixed(2)}%`;
}

/** The samples that have the figure, in pieces between which there is a hole. */
function runsOf({ samples, interval }: Drawing, figure: ResourceFigure): ResourceSample[][] {
  const runs: ResourceSample[][] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const sample of samples) {
    if (sample[figure] === undefined) continue;
    if (sample.time - last > HOLE_INTERVALS * 1000 * interval) runs.push([]);
    runs.at(-1)?.push(sample);
    last = sample.time;
  }
  return runs;
}

function lineThrough(
  run: readonly ResourceSample[],
  axis: ResourceAxis,
  figure: ResourceFigure,
  top: number,
): string {
  const points = run.map((sample) => `${x(sample, axis)} ${y(sample[figure] ?? 0, top)}`);
  // One point alone is a line to itself, which a round cap makes a dot.
  return points.length === 1 ? `M${points[0]}h0` : `M${points.join("L")}`;
}

function areaUnder(
  run: readonly ResourceSample[],
  axis: ResourceAxis,
  figure: ResourceFigure,
  top: number,
): string {
  const [first, last] = [run[0], run.at(-1)];
  if (first === undefined || last === undefined || first === last) return "";
  return `${lineThrough(run, axis, figure, top)}V${HEIGHT}H${x(first, axis)}Z`;
}

/** To a tenth of a thousandth of the width. */
function x(sample: ResourceSample, axis: ResourceAxis): string {
  return (WIDTH * axis.at(sample.time)).toFixed(1);
}

function y(value: number, top: number): string {
  return (HEIGHT * (1 - value / top)).toFixed(1);
}
