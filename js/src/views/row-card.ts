/** The card of a row's task, made when the row is pressed, under it, and gone for good when it is pressed again. */

import { h, setAttribute } from "../dom.js";

/** `row` and, while it is open, what `card` makes; it lives until its signal aborts. */
export function withCard(
  row: HTMLElement,
  toggle: HTMLButtonElement,
  card: (until: AbortSignal) => HTMLElement,
  until: AbortSignal,
): HTMLElement {
  const place = h("div", "hw-row-place", row);
  let life: AbortController | null = null;
  const draw = () => {
    setAttribute(toggle, "aria-expanded", String(life !== null));
    place.toggleAttribute("data-open", life !== null);
  };
  const open = () => {
    const made = new AbortController();
    until.addEventListener("abort", () => made.abort(), { once: true, signal: made.signal });
    life = made;
    place.append(card(made.signal));
    draw();
    bringInSight(place);
  };
  const close = () => {
    life?.abort();
    life = null;
    place.replaceChildren(row);
    draw();
  };
  row.addEventListener(
    "click",
    ({ target }) => {
      const isButton = target instanceof Node && toggle.contains(target);
      if (!isButton && getSelection()?.isCollapsed === false) return;
      if (life === null) open();
      else close();
      // Wherever the row was pressed, and though the focus was in the card that is gone.
      toggle.focus({ preventScroll: true });
    },
    { signal: until },
  );
  draw();
  return place;
}

/** Scrolls the list alone, as far as shows the whole card, and no farther than shows the row. */
function bringInSight(place: HTMLElement): void {
  const list = place.closest(".hw-rows");
  if (list === null) return;
  const [inner, outer] = [place.getBoundingClientRect(), list.getBoundingClientRect()];
  const below = inner.bottom - outer.bottom;
  if (below > 0) list.scrollTop += Math.min(below, inner.top - outer.top);
}
