/** What every view may look at besides its task, and how long it lives. */

import type { ReadonlySignal } from "@preact/signals-core";
import type { Clock } from "../clock.js";
import type { LogSource } from "../connection.js";
import type { LinkStatus } from "../link.js";
import type { TaskProgress } from "../model.js";
import type { ResourceSource } from "../resource-readers.js";
import type { JupyterServer } from "../server.js";

export interface Scene {
  readonly clock: Clock;
  readonly link: ReadonlySignal<LinkStatus>;
  readonly server: JupyterServer | null;
  /** Where the server's logs come from. */
  readonly logs: LogSource | null;
  /** And what it measures. */
  readonly resources: ResourceSource | null;
  readonly until: AbortSignal;
}

export type TaskSignal = ReadonlySignal<TaskProgress>;

/** People name tasks; where they did not, the template says more than the id. */
export function titleOf(task: TaskProgress): string {
  return task.name || task.template_id || task.task_id;
}
