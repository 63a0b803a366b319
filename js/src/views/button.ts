/** A button that does one thing. */

import { h } from "../dom.js";

export function button(
  className: string,
  label: string,
  click: () => unknown,
  until: AbortSignal,
): HTMLButtonElement {
  const made = h("button", className, label);
  // Not one that sends the form it may happen to stand in.
  made.type = "button";
  made.addEventListener("click", () => void click(), { signal: until });
  return made;
}
