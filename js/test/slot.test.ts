import { signal } from "@preact/signals-core";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Clock } from "../src/clock.js";
import { h } from "../src/dom.js";
import { TaskStore } from "../src/store.js";
import { slot } from "../src/views/slot.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { running } from "./samples.js";
import { linkStatus, text } from "./stage.js";

let life = new AbortController();

beforeEach(() => {
  life = new AbortController();
  fakeNetwork();
});
afterEach(() => {
  life.abort();
  restoreNetwork();
});

it("a place that has its task no longer looks at the link for words of waiting", () => {
  const unwatched = vi.fn();
  const link = signal(linkStatus("live"), { unwatched });
  const clock = new Clock();
  const store = new TaskStore(clock);
  const task = running();
  const [entry] = store.keep([task.task_id]);
  if (entry === undefined) throw new Error("there is no entry");
  const scene = { clock, link, server: null, logs: null, resources: null, until: life.signal };
  const place = slot(entry, scene, (shown) => h("div", "", shown.value.task_id));
  expect(text(place, ".hw-waiting-words")).toBe("Waiting for its first news");
  link.value = linkStatus("reconnecting");
  expect(text(place, ".hw-waiting-words")).toBe("The server does not answer");
  store.progress(task, null);
  vi.advanceTimersByTime(20);
  expect(place.textContent).toBe(task.task_id);
  expect(unwatched).toHaveBeenCalledTimes(1);
});
