/**
 * Keys that are pressed in a view, and do not reach the notebook around it.
 *
 * JupyterLab takes single letters and arrows as commands on cells wherever nothing can be typed into: `d d` on a
 * focused button deletes the cell it stands in. It looks from the focused element upwards for one that a shortcut is
 * meant for, and its cell commands are meant for whatever is focused, so that only the focused element itself can
 * refuse them; on anything around it the attribute comes too late.
 */

/** https://jupyterlab.readthedocs.io/en/stable/extension/notebook.html#keyboard-interaction-model */
const REFUSAL = "data-lm-suppress-shortcuts";
/** With Ctrl or Cmd these edit what is typed or selected; the notebook's own are about cells. */
const EDITING: ReadonlySet<string> = new Set(["a", "c", "v", "x", "y", "z", "Z"]);
const CHORD_KEYS: ReadonlySet<string> = new Set(["Control", "Meta"]);

/** Keeps all keys in `root` but chords such as the one that saves, for which browsers have worse answers. */
export function keepKeys(root: HTMLElement, until: AbortSignal): void {
  const options = { signal: until, capture: true };
  root.addEventListener("focusin", (event) => refuse(event, true), options);
  // Some front ends look before these are called: there the refusal is lifted by Ctrl, before the letter comes.
  root.addEventListener("keydown", (event) => refuse(event, !isChord(event)), options);
  root.addEventListener("keyup", (event) => refuse(event, !isChord(event)), options);
}

function refuse({ target }: Event, isRefused: boolean): void {
  if (!(target instanceof Element)) return;
  if (isRefused) target.setAttribute(REFUSAL, "true");
  else target.removeAttribute(REFUSAL);
}

/** Of letters and signs: with Enter, Backspace and the arrows the notebook runs, merges and moves cells. */
function isChord({ ctrlKey, metaKey, key }: KeyboardEvent): boolean {
  if (!ctrlKey && !metaKey) return false;
  return CHORD_KEYS.has(key) || (key.length === 1 && !EDITING.has(key));
}
