/** A button that opens a panel under its line, and closes it for good. */

import { signal } from "@preact/signals-core";
import { h, setAttribute, setText, watch } from "../dom.js";
import { number } from "../format.js";
import { button } from "./button.js";

export interface Panel {
  readonly node: HTMLElement;
  /** How many things there are in it, as far as is known; read anew as signals change. */
  count(): number | null;
}

let drawers = 0;

/** `open` makes the panel, which lives until its signal aborts. */
export function drawer(
  label: string,
  open: (until: AbortSignal) => Panel,
  until: AbortSignal,
): { readonly toggle: HTMLElement; readonly place: HTMLElement } {
  const place = h("div", "hw-drawer");
  place.id = `hw-drawer-${++drawers}`;
  const panel = signal<Panel | null>(null);
  let life = new AbortController();
  until.addEventListener("abort", () => life.abort(), { once: true });
  const press = () => {
    life.abort();
    life = new AbortController();
    const next = panel.peek() === null ? open(life.signal) : null;
    place.replaceChildren(...(next === null ? [] : [next.node]));
    panel.value = next;
  };
  const count = h("span", "hw-tool-count");
  const toggle = button("hw-tool", label, press, until);
  toggle.append(count);
  toggle.setAttribute("aria-controls", place.id);
  watch(until, () => {
    setAttribute(toggle, "aria-expanded", String(panel.value !== null));
    const known = panel.value?.count() ?? null;
    setText(count, known === null ? "" : number(known));
  });
  return { toggle, place };
}
