/** A list's rows are one stop of the Tab key; the arrow keys go from one to the next. */

const ROW = ".hw-row-open";

export function steerRows(rows: HTMLElement, until: AbortSignal): void {
  const all = () => [...rows.querySelectorAll<HTMLElement>(ROW)];
  // Until somebody comes, the list itself is the stop: its rows follow as their tasks become known.
  rows.tabIndex = 0;
  const enter = () => all()[0]?.focus({ preventScroll: true });
  const entered = ({ target }: FocusEvent) => {
    if (target === rows) enter();
    if (!(target instanceof HTMLElement) || !target.matches(ROW)) return;
    for (const row of rows.querySelectorAll<HTMLElement>(`${ROW}[tabindex="0"]`)) row.tabIndex = -1;
    rows.tabIndex = -1;
    target.tabIndex = 0;
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const places = all();
    // Keys pressed in a card are the card's.
    const here = event.target instanceof HTMLElement ? places.indexOf(event.target) : -1;
    const next = here < 0 ? null : targetOf(event.key, here, places.length - 1);
    if (next === null) return;
    event.preventDefault();
    places[next]?.focus();
  };
  rows.addEventListener("focusin", entered, { signal: until });
  rows.addEventListener("keydown", pressed, { signal: until });
}

function targetOf(key: string, here: number, last: number): number | null {
  if (key === "ArrowDown") return Math.min(here + 1, last);
  if (key === "ArrowUp") return Math.max(here - 1, 0);
  if (key === "Home") return 0;
  return key === "End" ? last : null;
}
