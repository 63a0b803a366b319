/** The previews of one task that are held in memory: the ones looked at last, and never more than so many bytes. */

import { mediaTypeOf, type PreviewKind } from "./preview-fact.js";

/** What is shown, once it is here. */
export interface PreviewContent {
  readonly kind: PreviewKind;
  /** Of this page alone, and only while it is held. */
  readonly url: string;
  /** What a text says, or the end of a long one. */
  readonly text: string | null;
  readonly bytes: number;
  readonly extension: string;
}

export type PreviewLoad = () => Promise<Blob | null>;

interface Held {
  promise: Promise<PreviewContent | null>;
  /** Null while it is on its way. */
  content: PreviewContent | null;
}

/** A whole history of thumbnails, or some pictures of full size. */
export const MOST_BYTES = 8e6;
export const MOST_HELD = 64;
/** What is before the end of a text is not worth the layout. */
const MOST_CHARS = 20_000;

export class PreviewCache {
  /** In the order in which they were asked for. A preview never changes under its key. */
  private readonly held = new Map<string, Held>();
  private isOver = false;

  constructor(until: AbortSignal) {
    until.addEventListener("abort", () => this.clear(), { once: true });
  }

  get size(): number {
    return this.held.size;
  }

  get bytes(): number {
    return [...this.held.values()].reduce((sum, one) => sum + (one.content?.bytes ?? 0), 0);
  }

  /** Loads what is not held; null where it has expired or is nothing that a browser is to show. */
  get(key: string, load: PreviewLoad): Promise<PreviewContent | null> {
    if (this.isOver) return Promise.resolve(null);
    const held = this.held.get(key) ?? this.load(key, load);
    this.held.delete(key);
    this.held.set(key, held);
    this.shrink();
    return held.promise;
  }

  /** Lets go of one that will not be looked at again. */
  forget(key: string): void {
    const content = this.held.get(key)?.content ?? null;
    if (content !== null) URL.revokeObjectURL(content.url);
    this.held.delete(key);
  }

  private load(key: string, load: PreviewLoad): Held {
    const held: Held = { promise: Promise.resolve(null), content: null };
    held.promise = this.open(key, held, load);
    return held;
  }

  private async open(key: string, held: Held, load: PreviewLoad): Promise<PreviewContent | null> {
    const blob = await load().catch(() => null);
    const content = blob === null ? null : await contentOf(blob).catch(() => null);
    const isWanted = this.held.get(key) === held;
    // What did not come may come another time.
    if (content === null && isWanted) this.held.delete(key);
    if (content === null) return null;
    if (!isWanted) {
      URL.revokeObjectURL(content.url);
      return null;
    }
    held.content = content;
    this.shrink();
    return content;
  }

  /** The one asked for last stays, however large it is, and a sound until it is forgotten: its player reads on. */
  private shrink(): void {
    for (const key of [...this.held.keys()].slice(0, -1)) {
      if (this.held.size <= MOST_HELD && this.bytes <= MOST_BYTES) return;
      if (this.held.get(key)?.content?.kind !== "audio") this.forget(key);
    }
  }

  private clear(): void {
    this.isOver = true;
    for (const key of [...this.held.keys()]) this.forget(key);
  }
}

async function contentOf(blob: Blob): Promise<PreviewContent | null> {
  const type = mediaTypeOf(blob.type);
  if (type === null) return null;
  const text = type.kind === "text" ? (await blob.text()).slice(-MOST_CHARS) : null;
  return { ...type, url: URL.createObjectURL(blob), text, bytes: blob.size };
}
