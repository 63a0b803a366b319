/**
 * Asks for the tasks one by one, once a second, where no WebSocket gets through, and watches for a server's return.
 *
 * Chromium holds a WebSocket back for 1 to 5 s once a dozen before it have failed, and Firefox does alike; a request
 * it sends at once. So whoever waits for a server asks by requests, and opens a socket when one was answered.
 */

import { Backoff } from "./backoff.js";
import { parseTask, type TaskProgress } from "./model.js";
import { Poller, ROUND_MS } from "./polling.js";
import { ask, type Reply, UNKNOWN_TASK } from "./request.js";
import type { JupyterServer } from "./server.js";

export interface PollEvents {
  answered(task: TaskProgress): void;
  missing(taskId: string): void;
  /**
   * A whole round brought nothing: the server is away, or it is there and its store is not, or it does not speak
   * Headway.
   */
  failed(why: Failure): void;
}

export type Failure = "away" | "store_down" | "foreign";
type Outcome = "answered" | Failure;

const STORE_DOWN = "StoreUnavailableError";
/** A server that is back needs up to 0.2 s for its first answers, and all of it should stay well under a second. */
const LONGEST_WAIT_MS = 400;
/** Browsers open six connections to a host; the rest of the page needs some of them. */
const AT_ONCE = 4;

export class TaskPoller extends Poller {
  constructor(
    private readonly server: JupyterServer,
    private readonly wanted: () => string[],
    private readonly events: PollEvents,
    private readonly backoff = new Backoff(LONGEST_WAIT_MS),
  ) {
    super();
  }

  protected async round(signal: AbortSignal): Promise<number> {
    const started = Date.now();
    const failure = failureOf(await this.askAll(signal));
    if (signal.aborted) return 0;
    if (failure !== null) this.events.failed(failure);
    if (failure === "away") return this.backoff.nextMs();
    this.backoff.reset();
    return Math.max(0, ROUND_MS - (Date.now() - started));
  }

  private async askAll(signal: AbortSignal): Promise<Set<Outcome>> {
    const queue = this.wanted();
    const outcomes = new Set<Outcome>();
    const lane = async () => {
      for (let id = queue.shift(); id !== undefined && !signal.aborted; id = queue.shift()) {
        const outcome = await this.ask(id, signal);
        outcomes.add(outcome);
        // One task is enough to learn that nobody is there.
        if (!outcomes.has("answered")) return;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return outcomes;
  }

  private async ask(taskId: string, signal: AbortSignal): Promise<Outcome> {
    const reply = await ask(this.server, this.server.progressUrl(taskId), signal);
    return reply === null ? "away" : this.understand(taskId, reply);
  }

  private understand(taskId: string, { response, body, reason }: Reply): Outcome {
    if (response.ok) return this.take(taskId, body);
    if (response.status === 503 && reason === STORE_DOWN) return "store_down";
    if (response.status !== 404) return "away";
    if (reason !== UNKNOWN_TASK) return "foreign";
    this.events.missing(taskId);
    return "answered";
  }

  private take(taskId: string, body: unknown): Outcome {
    const task = parseTask(body);
    if (task?.task_id !== taskId) return "foreign";
    this.events.answered(task);
    return "answered";
  }
}

/** Null of a round that brought something, or had nothing to ask. */
function failureOf(outcomes: ReadonlySet<Outcome>): Failure | null {
  if (outcomes.size === 0 || outcomes.has("answered")) return null;
  if (outcomes.has("store_down")) return "store_down";
  return outcomes.has("foreign") ? "foreign" : "away";
}
