import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TaskProgress } from "../src/model.js";
import { fakeNetwork, restoreNetwork } from "./fake-network.js";
import { fact, facts, objectUrls, PreviewServer } from "./preview-server.js";
import { running } from "./samples.js";
import { stage, text } from "./stage.js";

let shown: ReturnType<typeof stage> | null = null;
let urls: ReturnType<typeof objectUrls>;

function withPreview(number: number, changes: Partial<TaskProgress> = {}): TaskProgress {
  const preview_url = `headway/tasks/${running().task_id}/previews/${number}`;
  return running({ preview_url, started_at: "2026-11-22T16:00:00Z", seq: 100 + number, ...changes });
}

async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(500);
}

async function seen(newest: number, server = new PreviewServer()) {
  if (Array.isArray(server.list) && server.list.length === 0) server.list = facts(1, newest);
  shown = stage([withPreview(newest)], server);
  await settled();
  const slider = shown.root.querySelector<HTMLElement>(".hw-preview-scrubber");
  if (slider === null) throw new Error("there is no slider");
  const strip = slider.querySelector<HTMLElement>(".hw-strip");
  if (strip === null) throw new Error("there is no strip");
  strip.getBoundingClientRect = () => new DOMRect(0, 120, 160, 40);
  return { ...shown, server, slider, strip };
}

async function point(target: HTMLElement, part: number): Promise<void> {
  target.dispatchEvent(new PointerEvent("pointermove", { clientX: part * 160, bubbles: true }));
  await settled();
}

async function leave(...targets: readonly HTMLElement[]): Promise<void> {
  for (const target of targets) target.dispatchEvent(new PointerEvent("pointerleave"));
  await settled();
}

async function click(target: HTMLElement, part: number): Promise<void> {
  target.dispatchEvent(new MouseEvent("click", { clientX: part * 160, bubbles: true }));
  await settled();
}

async function press(target: Element, key: string): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  await settled();
  return event;
}

/** What the picture in sight was made of. */
async function inSight(root: Element): Promise<string | undefined> {
  const images = root.querySelectorAll("img");
  expect(images).toHaveLength(1);
  const index = Number(images[0]?.src.split("/").at(-1)) - 1;
  return urls.made[index]?.text();
}

beforeEach(() => {
  fakeNetwork();
  urls = objectUrls();
  HTMLImageElement.prototype.decode = () => Promise.resolve();
});
afterEach(() => {
  shown?.life.abort();
  expect(urls.live()).toEqual([]);
  restoreNetwork();
  vi.restoreAllMocks();
});

describe("the newest preview", () => {
  it("is fetched by its number and replaced by the next, with one picture in the end", async () => {
    const { root, server, store } = await seen(5);
    expect(server.files).toEqual([5]);
    expect(server.lists).toEqual([]);
    expect(root.querySelector("img")?.alt).toBe("Preview of Gray–Scott coral");
    store.progress(withPreview(6), null);
    await settled();
    expect(await inSight(root)).toBe("6");
  });

  it("lies over the last one while it grows sharp", async () => {
    const { root, store } = await seen(5);
    store.progress(withPreview(6), null);
    await vi.advanceTimersByTimeAsync(60);
    expect(root.querySelectorAll("img")).toHaveLength(2);
    await settled();
    expect(root.querySelectorAll("img")).toHaveLength(1);
  });

  it("is there at once for those who want no motion", async () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    const { root, store } = await seen(5);
    store.progress(withPreview(6), null);
    await vi.advanceTimersByTimeAsync(60);
    expect(await inSight(root)).toBe("6");
  });

  it("leaves the last one standing where it has expired or is no picture", async () => {
    const { root, server, store } = await seen(5);
    server.file = () => null;
    store.progress(withPreview(6), null);
    await settled();
    server.file = () => new Blob(["<script>"], { type: "text/html" });
    store.progress(withPreview(7), null);
    await settled();
    expect(await inSight(root)).toBe("5");
  });

  it("is the kernel's, and no slider, where there is no server", async () => {
    shown = stage([running({ preview_url: null })], null);
    shown.store.pictureFromKernel(running().task_id, new Blob(["k"], { type: "image/jpeg" }));
    await settled();
    expect(await inSight(shown.root)).toBe("k");
    expect(shown.root.querySelector('[role="slider"]')).toBeNull();
    shown.store.pictureFromKernel(running().task_id, new Blob(["l"], { type: "image/jpeg" }));
    await settled();
    expect(await inSight(shown.root)).toBe("l");
    expect(urls.live()).toHaveLength(1);
  });
});

describe("the previews before it", () => {
  it("are looked at by the pointer on the strip, and left with it", async () => {
    const { root, server, slider, strip } = await seen(10);
    await point(strip, 0.34);
    expect(server.lists).toHaveLength(1);
    expect(await inSight(root)).toBe("4");
    expect(slider.getAttribute("aria-valuetext")).toBe("4 %, 4 s");
    expect(slider.getAttribute("aria-valuenow")).toBe("4");
    expect(slider.getAttribute("aria-valuemax")).toBe("10");
    expect(root.querySelector("img")?.alt).toBe("Preview of Gray–Scott coral at 4 %, 4 s");
    expect([text(root, ".hw-strip-percent"), text(root, ".hw-strip-time")]).toEqual(["4 %", "4 s"]);
    await leave(strip);
    expect(await inSight(root)).toBe("10");
    expect(slider.getAttribute("aria-valuetext")).toBe("newest, 10 %, 10 s");
    expect(slider.hasAttribute("data-looked-at")).toBe(true);
    await leave(slider);
    expect(slider.hasAttribute("data-looked-at")).toBe(false);
  });

  it("are not looked at by the pointer above the strip, which only shows where they are", async () => {
    const { root, server, slider, strip } = await seen(10);
    expect(strip.hidden).toBe(true);
    await point(slider, 0.34);
    expect(server.lists).toHaveLength(1);
    expect(strip.hidden).toBe(false);
    expect(await inSight(root)).toBe("10");
  });

  it("are fetched with their neighbours, each once, and no others", async () => {
    const { server, strip } = await seen(50);
    await point(strip, 0.5);
    expect(server.files).toEqual([50, 26, 27, 25, 28, 24]);
    await point(strip, 0.521);
    expect(server.files).toEqual([50, 26, 27, 25, 28, 24, 29]);
  });

  it("are walked through with the keys, which the notebook does not get", async () => {
    const { root, slider } = await seen(10);
    slider.focus();
    await settled();
    const event = await press(slider, "ArrowLeft");
    expect(event.defaultPrevented).toBe(true);
    expect(await inSight(root)).toBe("9");
    await press(slider, "Home");
    expect(await inSight(root)).toBe("1");
    await press(slider, "Escape");
    expect(await inSight(root)).toBe("10");
    await press(slider, "PageDown");
    slider.blur();
    await settled();
    expect(await inSight(root)).toBe("10");
  });

  it("stay where they are while newer ones come", async () => {
    const { root, server, slider, store } = await seen(10);
    slider.focus();
    await settled();
    await press(slider, "ArrowLeft");
    server.list = facts(1, 11);
    store.progress(withPreview(11), null);
    await settled();
    expect(await inSight(root)).toBe("9");
    expect(slider.getAttribute("aria-valuemax")).toBe("11");
  });
});

describe("a preview at full size", () => {
  async function opened() {
    const made = await seen(10);
    made.slider.focus();
    await settled();
    await press(made.slider, "ArrowLeft");
    await press(made.slider, "Enter");
    const dialog = made.root.querySelector("dialog");
    if (dialog === null) throw new Error("there is no dialog");
    return { ...made, dialog };
  }

  it("is the newest, by a click above the strip, wherever the pointer came from", async () => {
    const { root, slider, strip } = await seen(10);
    await point(strip, 0.34);
    await leave(strip);
    await point(slider, 0.34);
    await click(slider, 0.34);
    const dialog = root.querySelector("dialog");
    expect(dialog && (await inSight(dialog))).toBe("10");
  });

  it("is the moment that is pointed at, by a click or a tap on the strip", async () => {
    const { root, slider, strip } = await seen(10);
    await point(slider, 0.34);
    await click(strip, 0.34);
    await leave(strip, slider);
    const dialog = root.querySelector("dialog");
    expect(dialog && (await inSight(dialog))).toBe("4");
    dialog?.close();
    await settled();
    expect(await inSight(root)).toBe("10");
  });

  it("is the one that was looked at, with what is known of it", async () => {
    const { dialog } = await opened();
    expect(dialog.open).toBe(true);
    expect(dialog.getAttribute("aria-label")).toBe("Previews of Gray–Scott coral");
    expect(await inSight(dialog)).toBe("9");
    expect(text(dialog, ".hw-dialog-caption")).toBe("9 % · 9 s · 256 × 256 · 1.0 kB");
    const link = dialog.querySelector("a");
    expect(link?.download).toBe(`${running().task_id}-9.jpg`);
    expect(urls.live()).toContain(link?.href);
  });

  it("is one of many, through which the keys and the buttons lead", async () => {
    const { dialog } = await opened();
    await press(dialog, "ArrowLeft");
    expect(await inSight(dialog)).toBe("8");
    dialog.querySelector<HTMLElement>(".hw-dialog-on")?.click();
    await settled();
    expect(await inSight(dialog)).toBe("9");
    await press(dialog, "Home");
    expect(dialog.querySelector<HTMLButtonElement>(".hw-dialog-back")?.disabled).toBe(true);
  });

  it("closes for good, gives the focus back, and the newest returns", async () => {
    const { dialog, root, slider } = await opened();
    dialog.close();
    await settled();
    expect(root.querySelector("dialog")).toBeNull();
    expect(document.activeElement).toBe(slider);
    expect(await inSight(root)).toBe("10");
  });

  it("goes with its card", async () => {
    const { dialog, life } = await opened();
    life.abort();
    expect(dialog.isConnected).toBe(false);
  });
});

const SOUNDING = [...facts(1, 3), fact(4, { media_type: "audio/wav", width: null, height: null })];

function soundingFile(number: number): Blob {
  return new Blob([`${number}`], { type: number === 4 ? "audio/wav" : "image/jpeg" });
}

/** A task that has ended with a sound, of which three drawings were made before. */
function sounding(server = new PreviewServer()) {
  if (Array.isArray(server.list) && server.list.length === 0) server.list = SOUNDING;
  server.file = soundingFile;
  return seen(4, server);
}

it("the place of a preview has the shape of the newest one, and keeps it while others are looked at", async () => {
  let height = 192;
  vi.spyOn(HTMLImageElement.prototype, "naturalWidth", "get").mockReturnValue(256);
  vi.spyOn(HTMLImageElement.prototype, "naturalHeight", "get").mockImplementation(() => height);
  const server = new PreviewServer();
  server.list = facts(1, 3);
  const { root, slider, store } = await seen(3, server);
  const shape = () => root.querySelector<HTMLElement>(".hw-preview")?.style.getPropertyValue("--hw-shape");
  expect(shape()).toBe(String(4 / 3));
  slider.focus();
  await settled();
  height = 256;
  await press(slider, "ArrowLeft");
  expect(await inSight(root)).toBe("2");
  expect(shape()).toBe(String(4 / 3));
  await press(slider, "Escape");
  server.list = facts(1, 4);
  store.progress(withPreview(4), null);
  await settled();
  expect(shape()).toBe("1");
});

describe("previews of other kinds", () => {
  it("show the end of a text, as text", async () => {
    const server = new PreviewServer();
    server.list = [fact(1, { media_type: "text/plain; charset=utf-8", width: null, height: null })];
    server.file = () => new Blob(["first\n<b>last</b>\n"], { type: "text/plain; charset=utf-8" });
    const { root } = await seen(1, server);
    expect(text(root, ".hw-preview-words")).toBe("first\n<b>last</b>");
    expect(root.querySelector(".hw-preview-words b")).toBeNull();
    expect(root.querySelector<HTMLElement>(".hw-preview")?.dataset.kind).toBe("text");
  });

  it("play a sound, over the last picture before it", async () => {
    const { root } = await sounding();
    expect(root.querySelector("audio")?.controls).toBe(true);
    expect(await inSight(root)).toBe("3");
    expect(root.querySelector("img")?.alt).toBe("Preview of Gray–Scott coral at 3 %, 3 s");
  });

  it("say of a sound's picture what it is when the sound comes while it is looked at", async () => {
    const server = new PreviewServer();
    server.list = facts(1, 3);
    const { root, slider, store } = await seen(3, server);
    slider.focus();
    await settled();
    server.list = SOUNDING;
    server.file = soundingFile;
    store.progress(withPreview(4), null);
    await settled();
    expect(root.querySelectorAll("audio")).toHaveLength(1);
    expect(await inSight(root)).toBe("3");
    expect(root.querySelector("img")?.alt).toBe("Preview of Gray–Scott coral at 3 %, 3 s");
    expect(slider.getAttribute("aria-valuetext")).toBe("newest, 3 %, 3 s");
  });

  it("open with their sound and its file beside the last picture", async () => {
    const { root, slider } = await sounding();
    await click(slider, 0.5);
    const dialog = root.querySelector("dialog");
    if (dialog === null) throw new Error("there is no dialog");
    expect(await inSight(dialog)).toBe("3");
    expect(text(dialog, ".hw-dialog-foot > .hw-quiet")).toBe("3 of 3");
    expect(dialog.querySelector("audio")?.controls).toBe(true);
    const links = [...dialog.querySelectorAll("a")].filter((link) => !link.hidden);
    expect(links.map((link) => [link.textContent, link.download])).toEqual([
      ["Download sound", `${running().task_id}-4.wav`],
      ["Download picture", `${running().task_id}-3.jpg`],
    ]);
    for (const link of links) expect(urls.live()).toContain(link.href);
  });

  it("are heard one at a time: what is played falls silent when another one begins", async () => {
    const { root, slider } = await sounding();
    await click(slider, 0.5);
    const players = [...root.querySelectorAll("audio")];
    expect(players).toHaveLength(2);
    const pauses = players.map((player) => vi.spyOn(player, "pause").mockReturnValue());
    const counts = () => pauses.map((pause) => pause.mock.calls.length);
    players[0]?.dispatchEvent(new Event("play"));
    expect(counts()).toEqual([0, 1]);
    players[1]?.dispatchEvent(new Event("play"));
    expect(counts()).toEqual([1, 1]);
  });

  it("are a player alone where there is nothing to see", async () => {
    const server = new PreviewServer();
    server.list = SOUNDING.slice(-1);
    const { root, slider } = await sounding(server);
    expect(slider.hidden).toBe(true);
    expect(root.querySelectorAll("audio")).toHaveLength(1);
    await press(slider, "Enter");
    expect(root.querySelector("dialog")).toBeNull();
  });

  it("hold one sound, however many there were", async () => {
    const server = new PreviewServer();
    const sounds = [1, 2, 3, 4, 5].map((number) => fact(number, { media_type: "audio/wav" }));
    server.list = sounds.slice(0, 1);
    server.file = () => new Blob(["s"], { type: "audio/wav" });
    const { root, store } = await seen(1, server);
    for (let number = 2; number < 6; number++) {
      server.list = sounds.slice(0, number);
      store.progress(withPreview(number), null);
      await settled();
    }
    expect(root.querySelectorAll("audio")).toHaveLength(1);
    expect(urls.live()).toEqual([root.querySelector("audio")?.src]);
  });

  it("hold the newest sound where the list calls them pictures", async () => {
    const server = new PreviewServer();
    server.file = (number) => new Blob([`${number}`], { type: "audio/wav" });
    const { root, store } = await seen(1, server);
    store.progress(withPreview(2), null);
    await settled();
    const url = root.querySelector("audio")?.src ?? "";
    expect(await urls.made[Number(url.split("/").at(-1)) - 1]?.text()).toBe("2");
  });
});
