/**
 * The newest preview, which leads to those before it: by the pointer on the strip at its lower edge, by keys, and at
 * full size by a click, of the newest above the strip and on it of the one that is pointed at.
 */

import { signal } from "@preact/signals-core";
import { h, setAttribute, watch } from "../dom.js";
import type { PreviewContent } from "../preview-cache.js";
import { FAR, type PreviewHistory } from "../preview-history.js";
import { openPreviews } from "./preview-dialog.js";
import type { PreviewFrame } from "./preview-frame.js";
import { PreviewStrip, spokenMoment } from "./preview-strip.js";
import { type TaskSignal, titleOf } from "./scene.js";
import { walk } from "./slider-keys.js";

export interface PreviewSource {
  readonly task: TaskSignal;
  get(number: number): Promise<PreviewContent | null>;
  readonly until: AbortSignal;
}

export class PreviewScrubber {
  readonly node = h("div", "hw-preview-scrubber");
  private readonly strip = new PreviewStrip();
  /** Where on the strip the pointer is, 0 to 1. */
  private pointed: number | null = null;
  private readonly isHovered = signal(false);
  private readonly isFocused = signal(false);
  private readonly isOpen = signal(false);

  constructor(
    frame: PreviewFrame,
    private readonly history: PreviewHistory,
    private readonly source: PreviewSource,
  ) {
    const { node, strip } = this;
    const { task, until } = source;
    node.append(frame.node, strip.node);
    node.tabIndex = 0;
    node.setAttribute("role", "slider");
    // No title: its tooltip would lie over what is pointed at.
    node.setAttribute("aria-description", "The arrow keys look back, Enter enlarges");
    this.listen(until);
    watch(until, () => {
      const isWanted = this.isHovered.value || this.isFocused.value || this.isOpen.value;
      history.want(isWanted);
      if (!isWanted) history.leave();
      node.toggleAttribute("data-looked-at", isWanted);
    });
    watch(until, () => {
      const { facts } = history;
      if (facts.value.length > 0 && this.pointed !== null) this.point(this.pointed);
    });
    watch(until, () => {
      const [facts, number, fact] = [history.facts.value, history.number.value, history.shown.value];
      const startedAt = task.value.started_at;
      node.hidden = history.isUnseen.value;
      strip.draw(facts, history.index, startedAt);
      setAttribute(node, "aria-label", `Previews of ${titleOf(task.value)}`);
      setAttribute(node, "aria-valuemin", "1");
      setAttribute(node, "aria-valuemax", String(Math.max(1, facts.length)));
      setAttribute(node, "aria-valuenow", String(history.index + 1));
      const moment = fact === null ? "" : spokenMoment(fact, startedAt);
      const words = [history.isAtNewest ? "newest" : "", moment].filter((word) => word !== "");
      setAttribute(node, "aria-valuetext", number === null ? "none yet" : words.join(", "));
    });
  }

  private listen(until: AbortSignal): void {
    const { history, isFocused, isHovered, node, strip } = this;
    const on = <K extends keyof HTMLElementEventMap>(
      event: K,
      listener: (event: HTMLElementEventMap[K]) => void,
    ) => node.addEventListener(event, listener, { signal: until });
    on("pointermove", () => (isHovered.value = !this.isOpen.peek()));
    on("pointerleave", () => (isHovered.value = false));
    const pointed = (event: MouseEvent) => this.pointedAt(event);
    // A click as well: a tap moves nothing before it. It goes on to the picture, which opens.
    for (const event of ["pointermove", "click"] as const)
      strip.node.addEventListener(event, pointed, { signal: until });
    strip.node.addEventListener("pointerleave", () => this.unpoint(), { signal: until });
    // A click focuses too, as does the dialog that it opened; neither is a wish to look back.
    on("focus", () => (isFocused.value = node.matches(":focus-visible")));
    on("blur", () => (isFocused.value = false));
    on("click", () => this.open());
    on("keydown", (event) => {
      isFocused.value = true;
      if (walk(event, FAR, (by) => history.step(by))) this.pointed = null;
      else if (event.key === "Escape" && !history.isAtNewest) history.leave();
      else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        this.open();
      }
    });
  }

  private pointedAt(event: MouseEvent): void {
    const { left, width } = this.strip.node.getBoundingClientRect();
    if (width > 0 && !this.isOpen.peek()) this.point((event.clientX - left) / width);
  }

  private unpoint(): void {
    this.pointed = null;
    // The dialog that comes between the strip and the pointer shows what was pointed at.
    if (!this.isOpen.peek()) this.history.leave();
  }

  private point(part: number): void {
    this.pointed = part;
    const count = this.history.facts.peek().length;
    if (count > 0) this.history.choose(part * count);
  }

  private open(): void {
    if (this.isOpen.peek() || this.history.number.peek() === null) return;
    this.isOpen.value = true;
    this.pointed = null;
    openPreviews(this.node, this.history, this.source, () => {
      this.isHovered.value = false;
      this.isOpen.value = false;
      this.history.leave();
    });
  }
}
