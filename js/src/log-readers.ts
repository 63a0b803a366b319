/**
 * Who on this page reads which task's log, and how far each of them is.
 *
 * Ids rise, so a reader's place is one number: whatever comes twice, from a second reader's start, a reconnect or a
 * request beside the socket, is given once, and the next question asks for what the hindmost lacks.
 */

import type { LogEntry } from "./log-entry.js";

export interface LogReader {
  /** Entries that it has not had, oldest first; how many the task's log has dropped in all. */
  logged(entries: readonly LogEntry[], dropped: number): void;
  /** It has been given what there was; more may follow. */
  caughtUp(): void;
}

interface Log {
  readonly places: Map<LogReader, number>;
  /** Words of the server since the socket was asked for this log; null before. */
  words: number | null;
}

/** The first state may have been on its way before the question; the entries travel right behind the next one. */
const WORDS_BEFORE_CAUGHT_UP = 2;

export class LogReaders {
  private readonly logs = new Map<string, Log>();

  get taskIds(): string[] {
    return [...this.logs.keys()];
  }

  has(taskId: string): boolean {
    return this.logs.has(taskId);
  }

  join(taskId: string, reader: LogReader): void {
    const log = this.logs.get(taskId) ?? { places: new Map(), words: null };
    this.logs.set(taskId, log);
    log.places.set(reader, 0);
    log.words = null;
  }

  leave(taskId: string, reader: LogReader): void {
    const log = this.logs.get(taskId);
    log?.places.delete(reader);
    if (log?.places.size === 0) this.logs.delete(taskId);
  }

  /** The id of the newest entry that all readers of the task have. */
  since(taskId: string): number {
    return Math.min(...(this.logs.get(taskId)?.places.values() ?? [0]));
  }

  take(taskId: string, entries: readonly LogEntry[], dropped: number): void {
    for (const [reader, place] of this.logs.get(taskId)?.places ?? []) {
      const news = after(place, entries);
      this.logs.get(taskId)?.places.set(reader, news.at(-1)?.id ?? place);
      reader.logged(news, dropped);
    }
  }

  caughtUp(taskId: string): void {
    for (const reader of this.logs.get(taskId)?.places.keys() ?? []) reader.caughtUp();
  }

  /** The socket has been asked for this log. */
  asked(taskId: string): void {
    const log = this.logs.get(taskId);
    if (log !== undefined) log.words = 0;
  }

  /** The server has sent the task's state. */
  stateCame(taskId: string): void {
    const log = this.logs.get(taskId);
    if (log === undefined || log.words === null) return;
    log.words += 1;
    if (log.words === WORDS_BEFORE_CAUGHT_UP) this.caughtUp(taskId);
  }

  /** The server has nothing new of anything. */
  heartbeatCame(): void {
    for (const [taskId, log] of this.logs) if (log.words !== null) this.caughtUp(taskId);
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
