/** A number that walks to where it is sent, one step per animation frame. */

import { prefersStillness } from "./dom.js";

/** A little more than two updates, so that a steady stream of them looks like one motion. */
const WALK_MS = 250;

export class Tween {
  private shown: number | null = null;
  private from = 0;
  private target = 0;
  private startedAt = 0;
  private frame = 0;

  constructor(
    private readonly show: (value: number) => void,
    until: AbortSignal,
  ) {
    until.addEventListener("abort", () => cancelAnimationFrame(this.frame), { once: true });
  }

  /** Jumps the first time, backwards (another attempt began) and where motion is unwelcome. */
  to(target: number): void {
    if (this.shown === null || target < this.shown || prefersStillness()) {
      this.jump(target);
      return;
    }
    if (target === this.target) return;
    this.from = this.shown;
    this.target = target;
    this.startedAt = performance.now();
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.step(now));
  }

  private jump(target: number): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.shown = this.target = target;
    this.show(target);
  }

  private step(now: number): void {
    const way = Math.min(1, Math.max(0, (now - this.startedAt) / WALK_MS));
    this.shown = this.from + (this.target - this.from) * way;
    this.show(this.shown);
    this.frame = way < 1 ? requestAnimationFrame((next) => this.step(next)) : 0;
  }
}
