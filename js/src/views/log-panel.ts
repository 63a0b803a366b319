/** A task's log: what it says, and what to do with it. */

import { signal } from "@preact/signals-core";
import { h, setText, watch } from "../dom.js";
import { number } from "../format.js";
import { LogBook, MOST_ENTRIES } from "../log-book.js";
import { LOG_LEVELS, type LogEntry, type LogLevel, metadataText } from "../log-entry.js";
import { hasEnded } from "../model.js";
import type { TaskEntry } from "../store.js";
import { button } from "./button.js";
import type { Panel } from "./drawer.js";
import { LogList } from "./log-list.js";
import { type Scene, type TaskSignal, titleOf } from "./scene.js";

const LEVEL_NAMES: Readonly<Record<LogLevel, string>> = {
  debug: "All levels",
  info: "Info and above",
  warning: "Warnings and errors",
  error: "Errors only",
};
const SAID_MS = 2_500;

/** Reads the log until `until` aborts, which is when the panel is closed. */
export function logPanel(entry: TaskEntry, task: TaskSignal, scene: Scene, until: AbortSignal): Panel {
  const book = new LogBook();
  const isFollowing = signal(true);
  const list = new LogList(book, (following) => (isFollowing.value = following), until);
  list.node.setAttribute("aria-label", `Log of ${titleOf(task.peek())}`);
  const back = button("hw-log-back", "To the newest", () => list.follow(), until);
  const state = h("div", "hw-log-state hw-quiet");
  const panel = h(
    "section",
    "hw-log",
    tools(book, list, task, until),
    losses(book, until),
    h("div", "hw-log-sheet", list.node, state, back),
  );
  panel.setAttribute("aria-label", "Log");
  watch(until, () => (back.hidden = isFollowing.value));
  watch(until, () => {
    void book.changes.value;
    setText(state, book.shown.length > 0 ? "" : stateOf(book, entry, task, scene));
    state.hidden = book.shown.length > 0;
  });
  scene.logs?.follow(entry.id, book, until);
  return {
    node: panel,
    /** How many entries the task has logged. */
    count() {
      void book.changes.value;
      return book.isCaughtUp || book.size > 0 ? book.total : null;
    },
  };
}

function stateOf(book: LogBook, entry: TaskEntry, task: TaskSignal, scene: Scene): string {
  if (book.size > 0) return "Nothing logged matches";
  if (entry.isUnknown.value) return "The server does not know this task; its log is gone";
  const { link } = scene.link.value;
  if (link === "reconnecting" || link === "kernel")
    return "The server does not answer; the log follows when it does";
  if (link === "store_down") return "The store does not answer; the log follows when it does";
  if (!book.isCaughtUp || entry.missing.value) return "Loading …";
  return hasEnded(task.value.status) ? "Nothing was logged" : "Nothing logged yet";
}

function tools(book: LogBook, list: LogList, task: TaskSignal, until: AbortSignal): HTMLElement {
  const level = h("select", "hw-log-levels");
  level.setAttribute("aria-label", "Levels shown");
  for (const name of LOG_LEVELS) {
    const option = h("option", "", LEVEL_NAMES[name]);
    option.value = name;
    level.append(option);
  }
  const search = h("input", "hw-log-search");
  search.type = "search";
  search.placeholder = "Search";
  search.setAttribute("aria-label", "Search the log");
  const filter = () => {
    book.filter(LOG_LEVELS.find((name) => name === level.value) ?? "debug", search.value);
    list.mark(search.value);
  };
  level.addEventListener("change", filter, { signal: until });
  search.addEventListener("input", filter, { signal: until });

  const found = h("span", "hw-log-found hw-quiet");
  watch(until, () => {
    void book.changes.value;
    const isFiltered = book.shown.length !== book.size;
    setText(found, isFiltered ? `${number(book.shown.length)} of ${number(book.size)}` : "");
  });
  const said = saying(until);
  const copy = button("hw-tool", "Copy", async () => said.say(await copied(book.shown)), until);
  copy.title = "Copy the entries shown as text";
  const save = button("hw-tool", "Download", () => download(book.shown, task.peek().task_id), until);
  save.title = "Download the entries shown as JSON lines";
  return h("div", "hw-log-tools", level, search, found, h("span", "hw-gap"), said.node, copy, save);
}

/** What is not there any more, and where it went. */
function losses(book: LogBook, until: AbortSignal): HTMLElement {
  const line = h("div", "hw-log-losses hw-quiet");
  watch(until, () => {
    void book.changes.value;
    const words: string[] = [];
    if (book.missed > 0) words.push(`${number(book.missed)} dropped to keep the log short, debug first`);
    if (book.forgotten > 0)
      words.push(`${number(book.forgotten)} older ones not kept here: a page holds ${number(MOST_ENTRIES)}`);
    setText(line, words.join(" · "));
    line.hidden = words.length === 0;
  });
  return line;
}

/** A word that is said, and gone again soon. */
function saying(until: AbortSignal): { node: HTMLElement; say(words: string): void } {
  const node = h("span", "hw-log-said hw-quiet");
  node.setAttribute("role", "status");
  let timer: ReturnType<typeof setTimeout> | undefined;
  until.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return {
    node,
    say(words) {
      if (until.aborted) return;
      setText(node, words);
      clearTimeout(timer);
      timer = setTimeout(() => setText(node, ""), SAID_MS);
    },
  };
}

async function copied(entries: readonly LogEntry[]): Promise<string> {
  try {
    await navigator.clipboard.writeText(entries.map(lineOf).join("\n"));
    return entries.length === 1 ? "1 entry copied" : `${number(entries.length)} entries copied`;
  } catch {
    // Browsers give no clipboard to a page that came over plain http from another host.
    return "The browser does not let this page copy";
  }
}

function lineOf(entry: LogEntry): string {
  const { timestamp, level, message, metadata } = entry;
  return `${timestamp} ${level.toUpperCase()} ${message} ${metadataText(metadata)}`.trimEnd();
}

function download(entries: readonly LogEntry[], taskId: string): void {
  const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`);
  const url = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  const link = h("a", "");
  link.href = url;
  link.download = `${taskId}.log.jsonl`;
  link.click();
  URL.revokeObjectURL(url);
}
