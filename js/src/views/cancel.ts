/** The way to end a task before its time: a button that asks once more, and then tells what came of it. */

import { computed, signal } from "@preact/signals-core";
import { askToStop, isIgnored, spokenWish, wishWords } from "../cancelling.js";
import { explainWhenAsked, h, setText, watch } from "../dom.js";
import { hasEnded } from "../model.js";
import type { TaskEntry } from "../store.js";
import { button } from "./button.js";
import type { Scene, TaskSignal } from "./scene.js";

/** A question that nobody answers takes itself back; whoever moves in it is still reading. */
const QUESTION_MS = 5_000;

type Step = "idle" | "question" | "asking";

export function cancelControl(entry: TaskEntry, task: TaskSignal, scene: Scene): HTMLElement {
  const { clock, server, until } = scene;
  const step = signal<Step>("idle");
  const refusal = signal("");
  const offered = computed(() => !hasEnded(task.value.status) && !entry.missing.value);
  const wish = computed(() => (offered.value ? entry.wish.of(task.value.attempt) : null));
  const ignored = computed(() => wish.value !== null && isIgnored(wish.value, clock.nowAndEverySecond()));

  const send = async () => {
    if (server === null) return;
    const { task_id, attempt } = task.peek();
    step.value = "asking";
    // The button that was pressed is gone, and the focus must not go with it.
    node.focus({ preventScroll: true });
    const why = await askToStop(server, task_id, until);
    if (until.aborted) return;
    refusal.value = why ?? "";
    if (why === null) entry.wish.asked(attempt, clock.now());
    step.value = "idle";
    const next = [start, again].find((one) => !one.hidden);
    if (document.activeElement === node) next?.focus({ preventScroll: true });
  };
  const start = button("hw-tool hw-cancel-start", "Cancel", () => ask(), until);
  const again = button("hw-tool hw-cancel-again", "Ask again", send, until);
  const keep = button("hw-tool hw-cancel-keep", "Keep", () => answer(), until);
  const stop = button("hw-tool hw-cancel-stop", "Stop", send, until);
  // Last the safe choice, where the pointer is: the second half of a double click stops nothing.
  const question = h("span", "hw-cancel-question", h("span", "", "Stop this task?"), stop, keep);
  question.setAttribute("role", "group");
  question.setAttribute("aria-label", "Stop this task?");
  const [before, by, after] = [h("span", ""), h("span", "hw-cancel-by"), h("span", "")];
  const words = h("span", "hw-cancel-words", before, by, after);
  // A long name is cut where there is no room for it.
  explainWhenAsked(words, () => words.textContent ?? "", until);
  const spoken = h("span", "hw-spoken");
  spoken.setAttribute("role", "status");
  const node = h("div", "hw-cancel", words, spoken, again, question, start);
  node.tabIndex = -1;

  const answer = () => {
    const hadFocus = question.contains(document.activeElement);
    step.value = "idle";
    if (hadFocus) start.focus({ preventScroll: true });
  };
  const patience = new Timer(QUESTION_MS, () => step.peek() === "question" && answer(), until);
  const ask = () => {
    refusal.value = "";
    step.value = "question";
    keep.focus({ preventScroll: true });
    patience.restart();
  };
  for (const event of ["pointermove", "keydown", "focusin"])
    question.addEventListener(event, () => patience.restart(), { signal: until });
  question.addEventListener("keydown", (event) => event.key === "Escape" && answer(), { signal: until });

  // The end of the task answers the question.
  watch(until, () => {
    if (!offered.value && step.peek() === "question") step.value = "idle";
  });
  watch(until, () => {
    node.hidden = !offered.value;
    question.hidden = step.value !== "question";
    start.hidden = step.value !== "idle" || wish.value !== null;
    again.hidden = step.value !== "idle" || !(ignored.value || (wish.value !== null && refusal.value !== ""));
    node.toggleAttribute("data-ignored", ignored.value || refusal.value !== "");
  });
  /** What there is to say other than the wish; null where that is to be said. */
  const other = computed(() => {
    if (step.value === "asking") return "Asking to stop …";
    if (step.value === "question") return "";
    if (refusal.value !== "") return `Could not ask: ${refusal.value}`;
    return wish.value === null ? "" : null;
  });
  watch(until, () => {
    const said =
      other.value === null && wish.value !== null
        ? wishWords(wish.value, clock.nowAndEverySecond())
        : { before: other.value ?? "", by: "", after: "" };
    setText(before, said.before);
    setText(by, said.by);
    setText(after, said.after);
    words.hidden = words.textContent === "";
  });
  watch(until, () => {
    const wished = wish.value === null ? "" : spokenWish(wish.value, clock.nowAndEverySecond());
    setText(spoken, other.value ?? wished);
  });
  return node;
}

class Timer {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly ms: number,
    private readonly ring: () => void,
    until: AbortSignal,
  ) {
    until.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
  }

  restart(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.ring, this.ms);
  }
}
