/** Every view in every state on one page, to be looked at. `#live` moves, `#rush` moves a thousand rows, `#dark` is dark. */

import { signal } from "@preact/signals-core";
import { Clock } from "../src/clock.js";
import type { LinkStatus } from "../src/link.js";
import type { TaskProgress } from "../src/model.js";
import { TaskStore } from "../src/store.js";
import { tasksView } from "../src/views/tasks.js";
import { picture } from "./picture.js";
import {
  at,
  ERROR,
  FAILED,
  IMAGE_DONE,
  IMAGE_LOADING,
  IMAGE_QUEUED,
  IMAGE_RUNNING,
  MANY,
  type Plan,
  stage,
  task,
} from "./states.js";

const main = document.querySelector("main") ?? document.body;
const until = new AbortController().signal;
const LIVE: LinkStatus = { link: "live", since: Date.now(), heardAt: Date.now() };

function exhibit(
  title: string,
  tasks: readonly TaskProgress[],
  link = LIVE,
  ids = tasks.map((one) => one.task_id),
) {
  const clock = new Clock();
  const store = new TaskStore(clock);
  const entries = store.keep(ids);
  const heading = document.createElement("h2");
  heading.textContent = title;
  main.append(heading, tasksView(entries, { clock, link: signal(link), server: null, until }));
  for (const one of tasks) store.progress(one, null);
  return store;
}

async function withPicture(title: string, shown: TaskProgress, phase: number): Promise<TaskStore> {
  const store = exhibit(title, [shown]);
  store.pictureFromKernel(shown.task_id, await picture(phase));
  return store;
}

const ETA = { low: at(120), median: at(172), high: at(300), basis: "pace of the current stage" };
const FINISHED = { finished_at: at(-3), updated_at: at(-3) };

const coral = task("Gray–Scott coral", "in_progress", IMAGE_RUNNING, { eta: ETA, preview_url: null });
const live = await withPicture("running, with a preview", coral, 0);
exhibit("running, without", [
  task("Portrait of a lighthouse keeper", "in_progress", IMAGE_RUNNING, { eta: ETA }),
]);
exhibit("running, no estimate yet", [task("First of its kind", "in_progress", IMAGE_LOADING)]);
exhibit("queued", [task("Patient one", "queued", IMAGE_QUEUED, { overall_progress: 0 })]);
await withPicture("completed", task("Coral, finished", "completed", IMAGE_DONE, FINISHED), 1);
exhibit("failed", [
  task("fm-bell", "failed", FAILED, {
    ...FINISHED,
    template_id: "fm-bell",
    error: ERROR,
    attempt: 2,
    params: {},
  }),
]);
exhibit("cancelled", [task("Stopped by hand", "cancelled", IMAGE_RUNNING, FINISHED)]);
const LOST = { updated_at: at(-68), lost_at: at(-58), params: { width: 768, steps: 400 } };
exhibit("lost", [task("Worker gone", "lost", IMAGE_RUNNING, LOST)]);
await withPicture(
  "lost, with a preview",
  task("Worker gone again", "lost", IMAGE_RUNNING, { ...LOST, attempt: 2 }),
  2,
);
exhibit("a second attempt", [
  task("Taken up again", "in_progress", IMAGE_RUNNING, { eta: ETA, attempt: 2, started_at: at(-12) }),
]);
exhibit("seven stages, overdue", [
  task(
    "A long video with a name that does not end before the line does, whatever the width of the cell",
    "in_progress",
    MANY,
    {
      template_id: "two-pass-video-with-interpolation",
      started_at: at(-395),
      eta: { low: at(-60), median: at(-30), high: at(-5), basis: "14 earlier runs" },
    },
  ),
]);
const SINCE = { since: Date.now() - 12_000, heardAt: Date.now() - 12_000 };
exhibit("reconnecting", [task("Out of reach", "in_progress", IMAGE_RUNNING, { eta: ETA, params: {} })], {
  link: "reconnecting",
  ...SINCE,
});
exhibit(
  "reconnecting, a second attempt without a measure",
  [task("Out of reach", "in_progress", IMAGE_LOADING, { attempt: 2, params: {} })],
  { link: "store_down", ...SINCE },
);
const forgotten = exhibit("unknown to the server", [
  task("Swept away", "in_progress", IMAGE_RUNNING, { eta: ETA, params: {}, updated_at: at(-75) }),
]);
forgotten.missing("swept-away-7f3k2m9q");
const empty = exhibit("waiting", [], LIVE, ["gray-scott-7f3k2m9q", "nobody-knows"]);
empty.missing("nobody-knows");

const STATUSES = [
  "completed",
  "completed",
  "completed",
  "in_progress",
  "queued",
  "failed",
  "cancelled",
  "lost",
] as const;
const PLANS: Readonly<Record<(typeof STATUSES)[number], readonly Plan[]>> = {
  completed: IMAGE_DONE,
  in_progress: IMAGE_RUNNING,
  queued: IMAGE_QUEUED,
  failed: FAILED,
  cancelled: IMAGE_RUNNING,
  lost: IMAGE_RUNNING,
};
const thousand = Array.from({ length: 1000 }, (_, index) => {
  const status = STATUSES[(index * 7) % STATUSES.length] ?? "queued";
  const ended = status !== "in_progress" && status !== "queued";
  return task(`Prompt ${index + 1}`, status, PLANS[status], {
    ...(ended ? FINISHED : {}),
    eta: status === "in_progress" ? ETA : null,
    overall_progress: status === "completed" ? 100 : status === "queued" ? 0 : (index * 13) % 100,
  });
});
const crowd = exhibit("a thousand", thousand);

/** A thousand running tasks, each with news every 100 ms. */
function rush(): void {
  let seq = 1;
  setInterval(() => {
    seq += 1;
    for (const one of thousand) {
      crowd.progress({ ...one, seq, status: "in_progress", overall_progress: (seq / 10) % 100 }, Date.now());
    }
  }, 100);
}

function move(): void {
  let seq = 1;
  setInterval(() => {
    seq += 1;
    const done = Math.min(400, 156 + seq);
    const stages = IMAGE_RUNNING.map(stage).map((one) =>
      one.id === "generation" ? { ...one, done, progress: done / 400 } : one,
    );
    const overall_progress = 20 + (70 * done) / 400;
    live.progress({ ...coral, seq, stages, overall_progress, updated_at: at(0) }, Date.now());
  }, 100);
  setInterval(async () => live.pictureFromKernel(coral.task_id, await picture(seq / 30)), 500);
}

const root = document.documentElement;
if (location.hash.includes("dark")) root.dataset.theme = "dark";
if (location.hash.includes("live")) move();
if (location.hash.includes("rush")) rush();
document.querySelector("#theme")?.addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
});
