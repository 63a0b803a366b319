/**
 * The words of the wire and the one gate through which they come in.
 *
 * A payload may come from a notebook that nobody vouches for, so nothing is believed: an id that is not an id, a
 * number that is not finite, a preview that is not this task's are refused here and nowhere else.
 */

import { type LogNews, parseLogPage } from "./log-entry.js";
import {
  clamped,
  fraction,
  isOneOf,
  isRecord,
  type Metadata,
  nonNegative,
  type Timestamp,
  text,
  timestamp,
  wholeNumber,
} from "./payload.js";
import { parseResourcePage, type ResourcePage } from "./resource-sample.js";

export const TASK_STATUSES = ["queued", "in_progress", "completed", "failed", "cancelled", "lost"] as const;
const STAGE_STATUSES = ["pending", "in_progress", "completed", "failed", "skipped"] as const;
const ERROR_CODES = ["unknown_task", "bad_message", "store_unavailable"] as const;

export type TaskStatus = (typeof TASK_STATUSES)[number];
export type StageStatus = (typeof STAGE_STATUSES)[number];
export type ErrorCode = (typeof ERROR_CODES)[number];

export interface Stage {
  readonly id: string;
  readonly name: string;
  readonly weight: number;
  readonly status: StageStatus;
  /** 0 to 1. */
  readonly progress: number;
  readonly message: string | null;
  readonly done: number | null;
  readonly total: number | null;
  readonly started_at: Timestamp | null;
  readonly finished_at: Timestamp | null;
  /** Seconds, once the stage is over. */
  readonly duration: number | null;
  readonly error: string | null;
  readonly metadata: Metadata;
}

/** A length of time that is not known exactly: seconds, in order, of which eight in ten lie between the outer two. */
export interface Span {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** How long one stage is expected to take yet. */
export interface StageEstimate extends Span {
  readonly id: string;
}

/** The figures that an estimate rests on. */
export interface Evidence {
  /** Completed tasks of the template, and those of them with exactly these parameters. */
  readonly runs: number;
  readonly same: number;
  /** 0 to 1: how much of the answer is the running stage's own pace; the rest is history. */
  readonly pace_share: number | null;
  /** 0 to 1: how often such ranges held lately. */
  readonly coverage: number | null;
  /** Seconds that such a task usually takes. */
  readonly usual_s: number | null;
  /** Tasks ahead of it in the queue. */
  readonly ahead: number | null;
}

/** When the task will have finished: three times, and what they were made from. */
export interface Estimate {
  readonly low: Timestamp;
  readonly median: Timestamp;
  readonly high: Timestamp;
  readonly basis: string | null;
  /** It takes longer than nine in ten of its kind did. */
  readonly late: boolean;
  /** Such a task is usually done by now, and this one says nothing. */
  readonly stalled: boolean;
  /** Until it leaves the queue, counted from when the estimate was made. */
  readonly wait: Span | null;
  /** Of the stages that are not over, counted likewise. */
  readonly stages: readonly StageEstimate[];
  readonly evidence: Evidence | null;
}

/** Somebody has asked the task's present attempt to stop. */
export interface CancelRequest {
  /** As the server calls them; may be empty. */
  readonly by: string;
  readonly at: Timestamp;
}

export interface TaskProgress {
  readonly task_id: string;
  readonly template_id: string | null;
  readonly name: string | null;
  readonly category: string | null;
  readonly params: Metadata;
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly seq: number;
  /** 0 to 100. */
  readonly overall_progress: number | null;
  readonly current_stage: string | null;
  readonly stages: readonly Stage[];
  readonly error: string | null;
  readonly eta: Estimate | null;
  /** Relative to the server's base URL, and only ever this task's own. */
  readonly preview_url: string | null;
  readonly created_at: Timestamp | null;
  readonly started_at: Timestamp | null;
  readonly updated_at: Timestamp | null;
  readonly finished_at: Timestamp | null;
  /** When it was noticed that a lost task's worker is gone; the worker's last word is of `updated_at`. */
  readonly lost_at: Timestamp | null;
  readonly template_version: string | null;
  readonly device: string | null;
  readonly cancel_request: CancelRequest | null;
}

export interface ProgressUpdate {
  readonly type: "progress.update";
  readonly task_id: string;
  readonly seq: number;
  readonly sent_at: Timestamp | null;
  readonly data: TaskProgress;
}

export interface ServerError {
  readonly type: "error";
  readonly code: ErrorCode;
  readonly task_id: string | null;
  readonly message: string;
}

/** The server is there and has no news. */
export interface Heartbeat {
  readonly type: "heartbeat";
  readonly sent_at: Timestamp | null;
  readonly is_store_up: boolean;
}

/** New entries of a task's log, to whoever asked for them. */
export interface LogMessage extends LogNews {
  readonly type: "log";
  readonly task_id: string;
}

/** New samples of what a task takes of its machine, to whoever asked for them. */
export interface ResourcesMessage extends ResourcePage {
  readonly type: "resources";
  readonly task_id: string;
}

export type ServerMessage = ProgressUpdate | ServerError | Heartbeat | LogMessage | ResourcesMessage;

export interface Subscribe {
  readonly type: "subscribe";
  readonly task_ids: readonly string[];
  readonly since: Readonly<Record<string, number>>;
  readonly many: true;
  /** Their log entries are wanted too, those after these ids. */
  readonly logs?: true;
  readonly logs_since?: Readonly<Record<string, number>>;
  /** Their resource samples are wanted too, those after these times. */
  readonly resources?: true;
  readonly resources_since?: Readonly<Record<string, Timestamp>>;
}

const TASK_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const PREVIEW_NUMBER = /^\d{1,15}$/;
/** A bar of more segments than this could not be drawn; the server's own bound is lower. */
const MOST_STAGES = 200;

export function isTaskId(value: unknown): value is string {
  return typeof value === "string" && TASK_ID.test(value);
}

/** Whether the task has ended for good; a lost one may come back. */
export function hasEnded(status: TaskStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Whether a time left can be spoken of: the task waits or runs. */
export function isUnderway(status: TaskStatus): boolean {
  return status === "queued" || status === "in_progress";
}

/** Whether `a` was written after `b`: a later attempt beats every state of an earlier one. */
export function isNewer(a: TaskProgress, b: TaskProgress): boolean {
  return a.attempt === b.attempt ? a.seq > b.seq : a.attempt > b.attempt;
}

/** The number of the newest preview, or null. */
export function previewNumber(task: TaskProgress): number | null {
  return task.preview_url === null ? null : previewNumberOf(task.preview_url, task.task_id);
}

export function parseTask(value: unknown): TaskProgress | null {
  if (!isRecord(value) || !isTaskId(value.task_id) || !isOneOf(TASK_STATUSES, value.status)) return null;
  const attempt = wholeNumber(value.attempt);
  const seq = wholeNumber(value.seq);
  const stages = parseStages(value.stages);
  if (attempt === null || seq === null || stages === null) return null;
  const current = text(value.current_stage);
  return {
    task_id: value.task_id,
    template_id: text(value.template_id),
    name: text(value.name),
    category: text(value.category),
    params: isRecord(value.params) ? value.params : {},
    status: value.status,
    attempt,
    seq,
    overall_progress: clamped(value.overall_progress, 100),
    current_stage: stages.some((stage) => stage.id === current) ? current : null,
    stages,
    error: text(value.error),
    eta: parseEstimate(value.eta),
    preview_url: ownPreviewUrl(value.preview_url, value.task_id),
    created_at: timestamp(value.created_at),
    started_at: timestamp(value.started_at),
    updated_at: timestamp(value.updated_at),
    finished_at: timestamp(value.finished_at),
    lost_at: timestamp(value.lost_at),
    template_version: text(value.template_version),
    device: text(value.device),
    cancel_request: parseCancelRequest(value.cancel_request),
  };
}

/** What a frame of the socket holds: one message or an array of them; what is not understood is left out. */
export function parseMessages(frame: unknown): ServerMessage[] {
  const values = Array.isArray(frame) ? frame : [frame];
  return values.map(parseMessage).filter((message) => message !== null);
}

function parseMessage(value: unknown): ServerMessage | null {
  if (!isRecord(value)) return null;
  if (value.type === "progress.update") {
    const data = parseTask(value.data);
    if (data === null || data.task_id !== value.task_id) return null;
    return {
      type: value.type,
      task_id: data.task_id,
      seq: data.seq,
      sent_at: timestamp(value.sent_at),
      data,
    };
  }
  if (value.type === "error" && isOneOf(ERROR_CODES, value.code)) {
    const task_id = isTaskId(value.task_id) ? value.task_id : null;
    return { type: value.type, code: value.code, task_id, message: text(value.message) ?? "" };
  }
  if (value.type === "heartbeat") {
    return {
      type: value.type,
      sent_at: timestamp(value.sent_at),
      is_store_up: value.is_store_up !== false,
    };
  }
  if (value.type === "resources") return parseResourcesMessage(value);
  return value.type === "log" ? parseLogMessage(value) : null;
}

function parseLogMessage(value: Record<string, unknown>): LogMessage | null {
  const page = parseLogPage(value);
  if (page === null || !isTaskId(value.task_id)) return null;
  const { entries, dropped, total } = page;
  return { type: "log", task_id: value.task_id, entries, dropped, total };
}

function parseResourcesMessage(value: Record<string, unknown>): ResourcesMessage | null {
  const page = parseResourcePage(value);
  if (page === null || !isTaskId(value.task_id)) return null;
  return { type: "resources", task_id: value.task_id, ...page };
}

function parseCancelRequest(value: unknown): CancelRequest | null {
  const at = isRecord(value) ? timestamp(value.at) : null;
  return isRecord(value) && at !== null ? { by: text(value.by) ?? "", at } : null;
}

function parseStages(value: unknown): Stage[] | null {
  if (!Array.isArray(value) || value.length > MOST_STAGES) return null;
  const stages = value.map(parseStage).filter((stage) => stage !== null);
  return stages.length === value.length ? stages : null;
}

function parseStage(value: unknown): Stage | null {
  if (!isRecord(value) || !isOneOf(STAGE_STATUSES, value.status)) return null;
  const id = text(value.id);
  if (id === null) return null;
  return {
    id,
    name: text(value.name) ?? id,
    weight: nonNegative(value.weight) ?? 0,
    status: value.status,
    progress: clamped(value.progress, 1) ?? 0,
    message: text(value.message),
    done: nonNegative(value.done),
    total: nonNegative(value.total),
    started_at: timestamp(value.started_at),
    finished_at: timestamp(value.finished_at),
    duration: nonNegative(value.duration),
    error: text(value.error),
    metadata: isRecord(value.metadata) ? value.metadata : {},
  };
}

function parseEstimate(value: unknown): Estimate | null {
  if (!isRecord(value)) return null;
  const low = timestamp(value.low);
  const median = timestamp(value.median);
  const high = timestamp(value.high);
  if (low === null || median === null || high === null) return null;
  return {
    low,
    median,
    high,
    basis: text(value.basis),
    late: value.late === true,
    stalled: value.stalled === true,
    wait: parseSpan(value.wait),
    stages: parseStageEstimates(value.stages),
    evidence: parseEvidence(value.evidence),
  };
}

function parseStageEstimates(value: unknown): StageEstimate[] {
  if (!Array.isArray(value) || value.length > MOST_STAGES) return [];
  return value.map(parseStageEstimate).filter((stage) => stage !== null);
}

function parseStageEstimate(value: unknown): StageEstimate | null {
  const span = parseSpan(value);
  const id = isRecord(value) ? text(value.id) : null;
  return span === null || id === null ? null : { id, ...span };
}

function parseSpan(value: unknown): Span | null {
  if (!isRecord(value)) return null;
  const low = nonNegative(value.low);
  const median = nonNegative(value.median);
  const high = nonNegative(value.high);
  if (low === null || median === null || high === null) return null;
  return low <= median && median <= high ? { low, median, high } : null;
}

function parseEvidence(value: unknown): Evidence | null {
  if (!isRecord(value)) return null;
  return {
    runs: wholeNumber(value.runs) ?? 0,
    same: wholeNumber(value.same) ?? 0,
    pace_share: fraction(value.pace_share),
    coverage: fraction(value.coverage),
    usual_s: nonNegative(value.usual_s),
    ahead: wholeNumber(value.ahead),
  };
}

function ownPreviewUrl(value: unknown, taskId: string): string | null {
  return typeof value === "string" && previewNumberOf(value, taskId) !== null ? value : null;
}

function previewNumberOf(url: string, taskId: string): number | null {
  const start = `headway/tasks/${taskId}/previews/`;
  const number = url.slice(start.length);
  return url.startsWith(start) && PREVIEW_NUMBER.test(number) ? Number(number) : null;
}
