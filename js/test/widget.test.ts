import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget, { type WidgetModel } from "../src/widget.js";
import { FakeSocket, fakeNetwork, restoreNetwork } from "./fake-network.js";
import { logEntries, logMessage } from "./log-entries.js";
import { running, update } from "./samples.js";

const ID = running().task_id;

/** The part of anywidget's model that a view may use. */
class Model implements WidgetModel {
  readonly listeners = new Map<string, Set<() => void>>();

  constructor(readonly traits: Record<string, unknown>) {}

  get(trait: string): unknown {
    return this.traits[trait];
  }
  on(event: string, callback: () => void): void {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(callback));
  }
  off(event: string, callback: () => void): void {
    this.listeners.get(event)?.delete(callback);
  }
  set(trait: string, value: unknown): void {
    this.traits[trait] = value;
    for (const callback of this.listeners.get(`change:${trait}`) ?? []) callback();
  }
  get listening(): number {
    return [...this.listeners.values()].reduce((sum, callbacks) => sum + callbacks.size, 0);
  }
}

function pageWithServer(baseUrl: string): void {
  const config = document.createElement("script");
  config.id = "jupyter-config-data";
  config.type = "application/json";
  config.textContent = JSON.stringify({ baseUrl, wsUrl: "", token: "" });
  document.body.replaceChildren(config);
}

function rendered(traits: Record<string, unknown>, signal?: AbortSignal) {
  const model = new Model(traits);
  const el = document.createElement("div");
  document.body.append(el);
  const cleanUp = widget.render({ model, el, ...(signal === undefined ? {} : { signal }) });
  return { model, el, cleanUp };
}

function percent(el: Element): string {
  vi.advanceTimersByTime(20);
  return el.querySelector(".hw-percent")?.textContent ?? "";
}

beforeEach(() => {
  fakeNetwork();
  document.body.replaceChildren();
});
afterEach(restoreNetwork);

const jpeg = (data: unknown) => ({ media_type: "image/jpeg", data });

describe("the widget without a server", () => {
  it("draws what the kernel sends, and what it sends later", () => {
    const { model, el, cleanUp } = rendered({ task_ids: [ID], states: { [ID]: running() }, previews: {} });
    expect(percent(el)).toBe("47 %");
    model.set("states", { [ID]: running({ seq: 43, status: "completed" }) });
    vi.advanceTimersByTime(1_000);
    expect(percent(el)).toBe("100 %");
    expect(FakeSocket.all).toHaveLength(0);
    cleanUp();
  });

  it("shows other tasks when it is given other ids", () => {
    const { model, el, cleanUp } = rendered({ task_ids: [ID], states: { [ID]: running() }, previews: {} });
    model.set("task_ids", ["other"]);
    expect(el.querySelector(".hw-waiting-id")?.textContent).toBe("other");
    expect(el.querySelectorAll(".hw-root")).toHaveLength(1);
    cleanUp();
  });

  it("decodes a picture before it is shown, and gives its memory back", async () => {
    const made = vi.spyOn(URL, "createObjectURL");
    const revoked = vi.spyOn(URL, "revokeObjectURL");
    HTMLImageElement.prototype.decode = () => Promise.resolve();
    const { model, el, cleanUp } = rendered({
      task_ids: [ID],
      states: { [ID]: running({ preview_url: null }) },
    });
    vi.advanceTimersByTime(20);
    for (const byte of [1, 2]) {
      model.set("previews", { [ID]: jpeg(new DataView(new Uint8Array([0xff, 0xd8, byte]).buffer)) });
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(el.querySelectorAll("img")).toHaveLength(1);
    expect(el.querySelector("img")?.alt).toBe("Preview of Gray–Scott coral");
    expect(made).toHaveBeenCalledTimes(2);
    expect(revoked).toHaveBeenCalledTimes(1);
    cleanUp();
    expect(revoked).toHaveBeenCalledTimes(2);
  });

  it("leaves the last picture when the next is none", async () => {
    HTMLImageElement.prototype.decode = () => Promise.resolve();
    const { model, el, cleanUp } = rendered({
      task_ids: [ID],
      states: { [ID]: running({ preview_url: null }) },
    });
    vi.advanceTimersByTime(20);
    model.set("previews", { [ID]: jpeg(new ArrayBuffer(3)) });
    await vi.advanceTimersByTimeAsync(50);
    const first = el.querySelector("img");
    HTMLImageElement.prototype.decode = () => Promise.reject(new DOMException("not an image"));
    model.set("previews", { [ID]: jpeg(new ArrayBuffer(4)) });
    await vi.advanceTimersByTimeAsync(50);
    expect(first).not.toBeNull();
    expect(el.querySelector("img")).toBe(first);
    cleanUp();
  });

  it("shows the end of a text", async () => {
    const { model, el, cleanUp } = rendered({
      task_ids: [ID],
      states: { [ID]: running({ preview_url: null }) },
    });
    vi.advanceTimersByTime(20);
    const data = new DataView(new TextEncoder().encode("Once upon").buffer);
    model.set("previews", { [ID]: { media_type: "text/plain; charset=utf-8", data } });
    await vi.advanceTimersByTimeAsync(500);
    expect(el.querySelector(".hw-preview")?.textContent).toContain("Once upon");
    cleanUp();
  });

  it("survives traits that are not what they should be", () => {
    const none = { task_ids: [1, null, "../x"], states: "x", previews: { [ID]: "x" } };
    const { model, el, cleanUp } = rendered(none);
    expect(el.querySelector(".hw-none")).not.toBeNull();
    model.set("previews", { [ID]: { media_type: 1, data: new ArrayBuffer(1) }, b: jpeg("x") });
    expect(el.querySelector(".hw-none")).not.toBeNull();
    cleanUp();
  });
});

describe("the widget with a server", () => {
  it("shares one socket between two widgets and closes it after the last", async () => {
    pageWithServer("/shared/");
    const first = rendered({ task_ids: [ID], states: {}, previews: {} });
    const second = rendered({ task_ids: [ID, "b"], states: {}, previews: {} });
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(1);
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent).toEqual([{ type: "subscribe", task_ids: [ID, "b"], since: {}, many: true }]);
    FakeSocket.last.deliver(update(running()));
    expect([percent(first.el), percent(second.el)]).toEqual(["47 %", "47 %"]);
    first.cleanUp();
    second.cleanUp();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.last.readyState).toBe(FakeSocket.CLOSED);
  });

  it("tells in the tab's title how far it is, before a frame is drawn, as a hidden page has none", async () => {
    pageWithServer("/title/");
    document.title = "notebook.ipynb";
    const { cleanUp } = rendered({ task_ids: [ID], states: {}, previews: {} });
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.accept();
    FakeSocket.last.deliver(update(running()));
    await vi.advanceTimersByTimeAsync(0);
    expect(document.title).toBe("47 % Gray–Scott coral · notebook.ipynb");
    cleanUp();
    expect(document.title).toBe("notebook.ipynb");
  });

  it("asks for a log over the page's socket when its panel is opened", async () => {
    pageWithServer("/logs/");
    const { el, cleanUp } = rendered({ task_ids: [ID], states: { [ID]: running() }, previews: {} });
    await vi.advanceTimersByTimeAsync(50);
    FakeSocket.last.accept();
    el.querySelector<HTMLElement>(".hw-foot button")?.click();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.last.sent.at(-1)).toMatchObject({
      task_ids: [ID],
      logs: true,
      logs_since: { [ID]: 0 },
    });
    FakeSocket.last.deliver(logMessage(ID, logEntries(1, 3)));
    await vi.advanceTimersByTimeAsync(50);
    expect(el.querySelectorAll(".hw-log-row")).toHaveLength(3);
    cleanUp();
  });

  it("leaves nothing behind when anywidget's signal aborts", async () => {
    pageWithServer("/signal/");
    const life = new AbortController();
    const { model } = rendered({ task_ids: [ID], states: { [ID]: running() }, previews: {} }, life.signal);
    await vi.advanceTimersByTimeAsync(50);
    expect(model.listening).toBe(3);
    life.abort();
    await vi.advanceTimersByTimeAsync(50);
    expect(model.listening).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
