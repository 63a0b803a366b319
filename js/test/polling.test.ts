import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Poller } from "../src/polling.js";

/** Each round takes 300 ms, and the next one comes 1 s after it. */
class SlowPoller extends Poller {
  readonly rounds: AbortSignal[] = [];

  protected async round(signal: AbortSignal): Promise<number> {
    this.rounds.push(signal);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return 1_000;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a poller", () => {
  it("asks at once, and waits after each round as long as that says", async () => {
    const poller = new SlowPoller();
    poller.start();
    expect(poller.rounds).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_299);
    expect(poller.rounds).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(poller.rounds).toHaveLength(2);
    poller.stop();
  });

  it("runs once, however often it is started", async () => {
    const poller = new SlowPoller();
    for (let time = 0; time < 3; time++) poller.start();
    await vi.advanceTimersByTimeAsync(1_300);
    expect(poller.rounds).toHaveLength(2);
    poller.stop();
  });

  it.each([
    ["asks", 100],
    ["waits", 500],
  ])("is over when it is stopped while it %s, and leaves no timer behind", async (_, ms) => {
    const poller = new SlowPoller();
    poller.start();
    await vi.advanceTimersByTimeAsync(ms);
    poller.stop();
    poller.stop();
    expect(poller.rounds[0]?.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(poller.rounds).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("begins anew when it is started again before a round has ended, and that round is not followed", async () => {
    const poller = new SlowPoller();
    poller.start();
    await vi.advanceTimersByTimeAsync(100);
    poller.stop();
    poller.start();
    expect(poller.rounds.map((signal) => signal.aborted)).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(1_300);
    expect(poller.rounds).toHaveLength(3);
    poller.stop();
  });
});
