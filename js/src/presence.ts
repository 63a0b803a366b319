/** Tells when the page leaves its reader's sight for the back-forward cache, and when it may have missed something. */

export interface Presence {
  /** The page goes; not every browser keeps one with an open socket for a return. */
  left(): void;
  /** It is back from there. */
  returned(): void;
  /** The computer slept, the tab was in the background, or the network is back. */
  woke(): void;
}

const TICK_MS = 1_000;
/** Timers of a busy page are late by less; those of one in the background by more, which costs a look at the clock. */
const SLEPT_MS = 3_000;

export function watchPresence(presence: Presence, until: AbortSignal): void {
  const listening = { signal: until };
  addEventListener("pagehide", () => presence.left(), listening);
  addEventListener("pageshow", (event) => event.persisted && presence.returned(), listening);
  addEventListener("online", () => presence.woke(), listening);
  document.addEventListener(
    "visibilitychange",
    () => document.visibilityState === "visible" && presence.woke(),
    listening,
  );
  watchSleep(presence, until);
}

function watchSleep(presence: Presence, until: AbortSignal): void {
  let last = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    const slept = now - last - TICK_MS > SLEPT_MS;
    last = now;
    if (slept) presence.woke();
  }, TICK_MS);
  until.addEventListener("abort", () => clearInterval(timer), { once: true });
}
