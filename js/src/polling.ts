/** Asks round after round, from `start` to `stop`, for what no WebSocket brings. */

/** Between two rounds, while all is well. */
export const ROUND_MS = 1_000;

export abstract class Poller {
  private running: AbortController | null = null;
  private next: ReturnType<typeof setTimeout> | undefined;

  start(): void {
    if (this.running !== null) return;
    this.running = new AbortController();
    void this.go(this.running.signal);
  }

  stop(): void {
    clearTimeout(this.next);
    this.running?.abort();
    this.running = null;
  }

  /** Asks once, until the signal aborts; how long to wait before the next round (ms). */
  protected abstract round(signal: AbortSignal): Promise<number>;

  private async go(signal: AbortSignal): Promise<void> {
    const waitMs = await this.round(signal);
    if (!signal.aborted) this.next = setTimeout(() => void this.go(signal), waitMs);
  }
}
