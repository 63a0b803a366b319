/** Numbers as people read and say them. Pure: time comes in as an argument, and what is not known is a dash. */

import { isUnderway, type Stage, type TaskProgress, type TaskStatus } from "./model.js";

export const UNKNOWN = "–";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Whole percent, rounded down: 100 belongs to a completed task alone. */
export function wholePercent(progress: number | null, status: TaskStatus): number | null {
  if (status === "completed") return 100;
  if (progress === null || status === "queued") return null;
  // The sum of weighted fractions may fall short of a whole number by an ulp.
  return Math.min(99, Math.max(0, Math.floor(progress + 1e-6)));
}

export function percent(progress: number | null, status: TaskStatus): string {
  const whole = wholePercent(progress, status);
  return whole === null ? UNKNOWN : `${whole} %`;
}

/** How long something took: "0.3 s", "24 s", "1:24", "1 h 12 min", "2 d 3 h". */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return UNKNOWN;
  if (seconds < 0.05) return "<0.1 s";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return clockTime(Math.round(seconds));
}

/** How long something has been going on, in whole seconds, so that it changes once a second. */
export function elapsed(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return UNKNOWN;
  return clockTime(Math.floor(Math.max(0, seconds)));
}

/** How long ago something was that nobody counts the seconds of: "12 s ago", "2 min ago", "3 h ago", "1 day ago". */
export function ago(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s ago`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ago`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ago`;
  const days = Math.floor(whole / DAY);
  return `${days} ${days === 1 ? "day" : "days"} ago`;
}

function clockTime(seconds: number): string {
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}:${String(seconds % MINUTE).padStart(2, "0")}`;
  if (seconds < DAY) return pair(seconds, HOUR, "h", MINUTE, "min");
  return pair(seconds, DAY, "d", HOUR, "h");
}

function pair(seconds: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((seconds % large) / small);
  const whole = `${Math.floor(seconds / large)} ${largeUnit}`;
  return rest === 0 ? whole : `${whole} ${rest} ${smallUnit}`;
}

export function hourAndMinute(time: string): string {
  return new Date(time).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

export function dayAndTime(time: string): string {
  return new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
}

export function timeOfDay(time: string): string {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** "156 / 400", "156" where the end is not known, null where nothing is counted. */
export function counts(stage: Pick<Stage, "done" | "total">): string | null {
  if (stage.done === null) return null;
  return stage.total === null ? number(stage.done) : `${number(stage.done)} / ${number(stage.total)}`;
}

export function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** "7.8/s" where it is fast, "2.1 s each" where it is slow, null before there is a pace to speak of. */
export function rate(done: number | null, seconds: number | null): string | null {
  if (done === null || done <= 0 || seconds === null || seconds <= 0) return null;
  const perSecond = done / seconds;
  if (perSecond < 0.995) return `${duration(1 / perSecond)} each`;
  return `${perSecond < 9.95 ? perSecond.toFixed(1) : number(Math.round(perSecond))}/s`;
}

/** Seconds from the start to the end, or to `now` (ms) while there is none. */
export function secondsSince(start: string | null, end: string | null, now: number): number | null {
  if (start === null) return null;
  const until = end === null ? now : Date.parse(end);
  return Math.max(0, (until - Date.parse(start)) / 1000);
}

const STATUS: Readonly<Record<TaskStatus, string>> = {
  queued: "Queued",
  in_progress: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  lost: "Lost",
};

export function statusName(status: TaskStatus): string {
  return STATUS[status];
}

/** "Running for 12 s", "Completed in 24 s", "Failed after 1.5 s". */
export function statusLine(task: TaskProgress, now: number): string {
  const name = statusName(task.status);
  if (task.status === "lost") return `${name} · the worker stopped answering`;
  if (task.status === "queued") {
    const waited = secondsSince(task.created_at, null, now);
    return waited === null || waited < 1 ? name : `${name} for ${elapsed(waited)}`;
  }
  if (task.status === "in_progress") {
    const since = secondsSince(task.started_at, null, now);
    return since === null ? name : `${name} for ${elapsed(since)}`;
  }
  const by = task.status === "cancelled" && task.cancel_request?.by ? ` by ${task.cancel_request.by}` : "";
  const took = secondsSince(task.started_at, task.finished_at ?? task.updated_at, now);
  if (took === null) return `${name}${by}`;
  return `${name}${by} ${task.status === "completed" ? "in" : "after"} ${duration(took)}`;
}

/** What a screen reader says for the bar; `left` is the time left in its words. */
export function spokenProgress(task: TaskProgress, left: string): string {
  const whole = wholePercent(task.overall_progress, task.status);
  const parts = [statusName(task.status)];
  if (whole !== null && task.status !== "completed") parts.push(`${whole} percent`);
  if (isUnderway(task.status)) parts.push(left);
  return parts.join(", ");
}
