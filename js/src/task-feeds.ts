/** What the server tells of a task beside its progress, to those who look inside: its log and its resource samples. */

import { LogPoller } from "./log-polling.js";
import { LogReaders } from "./log-readers.js";
import type { LogMessage, ResourcesMessage, Subscribe } from "./model.js";
import { ResourcePoller } from "./resource-polling.js";
import { ResourceReaders } from "./resource-readers.js";
import type { JupyterServer } from "./server.js";

type Wishes = Omit<Subscribe, "type" | "task_ids" | "since" | "many">;

export class TaskFeeds {
  readonly logs = new LogReaders();
  readonly resources = new ResourceReaders();
  private readonly logPoller: LogPoller;
  private readonly resourcePoller: ResourcePoller;

  constructor(server: JupyterServer) {
    this.logPoller = new LogPoller(server, this.logs);
    this.resourcePoller = new ResourcePoller(server, this.resources);
  }

  /** Asks by requests from now on. */
  poll(): void {
    this.logPoller.start();
    this.resourcePoller.start();
  }

  stopPolling(): void {
    this.logPoller.stop();
    this.resourcePoller.stop();
  }

  /** The socket is silent of a task that was never measured, and of everything if the server is too old. */
  askForSamples(taskIds: readonly string[], until: AbortSignal): void {
    for (const id of taskIds) if (this.resources.has(id)) void this.resourcePoller.once(id, until);
  }

  take(message: LogMessage | ResourcesMessage): void {
    if (message.type === "resources") {
      this.resources.take(message.task_id, message);
      return;
    }
    this.logs.take(message.task_id, message);
    this.logs.caughtUp(message.task_id);
  }

  /** The tasks in groups of which the same is wanted, and how the server is asked for it. */
  wishes(taskIds: readonly string[]): { readonly ids: string[]; readonly wishes: Wishes }[] {
    const groups = [0, 1, 2, 3].map((kinds) => taskIds.filter((id) => this.kindsOf(id) === kinds));
    return groups
      .map((ids, kinds) => ({
        ids,
        wishes: { ...(kinds % 2 === 1 ? this.logsOf(ids) : {}), ...(kinds >= 2 ? this.samplesOf(ids) : {}) },
      }))
      .filter(({ ids }) => ids.length > 0);
  }

  private kindsOf(id: string): number {
    return (this.logs.has(id) ? 1 : 0) + (this.resources.has(id) ? 2 : 0);
  }

  private logsOf(ids: readonly string[]): Wishes {
    return { logs: true, logs_since: Object.fromEntries(ids.map((id) => [id, this.logs.since(id)])) };
  }

  private samplesOf(ids: readonly string[]): Wishes {
    const resources_since: Record<string, string> = {};
    for (const id of ids) {
      const since = this.resources.since(id);
      if (since !== null) resources_since[id] = since;
    }
    return { resources: true, resources_since };
  }
}
