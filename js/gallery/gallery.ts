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
  eta,
  FAILED,
  IMAGE_DONE,
  IMAGE_ENDING,
  IMAGE_LOADING,
  IMAGE_QUEUED,
  IMAGE_RUNNING,
  MANY,
  type Plan,
  stage,
  stagesLeft,
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

const ETA = eta(120, 172, 300, { stages: stagesLeft(160) });
const FINISHED = { finished_at: at(-3), updated_at: at(-3) };

const coral = task("Gray–Scott coral", "in_progress", IMAGE_RUNNING, { eta: ETA, preview_url: null });
const live = await withPicture("running, with a preview", coral, 0);
exhibit("running, without", [
  task("Portrait of a lighthouse keeper", "in_progress", IMAGE_RUNNING, { eta: ETA }),
]);
exhibit("running, no estimate yet", [task("First of its kind", "in_progress", IMAGE_LOADING)]);
exhibit("queued", [task("Patient one", "queued", IMAGE_QUEUED, { overall_progress: 0 })]);
const PLAIN = { params: {}, template_id: "sdxl" };
const AHEAD = { runs: 32, same: 9, pace_share: null, coverage: 0.81, usual_s: 176, ahead: 3 };
exhibit("queued, with a wait", [
  task("Fourth in line", "queued", IMAGE_QUEUED, {
    overall_progress: 0,
    eta: eta(190, 305, 420, {
      wait: { low: 70, median: 122, high: 235 },
      stages: [
        { id: "model_loading", low: 3, median: 4, high: 6 },
        { id: "generation", low: 120, median: 165, high: 240 },
        { id: "post_processing", low: 8, median: 12, high: 19 },
      ],
      evidence: AHEAD,
    }),
  }),
]);
exhibit("far away, a wide range", [
  task("A long film", "in_progress", IMAGE_LOADING, {
    ...PLAIN,
    eta: eta(2.2 * 3600, 4.1 * 3600, 9 * 3600, {
      stages: [
        { id: "model_loading", low: 40, median: 65, high: 110 },
        { id: "generation", low: 7_000, median: 14_000, high: 30_000 },
        { id: "post_processing", low: 300, median: 640, high: 1_900 },
      ],
    }),
  }),
]);
exhibit("near the end", [
  task("Almost there", "in_progress", IMAGE_ENDING, {
    ...PLAIN,
    eta: eta(4.6, 7.2, 9.8),
  }),
]);
exhibit("late", [
  task("Slower than most", "in_progress", IMAGE_RUNNING, {
    ...PLAIN,
    started_at: at(-395),
    eta: eta(22, 41, 95, { late: true, stages: stagesLeft(29) }),
  }),
]);
exhibit("stalled", [
  task("Perhaps it hangs", "in_progress", IMAGE_RUNNING, {
    ...PLAIN,
    started_at: at(-1_240),
    eta: eta(3, 60, 400, { late: true, stalled: true, stages: stagesLeft(45) }),
  }),
]);
exhibit("the first of its kind", [
  task("Never seen before", "in_progress", IMAGE_RUNNING, {
    ...PLAIN,
    eta: eta(45, 150, 480, {
      basis: "pace of the current stage",
      stages: [
        { id: "generation", low: 45, median: 136, high: 400 },
        { id: "post_processing", low: 4, median: 14, high: 80 },
      ],
      evidence: { runs: 0, same: 0, pace_share: 1, coverage: null, usual_s: null, ahead: null },
    }),
  }),
]);
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
      eta: eta(-60, -30, -5, { late: true }),
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
const LINE = [ETA, eta(-60, -30, -5), eta(3, 60, 400, { stalled: true }), eta(22, 41, 95, { late: true })];
const QUEUED = eta(190, 305, 420, { wait: { low: 70, median: 122, high: 235 }, evidence: AHEAD });
const thousand = Array.from({ length: 1000 }, (_, index) => {
  const status = STATUSES[(index * 7) % STATUSES.length] ?? "queued";
  const ended = status !== "in_progress" && status !== "queued";
  return task(`Prompt ${index + 1}`, status, PLANS[status], {
    ...(ended ? FINISHED : {}),
    eta: status === "in_progress" ? (LINE[index % LINE.length] ?? null) : status === "queued" ? QUEUED : null,
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
  let estimated = coral.eta;
  setInterval(() => {
    seq += 1;
    const done = Math.min(400, 156 + seq);
    const stages = IMAGE_RUNNING.map(stage).map((one) =>
      one.id === "generation" ? { ...one, done, progress: done / 400 } : one,
    );
    const overall_progress = 20 + (70 * done) / 400;
    // As uncertain as a real one: 8 % either way, each second anew.
    const left = Math.max(1, ((400 - done) / 10) * (0.92 + 0.16 * Math.random()));
    if (seq % 10 === 2) estimated = eta(left * 0.8, left, left * 1.3, { stages: stagesLeft(left) });
    live.progress({ ...coral, seq, stages, overall_progress, eta: estimated, updated_at: at(0) }, Date.now());
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
