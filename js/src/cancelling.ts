/** What became of the wish that a task be stopped, and the one request that carries it. */

import { signal } from "@preact/signals-core";
import { elapsed } from "./format.js";
import type { TaskProgress } from "./model.js";
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
  /** Who wished first; empty where it is not known. */
  readonly by: string;
  /** When, on the server's clock, ms. */
  readonly at: number;
  /** When it was wished last. */
  readonly lastAt: number;
}

/** What this page knows of the wish that a task be stopped: the store keeps the last request only. */
export class StopWish {
  private readonly known = signal<(Wish & { readonly attempt: number }) | null>(null);

  /** Of that attempt, as signals change; the next one has not been asked to stop. */
  of(attempt: number): Wish | null {
    const known = this.known.value;
    return known?.attempt === attempt ? known : null;
  }

  /** The task's state has come. */
  heard({ attempt, cancel_request: request }: TaskProgress): void {
    if (request !== null) this.take(attempt, request.by, Date.parse(request.at));
  }

  /** It was asked from this page, of which the state may tell later. */
  asked(attempt: number, at: number): void {
    this.take(attempt, "", at);
  }

  /** The task is gone; one of the same id is another. */
  forget(): void {
    this.known.value = null;
  }

  private take(attempt: number, by: string, at: number): void {
    const known = this.known.peek();
    const first = known?.attempt === attempt ? known : { by, at, lastAt: at };
    this.known.value = {
      by: first.by || by,
      at: Math.min(first.at, at),
      lastAt: Math.max(first.lastAt, at),
      attempt,
    };
  }
}

/** Whether the worker has had time enough to stop since it was asked last. */
export function isIgnored(wish: Wish, now: number): boolean {
  return now - wish.lastAt >= PATIENCE_S * 1000;
}

/** Around the name of who asked, which may be too long for its place: "Asked to stop by ", "maria", " 12 s ago". */
export interface WishWords {
  readonly before: string;
  readonly by: string;
  readonly after: string;
}

/** "Asked to stop by maria 1:12 ago; it has not yet", and between "…, again 3 s ago". */
export function wishWords(wish: Wish, now: number): WishWords {
  const { by, at, lastAt } = wish;
  const isAgain = lastAt - at > ANSWER_MS;
  const outcome = isIgnored(wish, now)
    ? "; it has not yet"
    : isAgain
      ? `, again ${sinceThen(lastAt, now)}`
      : "";
  return {
    before: by === "" ? "Asked to stop" : "Asked to stop by ",
    by,
    after: ` ${sinceThen(at, now)}${outcome}`,
  };
}

/** The same in one piece. */
export function wishText(wish: Wish, now: number): string {
  const { before, by, after } = wishWords(wish, now);
  return `${before}${by}${after}`;
}

function sinceThen(time: number, now: number): string {
  return now - time < 1000 ? "just now" : `${elapsed((now - time) / 1000)} ago`;
}

/** The same without the times, which change every second. */
export function spokenWish(wish: Wish, now: number): string {
  const asked = wish.by === "" ? "Asked to stop" : `Asked to stop by ${wish.by}`;
  return isIgnored(wish, now) ? `${asked}; it has not yet` : asked;
}
