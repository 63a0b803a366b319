/** A server of previews: a list and the files, and what was asked of it. */

import { vi } from "vitest";
import { JupyterServer } from "../src/server.js";

export function fact(number: number, changes: Readonly<Record<string, unknown>> = {}) {
  return {
    number,
    at: new Date(Date.parse("2026-11-22T16:00:00Z") + 1000 * number).toISOString(),
    progress: number,
    media_type: "image/jpeg",
    bytes: 1_000,
    width: 256,
    height: 256,
    ...changes,
  };
}

export function facts(first: number, last: number) {
  return Array.from({ length: last - first + 1 }, (_, index) => fact(first + index));
}

export class PreviewServer extends JupyterServer {
  list: unknown = [];
  readonly lists: string[] = [];
  readonly files: number[] = [];
  file: (number: number) => Blob | null = (number) => new Blob([`${number}`], { type: "image/jpeg" });

  constructor() {
    super("http://host/", "ws://host/", "");
  }

  override fetch(url: string, _: AbortSignal): Promise<Response> {
    const number = /\/previews\/(\d+)$/.exec(url)?.[1];
    if (number === undefined) {
      this.lists.push(url);
      return Promise.resolve(Response.json(this.list));
    }
    this.files.push(Number(number));
    const file = this.file(Number(number));
    return Promise.resolve(file === null ? new Response(null, { status: 404 }) : new Response(file));
  }
}

/** The object URLs that were made and not given back, under what they were made of. */
export function objectUrls(): { live(): string[]; made: Blob[] } {
  const live = new Set<string>();
  const made: Blob[] = [];
  vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
    if (!(blob instanceof Blob)) throw new TypeError("expected a Blob");
    const url = `blob:test/${made.push(blob)}`;
    live.add(url);
    return url;
  });
  vi.spyOn(URL, "revokeObjectURL").mockImplementation((url) => {
    if (!live.delete(url)) throw new Error(`${url} was given back before`);
  });
  return { live: () => [...live], made };
}
