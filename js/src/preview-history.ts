/**
 * The previews that a task has had, and which of them is looked at.
 *
 * What there is, is asked for when somebody first wants to know, and again while they do whenever a newer one has
 * come. The one that is looked at stays the same however many follow it.
 */

import { computed, type ReadonlySignal, signal, untracked } from "@preact/signals-core";
import { watch } from "./dom.js";
import { type PreviewFact, parsePreviews } from "./preview-fact.js";
import { ask } from "./request.js";
import type { JupyterServer } from "./server.js";

/** Previews, for the keys that go far. */
export const FAR = 10;

export class PreviewHistory {
  private readonly known = signal<readonly PreviewFact[]>([]);
  private readonly chosen = signal<number | null>(null);
  private readonly wanted = signal(false);
  /** Turned out to be a sound, perhaps before the list told so. */
  private readonly heard = signal<number | null>(null);
  private asked: number | null = null;
  private isAsking = false;

  constructor(
    private readonly server: JupyterServer,
    private readonly taskId: string,
    /** The number of the newest one, as the task's state tells. */
    private readonly newest: ReadonlySignal<number | null>,
    private readonly until: AbortSignal,
  ) {
    watch(until, () => {
      const isNews = newest.value !== null && newest.value !== this.asked;
      // Of a task that ends with a sound the list tells what there is to see.
      const isWanted = [this.wanted.value, this.sound.value !== null].includes(true);
      if (isWanted && isNews) untracked(() => void this.ask());
    });
  }

  /** Those to look at, oldest first; empty before anybody wanted to know. */
  readonly facts = computed(() => this.known.value.filter((fact) => fact.kind !== "audio"));

  /** The number of the newest one where that is to be heard, not seen; else null. */
  readonly sound = computed(() => {
    const number = this.newest.value;
    const isSound = number === this.heard.value || this.fact(number)?.kind === "audio";
    return isSound ? number : null;
  });

  /** The number of the one that is looked at: the newest that can be seen, unless another was chosen. */
  readonly number = computed(() => {
    const newest = this.sound.value === null ? this.newest.value : (this.facts.value.at(-1)?.number ?? null);
    return this.chosen.value ?? newest;
  });

  /** What is known of the one that is looked at; null of one that the list does not tell of. */
  readonly shown = computed(() => this.fact(this.number.value));

  /** Whether all that there is, is a sound. */
  readonly isUnseen = computed(
    () => this.sound.value !== null && this.known.value.length > 0 && this.facts.value.length === 0,
  );

  /** What is known of that one; null where the list does not tell. */
  fact(number: number | null): PreviewFact | null {
    return this.known.value.find((fact) => fact.number === number) ?? null;
  }

  get isAtNewest(): boolean {
    return this.chosen.value === null;
  }

  /** Somebody looks at it, or no longer does. */
  want(isWanted: boolean): void {
    this.wanted.value = isWanted;
  }

  /** That one is a sound, as its content shows. */
  hear(number: number): void {
    this.heard.value = number;
  }

  /** Looks at the one of that place in the list; at the end it follows what comes. */
  choose(index: number): void {
    const facts = this.facts.peek();
    const fact = facts[Math.min(facts.length - 1, Math.max(0, Math.floor(index)))];
    this.chosen.value = fact === undefined || fact === facts.at(-1) ? null : fact.number;
  }

  /** So many further in time, or back. */
  step(by: number): void {
    this.choose(this.index + by);
  }

  /** Back to the newest. */
  leave(): void {
    this.chosen.value = null;
  }

  /** The place of the one that is looked at; the end where it is the newest. */
  get index(): number {
    const facts = this.facts.peek();
    const number = this.chosen.peek();
    const found = number === null ? -1 : facts.findIndex((fact) => fact.number >= number);
    return found === -1 ? Math.max(0, facts.length - 1) : found;
  }

  /** Those around the one that is looked at, the closest first. */
  near(distance: number): PreviewFact[] {
    const places = Array.from({ length: distance }, (_, away) => [1 + away, -1 - away]).flat();
    const facts = this.facts.peek();
    return places.map((by) => facts[this.index + by]).filter((fact) => fact !== undefined);
  }

  /** One question at a time, and after it another one where a newer preview has come meanwhile. */
  private async ask(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    const isWanted = () => this.wanted.peek() || this.sound.peek() !== null;
    while (!this.until.aborted && isWanted() && this.asked !== this.newest.peek()) {
      this.asked = this.newest.peek();
      const reply = await ask(this.server, this.server.previewsUrl(this.taskId), this.until);
      const facts = reply?.response.ok ? parsePreviews(reply.body) : null;
      if (this.until.aborted) return;
      if (facts !== null) this.known.value = facts;
      else {
        // Whoever looks again asks again.
        this.asked = null;
        break;
      }
    }
    this.isAsking = false;
  }
}
