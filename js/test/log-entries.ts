/** Log entries, made from the few things a test says of them. */

import type { LogCounts, LogEntry } from "../src/log-entry.js";

export function logEntry(id: number, changes: Partial<LogEntry> = {}): LogEntry {
  return {
    id,
    timestamp: "2026-11-22T16:00:00.250000Z",
    level: "info",
    message: `line ${id}`,
    metadata: {},
    ...changes,
  };
}

/** The entries of the ids from the first to the last. */
export function logEntries(first: number, last: number): LogEntry[] {
  return Array.from({ length: last - first + 1 }, (_, index) => logEntry(first + index));
}

export function counts(dropped = 0, total: number | null = null): LogCounts {
  return { dropped, total };
}

export function logMessage(taskId: string, entries: readonly unknown[], dropped = 0) {
  return { type: "log", task_id: taskId, entries, ...counts(dropped) };
}
