/**
 * What is told of tasks while nobody looks at them: the tab's title, and a notice at the end.
 *
 * It hears of changes by itself, as views draw in animation frames, and a page out of sight has none.
 */

import type { Viewer } from "./connection.js";
import { UNKNOWN } from "./format.js";
import { isBroken, type LinkStatus, PATIENCE_MS } from "./link.js";
import { hasEnded, isUnderway, type TaskProgress } from "./model.js";
import { notifyOfEnd, notifyOfEnds } from "./notice.js";
import { tabTitle } from "./tab-title.js";
import { titleOf } from "./views/scene.js";

/** Of more tasks in one view not each end is worth a notice, but that of all. */
const MOST_NOTICES = 4;

interface Known {
  readonly status: TaskProgress["status"];
  readonly name: string;
  readonly percent: number;
}

export class OutOfSight implements Viewer {
  private readonly tasks = new Map<string, Known>();
  private running = 0;
  private underway = 0;
  private sum = 0;
  private claimed = "";
  /** The server is one of ours, so what it said last still counts. */
  private isServed = true;
  /** The link is broken, for longer than a reconnect takes: nobody knows how far the tasks are. */
  private isStale = false;
  private patience: ReturnType<typeof setTimeout> | undefined;
  private isClaiming = false;

  constructor(
    private readonly count: number,
    private readonly until: AbortSignal,
  ) {
    const leave = () => {
      clearTimeout(this.patience);
      tabTitle().claim(this, null);
    };
    until.addEventListener("abort", leave, { once: true });
  }

  progress(task: TaskProgress): void {
    if (this.until.aborted) return;
    const last = this.tasks.get(task.task_id);
    this.replace(task.task_id, last, {
      status: task.status,
      name: titleOf(task),
      percent: isUnderway(task.status) ? (task.overall_progress ?? 0) : 100,
    });
    if (last !== undefined && !hasEnded(last.status) && hasEnded(task.status)) this.ended(task);
    this.claim();
  }

  missing(taskId: string): void {
    this.replace(taskId, this.tasks.get(taskId), undefined);
    this.claim();
  }

  linked({ link, since }: LinkStatus): void {
    if (this.until.aborted) return;
    this.isServed = link !== "kernel";
    if (!isBroken(link)) this.mend();
    else this.patience ??= setTimeout(() => this.doubt(), Math.max(0, since + PATIENCE_MS - Date.now()));
    this.claim();
  }

  private mend(): void {
    clearTimeout(this.patience);
    this.patience = undefined;
    this.isStale = false;
  }

  private doubt(): void {
    this.isStale = true;
    this.claim();
  }

  private replace(taskId: string, last: Known | undefined, now: Known | undefined): void {
    for (const [known, sign] of [
      [last, -1],
      [now, 1],
    ] as const) {
      if (known === undefined) continue;
      this.sum += sign * known.percent;
      if (known.status === "in_progress") this.running += sign;
      if (isUnderway(known.status)) this.underway += sign;
    }
    if (now === undefined) this.tasks.delete(taskId);
    else this.tasks.set(taskId, now);
  }

  private ended(task: TaskProgress): void {
    if (this.count <= MOST_NOTICES) notifyOfEnd(task, titleOf(task));
    else if (this.underway === 0) notifyOfEnds([...this.tasks].map(([id, { status }]) => [id, status]));
  }

  /** Once for all tasks of a frame: the first one of a thousand would bring a thousand titles else. */
  private claim(): void {
    if (this.isClaiming) return;
    this.isClaiming = true;
    queueMicrotask(() => {
      this.isClaiming = false;
      if (!this.until.aborted) this.claimNow();
    });
  }

  /** Only what could be read in a title is worth going through all tasks: a whole percent, or another set of them. */
  private claimNow(): void {
    const isRunning = this.running > 0 && this.isServed;
    const { isStale, tasks } = this;
    const percent = isStale ? UNKNOWN : Math.floor(this.sum / tasks.size);
    const key = isRunning ? `${percent} ${tasks.size}` : "";
    if (key === this.claimed) return;
    this.claimed = key;
    tabTitle().claim(this, isRunning ? { tasks, isStale } : null);
  }
}
