import { type Signal, signal } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { MOST_BYTES, MOST_HELD, PreviewCache } from "../src/preview-cache.js";
import { mediaTypeOf, parsePreviews } from "../src/preview-fact.js";
import { PreviewHistory } from "../src/preview-history.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { fact, facts, objectUrls, PreviewServer } from "./preview-server.js";

let life = new AbortController();

beforeEach(() => {
  life = new AbortController();
  fakeNetwork();
});
afterEach(() => {
  life.abort();
  restoreNetwork();
  vi.restoreAllMocks();
});

function soon(): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(0);
}

describe("a list of previews", () => {
  it("is in order, each number once", () => {
    const parsed = parsePreviews([fact(3), fact(1), fact(3, { progress: 9 })]);
    expect(parsed?.map((one) => [one.number, one.progress])).toEqual([
      [1, 1],
      [3, 9],
    ]);
    expect(parsed?.[0]).toMatchObject({ kind: "picture", width: 256, bytes: 1_000 });
  });

  test.each([null, {}, "x", 7])("is none where it is %s", (value) => {
    expect(parsePreviews(value)).toBeNull();
  });

  test.each([
    ["a number", { number: -1 }],
    ["a whole number", { number: 1.5 }],
    ["a time", { at: "yesterday" }],
    ["a percentage", { progress: 101 }],
    ["a figure", { progress: Number.NaN }],
    ["what a browser may show", { media_type: "image/svg+xml" }],
    ["what is no document", { media_type: "text/html" }],
    ["what is no property of objects", { media_type: "constructor" }],
    ["a text", { media_type: ["image/jpeg"] }],
  ])("leaves out what should be %s and is not", (_, changes) => {
    expect(parsePreviews([fact(1, changes), fact(2), null])).toHaveLength(1);
  });

  it("knows pictures, texts and sounds by their types", () => {
    expect(mediaTypeOf("text/plain; charset=utf-8")?.kind).toBe("text");
    expect(mediaTypeOf("IMAGE/WEBP")?.kind).toBe("picture");
    expect(mediaTypeOf("audio/wav")).toEqual({ kind: "audio", extension: "wav" });
  });
});

describe("the previews in memory", () => {
  const picture = (bytes = 10) => new Blob([new Uint8Array(bytes)], { type: "image/jpeg" });

  it("are fetched once and given back when the view goes", async () => {
    const urls = objectUrls();
    const cache = new PreviewCache(life.signal);
    const load = vi.fn(() => Promise.resolve(picture()));
    const [first, second] = await Promise.all([cache.get("1", load), cache.get("1", load)]);
    expect(first).toBe(second);
    expect(load).toHaveBeenCalledTimes(1);
    expect(urls.live()).toHaveLength(1);
    life.abort();
    expect(urls.live()).toEqual([]);
    expect(await cache.get("2", load)).toBeNull();
  });

  it("are no more than so many, the ones looked at last", async () => {
    const urls = objectUrls();
    const cache = new PreviewCache(life.signal);
    for (let number = 0; number < 3 * MOST_HELD; number++) {
      await cache.get(String(number), () => Promise.resolve(picture()));
      await cache.get("0", () => Promise.resolve(picture()));
    }
    expect(cache.size).toBe(MOST_HELD);
    expect(urls.live()).toHaveLength(MOST_HELD);
    expect(urls.live()).toContain("blob:test/1");
  });

  it("take no more than so many bytes, and one that is larger alone", async () => {
    const urls = objectUrls();
    const cache = new PreviewCache(life.signal);
    for (let number = 0; number < 10; number++)
      await cache.get(String(number), () => Promise.resolve(picture(MOST_BYTES / 4)));
    expect(cache.size).toBe(4);
    expect(cache.bytes).toBeLessThanOrEqual(MOST_BYTES);
    await cache.get("large", () => Promise.resolve(picture(2 * MOST_BYTES)));
    expect(urls.live()).toHaveLength(1);
  });

  it("are asked for again where one did not come, and never are what a browser would interpret", async () => {
    const urls = objectUrls();
    const cache = new PreviewCache(life.signal);
    expect(await cache.get("1", () => Promise.reject(new TypeError("away")))).toBeNull();
    expect(
      await cache.get("1", () => Promise.resolve(new Blob(["<script>"], { type: "text/html" }))),
    ).toBeNull();
    expect((await cache.get("1", () => Promise.resolve(picture())))?.kind).toBe("picture");
    expect(urls.made).toHaveLength(1);
  });

  it("keep a sound that plays, whatever else is looked at", async () => {
    const urls = objectUrls();
    const cache = new PreviewCache(life.signal);
    await cache.get("sound", () => Promise.resolve(new Blob(["s"], { type: "audio/wav" })));
    for (let number = 0; number < 2 * MOST_HELD; number++)
      await cache.get(String(number), () => Promise.resolve(picture()));
    expect(cache.size).toBe(MOST_HELD);
    expect(urls.live()).toContain("blob:test/1");
  });

  it("leave nothing behind that came after the view had gone", async () => {
    const urls = objectUrls();
    const cache = new PreviewCache(life.signal);
    const pending = cache.get("1", () => Promise.resolve(picture()));
    life.abort();
    expect(await pending).toBeNull();
    expect(urls.live()).toEqual([]);
  });

  it("hold the end of a long text", async () => {
    objectUrls();
    const text = `${"x".repeat(50_000)} the end`;
    const load = () => Promise.resolve(new Blob([text], { type: "text/plain; charset=utf-8" }));
    const content = await new PreviewCache(life.signal).get("1", load);
    expect(content?.text?.length).toBe(20_000);
    expect(content?.text?.endsWith(" the end")).toBe(true);
  });
});

describe("a history", () => {
  let newest: Signal<number | null> = signal(null);
  function history(first: number, last: number) {
    const server = new PreviewServer();
    server.list = facts(first, last);
    newest = signal(last);
    return { server, history: new PreviewHistory(server, "a", newest, life.signal) };
  }

  it("is asked for when somebody wants it, and again when a newer preview has come", async () => {
    const made = history(1, 5);
    await soon();
    expect(made.server.lists).toEqual([]);
    made.history.want(true);
    await soon();
    expect(made.server.lists).toEqual(["http://host/headway/tasks/a/previews"]);
    expect(made.history.facts.value).toHaveLength(5);
    made.server.list = facts(1, 6);
    newest.value = 6;
    await soon();
    expect(made.history.facts.value).toHaveLength(6);
    made.history.want(false);
    newest.value = 7;
    await soon();
    expect(made.server.lists).toHaveLength(2);
  });

  it("asks one question at a time", async () => {
    const made = history(1, 5);
    made.history.want(true);
    newest.value = 6;
    newest.value = 7;
    await soon();
    expect(made.server.lists).toHaveLength(2);
  });

  it("is asked for again by whoever looks again, where it did not come", async () => {
    const made = history(1, 5);
    made.server.list = "nonsense";
    made.history.want(true);
    await soon();
    expect(made.history.facts.value).toEqual([]);
    made.server.list = facts(1, 5);
    made.history.want(false);
    made.history.want(true);
    await soon();
    expect(made.history.facts.value).toHaveLength(5);
  });

  it("stays at the one that was chosen, and follows from the end", async () => {
    const made = history(1, 5);
    made.history.want(true);
    await soon();
    made.history.step(-1);
    expect(made.history.number.value).toBe(4);
    made.server.list = facts(1, 9);
    newest.value = 9;
    await soon();
    expect(made.history.number.value).toBe(4);
    expect(made.history.near(2).map((one) => one.number)).toEqual([5, 3, 6, 2]);
    made.history.step(Number.POSITIVE_INFINITY);
    expect(made.history.isAtNewest).toBe(true);
    newest.value = 10;
    expect(made.history.number.value).toBe(10);
    made.history.step(Number.NEGATIVE_INFINITY);
    expect(made.history.number.value).toBe(1);
    made.history.leave();
    expect(made.history.number.value).toBe(10);
  });

  it("moves to the next one kept when the one that is looked at is dropped", async () => {
    const made = history(1, 5);
    made.history.want(true);
    await soon();
    made.history.choose(1);
    made.server.list = [fact(1), fact(4), fact(6)];
    newest.value = 6;
    await soon();
    made.history.step(-1);
    expect(made.history.number.value).toBe(1);
  });

  it("looks at the newest that can be seen where the newest of all is a sound", async () => {
    const made = history(1, 5);
    made.server.list = [...facts(1, 4), fact(5, { media_type: "audio/wav" })];
    expect(made.history.number.value).toBe(5);
    made.history.hear(5);
    expect(made.history.number.value).toBeNull();
    await soon();
    expect(made.server.lists).toHaveLength(1);
    expect([made.history.number.value, made.history.sound.value]).toEqual([4, 5]);
    made.history.step(-1);
    expect(made.history.number.value).toBe(3);
    made.history.leave();
    newest.value = 6;
    expect([made.history.number.value, made.history.sound.value]).toEqual([6, null]);
  });

  it("is asked for again by whoever looks, where it did not come for a sound", async () => {
    const made = history(1, 5);
    made.server.list = "nonsense";
    made.history.hear(5);
    await soon();
    made.server.list = facts(1, 4);
    made.history.want(true);
    await soon();
    expect(made.server.lists).toHaveLength(2);
    expect(made.history.number.value).toBe(4);
  });

  it("has nothing to walk through before it is there", () => {
    const made = history(1, 5);
    made.history.step(-1);
    expect(made.history.number.value).toBe(5);
    expect(made.history.isAtNewest).toBe(true);
  });
});
