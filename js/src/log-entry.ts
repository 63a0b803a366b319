/** A task's log as it travels, and the gate through which it comes in. */

import { isOneOf, isRecord, type Metadata, type Timestamp, text, timestamp, wholeNumber } from "./payload.js";
import { firstFrom } from "./sorted.js";

export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogEntry {
  /** Rises with every entry of the task, across attempts. */
  readonly id: number;
  readonly timestamp: Timestamp;
  readonly level: LogLevel;
  readonly message: string;
  readonly metadata: Metadata;
}

export interface LogCounts {
  /** How many entries the task's log has dropped in all, because it is bounded. */
  readonly dropped: number;
  /** How many the task has logged in all, stored or not; null of a server that is too old to tell. */
  readonly total: number | null;
}

/** What the server tells of a log at once. */
export interface LogNews extends LogCounts {
  readonly entries: readonly LogEntry[];
}

export interface LogPage extends LogNews {
  /** Where the next page begins; null of the last one. */
  readonly cursor: number | null;
}

/** The server's own bound is 4,000. */
const MOST_CHARS = 20_000;

export function parseLogPage(value: unknown): LogPage | null {
  if (!isRecord(value) || !Array.isArray(value.entries)) return null;
  return {
    entries: value.entries.map(parseLogEntry).filter((entry) => entry !== null),
    dropped: wholeNumber(value.dropped) ?? 0,
    total: wholeNumber(value.total),
    cursor: wholeNumber(value.cursor),
  };
}

function parseLogEntry(value: unknown): LogEntry | null {
  if (!isRecord(value) || !isOneOf(LOG_LEVELS, value.level)) return null;
  const id = wholeNumber(value.id);
  const time = timestamp(value.timestamp);
  const message = text(value.message);
  if (id === null || time === null || message === null) return null;
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  return { id, timestamp: time, level: value.level, message: message.slice(0, MOST_CHARS), metadata };
}

/** Whether an entry of this level is among those of that level and above. */
export function isAtLeast(level: LogLevel, least: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}

/** "sigma=4.13 device="cuda 0"", as people write such lines; empty where there is nothing. */
export function metadataText(metadata: Metadata): string {
  return Object.entries(metadata)
    .map(([name, value]) => `${name}=${valueText(value)}`)
    .join(" ");
}

/** Six digits that matter: a float's others are noise. The download has them all. */
function valueText(value: unknown): string {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return value;
  return JSON.stringify(value) ?? String(value);
}

/** The index of the first entry of at least that id; ids rise. */
export function indexFrom(entries: readonly LogEntry[], id: number): number {
  return firstFrom(entries, (entry) => entry.id, id);
}
