/** Asks for the logs that somebody reads, where no WebSocket gets through: page after page, then once a second. */

import { parseLogPage } from "./log-entry.js";
import type { LogReaders } from "./log-readers.js";
import { Poller, ROUND_MS } from "./polling.js";
import { ask } from "./request.js";
import type { JupyterServer } from "./server.js";

export class LogPoller extends Poller {
  constructor(
    private readonly server: JupyterServer,
    private readonly readers: LogReaders,
  ) {
    super();
  }

  protected async round(signal: AbortSignal): Promise<number> {
    for (const taskId of this.readers.taskIds) await this.read(taskId, signal);
    return ROUND_MS;
  }

  /** Whether the server is there, the poller of tasks finds out: a failure ends this round and no more. */
  private async read(taskId: string, signal: AbortSignal): Promise<void> {
    let since: number | null = this.readers.since(taskId);
    while (since !== null && this.readers.has(taskId) && !signal.aborted) {
      const answer = await ask(this.server, this.server.logsUrl(taskId, since), signal);
      const page = answer?.response.ok ? parseLogPage(answer.body) : null;
      if (page === null || signal.aborted) return;
      this.readers.take(taskId, page);
      if (page.cursor === null) this.readers.caughtUp(taskId);
      since = page.cursor !== null && page.cursor > since ? page.cursor : null;
    }
  }
}
