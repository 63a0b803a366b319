/**
 * Who on this page reads which task's log, and how far each of them is.
 *
 * Ids rise, so a reader's place is one number: whatever comes twice, from a second reader's start, a reconnect or a
 * request beside the socket, is given once, and the next question asks for what the hindmost lacks.
 */

import type { LogCounts, LogEntry, LogNews } from "./log-entry.js";
import { Readers } from "./readers.js";

export interface LogReader {
  /** Entries that it has not had, oldest first; how many the task's log has had in all. */
  logged(entries: readonly LogEntry[], counts: LogCounts): void;
  /** It has been given what there was; more may follow. */
  caughtUp(): void;
}

/** The first state may have been on its way before the question; the entries travel right behind the next one. */
const WORDS_BEFORE_CAUGHT_UP = 2;

export class LogReaders extends Readers<LogReader, number> {
  /** By task, the server's words since the socket was asked for its log; none before. */
  private readonly words = new Map<string, number>();

  constructor() {
    super(0);
  }

  override join(taskId: string, reader: LogReader): void {
    super.join(taskId, reader);
    this.words.delete(taskId);
  }

  override leave(taskId: string, reader: LogReader): void {
    super.leave(taskId, reader);
    if (!this.has(taskId)) this.words.delete(taskId);
  }

  /** The id of the newest entry that all readers of the task have. */
  since(taskId: string): number {
    return Math.min(...this.of(taskId).values());
  }

  take(taskId: string, news: LogNews): void {
    const readers = this.of(taskId);
    for (const [reader, place] of readers) {
      const entries = after(place, news.entries);
      readers.set(reader, entries.at(-1)?.id ?? place);
      reader.logged(entries, news);
    }
  }

  caughtUp(taskId: string): void {
    for (const reader of this.of(taskId).keys()) reader.caughtUp();
  }

  /** The socket has been asked for this log. */
  asked(taskId: string): void {
    if (this.has(taskId)) this.words.set(taskId, 0);
  }

  /** The server has sent the task's state. */
  stateCame(taskId: string): void {
    const words = this.words.get(taskId);
    if (words === undefined) return;
    this.words.set(taskId, words + 1);
    if (words + 1 === WORDS_BEFORE_CAUGHT_UP) this.caughtUp(taskId);
  }

  /** The server has nothing new of anything. */
  heartbeatCame(): void {
    for (const taskId of this.words.keys()) this.caughtUp(taskId);
  }
}

/** Those of a higher id than `place`, each once, should the server have mixed them up. */
function after(place: number, entries: readonly LogEntry[]): LogEntry[] {
  const news: LogEntry[] = [];
  let last = place;
  for (const entry of entries) {
    if (entry.id <= last) continue;
    news.push(entry);
    last = entry.id;
  }
  return news;
}
