/** What is known of each task, from wherever it came, as signals that change at most once per animation frame. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import type { Clock } from "./clock.js";
import type { LinkStatus, Viewer } from "./connection.js";
import { inNextFrame } from "./frame.js";
import { isNewer, isRecord, isTaskId, parseTask, type TaskProgress } from "./model.js";

export interface TaskEntry {
  readonly id: string;
  readonly state: ReadonlySignal<TaskProgress | null>;
  /** The server has said that it does not know the task. */
  readonly missing: ReadonlySignal<boolean>;
  /** The newest picture that the kernel sent, where no server can be asked for one. */
  readonly picture: ReadonlySignal<Blob | null>;
}

interface WritableEntry extends TaskEntry {
  readonly state: Signal<TaskProgress | null>;
  readonly missing: Signal<boolean>;
  readonly picture: Signal<Blob | null>;
}

export class TaskStore implements Viewer {
  readonly link = signal<LinkStatus>({ link: "kernel", heardAt: null });
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
    else if (task.updated_at !== null) this.clock.isAtLeast(Date.parse(task.updated_at));
    const entry = this.entries.get(task.task_id);
    if (entry === undefined) return;
    const newest = this.unseen.get(task.task_id) ?? entry.state.peek();
    if (newest !== null && !isNewer(task, newest)) return;
    this.unseen.set(task.task_id, task);
    if (this.unseen.size === 1) inNextFrame(() => this.show());
  }

  missing(taskId: string): void {
    const entry = this.entries.get(taskId);
    if (entry !== undefined) inNextFrame(() => (entry.missing.value = true));
  }

  linked(status: LinkStatus): void {
    inNextFrame(() => (this.link.value = status));
  }

  /** What the kernel sent: a state per task id, as untrusted as anything in a notebook. */
  fromKernel(states: unknown): void {
    if (!isRecord(states)) return;
    for (const value of Object.values(states)) {
      const task = parseTask(value);
      if (task !== null) this.progress(task, null);
    }
  }

  pictureFromKernel(taskId: string, picture: Blob): void {
    const entry = this.entries.get(taskId);
    if (entry !== undefined) inNextFrame(() => (entry.picture.value = picture));
  }

  private show(): void {
    for (const [id, task] of this.unseen) {
      const entry = this.entries.get(id);
      if (entry === undefined) continue;
      entry.state.value = task;
      entry.missing.value = false;
    }
    this.unseen.clear();
  }

  private entry(id: string): TaskEntry {
    const known = this.entries.get(id);
    if (known !== undefined) return known;
    const made: WritableEntry = {
      id,
      state: signal<TaskProgress | null>(null),
      missing: signal(false),
      picture: signal<Blob | null>(null),
    };
    this.entries.set(id, made);
    return made;
  }
}
