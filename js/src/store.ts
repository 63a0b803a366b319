/** What is known of each task, from wherever it came, as signals that change at most once per animation frame. */

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { StopWish } from "./cancelling.js";
import type { Clock } from "./clock.js";
import type { Viewer } from "./connection.js";
import { inNextFrame } from "./frame.js";
import type { LinkStatus } from "./link.js";
import { isNewer, isTaskId, parseTask, type TaskProgress } from "./model.js";
import { isRecord } from "./payload.js";
import { TaskCountdown } from "./task-countdown.js";

export interface TaskEntry {
  readonly id: string;
  readonly state: ReadonlySignal<TaskProgress | null>;
  /** The server has said that it does not know the task. */
  readonly missing: ReadonlySignal<boolean>;
  /** The same, and it has had time to hear of one that had only just begun. */
  readonly isUnknown: ReadonlySignal<boolean>;
  /** The newest picture that the kernel sent, where no server can be asked for one. */
  readonly picture: ReadonlySignal<Blob | null>;
  /** Has heard the state. */
  readonly countdown: TaskCountdown;
  /** And so has this. */
  readonly wish: StopWish;
}

interface WritableEntry extends TaskEntry {
  readonly state: Signal<TaskProgress | null>;
  readonly missingSince: Signal<number | null>;
  readonly picture: Signal<Blob | null>;
  /**
   * When the server said, after its last state of the task, that it does not know it (browser's clock, ms): the next
   * one counts, whatever its number.
   */
  forgottenAt: number | null;
}

/** A view may be there some 0.3 s before the task is stored, and longer where the store is slow. */
const STORING_MS = 3_000;

export class TaskStore implements Viewer {
  readonly link = signal<LinkStatus>({ link: "kernel", since: 0, heardAt: null });
  private readonly entries = new Map<string, WritableEntry>();
  /** The newest state of each task since the last frame. A hidden page draws no frames, so this must not pile up. */
  private readonly unseen = new Map<string, TaskProgress>();

  constructor(private readonly clock: Clock) {}

  /** Begins to keep exactly these tasks. */
  keep(taskIds: readonly string[]): readonly TaskEntry[] {
    const ids = [...new Set(taskIds.filter(isTaskId))];
    for (const id of this.entries.keys()) if (!ids.includes(id)) this.entries.delete(id);
    for (const id of this.unseen.keys()) if (!ids.includes(id)) this.unseen.delete(id);
    return ids.map((id) => this.entry(id));
  }

  progress(task: TaskProgress, sentAt: number | null): void {
    if (sentAt !== null) this.clock.heard(sentAt);
    const entry = this.entries.get(task.task_id);
    if (entry === undefined) return;
    this.take(task, entry, entry.forgottenAt !== null);
    if (entry.forgottenAt !== null) this.forgetSince(entry, null);
  }

  missing(taskId: string): void {
    const entry = this.entries.get(taskId);
    if (entry === undefined || entry.forgottenAt !== null) return;
    entry.wish.forget();
    this.forgetSince(entry, Date.now());
  }

  private forgetSince(entry: WritableEntry, at: number | null): void {
    entry.forgottenAt = at;
    inNextFrame(() => (entry.missingSince.value = entry.forgottenAt));
  }

  linked(status: LinkStatus): void {
    inNextFrame(() => (this.link.value = status));
  }

  /** What the kernel sent: a state per task id, as untrusted as anything in a notebook. */
  fromKernel(states: unknown): void {
    if (!isRecord(states)) return;
    for (const value of Object.values(states)) {
      const task = parseTask(value);
      const entry = task === null ? undefined : this.entries.get(task.task_id);
      if (task !== null && entry !== undefined) this.take(task, entry, false);
    }
  }

  pictureFromKernel(taskId: string, picture: Blob): void {
    const entry = this.entries.get(taskId);
    if (entry !== undefined) inNextFrame(() => (entry.picture.value = picture));
  }

  private take(task: TaskProgress, entry: WritableEntry, isFirstAnew: boolean): void {
    if (task.updated_at !== null) this.clock.isAtLeast(Date.parse(task.updated_at));
    const newest = this.unseen.get(entry.id) ?? entry.state.peek();
    if (newest !== null && !isNewer(task, newest) && !isFirstAnew) return;
    this.unseen.set(entry.id, task);
    if (this.unseen.size === 1) inNextFrame(() => this.show());
  }

  private show(): void {
    for (const [id, task] of this.unseen) {
      const entry = this.entries.get(id);
      if (entry === undefined) continue;
      entry.countdown.heard(task, this.clock.now());
      entry.wish.heard(task);
      entry.state.value = task;
    }
    this.unseen.clear();
  }

  private entry(id: string): TaskEntry {
    const known = this.entries.get(id);
    if (known !== undefined) return known;
    const missingSince = signal<number | null>(null);
    const made: WritableEntry = {
      id,
      state: signal<TaskProgress | null>(null),
      missingSince,
      missing: computed(() => missingSince.value !== null),
      isUnknown: computed(() => this.isLongAgo(missingSince.value)),
      picture: signal<Blob | null>(null),
      countdown: new TaskCountdown(),
      wish: new StopWish(),
      forgottenAt: null,
    };
    this.entries.set(id, made);
    return made;
  }

  /** Looks again each second until it is. */
  private isLongAgo(time: number | null): boolean {
    if (time === null) return false;
    const isLong = Date.now() - time >= STORING_MS;
    if (!isLong) this.clock.nowAndEverySecond();
    return isLong;
  }
}
