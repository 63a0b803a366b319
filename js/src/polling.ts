/** Asks for the tasks one by one, once a second, where no WebSocket gets through. */

import { isRecord, parseTask, type TaskProgress } from "./model.js";
import type { JupyterServer } from "./server.js";

export interface PollEvents {
  answered(task: TaskProgress): void;
  missing(taskId: string): void;
  /** A whole round brought nothing: the server is away, or it is there and does not speak Headway. */
  failed(why: "away" | "foreign"): void;
}

type Outcome = "answered" | "away" | "foreign";

/** What tells our 404 from that of a server without the extension. */
const UNKNOWN_TASK = "TaskNotFoundError";
const ROUND_MS = 1_000;
/** Browsers open six connections to a host; the rest of the page needs some of them. */
const AT_ONCE = 4;

export class Poller {
  private running: AbortController | null = null;

  constructor(
    private readonly server: JupyterServer,
    private readonly wanted: () => string[],
    private readonly events: PollEvents,
  ) {}

  start(): void {
    if (this.running !== null) return;
    this.running = new AbortController();
    void this.rounds(this.running.signal);
  }

  stop(): void {
    this.running?.abort();
    this.running = null;
  }

  private async rounds(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const started = Date.now();
      const outcomes = await this.round(signal);
      if (signal.aborted) return;
      if (outcomes.size > 0 && !outcomes.has("answered")) {
        this.stop();
        this.events.failed(outcomes.has("foreign") ? "foreign" : "away");
        return;
      }
      await pause(Math.max(0, ROUND_MS - (Date.now() - started)), signal);
    }
  }

  private async round(signal: AbortSignal): Promise<Set<Outcome>> {
    const queue = this.wanted();
    const outcomes = new Set<Outcome>();
    const lane = async () => {
      for (let id = queue.shift(); id !== undefined && !signal.aborted; id = queue.shift()) {
        outcomes.add(await this.ask(id, signal));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return outcomes;
  }

  private async ask(taskId: string, signal: AbortSignal): Promise<Outcome> {
    try {
      const response = await this.server.fetch(this.server.progressUrl(taskId), signal);
      const body: unknown = await response.json().catch(() => null);
      if (signal.aborted) return "away";
      if (response.ok) return this.take(taskId, body);
      if (response.status === 404 && isRecord(body) && body.reason === UNKNOWN_TASK) {
        this.events.missing(taskId);
        return "answered";
      }
      return response.status === 404 ? "foreign" : "away";
    } catch {
      return "away";
    }
  }

  private take(taskId: string, body: unknown): Outcome {
    const task = parseTask(body);
    if (task?.task_id !== taskId) return "foreign";
    this.events.answered(task);
    return "answered";
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
