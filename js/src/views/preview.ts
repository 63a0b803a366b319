/** What there is to see of a task: the newest preview, and those before it for whoever looks for them. */

import { computed, signal } from "@preact/signals-core";
import { h, setAttribute, watch } from "../dom.js";
import { previewNumber } from "../model.js";
import { PreviewCache, type PreviewContent, type PreviewLoad } from "../preview-cache.js";
import { PreviewHistory } from "../preview-history.js";
import type { JupyterServer } from "../server.js";
import type { TaskEntry } from "../store.js";
import { PreviewFrame } from "./preview-frame.js";
import { PreviewScrubber } from "./preview-scrubber.js";
import { PreviewSound } from "./preview-sound.js";
import { previewName } from "./preview-strip.js";
import type { Scene, TaskSignal } from "./scene.js";

interface Wanted {
  readonly key: string;
  readonly load: PreviewLoad;
  /** Came by itself; what was looked for is drawn at once. */
  readonly isNews: boolean;
}

/** So many before and after the one that was looked for are fetched along with it. */
const AHEAD = 2;

/** `onFirst` is called when there is something to see at all. */
export function preview(entry: TaskEntry, task: TaskSignal, scene: Scene, onFirst: () => void): HTMLElement {
  const view = new Preview(task, scene.until, onFirst);
  if (scene.server !== null) view.followServer(scene.server, entry.id);
  let pictures = 0;
  watch(scene.until, () => {
    const blob = entry.picture.value;
    if (blob !== null)
      view.want({ key: `kernel ${++pictures}`, load: () => Promise.resolve(blob), isNews: true });
  });
  return view.node;
}

class Preview {
  readonly node = h("div", "hw-preview");
  private readonly frame: PreviewFrame;
  private readonly cache: PreviewCache;
  private readonly sound = new PreviewSound();
  private history: PreviewHistory | null = null;
  /** Of the one that can be seen. */
  private readonly shownKey = signal("");
  private heardKey = "";
  private wanted: Wanted | null = null;
  private isBusy = false;
  private isSeen = false;

  constructor(
    private readonly task: TaskSignal,
    private readonly until: AbortSignal,
    private readonly onFirst: () => void,
  ) {
    this.cache = new PreviewCache(until);
    this.frame = new PreviewFrame(until);
    this.node.append(this.frame.node, this.sound.node);
  }

  followServer(server: JupyterServer, taskId: string): void {
    const { cache, frame, task, until } = this;
    const newest = computed(() => previewNumber(task.value));
    const history = new PreviewHistory(server, taskId, newest, until);
    const source = (number: number): PreviewLoad => {
      return () => fetched(server, server.previewUrl(taskId, number), until);
    };
    const get = (number: number) => cache.get(String(number), source(number));
    const scrubber = new PreviewScrubber(frame, history, { task, get, until });
    this.history = history;
    this.node.replaceChildren(scrubber.node, this.sound.node);
    watch(until, () => frame.describe(this.alt(this.shownKey.value)));
    watch(until, () => {
      const number = history.number.value;
      if (number === null) return;
      // What comes to the fore because the newest is a sound, was there before.
      const isNews = history.isAtNewest && history.sound.peek() === null;
      this.want({ key: String(number), load: source(number), isNews });
      if (history.isAtNewest) return;
      for (const fact of history.near(AHEAD)) void get(fact.number);
    });
    // The list may tell of a sound before it was loaded as what is newest.
    watch(until, () => {
      const number = history.sound.value;
      if (number !== null) void get(number).then((content) => this.hear(String(number), content));
    });
  }

  private alt(key: string): string {
    return previewName(this.task.peek(), this.history?.fact(Number(key)) ?? null);
  }

  /** Previews that come while one is loading are skipped, except the newest. */
  want(wanted: Wanted): void {
    this.wanted = wanted;
    if (!this.isBusy) void this.work();
  }

  private async work(): Promise<void> {
    this.isBusy = true;
    for (let next = this.take(); next !== null && !this.until.aborted; next = this.take()) {
      if (next.key === this.shownKey.peek()) continue;
      // One that has expired or does not decode leaves the last one standing.
      this.node.toggleAttribute("data-waiting", !next.isNews);
      const content = await this.cache.get(next.key, next.load);
      if (content !== null && !this.until.aborted) await this.show(next, content);
    }
    this.isBusy = false;
    this.node.removeAttribute("data-waiting");
  }

  private take(): Wanted | null {
    const next = this.wanted;
    this.wanted = null;
    return next;
  }

  private async show(wanted: Wanted, content: PreviewContent): Promise<void> {
    if (content.kind === "audio") return this.hear(wanted.key, content);
    const alt = this.alt(wanted.key);
    if (!(await this.frame.show(content, alt, wanted.isNews, () => !this.until.aborted))) return;
    // What the kernel sent does not come back.
    if (this.shownKey.peek().startsWith("kernel ")) this.cache.forget(this.shownKey.peek());
    this.shownKey.value = wanted.key;
    this.appear(content);
  }

  /** What is heard has nothing to see: the last picture before it stays, or comes back after a reload. */
  private hear(key: string, content: PreviewContent | null): void {
    if (content?.kind !== "audio" || this.until.aborted || key === this.heardKey) return;
    // An older one, of which the list said that it can be seen.
    if (Number(key) < Number(this.heardKey)) return;
    if (this.heardKey !== "") this.cache.forget(this.heardKey);
    this.heardKey = key;
    this.sound.play(content.url);
    this.node.toggleAttribute("data-sound", true);
    this.appear(content);
    this.history?.hear(Number(key));
  }

  private appear(content: PreviewContent): void {
    this.node.style.setProperty("--hw-shape", String(this.frame.shape));
    setAttribute(this.node, "data-kind", this.frame.node.dataset.kind ?? content.kind);
    if (!this.isSeen) this.onFirst();
    this.isSeen = true;
  }
}

async function fetched(server: JupyterServer, url: string, until: AbortSignal): Promise<Blob | null> {
  const response = await server.fetch(url, until);
  return response.ok ? response.blob() : null;
}
