/**
 * The page's one line to the server, shared by every view on it.
 *
 * anywidget evaluates the bundle once per widget, so the connection hangs on `globalThis`; for the same reason it
 * speaks to its viewers by plain calls, because signals of two copies of a library do not see each other.
 */

import { LinkState, type LinkStatus } from "./link.js";
import type { LogReader } from "./log-readers.js";
import {
  hasEnded,
  isNewer,
  isTaskId,
  parseMessages,
  type ServerMessage,
  type Subscribe,
  type TaskProgress,
} from "./model.js";
import { watchPresence } from "./presence.js";
import type { Readers } from "./readers.js";
import type { ResourceSource } from "./resource-readers.js";
import type { ResourceReader } from "./resource-series.js";
import type { JupyterServer } from "./server.js";
import { ReconnectingSocket } from "./socket.js";
import { TaskFeeds } from "./task-feeds.js";
import { type Failure, TaskPoller } from "./task-polling.js";

export interface Viewer {
  /** `sentAt` is the server's clock as it sent this (ms), null where it did not say. */
  progress(task: TaskProgress, sentAt: number | null): void;
  /** The server does not know the task: its next state, if one comes, is another run's. */
  missing(taskId: string): void;
  linked(status: LinkStatus): void;
}

/** Where the logs of tasks come from that are subscribed to. */
export interface LogSource {
  follow(taskId: string, reader: LogReader, until: AbortSignal): void;
}

interface Subscription {
  readonly viewers: Set<Viewer>;
  newest: TaskProgress | null;
  missing: boolean;
}

/** So many sockets in a row must fail before the server is asked by requests. */
const FAILURES_BEFORE_POLLING = 3;
/** So many, in some 5 s, while requests are answered: something in between lets no socket through. */
const FAILURES_BEFORE_SLOW = 10;

export class Connection implements LogSource, ResourceSource {
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly viewers = new Map<Viewer, number>();
  /** `relog`: subscribed to already, and now with its log, or now without; `remeasure`: likewise with its samples. */
  private readonly unsent = {
    subscribe: new Set<string>(),
    unsubscribe: new Set<string>(),
    relog: new Set<string>(),
    remeasure: new Set<string>(),
  };
  private readonly link = new LinkState((status) => this.tell(status));
  private readonly socket: ReconnectingSocket;
  private readonly poller: TaskPoller;
  private readonly feeds: TaskFeeds;
  /** The server is there, and it is not one of ours. */
  private isForeign = false;
  /** While somebody looks. */
  private looking: AbortController | null = null;
  private flushing = false;

  constructor(server: JupyterServer) {
    this.socket = new ReconnectingSocket(server.socketUrl(), {
      opened: () => this.subscribeAll(),
      received: (frame) => this.receive(parseMessages(frame)),
      down: (failures) => this.down(failures),
    });
    this.poller = new TaskPoller(server, () => this.asked(), {
      answered: (task) => {
        this.polled();
        this.progress(task, null);
      },
      missing: (taskId) => {
        this.polled();
        this.miss(taskId);
      },
      failed: (why) => this.failed(why),
    });
    this.feeds = new TaskFeeds(server);
  }

  /** Gives `reader` the log of a task that somebody subscribes to, from its beginning, until `until` aborts. */
  follow(taskId: string, reader: LogReader, until: AbortSignal): void {
    this.read(this.feeds.logs, this.unsent.relog, taskId, reader, until);
  }

  /** Gives `reader` the samples of a task that somebody subscribes to, or why there are none. */
  followResources(taskId: string, reader: ResourceReader, until: AbortSignal): void {
    this.read(this.feeds.resources, this.unsent.remeasure, taskId, reader, until);
    this.feeds.askForSamples([taskId], until);
  }

  private read<Reader>(
    readers: Readers<Reader, unknown>,
    changed: Set<string>,
    taskId: string,
    reader: Reader,
    until: AbortSignal,
  ): void {
    if (until.aborted || !isTaskId(taskId)) return;
    const change = () => {
      changed.add(taskId);
      this.soon();
    };
    const leave = () => {
      readers.leave(taskId, reader);
      if (!readers.has(taskId)) change();
    };
    readers.join(taskId, reader);
    change();
    until.addEventListener("abort", leave, { once: true });
  }

  /** Shows `viewer` these tasks until `until` aborts; it hears at once what is already known of them. */
  subscribe(taskIds: readonly string[], viewer: Viewer, until: AbortSignal): void {
    if (until.aborted) return;
    const ids = [...new Set(taskIds.filter(isTaskId))];
    this.viewers.set(viewer, (this.viewers.get(viewer) ?? 0) + 1);
    viewer.linked(this.link.status);
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
    this.watchPage();
    if (!this.socket.isOpen) {
      this.socket.open();
      return;
    }
    const { subscribe, unsubscribe, relog, remeasure } = this.unsent;
    for (const [changed, readers] of [
      [relog, this.feeds.logs] as const,
      [remeasure, this.feeds.resources] as const,
    ]) {
      for (const id of changed) {
        if (!this.subscriptions.has(id)) continue;
        // The server forgets what else is wanted of a task only together with the task.
        if (!readers.has(id)) unsubscribe.add(id);
        subscribe.add(id);
      }
    }
    if (unsubscribe.size > 0) this.socket.send({ type: "unsubscribe", task_ids: [...unsubscribe] });
    if (subscribe.size > 0) this.sendSubscribe([...subscribe]);
    this.forgetUnsent();
  }

  private watchPage(): void {
    if (this.looking !== null) return;
    this.looking = new AbortController();
    const presence = {
      left: () => this.rest(),
      returned: () => {
        this.link.lose();
        this.socket.open();
      },
      woke: () => {
        if (!this.isForeign) this.socket.hurry();
      },
    };
    watchPresence(presence, this.looking.signal);
  }

  private rest(): void {
    this.socket.close();
    this.stopPolling();
  }

  private stopPolling(): void {
    this.poller.stop();
    this.feeds.stopPolling();
  }

  private hangUp(): void {
    this.looking?.abort();
    this.looking = null;
    this.rest();
    this.forgetUnsent();
    this.link.forget();
    this.isForeign = false;
  }

  private subscribeAll(): void {
    this.forgetUnsent();
    this.sendSubscribe([...this.subscriptions.keys()]);
    this.askForSamples(this.feeds.resources.taskIds);
  }

  private askForSamples(taskIds: readonly string[]): void {
    const until = this.looking?.signal;
    if (until !== undefined) this.feeds.askForSamples(taskIds, until);
  }

  private sendSubscribe(taskIds: readonly string[]): void {
    for (const { ids, wishes } of this.feeds.wishes(taskIds)) {
      this.socket.send({ ...this.subscribing(ids), ...wishes });
      for (const id of ids) this.feeds.logs.asked(id);
    }
  }

  private subscribing(taskIds: readonly string[]): Subscribe {
    const since: Record<string, number> = {};
    for (const id of taskIds) {
      const seq = this.subscriptions.get(id)?.newest?.seq;
      if (seq !== undefined) since[id] = seq;
    }
    return { type: "subscribe", task_ids: taskIds, since, many: true };
  }

  private forgetUnsent(): void {
    for (const ids of Object.values(this.unsent)) ids.clear();
  }

  /** A store that is away is no sign of health: the server may close right after saying so, again and again. */
  private receive(messages: readonly ServerMessage[]): boolean {
    this.stopPolling();
    this.isForeign = false;
    for (const message of messages) this.take(message);
    return messages.every((message) => message.type !== "error" || message.code !== "store_unavailable");
  }

  private take(message: ServerMessage): void {
    if (message.type === "progress.update") {
      this.link.heard("live");
      this.progress(message.data, message.sent_at === null ? null : Date.parse(message.sent_at));
      this.feeds.logs.stateCame(message.task_id);
    } else if (message.type === "log" || message.type === "resources") {
      this.link.heard("live");
      this.feeds.take(message);
    } else if (message.type === "heartbeat") {
      if (message.is_store_up) this.link.heard("live");
      else this.link.become("store_down");
      if (message.is_store_up) this.feeds.logs.heartbeatCame();
    } else if (message.code === "store_unavailable") {
      this.link.become("store_down");
    } else if (message.code === "unknown_task" && message.task_id !== null) {
      this.link.heard("live");
      this.miss(message.task_id);
    }
  }

  private progress(task: TaskProgress, sentAt: number | null): void {
    const subscription = this.subscriptions.get(task.task_id);
    if (subscription === undefined) return;
    const { newest } = subscription;
    if (newest !== null && wasMadeAnew(task, newest)) this.miss(task.task_id);
    else if (newest !== null && !isNewer(task, newest)) return;
    if (subscription.missing) this.askForSamples([task.task_id]);
    subscription.newest = task;
    subscription.missing = false;
    for (const viewer of subscription.viewers) viewer.progress(task, sentAt);
  }

  private miss(taskId: string): void {
    const subscription = this.subscriptions.get(taskId);
    if (subscription === undefined) return;
    subscription.missing = true;
    subscription.newest = null;
    for (const viewer of subscription.viewers) viewer.missing(taskId);
  }

  private down(failures: number): void {
    if (!this.link.is("polling")) this.link.lose();
    else if (failures >= FAILURES_BEFORE_SLOW) this.socket.pace = "slow";
    if (failures < FAILURES_BEFORE_POLLING) return;
    this.poller.start();
    this.feeds.poll();
  }

  private polled(): void {
    this.reached();
    this.link.heard("polling");
  }

  /** A server that answers requests may take a socket, which nobody tried while it was away. */
  private reached(): void {
    this.isForeign = false;
    if (this.socket.pace === "rare") this.socket.hurry();
  }

  private failed(why: Failure): void {
    if (why === "store_down") {
      this.reached();
      this.link.become("store_down");
      return;
    }
    this.socket.pace = "rare";
    // One that spoke Headway before is only hidden for a while, by the proxy that it stands behind.
    this.isForeign = why === "foreign" && !this.link.wasHeard;
    if (this.isForeign) this.stopPolling();
    this.link.become(this.link.wasHeard ? "reconnecting" : "kernel");
  }

  private tell(status: LinkStatus): void {
    for (const viewer of this.viewers.keys()) viewer.linked(status);
  }

  /** What is worth a request: what may still change, and of a server that is away one task, whatever became of it. */
  private asked(): string[] {
    const ids = [...this.subscriptions.keys()];
    const unfinished = ids.filter((id) => !hasEnded(this.subscriptions.get(id)?.newest?.status ?? "queued"));
    return unfinished.length > 0 || this.link.is("polling") ? unfinished : ids.slice(0, 1);
  }
}

/** A lower attempt with a higher number: the task was gone from the store, and began again. */
function wasMadeAnew(task: TaskProgress, known: TaskProgress): boolean {
  return task.attempt < known.attempt && task.seq > known.seq;
}

/** Raised with every change of `Connection`'s or `Viewer`'s shape: bundles of two releases may meet on a page. */
const VERSION = 5;
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
