/**
 * The page's one line to the server, shared by every view on it.
 *
 * anywidget evaluates the bundle once per widget, so the connection hangs on `globalThis`; for the same reason it
 * speaks to its viewers by plain calls, because signals of two copies of a library do not see each other.
 */

import {
  hasEnded,
  isNewer,
  isTaskId,
  parseMessages,
  type ServerMessage,
  type TaskProgress,
} from "./model.js";
import { Poller } from "./polling.js";
import type { JupyterServer } from "./server.js";
import { ReconnectingSocket } from "./socket.js";

/**
 * connecting: no word yet; live: the socket brings changes; reconnecting: it did, and will again; polling: asked once a
 * second; store_down: the server answers and its store does not; kernel: only what the kernel sends by itself.
 */
export type Link = "connecting" | "live" | "reconnecting" | "polling" | "store_down" | "kernel";

export interface LinkStatus {
  readonly link: Link;
  /** When the server was last heard (browser's clock, ms); null if never. */
  readonly heardAt: number | null;
}

export interface Viewer {
  /** `sentAt` is the server's clock as it sent this (ms), null where it did not say. */
  progress(task: TaskProgress, sentAt: number | null): void;
  missing(taskId: string): void;
  linked(status: LinkStatus): void;
}

interface Subscription {
  readonly viewers: Set<Viewer>;
  newest: TaskProgress | null;
  missing: boolean;
}

/** So many sockets in a row must fail before the slower way is taken. */
const FAILURES_BEFORE_POLLING = 3;

export class Connection {
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly viewers = new Map<Viewer, number>();
  private readonly unsent = { subscribe: new Set<string>(), unsubscribe: new Set<string>() };
  private readonly socket: ReconnectingSocket;
  private readonly poller: Poller;
  private status: LinkStatus = { link: "connecting", heardAt: null };
  private flushing = false;

  constructor(server: JupyterServer) {
    this.socket = new ReconnectingSocket(server.socketUrl(), {
      opened: () => this.subscribeAll(),
      received: (frame) => this.receive(parseMessages(frame)),
      settled: () => this.settled(),
      down: (failures) => this.down(failures),
    });
    this.poller = new Poller(server, () => this.unfinished(), {
      answered: (task) => {
        this.link("polling");
        this.progress(task, null);
      },
      missing: (taskId) => {
        this.link("polling");
        this.miss(taskId);
      },
      failed: (why) => {
        this.socket.resting = why === "foreign";
        this.link(this.status.heardAt === null || why === "foreign" ? "kernel" : "reconnecting");
      },
    });
  }

  /** Shows `viewer` these tasks until `until` aborts; it hears at once what is already known of them. */
  subscribe(taskIds: readonly string[], viewer: Viewer, until: AbortSignal): void {
    if (until.aborted) return;
    const ids = [...new Set(taskIds.filter(isTaskId))];
    this.viewers.set(viewer, (this.viewers.get(viewer) ?? 0) + 1);
    viewer.linked(this.status);
    for (const id of ids) this.join(id, viewer);
    this.soon();
    until.addEventListener("abort", () => this.leave(ids, viewer), { once: true });
  }

  private join(id: string, viewer: Viewer): void {
    const known = this.subscriptions.get(id);
    if (known === undefined) {
      this.subscriptions.set(id, { viewers: new Set([viewer]), newest: null, missing: false });
      this.unsent.unsubscribe.delete(id);
      this.unsent.subscribe.add(id);
      return;
    }
    known.viewers.add(viewer);
    if (known.newest !== null) viewer.progress(known.newest, null);
    else if (known.missing) viewer.missing(id);
  }

  private leave(ids: readonly string[], viewer: Viewer): void {
    const left = (this.viewers.get(viewer) ?? 1) - 1;
    if (left === 0) this.viewers.delete(viewer);
    else this.viewers.set(viewer, left);
    for (const id of ids) {
      const subscription = this.subscriptions.get(id);
      subscription?.viewers.delete(viewer);
      if (subscription?.viewers.size !== 0) continue;
      this.subscriptions.delete(id);
      if (!this.unsent.subscribe.delete(id)) this.unsent.unsubscribe.add(id);
    }
    this.soon();
  }

  /** What one microtask changes travels in one message. */
  private soon(): void {
    if (this.flushing) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      this.flush();
    });
  }

  private flush(): void {
    if (this.subscriptions.size === 0) {
      this.hangUp();
      return;
    }
    if (!this.socket.isOpen) {
      this.socket.open();
      return;
    }
    const { subscribe, unsubscribe } = this.unsent;
    if (unsubscribe.size > 0) this.socket.send({ type: "unsubscribe", task_ids: [...unsubscribe] });
    if (subscribe.size > 0) this.sendSubscribe([...subscribe]);
    unsubscribe.clear();
    subscribe.clear();
  }

  private hangUp(): void {
    this.socket.close();
    this.poller.stop();
    this.unsent.subscribe.clear();
    this.unsent.unsubscribe.clear();
    this.status = { link: "connecting", heardAt: null };
  }

  private subscribeAll(): void {
    this.unsent.subscribe.clear();
    this.unsent.unsubscribe.clear();
    this.sendSubscribe([...this.subscriptions.keys()]);
  }

  private sendSubscribe(taskIds: readonly string[]): void {
    const since: Record<string, number> = {};
    for (const id of taskIds) {
      const seq = this.subscriptions.get(id)?.newest?.seq;
      if (seq !== undefined) since[id] = seq;
    }
    this.socket.send({ type: "subscribe", task_ids: taskIds, since, many: true });
  }

  private settled(): void {
    if (this.status.link !== "store_down") this.link("live");
    this.poller.stop();
  }

  /** A store that is away is no sign of health: the server may close right after saying so, again and again. */
  private receive(messages: readonly ServerMessage[]): boolean {
    this.poller.stop();
    for (const message of messages) {
      if (message.type === "progress.update") {
        this.link("live");
        this.progress(message.data, message.sent_at === null ? null : Date.parse(message.sent_at));
      } else if (message.code === "store_unavailable") {
        this.link("store_down");
      } else if (message.code === "unknown_task" && message.task_id !== null) {
        this.link("live");
        this.miss(message.task_id);
      }
    }
    return messages.some(
      (message) => message.type === "progress.update" || message.code !== "store_unavailable",
    );
  }

  private progress(task: TaskProgress, sentAt: number | null): void {
    const subscription = this.subscriptions.get(task.task_id);
    if (subscription === undefined) return;
    if (subscription.newest !== null && !isNewer(task, subscription.newest)) return;
    subscription.newest = task;
    subscription.missing = false;
    for (const viewer of subscription.viewers) viewer.progress(task, sentAt);
  }

  private miss(taskId: string): void {
    const subscription = this.subscriptions.get(taskId);
    if (subscription === undefined) return;
    subscription.missing = true;
    for (const viewer of subscription.viewers) viewer.missing(taskId);
  }

  private down(failures: number): void {
    if (this.status.link === "live" || this.status.link === "store_down") this.link("reconnecting");
    if (failures >= FAILURES_BEFORE_POLLING) this.poller.start();
  }

  private link(link: Link): void {
    const heard = link === "live" || link === "polling" || link === "store_down";
    const heardAt = heard || this.status.link === "live" ? Date.now() : this.status.heardAt;
    const changed = link !== this.status.link;
    this.status = { link, heardAt };
    if (changed) for (const viewer of this.viewers.keys()) viewer.linked(this.status);
  }

  private unfinished(): string[] {
    return [...this.subscriptions]
      .filter(([, { newest }]) => newest === null || !hasEnded(newest.status))
      .map(([id]) => id);
  }
}

/** Raised with every change of `Connection`'s or `Viewer`'s shape: bundles of two releases may meet on a page. */
const VERSION = 1;
const SHARED = Symbol.for("headway.connection");

/** The page's connection to `server`, made by whoever comes first. */
export function sharedConnection(server: JupyterServer): Connection {
  const page = globalThis as { [SHARED]?: Map<string, Connection> };
  const connections = page[SHARED] ?? new Map<string, Connection>();
  page[SHARED] = connections;
  const key = `${VERSION} ${server.baseUrl}`;
  const known = connections.get(key);
  if (known !== undefined) return known;
  const made = new Connection(server);
  connections.set(key, made);
  return made;
}
