/** What is known of a task's previews, as it travels, and the gate through which it comes in. */

import { isRecord, nonNegative, type Timestamp, timestamp, wholeNumber } from "./payload.js";

export type PreviewKind = "picture" | "text" | "audio";

export interface MediaType {
  readonly kind: PreviewKind;
  /** Of a file that is made of it. */
  readonly extension: string;
}

/** What a browser may be given of what a worker stored. No SVG: it is a document, not a picture. */
const MEDIA_TYPES: ReadonlyMap<string, MediaType> = new Map([
  ["image/jpeg", { kind: "picture", extension: "jpg" }],
  ["image/webp", { kind: "picture", extension: "webp" }],
  ["image/png", { kind: "picture", extension: "png" }],
  ["text/plain", { kind: "text", extension: "txt" }],
  ["audio/wav", { kind: "audio", extension: "wav" }],
  ["audio/mpeg", { kind: "audio", extension: "mp3" }],
  ["audio/mp4", { kind: "audio", extension: "m4a" }],
  ["audio/ogg", { kind: "audio", extension: "ogg" }],
  ["audio/flac", { kind: "audio", extension: "flac" }],
  ["audio/webm", { kind: "audio", extension: "weba" }],
]);

export interface PreviewFact {
  /** Rises with time. */
  readonly number: number;
  readonly at: Timestamp;
  /** 0 to 100, of the task as a whole. */
  readonly progress: number;
  readonly kind: PreviewKind;
  readonly bytes: number;
  /** Pixels; null for what is no picture. */
  readonly width: number | null;
  readonly height: number | null;
}

/** The server's own bound is 200. */
const MOST_PREVIEWS = 1_000;

/** Understands "text/plain; charset=utf-8"; null where a browser is not to show it. */
export function mediaTypeOf(value: unknown): MediaType | null {
  const [type = ""] = typeof value === "string" ? value.toLowerCase().split(";") : [];
  return MEDIA_TYPES.get(type.trim()) ?? null;
}

/** Oldest first, each number once; null of what is no list. */
export function parsePreviews(value: unknown): PreviewFact[] | null {
  if (!Array.isArray(value)) return null;
  const facts = value.slice(-MOST_PREVIEWS).map(parsePreview);
  const byNumber = new Map<number, PreviewFact>();
  for (const fact of facts) if (fact !== null) byNumber.set(fact.number, fact);
  return [...byNumber.values()].sort((a, b) => a.number - b.number);
}

function parsePreview(value: unknown): PreviewFact | null {
  if (!isRecord(value)) return null;
  const number = wholeNumber(value.number);
  const at = timestamp(value.at);
  const progress = nonNegative(value.progress);
  const kind = mediaTypeOf(value.media_type)?.kind ?? null;
  if (number === null || at === null || progress === null || progress > 100 || kind === null) return null;
  const [width, height] = [wholeNumber(value.width), wholeNumber(value.height)];
  return { number, at, progress, kind, bytes: wholeNumber(value.bytes) ?? 0, width, height };
}
