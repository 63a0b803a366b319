/** One request that is not waited for beyond patience. */

import { isRecord, text } from "./payload.js";
import type { JupyterServer } from "./server.js";

/** A request on a link that went dead may never end, and the next one may get through. */
const PATIENCE_MS = 3_000;

/** The reason of a 404 that is ours, and not of a server that has never heard of what was asked. */
export const UNKNOWN_TASK = "TaskNotFoundError";

export interface Reply {
  readonly response: Response;
  /** Null where it is not JSON. */
  readonly body: unknown;
  /** Why it refuses, where it is one of ours. */
  readonly reason: string | null;
}

/** Null where no answer came in time. */
export async function ask(server: JupyterServer, url: string, signal: AbortSignal): Promise<Reply | null> {
  return replyTo((asking) => server.fetch(url, asking), signal, PATIENCE_MS);
}

export async function replyTo(
  request: (signal: AbortSignal) => Promise<Response>,
  signal: AbortSignal,
  patienceMs: number,
): Promise<Reply | null> {
  if (signal.aborted) return null;
  const asking = new AbortController();
  const giveUp = () => asking.abort();
  const timer = setTimeout(giveUp, patienceMs);
  signal.addEventListener("abort", giveUp, { signal: asking.signal });
  try {
    const response = await request(asking.signal);
    const body: unknown = await response.json().catch(() => null);
    const reason = isRecord(body) ? text(body.reason) : null;
    return asking.signal.aborted ? null : { response, body, reason };
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    giveUp();
  }
}
