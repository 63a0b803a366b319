/**
 * Who on this page looks at which task's resources, and up to when each of them has seen.
 *
 * Samples of one interval replace each other, so nothing is lost where one comes twice: all of a task's readers are
 * given whatever comes, and the next question asks for what comes after the newest that all of them have.
 */

import { Readers } from "./readers.js";
import type { ResourcePage, ResourceSample } from "./resource-sample.js";
import type { ResourceReader, ResourceState } from "./resource-series.js";

/** Where the samples of tasks come from that are subscribed to. */
export interface ResourceSource {
  followResources(taskId: string, reader: ResourceReader, until: AbortSignal): void;
}

export class ResourceReaders extends Readers<ResourceReader, ResourceSample | null> {
  constructor() {
    super(null);
  }

  /** The time of the newest sample that all of the task's readers have; null where one has none. */
  since(taskId: string): string | null {
    let oldest: ResourceSample | null = null;
    for (const newest of this.of(taskId).values()) {
      if (newest === null) return null;
      if (oldest === null || newest.time < oldest.time) oldest = newest;
    }
    return oldest?.at ?? null;
  }

  take(taskId: string, page: ResourcePage): void {
    const newest = page.samples.at(-1) ?? null;
    const readers = this.of(taskId);
    for (const [reader, known] of readers) {
      if (newest !== null && newest.time > (known?.time ?? 0)) readers.set(reader, newest);
      reader.measured(page);
      reader.became("measured");
    }
  }

  became(taskId: string, state: ResourceState): void {
    for (const reader of this.of(taskId).keys()) reader.became(state);
  }
}
