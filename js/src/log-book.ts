/** The entries of one open log: as many as a page can hold, and those of them that are asked for. */

import { Changing } from "./frame.js";
import {
  indexFrom,
  isAtLeast,
  type LogCounts,
  type LogEntry,
  type LogLevel,
  metadataText,
} from "./log-entry.js";
import type { LogReader } from "./log-readers.js";

/** Some 5 MB at most of what people log; a task's own log on the server is shorter. */
export const MOST_ENTRIES = 10_000;

export class LogBook extends Changing implements LogReader {
  /** How many, the oldest first, this book has let go of. */
  forgotten = 0;
  /** Whether it has been given what there was. */
  isCaughtUp = false;
  private counts: LogCounts | null = null;
  /** What the log had dropped before this book was given anything of it: what it drops later may be held here. */
  private droppedBefore = 0;
  private held: LogEntry[] = [];
  private passing: LogEntry[] = [];
  private least: LogLevel = "debug";
  private pattern: RegExp | null = null;

  get size(): number {
    return this.held.length;
  }

  /** How many the task has logged in all. */
  get total(): number {
    const seen = this.size + this.forgotten;
    return Math.max(seen, this.counts?.total ?? seen + this.droppedBefore);
  }

  /** How many of them were dropped before they came here; others that are lacking are on their way. */
  get missed(): number {
    return Math.min(this.total - this.size - this.forgotten, this.counts?.dropped ?? 0);
  }

  /** The id before which nothing is held any more. */
  get oldest(): number {
    return this.held[0]?.id ?? 0;
  }

  /** Those that pass the filter, oldest first. */
  get shown(): readonly LogEntry[] {
    return this.passing;
  }

  logged(entries: readonly LogEntry[], counts: LogCounts): void {
    const { dropped, total } = counts;
    const isNews = entries.length > 0 || dropped !== this.counts?.dropped || total !== this.counts.total;
    if (this.counts === null) this.droppedBefore = dropped;
    this.counts = { dropped, total };
    for (const entry of entries) {
      this.held.push(entry);
      if (this.passes(entry)) this.passing.push(entry);
    }
    const over = this.held.length - MOST_ENTRIES;
    if (over > 0) this.forget(over);
    if (isNews) this.change();
  }

  caughtUp(): void {
    if (this.isCaughtUp) return;
    this.isCaughtUp = true;
    this.change();
  }

  /** Shows only entries of that level and above in which the text occurs, in whatever case. */
  filter(least: LogLevel, search: string): void {
    this.least = least;
    this.pattern = search === "" ? null : new RegExp(escaped(search), "i");
    this.passing = this.held.filter((entry) => this.passes(entry));
    this.change();
  }

  private passes(entry: LogEntry): boolean {
    if (!isAtLeast(entry.level, this.least)) return false;
    if (this.pattern === null) return true;
    return this.pattern.test(entry.message) || this.pattern.test(metadataText(entry.metadata));
  }

  private forget(count: number): void {
    this.held.splice(0, count);
    this.forgotten += count;
    this.passing.splice(0, indexFrom(this.passing, this.oldest));
  }
}

function escaped(search: string): string {
  return search.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** The text in pieces, every other one of them an occurrence of what is searched for. */
export function pieces(text: string, search: string): string[] {
  return search === "" ? [text] : text.split(new RegExp(`(${escaped(search)})`, "i"));
}
