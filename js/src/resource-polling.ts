/**
 * Asks for the samples of tasks: once where the socket tells of everything later, and once a second where there is
 * none. Only an answer tells that nothing has been measured yet, or that the server knows of no samples at all.
 */

import { Poller, ROUND_MS } from "./polling.js";
import { ask, type Reply, UNKNOWN_TASK } from "./request.js";
import type { ResourceReaders } from "./resource-readers.js";
import { parseResourcePage } from "./resource-sample.js";
import type { ResourceState } from "./resource-series.js";
import type { JupyterServer } from "./server.js";

export class ResourcePoller extends Poller {
  constructor(
    private readonly server: JupyterServer,
    private readonly readers: ResourceReaders,
  ) {
    super();
  }

  async once(taskId: string, signal: AbortSignal): Promise<void> {
    const url = this.server.resourcesUrl(taskId, this.readers.since(taskId));
    const reply = await ask(this.server, url, signal);
    if (signal.aborted) return;
    const page = reply?.response.ok ? parseResourcePage(reply.body) : null;
    if (page !== null) this.readers.take(taskId, page);
    else this.readers.became(taskId, reasonOf(reply));
  }

  protected async round(signal: AbortSignal): Promise<number> {
    for (const taskId of this.readers.taskIds) await this.once(taskId, signal);
    return ROUND_MS;
  }
}

/** Of a task that is not stored nothing is told yet: it may be any moment, and is asked for again when it is. */
function reasonOf(reply: Reply | null): ResourceState {
  if (reply?.response.status !== 404) return "away";
  return reply.reason === UNKNOWN_TASK ? "loading" : "too_old";
}
