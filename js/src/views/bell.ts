/** The switch for a notice at the end of tasks. */

import { signal } from "@preact/signals-core";
import { h, setAttribute, setText, svg, watch } from "../dom.js";
import { hasEnded } from "../model.js";
import { canNotify, onWishChanged, wantNotices, wantsNotices } from "../notice.js";
import { button } from "./button.js";
import type { Scene, TaskSignal } from "./scene.js";

/** Nothing where the browser has no notices, or its user has forbidden them. */
export function bell(task: TaskSignal, scene: Scene): HTMLElement {
  const isOn = signal(wantsNotices());
  const isRefused = signal(false);
  const wasPossible = canNotify();
  const label = h("span", "hw-bell-label");
  const toggle = button(
    "hw-tool hw-bell",
    "",
    async () => {
      const wanted = !isOn.peek();
      const isGranted = await wantNotices(wanted);
      isRefused.value = wanted && !isGranted;
    },
    scene.until,
  );
  toggle.append(
    svg(
      "svg",
      { class: "hw-bell-shape", viewBox: "0 0 16 16", "aria-hidden": "true" },
      svg("path", {
        class: "hw-bell-body",
        d: "M8 2a4 4 0 0 0-4 4c0 3.5-1.25 4.5-1.25 5.5h10.5c0-1-1.25-2-1.25-5.5a4 4 0 0 0-4-4z",
      }),
      svg("path", { d: "M6.5 13.5a1.6 1.6 0 0 0 3 0" }),
    ),
    label,
  );
  toggle.title = "A notice of the browser when a task is over and this page is out of sight";
  onWishChanged(() => (isOn.value = wantsNotices()), scene.until);
  watch(scene.until, () => {
    toggle.hidden = !wasPossible || hasEnded(task.value.status);
    setAttribute(toggle, "aria-pressed", String(isOn.value));
    setText(
      label,
      isRefused.value ? "The browser does not allow it" : isOn.value ? "Will notify" : "Notify me",
    );
  });
  return toggle;
}
