/** The state mark: every status has its own shape, so that colour is never alone in saying it. */

import { svg } from "../dom.js";
import type { TaskStatus } from "../model.js";

export function stateMark(): SVGElement {
  return svg("svg", { class: "hw-mark", viewBox: "0 0 16 16", "aria-hidden": "true" });
}

export function drawMark(mark: SVGElement, status: TaskStatus | "waiting"): void {
  if (mark.dataset.status === status) return;
  mark.dataset.status = status;
  mark.replaceChildren(...SHAPES[status]());
}

const SHAPES: Readonly<Record<TaskStatus | "waiting", () => Node[]>> = {
  waiting: () => [ring({ "stroke-dasharray": "1 3.08", "stroke-linecap": "round" })],
  queued: () => [ring({}), line("M8 4.75V8l2.25 1.5")],
  in_progress: () => [
    ring({ opacity: "0.3" }),
    line("M8 1.75A6.25 6.25 0 0 1 14.25 8", "hw-mark-arc"),
    dot(2.25),
  ],
  completed: () => [disc(), cut("M4.9 8.2l2.15 2.15 4.1-4.5")],
  failed: () => [
    svg("path", { class: "hw-mark-fill", d: "M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" }),
    cut("M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8"),
  ],
  cancelled: () => [ring({}), line("M3.6 12.4l8.8-8.8")],
  lost: () => [
    ring({ "stroke-dasharray": "6.8 3.02", "stroke-dashoffset": "-1.5" }),
    line("M8 4.6v3.9"),
    dot(0.95, 11),
  ],
};

function ring(attributes: Readonly<Record<string, string>>): SVGElement {
  return svg("circle", { class: "hw-mark-line", cx: "8", cy: "8", r: "6.25", ...attributes });
}

function disc(): SVGElement {
  return svg("circle", { class: "hw-mark-fill", cx: "8", cy: "8", r: "7" });
}

function dot(r: number, cy = 8): SVGElement {
  return svg("circle", { class: "hw-mark-fill", cx: "8", cy: String(cy), r: String(r) });
}

function line(d: string, extra = ""): SVGElement {
  return svg("path", { class: `hw-mark-line ${extra}`.trim(), d });
}

function cut(d: string): SVGElement {
  return svg("path", { class: "hw-mark-cut", d });
}
