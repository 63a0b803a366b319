/** One entry of a log: a line of fixed height, which unfolds where there is more to it. */

import { h, setAttribute, svg } from "../dom.js";
import { pieces } from "../log-book.js";
import { type LogEntry, metadataText } from "../log-entry.js";

/** What is longer than this a cell may cut off. */
const LONG_CHARS = 48;
/** And this one that is so narrow that it shows no metadata in a folded row either. */
const BRIEF_CHARS = 32;

/** Where there is more to an entry than its row shows: never, in narrow cells, or in any. */
type Folding = "no" | "narrow" | "any";

function foldingOf({ message, metadata }: LogEntry): Folding {
  const beside = metadataText(metadata).length;
  if (message.trimEnd().includes("\n") || message.length + beside > LONG_CHARS) return "any";
  return beside > 0 || message.length > BRIEF_CHARS ? "narrow" : "no";
}

/** Whether the row can be folded here and now: of a short one the style shows the arrow in narrow cells only. */
export function isFoldable(row: HTMLElement): boolean {
  const arrow = row.querySelector("button");
  return arrow !== null && getComputedStyle(arrow).visibility !== "hidden";
}

export function logRow(entry: LogEntry, isUnfolded: boolean, search: string): HTMLElement {
  const [hour, ...rest] = clockOf(entry.timestamp);
  const time = h("time", "hw-log-time", h("span", "hw-log-hour", `${hour}:`), rest.join(":"));
  time.dateTime = entry.timestamp;
  const level = h("span", "hw-log-level", entry.level);
  const text = isUnfolded ? unfolded(entry, search) : folded(entry, search);
  const folding = foldingOf(entry);
  const arrow = folding === "no" ? h("span", "hw-log-fold") : fold(isUnfolded);
  const row = h("div", "hw-log-row", arrow, time, level, text);
  row.dataset.folding = folding;
  row.dataset.level = entry.level;
  row.dataset.entry = String(entry.id);
  row.toggleAttribute("data-unfolded", isUnfolded);
  row.setAttribute("role", "listitem");
  return row;
}

function fold(isUnfolded: boolean): HTMLElement {
  const arrow = svg(
    "svg",
    { viewBox: "0 0 8 8", "aria-hidden": "true" },
    svg("path", { d: "M2.5 1l3 3-3 3" }),
  );
  const button = h("button", "hw-log-fold");
  button.type = "button";
  button.append(arrow);
  setAttribute(button, "aria-expanded", String(isUnfolded));
  setAttribute(button, "aria-label", isUnfolded ? "Show less" : "Show all of it");
  return button;
}

/** A traceback tells what it is in its first line and what went wrong in its last. */
function folded(entry: LogEntry, search: string): HTMLElement {
  const lines = entry.message.trimEnd().split("\n");
  const first = h("span", "hw-log-first", ...highlighted(lines[0] ?? "", search));
  const line = h("span", "hw-log-text", first);
  if (lines.length > 1) {
    const between = lines.length > 2 ? ` ⋯ ${lines.length - 2} more ⋯ ` : " ⋯ ";
    const last = (lines.at(-1) ?? "").trim();
    line.append(h("span", "hw-log-between", between), h("span", "hw-log-last", ...highlighted(last, search)));
  }
  const metadata = metadataText(entry.metadata);
  if (metadata !== "") line.append(h("span", "hw-log-metadata", ...highlighted(metadata, search)));
  return line;
}

function unfolded(entry: LogEntry, search: string): HTMLElement {
  const text = h("span", "hw-log-text", h("span", "hw-log-whole", ...highlighted(entry.message, search)));
  const metadata = metadataText(entry.metadata);
  if (metadata !== "") text.append(h("span", "hw-log-metadata", ...highlighted(metadata, search)));
  return text;
}

function highlighted(text: string, search: string): (Node | string)[] {
  return pieces(text, search).map((piece, index) =>
    index % 2 === 1 ? h("mark", "hw-log-match", piece) : piece,
  );
}

/** hh, mm and ss of the reader's clock. By hand: a formatter of the browser's would cost more than the row. */
function clockOf(time: string): string[] {
  const date = new Date(time);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0"));
}
