/** Made-up tasks in every state, at times around now. */

import type { Estimate, Stage, StageStatus, TaskProgress, TaskStatus } from "../src/model.js";

export type Plan = readonly [name: string, weight: number, status: StageStatus, changes?: Partial<Stage>];

export function at(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString();
}

export function stage([name, weight, status, changes]: Plan): Stage {
  const id = name.toLowerCase().replaceAll(/[ -]/g, "_");
  return {
    id,
    name,
    weight,
    status,
    progress: status === "completed" ? 1 : 0,
    message: null,
    done: null,
    total: null,
    started_at: null,
    finished_at: null,
    duration: null,
    error: null,
    metadata: {},
    ...changes,
  };
}

export function task(
  name: string,
  status: TaskStatus,
  plans: readonly Plan[],
  changes: Partial<TaskProgress> = {},
): TaskProgress {
  const stages = plans.map(stage);
  const overall = stages.reduce((sum, one) => sum + one.weight * one.progress, 0) * 100;
  return {
    task_id: `${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-7f3k2m9q`,
    template_id: "gray-scott",
    name,
    category: "image_generation",
    params: { width: 768, height: 768, steps: 400, sampler: "euler", seed: 1234567 },
    status,
    attempt: 1,
    seq: 1,
    overall_progress: overall,
    current_stage: stages.find((one) => one.status === "in_progress" || one.status === "failed")?.id ?? null,
    stages,
    error: null,
    eta: null,
    preview_url: null,
    created_at: at(-96),
    started_at: at(-95),
    updated_at: at(0),
    finished_at: null,
    lost_at: null,
    template_version: null,
    device: null,
    cancel_request: null,
    ...changes,
  };
}

/** An estimate of the seconds that are left. */
export function eta(low: number, median: number, high: number, changes: Partial<Estimate> = {}): Estimate {
  return {
    low: at(low),
    median: at(median),
    high: at(high),
    basis: "32 runs of this template, 9 with these parameters",
    late: false,
    stalled: false,
    wait: null,
    stages: [],
    evidence: { runs: 32, same: 9, pace_share: 0.72, coverage: 0.81, usual_s: 176, ahead: null },
    ...changes,
  };
}

/** The stages of a running image task, the rest of the time in the running one. */
export function stagesLeft(left: number) {
  return [
    { id: "generation", low: left * 0.7, median: left, high: left * 1.6 },
    { id: "post_processing", low: 8, median: 12, high: 19 },
  ];
}

const DONE: readonly Plan[] = [
  ["Queue", 0.05, "completed", { duration: 0.25 }],
  ["Model loading", 0.15, "completed", { duration: 3.4 }],
];

export const IMAGE_RUNNING: readonly Plan[] = [
  ...DONE,
  [
    "Generation",
    0.7,
    "in_progress",
    {
      progress: 0.39,
      done: 156,
      total: 400,
      message: "coral growing",
      started_at: at(-88),
      metadata: { feed: 0.0545, kill: 0.062 },
    },
  ],
  ["Post-processing", 0.1, "pending"],
];

export const IMAGE_ENDING: readonly Plan[] = [
  ...DONE,
  ["Generation", 0.7, "completed", { duration: 84.2, done: 400, total: 400 }],
  ["Post-processing", 0.1, "in_progress", { progress: 0.6, message: "upscaling", started_at: at(-5) }],
];

export const IMAGE_QUEUED: readonly Plan[] = [
  ["Queue", 0.05, "in_progress"],
  ["Model loading", 0.15, "pending"],
  ["Generation", 0.7, "pending"],
  ["Post-processing", 0.1, "pending"],
];

export const IMAGE_LOADING: readonly Plan[] = [
  ["Queue", 0.05, "completed", { duration: 0.25 }],
  ["Model loading", 0.15, "in_progress", { message: "reading 6.9 GB of weights" }],
  ["Generation", 0.7, "pending"],
  ["Post-processing", 0.1, "pending"],
];

export const IMAGE_DONE: readonly Plan[] = [
  ...DONE,
  ["Generation", 0.7, "completed", { duration: 84.2, done: 400, total: 400, metadata: { feed: 0.0545 } }],
  ["Post-processing", 0.1, "completed", { duration: 1.9 }],
];

export const FAILED: readonly Plan[] = [
  ["Queue", 0.05, "skipped"],
  ["Preparation", 0.15, "completed", { duration: 1.2 }],
  [
    "Execution",
    0.7,
    "failed",
    { progress: 0.29, done: 29, total: 100, duration: 41, message: "note 29 of 100" },
  ],
  ["Finalization", 0.1, "pending"],
];

export const MANY: readonly Plan[] = [
  ["Text encoding", 0.04, "completed", { duration: 2.1 }],
  ["Reference frames", 0.06, "completed", { duration: 12.4 }],
  ["Model loading", 0.1, "skipped"],
  ["First pass diffusion", 0.35, "completed", { duration: 312 }],
  [
    "Second pass refinement",
    0.25,
    "in_progress",
    { progress: 0.62, done: 31, total: 50, started_at: at(-65) },
  ],
  ["Frame interpolation", 0.12, "pending"],
  ["Video encoding and upload", 0.08, "pending"],
];

export const ERROR = `Traceback (most recent call last):
  File "bell.py", line 41, in strike
    return fm(pitch, index)
  File "bell.py", line 17, in fm
    raise ValueError(f"expected a positive pitch, got {pitch}")
ValueError: expected a positive pitch, got -3 (note 29 of 100, voice "a-very-long-identifier-without-any-space-that-has-to-wrap-somewhere-in-the-narrow-view")`;
