import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Clock } from "../src/clock.js";
import { watch } from "../src/dom.js";
import { TaskStore } from "../src/store.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { running } from "./samples.js";

const ID = running().task_id;

function kept() {
  const store = new TaskStore(new Clock());
  const [entry] = store.keep([ID]);
  if (entry === undefined) throw new Error("nothing is kept");
  return { store, entry };
}

function frame(): void {
  vi.advanceTimersByTime(20);
}

beforeEach(() => {
  fakeNetwork();
});
afterEach(restoreNetwork);

describe("the store", () => {
  it("keeps the newest by attempt and seq, whether it came by socket, by REST or from the kernel", () => {
    const { store, entry } = kept();
    store.progress(running({ attempt: 2, seq: 3 }), Date.now());
    store.fromKernel({ [ID]: running({ attempt: 1, seq: 900 }) });
    frame();
    store.progress(running({ attempt: 2, seq: 2 }), null);
    frame();
    expect([entry.state.value?.attempt, entry.state.value?.seq]).toEqual([2, 3]);
    store.fromKernel({ [ID]: running({ attempt: 2, seq: 4 }) });
    frame();
    expect(entry.state.value?.seq).toBe(4);
  });

  it("draws once per animation frame, however many updates came in it", () => {
    const { store, entry } = kept();
    let drawn = 0;
    const life = new AbortController();
    watch(life.signal, () => {
      void entry.state.value;
      drawn += 1;
    });
    for (let seq = 1; seq <= 50; seq++) store.progress(running({ seq }), null);
    expect(drawn).toBe(1);
    frame();
    expect(drawn).toBe(2);
    expect(entry.state.value?.seq).toBe(50);
    life.abort();
    store.progress(running({ seq: 51 }), null);
    frame();
    expect(drawn).toBe(2);
  });

  it("refuses what the kernel should not have sent", () => {
    const { store, entry } = kept();
    for (const states of [null, "x", { [ID]: { task_id: ID } }, { other: running({ task_id: "other" }) }]) {
      store.fromKernel(states);
    }
    frame();
    expect(entry.state.value).toBeNull();
  });

  it("drops what is no longer shown, and keeps the state of what stays", () => {
    const { store, entry } = kept();
    store.progress(running(), null);
    frame();
    const [same, other] = store.keep([ID, "other", "other", "../bad"]);
    expect(same).toBe(entry);
    expect(other?.id).toBe("other");
    store.keep(["other"]);
    expect(store.keep([ID])[0]?.state.value).toBeNull();
  });

  it("takes whatever state the server has after it did not know the task, in the same frame too", () => {
    const { store, entry } = kept();
    store.progress(running({ attempt: 2 }), null);
    frame();
    store.missing(ID);
    store.progress(running({ attempt: 1, seq: 3 }), null);
    store.progress(running({ attempt: 1, seq: 2 }), null);
    frame();
    expect([entry.state.value?.attempt, entry.state.value?.seq]).toEqual([1, 3]);
    expect(entry.missing.value).toBe(false);
  });

  it("does not take the kernel's word for the server's", () => {
    const { store, entry } = kept();
    store.progress(running(), null);
    store.missing(ID);
    store.fromKernel({ [ID]: running({ seq: 41 }) });
    frame();
    expect([entry.state.value?.seq, entry.missing.value]).toEqual([42, true]);
    store.fromKernel({ [ID]: running({ seq: 43 }) });
    frame();
    expect([entry.state.value?.seq, entry.missing.value]).toEqual([43, true]);
  });

  it("forgets that a task was missing when it appears", () => {
    const { store, entry } = kept();
    store.missing(ID);
    frame();
    expect(entry.missing.value).toBe(true);
    store.progress(running(), null);
    frame();
    expect(entry.missing.value).toBe(false);
  });

  it("calls no task unknown that the server may be about to hear of, and asks the clock no longer than that", () => {
    const { store, entry } = kept();
    const said: boolean[] = [];
    const life = new AbortController();
    watch(life.signal, () => void said.push(entry.isUnknown.value));
    store.missing(ID);
    vi.advanceTimersByTime(2_900);
    store.missing(ID);
    expect(said).toEqual([false]);
    vi.advanceTimersByTime(1_200);
    expect(said).toEqual([false, true]);
    expect(vi.getTimerCount()).toBe(0);
    store.progress(running(), null);
    frame();
    store.missing(ID);
    frame();
    expect(said).toEqual([false, true, false]);
    life.abort();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the clock", () => {
  it("follows the server's, by the message that travelled least", () => {
    const clock = new Clock();
    clock.heard(Date.now() + 60_000 - 800);
    clock.heard(Date.now() + 60_000 - 5);
    clock.heard(Date.now() + 60_000 - 300);
    expect(clock.now() - Date.now()).toBe(59_995);
  });

  it("follows when the browser's clock is set", () => {
    const clock = new Clock();
    clock.heard(Date.now() + 60_000);
    for (let message = 0; message < 16; message++) clock.heard(Date.now() - 10);
    expect(clock.now() - Date.now()).toBe(-10);
  });

  it("is at least as late as what was written, until a server says better", () => {
    const clock = new Clock();
    clock.isAtLeast(Date.now() + 5_000);
    clock.isAtLeast(Date.now() - 5_000);
    expect(clock.now() - Date.now()).toBe(5_000);
    clock.heard(Date.now());
    expect(clock.now()).toBe(Date.now());
  });

  it("ticks only while someone looks", () => {
    const clock = new Clock();
    const life = new AbortController();
    let ticks = -1;
    watch(life.signal, () => {
      clock.nowAndEverySecond();
      ticks += 1;
    });
    vi.advanceTimersByTime(3_050);
    expect(ticks).toBe(3);
    life.abort();
    expect(vi.getTimerCount()).toBe(0);
  });
});
