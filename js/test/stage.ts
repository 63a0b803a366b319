/** A card as a page with a server shows it, with a log that a test writes. */

import { signal } from "@preact/signals-core";
import { vi } from "vitest";
import { Clock } from "../src/clock.js";
import type { LogSource } from "../src/connection.js";
import type { Link, LinkStatus } from "../src/link.js";
import type { LogReader } from "../src/log-readers.js";
import type { TaskProgress } from "../src/model.js";
import type { ResourceSource } from "../src/resource-readers.js";
import type { ResourceReader } from "../src/resource-series.js";
import type { JupyterServer } from "../src/server.js";
import { TaskStore } from "../src/store.js";
import { tasksView } from "../src/views/tasks.js";
import { SERVER } from "./fake-network.js";

export class FakeLogs implements LogSource {
  readonly readers: { reader: LogReader; until: AbortSignal }[] = [];

  follow(_: string, reader: LogReader, until: AbortSignal): void {
    this.readers.push({ reader, until });
  }

  get last(): LogReader {
    const last = this.readers.at(-1);
    if (last === undefined) throw new Error("nobody reads the log");
    return last.reader;
  }
}

export class FakeResources implements ResourceSource {
  readonly readers: { reader: ResourceReader; until: AbortSignal }[] = [];

  followResources(_: string, reader: ResourceReader, until: AbortSignal): void {
    this.readers.push({ reader, until });
  }

  get last(): ResourceReader {
    const last = this.readers.at(-1);
    if (last === undefined) throw new Error("nobody looks at the resources");
    return last.reader;
  }
}

export function linkStatus(link: Link): LinkStatus {
  return { link, since: Date.now(), heardAt: Date.now() };
}

export function stage(
  tasks: readonly TaskProgress[],
  server: JupyterServer | null = SERVER,
  ids: readonly string[] = tasks.map((task) => task.task_id),
) {
  const clock = new Clock();
  const store = new TaskStore(clock);
  const life = new AbortController();
  const link = signal(linkStatus("live"));
  const [logs, resources] = [new FakeLogs(), new FakeResources()];
  const entries = store.keep(ids);
  const root = tasksView(entries, { clock, link, server, logs, resources, until: life.signal });
  document.body.replaceChildren(root);
  for (const task of tasks) store.progress(task, null);
  frame();
  return { root, store, life, link, logs, resources };
}

export function frame(ms = 20): void {
  vi.advanceTimersByTime(ms);
}

export function text(root: Element, selector: string): string {
  return root.querySelector(selector)?.textContent ?? "";
}

/** The buttons that can be seen. */
export function buttons(root: Element): string[] {
  return [...root.querySelectorAll<HTMLElement>(".hw-foot button")]
    .filter((button) => button.closest("[hidden]") === null)
    .map((button) => button.textContent ?? "");
}

export function button(root: Element, label: string): HTMLButtonElement {
  const found = [...root.querySelectorAll("button")].find(
    (one) => one.closest("[hidden]") === null && one.textContent?.startsWith(label),
  );
  if (found === undefined) throw new Error(`there is no button ${label} to be seen`);
  return found;
}
