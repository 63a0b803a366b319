/**
 * The browser's notice that a task is over, for whoever wants it and looks elsewhere.
 *
 * The wish is one per browser. A notice carries the task for a tag, so that the same one from another view, page or
 * copy of the bundle takes its place instead of standing beside it.
 */

import { statusName } from "./format.js";
import { TASK_STATUSES, type TaskProgress, type TaskStatus } from "./model.js";

const KEY = "headway.notify";
const CHANGED = "headway-notify";

/** Whether notices could be shown at all, now or once somebody allows them. */
export function canNotify(): boolean {
  return "Notification" in globalThis && Notification.permission !== "denied";
}

export function wantsNotices(): boolean {
  return canNotify() && Notification.permission === "granted" && stored() === "on";
}

/** Asks for leave where it must; whether notices are switched on now. To be called at a click, and only then. */
export async function wantNotices(wanted: boolean): Promise<boolean> {
  if (wanted && Notification.permission === "default") await Notification.requestPermission();
  try {
    if (wanted && Notification.permission === "granted") localStorage.setItem(KEY, "on");
    else localStorage.removeItem(KEY);
  } catch {
    // A page without a storage of its own forgets the wish, which it then cannot keep either.
  }
  dispatchEvent(new Event(CHANGED));
  return wantsNotices();
}

/** Whoever changes the wish: this view, another one, or another page. */
export function onWishChanged(changed: () => void, until: AbortSignal): void {
  addEventListener(CHANGED, changed, { signal: until });
  addEventListener("storage", changed, { signal: until });
}

export function notifyOfEnd(task: TaskProgress, title: string): void {
  if (!document.hidden || !wantsNotices()) return;
  const body =
    task.status === "failed" && task.error ? `Failed: ${lastLine(task.error)}` : statusName(task.status);
  show(title, body, `headway-${task.task_id}`);
}

/** Of many tasks at once, by id. */
export function notifyOfEnds(ends: readonly (readonly [taskId: string, status: TaskStatus])[]): void {
  const [first] = ends;
  if (!document.hidden || !wantsNotices() || first === undefined) return;
  const counts = TASK_STATUSES.map(
    (status) => [ends.filter(([, one]) => one === status).length, status] as const,
  );
  const body = counts
    .filter(([count]) => count > 0)
    .map(([count, status]) => `${count} ${statusName(status).toLowerCase()}`);
  show(`${ends.length} tasks are over`, body.join(", "), `headway-${first[0]}-${ends.length}`);
}

function show(title: string, body: string, tag: string): void {
  try {
    const notice = new Notification(title, { body, tag });
    notice.onclick = () => {
      focus();
      notice.close();
    };
  } catch {
    // Chrome on Android shows notices of service workers only.
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
