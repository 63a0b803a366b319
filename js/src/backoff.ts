/** How long to wait before the next try: doubling, bounded, and jittered so that many pages do not come back at once. */

const FIRST_MS = 100;

export class Backoff {
  private tries = 0;

  constructor(
    private readonly longestMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** Between half the doubled time and all of it. */
  nextMs(): number {
    const ms = Math.min(this.longestMs, FIRST_MS * 2 ** this.tries);
    if (ms < this.longestMs) this.tries += 1;
    return ms / 2 + (ms / 2) * this.random();
  }

  reset(): void {
    this.tries = 0;
  }
}
