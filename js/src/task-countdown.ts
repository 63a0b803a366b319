/** When one task is expected to leave its queue, to end its stages and to end: one countdown for all views of it. */

import { Countdown, type Instants } from "./countdown.js";
import { type Estimate, isUnderway, type Span, type Stage, type TaskProgress } from "./model.js";

export class TaskCountdown {
  readonly start = new Countdown();
  readonly finish = new Countdown();
  private attempt = 0;
  private eta: Estimate | null = null;
  /** What the estimate says in seconds counts from then (server's clock, ms). */
  private madeAt = 0;

  /** A state has come. */
  heard(task: TaskProgress, now: number): void {
    const eta = isUnderway(task.status) ? task.eta : null;
    if (eta === null || task.attempt !== this.attempt) this.forget();
    this.attempt = task.attempt;
    if (task.status !== "queued" || !eta?.wait) this.start.forget();
    if (eta === null || (this.eta !== null && isSame(eta, this.eta))) return;
    // The first may have been made long before it is seen; every other is seen when it is made.
    const isFirst = this.eta === null && task.updated_at !== null;
    this.madeAt = isFirst ? Math.min(now, Date.parse(task.updated_at ?? "")) : now;
    this.eta = eta;
    this.finish.heard(inOrder(eta), now);
    if (task.status === "queued" && eta.wait !== null) this.start.heard(after(this.madeAt, eta.wait), now);
  }

  /** The seconds that a stage takes yet, of one that runs or is to come. */
  stageLeft({ id, status }: Stage, now: number): Span | null {
    const span = this.eta?.stages.find((stage) => stage.id === id);
    if (span === undefined || (status !== "pending" && status !== "in_progress")) return null;
    const gone = status === "pending" ? 0 : Math.max(0, now - this.madeAt) / 1000;
    const yet = (seconds: number) => Math.max(0, seconds - gone);
    return { low: yet(span.low), median: yet(span.median), high: yet(span.high) };
  }

  private forget(): void {
    this.eta = null;
    this.finish.forget();
    this.start.forget();
  }
}

/** A state comes ten times a second, an estimate once. */
function isSame(a: Estimate, b: Estimate): boolean {
  return a.low === b.low && a.median === b.median && a.high === b.high && a.wait?.median === b.wait?.median;
}

function inOrder({ low, median, high }: Estimate): Instants {
  const [first = 0, second = 0, third = 0] = [low, median, high].map(Date.parse).sort((a, b) => a - b);
  return { low: first, median: second, high: third };
}

function after(time: number, { low, median, high }: Span): Instants {
  return { low: time + 1000 * low, median: time + 1000 * median, high: time + 1000 * high };
}
