/**
 * The place where one preview stands. The next one is decoded before it is drawn over the last and grows sharp there,
 * so that nothing flickers; the place keeps its size whatever comes.
 */

import { h, onResize, prefersStillness, setAttribute, setText } from "../dom.js";
import type { PreviewContent } from "../preview-cache.js";

const SHARPEN_MS = 320;
const BLURRED: Keyframe[] = [
  { opacity: 0, filter: "blur(8px)" },
  { opacity: 1, filter: "blur(0)" },
];

export class PreviewFrame {
  readonly node = h("div", "hw-preview-frame");
  /** Width by height of the newest picture; one that is looked back at moves nothing. */
  shape = 1;
  private top: HTMLElement | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(until: AbortSignal) {
    onResize(this.node, () => this.fade(), until);
    until.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
  }

  get isEmpty(): boolean {
    return this.top === null;
  }

  /** Whether it was drawn; what does not decode leaves the last one standing. */
  async show(
    content: PreviewContent,
    alt: string,
    isGrowing: boolean,
    isWanted: () => boolean,
  ): Promise<boolean> {
    if (content.kind === "audio") return false;
    const layer = content.text === null ? await picture(content.url, alt) : textual(content.text);
    if (layer === null || !isWanted()) return false;
    this.node.dataset.kind = content.kind;
    if (isGrowing || this.top === null) this.shape = shapeOf(layer) ?? this.shape;
    // Of the layers before only the uppermost can still be seen.
    this.node.replaceChildren(...(this.top === null || content.text !== null ? [] : [this.top]), layer);
    this.top = layer;
    this.fade();
    if (isGrowing && content.text === null && !prefersStillness() && layer.animate !== undefined) {
      layer.animate(BLURRED, { duration: SHARPEN_MS, easing: "ease-out" });
      // A hidden page ends no animations.
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.settle(layer), SHARPEN_MS);
    } else this.settle(layer);
    return true;
  }

  describe(alt: string): void {
    if (this.top instanceof HTMLImageElement) setAttribute(this.top, "alt", alt);
  }

  /** A text that is longer than its place fades towards what is not seen of it. */
  private fade(): void {
    const words = this.top?.firstElementChild;
    if (words instanceof HTMLElement) this.top?.toggleAttribute("data-cut", words.offsetTop < 0);
  }

  private settle(layer: HTMLElement): void {
    if (this.top === layer) this.node.replaceChildren(layer);
  }
}

function shapeOf(layer: HTMLElement): number | null {
  if (!(layer instanceof HTMLImageElement) || layer.naturalHeight === 0) return null;
  return layer.naturalWidth / layer.naturalHeight;
}

async function picture(url: string, alt: string): Promise<HTMLElement | null> {
  const image = h("img", "hw-picture");
  image.alt = alt;
  image.draggable = false;
  image.src = url;
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
}

/** The end of a text is what is new, so it stands at the lower edge. */
function textual(text: string): HTMLElement {
  const words = h("div", "hw-preview-words");
  setText(words, text.trimEnd());
  return h("div", "hw-preview-text", words);
}
