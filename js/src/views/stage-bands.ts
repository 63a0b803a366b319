/** The task's stages behind its sparklines: alternating tints, and over them the names that fit. */

import { h, keepChildren, onResize, setText } from "../dom.js";
import type { StageBand } from "../resource-axis.js";

export class StageBands {
  readonly node = h("div", "hw-bands hw-quiet");
  private gradient = "";

  constructor(until: AbortSignal) {
    this.node.setAttribute("aria-hidden", "true");
    onResize(this.node, () => this.fit(), until);
  }

  /** Gives the tints to `chart`, whose rows all have the same behind them. */
  draw(bands: readonly StageBand[], chart: HTMLElement): void {
    const gradient = gradientOf(bands);
    if (gradient !== this.gradient) chart.style.setProperty("--hw-bands", gradient);
    this.gradient = gradient;
    keepChildren(this.node, bands.length, () => h("span", "hw-band"));
    bands.forEach((band, index) => {
      const label = this.node.children[index];
      if (!(label instanceof HTMLElement)) return;
      setText(label, band.name);
      label.title = band.name;
      label.style.left = percent(band.from);
      label.style.width = percent(band.to - band.from);
    });
    this.fit();
  }

  /** A name that is cut off says less than none. */
  private fit(): void {
    const labels = [...this.node.children].filter((label) => label instanceof HTMLElement);
    const fits = labels.map((label) => label.scrollWidth <= label.clientWidth);
    labels.forEach((label, index) => {
      label.style.visibility = fits[index] ? "" : "hidden";
    });
  }
}

/** Every other stage is tinted; between two tinted ones lies what is none's. */
function gradientOf(bands: readonly StageBand[]): string {
  const stops = bands.flatMap((band, index) =>
    index % 2 === 0
      ? [
          `transparent ${percent(band.from)}`,
          `var(--hw-band) ${percent(band.from)} ${percent(band.to)}`,
          `transparent ${percent(band.to)}`,
        ]
      : [],
  );
  return stops.length === 0 ? "none" : `linear-gradient(90deg, ${stops.join(", ")})`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(2)}%`;
}
