/** States made from the samples of the wire, so that a test says only what is special about its task. */

import { readFileSync } from "node:fs";
import { type Estimate, parseTask, type Stage, type TaskProgress } from "../src/model.js";

export function wire(name: string): unknown {
  return JSON.parse(readFileSync(`../tests/wire/${name}`, "utf8"));
}

export function sample(name: "progress_running" | "progress_failed" | "progress_queued"): TaskProgress {
  const task = parseTask(wire(`${name}.json`));
  if (task === null) throw new Error(`${name}.json is not a task`);
  return task;
}

export function running(changes: Partial<TaskProgress> = {}): TaskProgress {
  return { ...sample("progress_running"), ...changes };
}

/** The state as the server sends it. */
export function update(task: TaskProgress) {
  return {
    type: "progress.update",
    task_id: task.task_id,
    seq: task.seq,
    sent_at: task.updated_at,
    data: task,
  };
}

export function withStage(task: TaskProgress, id: string, changes: Partial<Stage>): TaskProgress {
  const stages = task.stages.map((stage) => (stage.id === id ? { ...stage, ...changes } : stage));
  return { ...task, stages };
}

/** An estimate that ends so many seconds after `now` (ms), and nothing else of note. */
export function estimate(
  now: number,
  [low, median, high]: readonly [low: number, median: number, high: number],
  changes: Partial<Estimate> = {},
): Estimate {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString();
  return {
    low: at(low),
    median: at(median),
    high: at(high),
    basis: null,
    late: false,
    stalled: false,
    wait: null,
    stages: [],
    evidence: null,
    ...changes,
  };
}
