/** One line of the resource panel: a figure's name, its course, and its value now or where the reader points. */

import { h, setAttribute, setText, svg } from "../dom.js";
import { UNKNOWN } from "../format.js";
import type { ResourceAxis } from "../resource-axis.js";
import {
  hostNote,
  peakOf,
  type ResourceRow,
  summaryOf,
  topOf,
  warningOf,
  warningText,
} from "../resource-rows.js";
import type { ResourceSample } from "../resource-sample.js";
import { type Drawing, Sparkline } from "./sparkline.js";

export class ResourceRowView {
  readonly node: HTMLElement;
  private readonly spark = new Sparkline();
  private readonly words = h("span", "");
  private readonly note = h("span", "hw-resource-note hw-quiet", this.words);
  private readonly sign = warningSign();
  private readonly value = h("span", "hw-resource-value");
  private readonly now = h("span", "hw-resource-now", this.value);
  private readonly most = h("span", "hw-resource-most hw-quiet");
  private top = 1;

  constructor(readonly row: ResourceRow) {
    const { note, now, sign, spark, most } = this;
    now.prepend(sign);
    const figures = h("div", "hw-resource-figures", now, most);
    const name = h("div", "hw-resource-name", h("span", "", row.name), note);
    this.node = h("div", "hw-resource", name, spark.node, figures);
    this.node.dataset.row = row.id;
  }

  draw(drawing: Drawing): void {
    const { row, spark } = this;
    const { axis, samples } = drawing;
    this.top = topOf(row, samples);
    spark.draw(drawing, row.figure, row.beside, this.top);
    const peak = peakOf(row, samples);
    spark.markPeak(peak, axis, row.figure, this.top);
    setText(this.most, peak === null ? "" : `peak ${row.format(peak[row.figure] ?? 0)}`);
    setAttribute(spark.node, "aria-label", summaryOf(row, samples));
  }

  /** Says one sample's values; `isPointedAt` marks it in the line as well. */
  read(sample: ResourceSample | null, axis: ResourceAxis, isPointedAt: boolean): void {
    const { row } = this;
    const value = sample?.[row.figure];
    setText(this.value, value === undefined ? UNKNOWN : row.format(value));
    this.remark(sample);
    this.spark.point(isPointedAt ? sample : null, axis, row.figure, this.top);
  }

  /** Notes what else is known of the sample, and warns beside the figure that the warning is of. */
  private remark(sample: ResourceSample | null): void {
    const { node, row, sign } = this;
    const warning = sample === null ? null : warningOf(row, sample);
    const note = sample === null ? "" : row.note(sample);
    const place = warning?.isHost ? this.note : this.now;
    if (sign.parentNode !== place) place.prepend(sign);
    setText(this.words, warning?.isHost ? hostNote(warning) : note);
    setAttribute(sign, "hidden", warning === null ? "" : null);
    setAttribute(node, "data-warning", warning === null ? null : warning.isHost ? "host" : "task");
    const title = warning === null ? null : [warningText(warning), note].filter(Boolean).join("\n");
    setAttribute(node, "title", title);
  }
}

/** Not by colour alone. */
function warningSign(): SVGElement {
  return svg(
    "svg",
    { class: "hw-resource-sign", viewBox: "0 0 16 16", "aria-hidden": "true", hidden: "" },
    svg("path", { d: "M8 2.5 14.5 14h-13z" }),
    svg("path", { d: "M8 6.5v3.5M8 12v.2" }),
  );
}
