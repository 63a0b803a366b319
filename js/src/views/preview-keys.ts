/** Walks through a history of previews with the keys that a slider has. */

import type { PreviewHistory } from "../preview-history.js";

const FAR = 10;

/** Whether the key was one of those. */
export function walk(history: PreviewHistory, event: KeyboardEvent): boolean {
  if (event.altKey || event.ctrlKey || event.metaKey) return false;
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -FAR,
    PageUp: FAR,
    Home: Number.NEGATIVE_INFINITY,
    End: Number.POSITIVE_INFINITY,
  };
  const step = steps[event.key];
  if (step === undefined) return false;
  event.preventDefault();
  // The notebook would move to another cell.
  event.stopPropagation();
  history.step(step);
  return true;
}
