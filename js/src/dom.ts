/** Plain DOM in few words. Text goes in as text nodes only. */

import { effect } from "@preact/signals-core";

type Child = Node | string;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

export function svg(
  tag: string,
  attributes: Readonly<Record<string, string>>,
  ...children: Node[]
): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Writing the same text again would cost a layout and restart what a screen reader says. */
export function setText(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** The title is made when the pointer comes: most are never read, and some would change every second. */
export function explainWhenAsked(element: HTMLElement, explain: () => string, until: AbortSignal): void {
  element.addEventListener("pointerenter", () => setAttribute(element, "title", explain() || null), {
    signal: until,
  });
}

/** Takes children away at the end or makes more there, until there are so many. */
export function keepChildren(parent: Element, count: number, make: (index: number) => Element): void {
  while (parent.childElementCount > count) parent.lastElementChild?.remove();
  while (parent.childElementCount < count) parent.append(make(parent.childElementCount));
}

/** Runs `fit` soon, and whenever the element has another size, until `until` aborts. */
export function onResize(element: Element, fit: () => void, until: AbortSignal): void {
  const observer = new ResizeObserver(fit);
  observer.observe(element);
  until.addEventListener("abort", () => observer.disconnect(), { once: true });
}

/** Runs `draw` now and whenever a signal it read changes, until `until` aborts. */
export function watch(until: AbortSignal, draw: () => void): void {
  if (until.aborted) return;
  until.addEventListener("abort", effect(draw), { once: true });
}

export function prefersStillness(): boolean {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}
