/** The moment that a reader looks at: under the pointer or the finger, or walked to with the arrow keys. */

import { type ReadonlySignal, signal } from "@preact/signals-core";
import { h } from "../dom.js";
import { nearest, type ResourceAxis } from "../resource-axis.js";
import type { ResourceSample } from "../resource-sample.js";
import { walk } from "./slider-keys.js";

export interface Timeline {
  readonly axis: ResourceAxis;
  readonly samples: readonly ResourceSample[];
}

/** Of all samples, for the keys that go far. */
const FAR_SHARE = 0.1;

export class ResourceCursor {
  readonly node = h("div", "hw-resource-cursor");
  private readonly chosen = signal<number | null>(null);

  constructor(
    private readonly timeline: () => Timeline | null,
    until: AbortSignal,
  ) {
    const { node } = this;
    node.tabIndex = 0;
    node.setAttribute("role", "slider");
    node.setAttribute("aria-label", "Time");
    const point = (event: PointerEvent) => this.point(event);
    node.addEventListener("pointerdown", point, { signal: until });
    node.addEventListener("pointermove", point, { signal: until });
    node.addEventListener("pointerleave", () => this.leave(), { signal: until });
    node.addEventListener("blur", () => this.leave(), { signal: until });
    node.addEventListener("keydown", (event) => this.press(event), { signal: until });
  }

  /** ms on the server's clock; null while what is newest is read. */
  get time(): ReadonlySignal<number | null> {
    return this.chosen;
  }

  leave(): void {
    this.chosen.value = null;
  }

  private point(event: PointerEvent): void {
    const timeline = this.timeline();
    const { left, width } = this.node.getBoundingClientRect();
    if (timeline === null || width === 0) return;
    const time = timeline.axis.time((event.clientX - left) / width);
    this.chosen.value = nearest(timeline.samples, time)?.time ?? null;
  }

  private press(event: KeyboardEvent): void {
    const timeline = this.timeline();
    if (timeline === null) return;
    const { samples } = timeline;
    const far = Math.max(1, Math.round(FAR_SHARE * samples.length));
    if (walk(event, far, (steps) => this.step(samples, steps)) || event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    this.leave();
  }

  private step(samples: readonly ResourceSample[], by: number): void {
    const last = samples.length - 1;
    const time = this.chosen.peek();
    const known = time === null ? null : nearest(samples, time);
    const next = by + (known === null ? last : samples.indexOf(known));
    // At the newest it follows what comes.
    this.chosen.value = next >= last ? null : (samples[Math.max(0, next)]?.time ?? null);
  }
}
