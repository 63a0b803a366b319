/** A preview at full size, over everything else, with its history to walk through. */

import { h, setText, watch } from "../dom.js";
import type { PreviewContent } from "../preview-cache.js";
import type { PreviewFact } from "../preview-fact.js";
import { FAR, type PreviewHistory } from "../preview-history.js";
import { byteCount } from "../quantity.js";
import { button } from "./button.js";
import { PreviewFrame } from "./preview-frame.js";
import type { PreviewSource } from "./preview-scrubber.js";
import { PreviewSound } from "./preview-sound.js";
import { momentOf, previewName } from "./preview-strip.js";
import { titleOf } from "./scene.js";
import { walk } from "./slider-keys.js";

/** A thumbnail is enlarged to this, px; a larger one is shown as it is, if the window has room. */
const LEAST_SIDE = 512;

/** Opens beside `opener`, which is focused when it closes. */
export function openPreviews(
  opener: HTMLElement,
  history: PreviewHistory,
  { task, get, until: life }: PreviewSource,
  onClose: () => void,
): void {
  const ending = new AbortController();
  const until = ending.signal;
  const dialog = h("dialog", "hw-dialog");
  dialog.setAttribute("aria-label", `Previews of ${titleOf(task.peek())}`);
  const close = () => dialog.close();
  life.addEventListener("abort", close, { signal: until });
  const frame = new PreviewFrame(until);
  const back = button("hw-dialog-step hw-dialog-back", "‹", () => history.step(-1), until);
  const on = button("hw-dialog-step hw-dialog-on", "›", () => history.step(1), until);
  back.setAttribute("aria-label", "Earlier");
  on.setAttribute("aria-label", "Later");
  const caption = h("span", "hw-dialog-caption");
  caption.setAttribute("role", "status");
  const place = h("span", "hw-quiet");
  const save = download("Download");
  const sound = new PreviewSound();
  const saveSound = download("Download sound");
  const heard = h("div", "hw-dialog-sound");
  const end = button("hw-tool", "Close", close, until);
  const foot = h("div", "hw-dialog-foot", caption, place, h("span", "hw-dialog-tools", save, end));
  dialog.append(h("div", "hw-dialog-sight", frame.node, back, on), foot);

  watch(until, () => {
    const [facts, fact] = [history.facts.value, history.shown.value];
    const { index } = history;
    const { width, height } = largest(facts);
    dialog.style.setProperty("--hw-width", String(width));
    dialog.style.setProperty("--hw-height", String(height));
    setText(caption, fact === null ? titleOf(task.value) : captionOf(fact, task.value.started_at));
    setText(place, facts.length > 1 ? `${index + 1} of ${facts.length}` : "");
    back.hidden = on.hidden = facts.length < 2;
    back.disabled = index === 0;
    on.disabled = index >= facts.length - 1;
  });
  const show = async (number: number, isNews: boolean) => {
    const content = await get(number);
    const isWanted = () => !until.aborted && history.number.peek() === number;
    if (content === null || !isWanted()) return;
    const name = previewName(task.peek(), history.shown.peek());
    if (!(await frame.show(content, name, isNews, isWanted))) return;
    offer(save, content, `${task.peek().task_id}-${number}`);
    dialog.dataset.kind = content.kind;
  };
  const play = async (number: number) => {
    const content = await get(number);
    if (content?.kind !== "audio" || until.aborted) return;
    heard.append(sound.node, saveSound);
    foot.before(heard);
    sound.play(content.url);
    setText(save, "Download picture");
    offer(saveSound, content, `${task.peek().task_id}-${number}`);
    dialog.toggleAttribute("data-sound", true);
  };
  watch(until, () => {
    const number = history.sound.value;
    if (number !== null) void play(number);
  });
  watch(until, () => {
    const number = history.number.value;
    const isNews = history.isAtNewest && !frame.isEmpty;
    if (number !== null) void show(number, isNews);
  });

  dialog.addEventListener("keydown", (event) => walk(event, FAR, (by) => history.step(by)), {
    signal: until,
  });
  // The dialog itself is hit beside what stands in it.
  dialog.addEventListener("click", (event) => event.target === dialog && close(), { signal: until });
  dialog.addEventListener("close", () => {
    ending.abort();
    dialog.remove();
    onClose();
    opener.focus({ preventScroll: true });
  });
  opener.after(dialog);
  dialog.showModal();
  end.focus({ preventScroll: true });
}

/** Not to be seen before there is something to load down. */
function download(label: string): HTMLAnchorElement {
  const link = h("a", "hw-tool", label);
  link.hidden = true;
  return link;
}

function offer(link: HTMLAnchorElement, content: PreviewContent, name: string): void {
  link.href = content.url;
  link.download = `${name}.${content.extension}`;
  link.hidden = false;
}

/** One size for all of the history, so that walking through it moves nothing. */
function largest(facts: readonly PreviewFact[]): { width: number; height: number } {
  let [width, height] = [1, 1];
  for (const fact of facts)
    if ((fact.width ?? 0) > width) [width, height] = [fact.width ?? 1, fact.height ?? 1];
  const scale = Math.max(1, LEAST_SIDE / Math.max(width, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

function captionOf(fact: PreviewFact, startedAt: string | null): string {
  const [percent, time] = momentOf(fact, startedAt);
  const size = fact.width === null || fact.height === null ? "" : `${fact.width} × ${fact.height}`;
  return [percent, time, size, byteCount(fact.bytes)].filter((part) => part !== "").join(" · ");
}
