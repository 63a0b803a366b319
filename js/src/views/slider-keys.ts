/** The keys that a slider has. */

/** Goes so many steps where the key is one of those, which then nobody else gets; whether it was. */
export function walk(event: KeyboardEvent, far: number, go: (steps: number) => void): boolean {
  if (event.altKey || event.ctrlKey || event.metaKey) return false;
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -far,
    PageUp: far,
    Home: Number.NEGATIVE_INFINITY,
    End: Number.POSITIVE_INFINITY,
  };
  const step = steps[event.key];
  if (step === undefined) return false;
  event.preventDefault();
  // The notebook would move to another cell.
  event.stopPropagation();
  go(step);
  return true;
}
