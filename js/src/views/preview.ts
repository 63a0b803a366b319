/** The newest picture. The next one is fetched and decoded before it replaces the last, so that nothing flickers. */

import { h, watch } from "../dom.js";
import type { TaskEntry } from "../store.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";

interface Source {
  readonly key: string;
  load(): Promise<Blob | null>;
}

export class Preview {
  readonly node = h("div", "hw-preview");
  private shownUrl: string | null = null;
  private shownKey = "";
  private wanted: Source | null = null;
  private busy = false;

  constructor(
    private readonly task: TaskSignal,
    private readonly until: AbortSignal,
    private readonly onFirst: () => void,
  ) {
    until.addEventListener("abort", () => this.forget(), { once: true });
  }

  /** Pictures that come while one is loading are skipped, except the newest. */
  want(source: Source): void {
    if (source.key === this.shownKey) return;
    this.wanted = source;
    if (!this.busy) void this.work();
  }

  private async work(): Promise<void> {
    this.busy = true;
    for (let next = this.take(); next !== null && !this.until.aborted; next = this.take()) {
      // A picture that has expired or does not decode leaves the last one standing.
      await this.show(next).catch(() => undefined);
    }
    this.busy = false;
  }

  private take(): Source | null {
    const next = this.wanted;
    this.wanted = null;
    return next;
  }

  private async show(source: Source): Promise<void> {
    const blob = await source.load();
    if (blob === null || this.until.aborted) return;
    const url = URL.createObjectURL(blob);
    const image = h("img", "hw-picture");
    image.alt = `Preview of ${titleOf(this.task.peek())}`;
    image.src = url;
    try {
      await image.decode();
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    const isFirst = this.shownUrl === null;
    this.forget();
    if (this.until.aborted) {
      URL.revokeObjectURL(url);
      return;
    }
    this.shownUrl = url;
    this.shownKey = source.key;
    this.node.replaceChildren(image);
    if (isFirst) this.onFirst();
  }

  private forget(): void {
    if (this.shownUrl !== null) URL.revokeObjectURL(this.shownUrl);
    this.shownUrl = null;
  }
}

/** `onFirst` is called when there is something to see at all. */
export function preview(entry: TaskEntry, task: TaskSignal, scene: Scene, onFirst: () => void): HTMLElement {
  const view = new Preview(task, scene.until, onFirst);
  let pictures = 0;
  watch(scene.until, () => {
    const url = scene.server?.previewUrl(task.value) ?? null;
    if (url !== null) view.want({ key: url, load: () => fetchPicture(url, scene) });
  });
  watch(scene.until, () => {
    const blob = entry.picture.value;
    if (blob !== null) view.want({ key: `kernel ${++pictures}`, load: () => Promise.resolve(blob) });
  });
  return view.node;
}

async function fetchPicture(url: string, scene: Scene): Promise<Blob | null> {
  const response = await scene.server?.fetch(url, scene.until);
  if (!response?.ok) return null;
  const blob = await response.blob();
  return blob.type.startsWith("image/") ? blob : null;
}
