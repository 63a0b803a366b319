/** Some tasks, live in an element: what the widget and the output renderer share. */

import { Clock } from "./clock.js";
import { sharedConnection } from "./connection.js";
import { OutOfSight } from "./out-of-sight.js";
import { JupyterServer } from "./server.js";
import { TaskStore } from "./store.js";
import { tasksView } from "./views/tasks.js";

export class LiveTasks {
  private readonly server = JupyterServer.ofPage();
  private readonly clock = new Clock();
  private shown = new AbortController();
  /** Takes what comes by other ways than the server. */
  readonly store = new TaskStore(this.clock);

  constructor(private readonly el: HTMLElement) {}

  /** Shows exactly these tasks from now on. */
  show(taskIds: readonly string[]): void {
    const last = this.shown;
    this.shown = new AbortController();
    const until = this.shown.signal;
    const connection = this.server === null ? null : sharedConnection(this.server);
    const { clock, server, store } = this;
    const sources = { server, logs: connection, resources: connection };
    const view = tasksView(store.keep(taskIds), { clock, link: store.link, ...sources, until });
    connection?.subscribe(taskIds, store, until);
    connection?.subscribe(taskIds, new OutOfSight(taskIds.length, until), until);
    this.el.replaceChildren(view);
    // Last, so that tasks which stay are never without a subscriber and the socket stays open.
    last.abort();
  }

  dispose(): void {
    this.shown.abort();
  }
}

export function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}
