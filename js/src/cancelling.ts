/** What became of the wish that a task be stopped. Pure, but for the one request that carries it. */

import { elapsed } from "./format.js";
import { type Reply, replyTo, UNKNOWN_TASK } from "./request.js";
import type { JupyterServer } from "./server.js";

/** A worker that has not stopped by then may never look. */
const PATIENCE_S = 30;
/** The store may be slow; the worker is not waited for. */
const ANSWER_MS = 10_000;

/** Asks; null when the wish is stored, else why it is not, in a few words. */
export async function askToStop(
  server: JupyterServer,
  taskId: string,
  until: AbortSignal,
): Promise<string | null> {
  const reply = await replyTo((signal) => server.cancel(taskId, signal), until, ANSWER_MS);
  if (reply === null) return "the server does not answer";
  return reply.response.ok ? null : refusal(reply);
}

function refusal({ response, reason }: Reply): string {
  const { status } = response;
  if (status === 404)
    return reason === UNKNOWN_TASK ? "the server does not know it" : "this server stops no tasks";
  if (status === 409) return "it is over already";
  if (status === 403 || status === 401) return "you are not allowed to";
  if (status === 503) return "the store does not answer";
  return `the server answered ${status}`;
}

export interface Wish {
  /** Empty where it is not known. */
  readonly by: string;
  /** Server's clock, ms. */
  readonly at: number;
}

/** Whether the worker has had time enough to stop. */
export function isIgnored(wish: Wish, now: number): boolean {
  return now - wish.at >= PATIENCE_S * 1000;
}

/** "Asked to stop by maria", and "Asked to stop 45 s ago; it has not yet". */
export function wishText(wish: Wish, now: number): string {
  if (isIgnored(wish, now)) return `Asked to stop ${elapsed((now - wish.at) / 1000)} ago; it has not yet`;
  return wish.by === "" ? "Asked to stop" : `Asked to stop by ${wish.by}`;
}
