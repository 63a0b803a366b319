/** A word that can be asked for its reasons: pointed at, tapped or reached by keyboard it shows a few sentences. */

import { h, keepChildren, setAttribute, setText } from "../dom.js";

export interface Explained {
  readonly node: HTMLElement;
  explain(lines: readonly string[]): void;
}

/** From the word to its panel and from the panel to the window's edge, px. */
const GAP = 4;
let panels = 0;

/**
 * The panel is drawn over everything else, as a cell's output would cut it off. Where a browser has no popovers the
 * sentences are the word's title.
 */
export function explained(content: readonly HTMLElement[], className: string, until: AbortSignal): Explained {
  const panel = h("div", "hw-reasons");
  panel.id = `hw-reasons-${++panels}`;
  panel.setAttribute("role", "tooltip");
  const word = h("button", `hw-explained ${className}`, ...content);
  word.type = "button";
  const place = h("div", "hw-explained-place", word, panel);
  const hasPopovers = "showPopover" in HTMLElement.prototype;
  if (hasPopovers) panel.setAttribute("popover", "manual");
  else panel.hidden = true;
  let isOpen = false;
  const show = (wanted: boolean) => {
    if (!hasPopovers || wanted === isOpen || !panel.isConnected || (wanted && panel.childElementCount === 0))
      return;
    isOpen = wanted;
    if (wanted) {
      panel.showPopover();
      move(panel, word);
    } else panel.hidePopover();
  };
  const on = (event: string, wanted: boolean) =>
    place.addEventListener(event, () => show(wanted), { signal: until });
  // The panel is the place's child wherever it is drawn, so the pointer may wander into it.
  on("pointerenter", true);
  on("pointerleave", false);
  on("focusin", true);
  on("focusout", false);
  on("click", true);
  place.addEventListener("keydown", (event) => event.key === "Escape" && show(false), { signal: until });
  // It would stay where it was while the word scrolls away.
  document.addEventListener("scroll", () => show(false), { signal: until, capture: true, passive: true });
  return {
    node: place,
    explain(lines) {
      draw(panel, lines);
      setAttribute(word, "aria-describedby", lines.length === 0 ? null : panel.id);
      if (!hasPopovers) setAttribute(word, "title", lines.join("\n"));
      if (lines.length === 0) show(false);
    },
  };
}

function draw(panel: HTMLElement, lines: readonly string[]): void {
  keepChildren(panel, lines.length, () => h("div", ""));
  lines.forEach((line, index) => {
    const child = panel.children[index];
    if (child !== undefined) setText(child, line);
  });
}

/** Under the word and flush with its right end; over it where there is no room below. */
function move(panel: HTMLElement, word: HTMLElement): void {
  const at = word.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const below = at.bottom + GAP;
  const top = below + height + GAP > innerHeight ? at.top - GAP - height : below;
  panel.style.left = `${Math.max(GAP, Math.min(at.right, innerWidth - GAP) - width)}px`;
  panel.style.top = `${Math.max(GAP, top)}px`;
}
