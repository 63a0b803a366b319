/** Every view in every state on one page, to be looked at. `#live` moves, `#rush` moves a thousand rows, `#long` a full log, `#dark` is dark. */

import { signal } from "@preact/signals-core";
import { Clock } from "../src/clock.js";
import type { LinkStatus } from "../src/link.js";
import type { TaskProgress } from "../src/model.js";
import type { ResourceSource } from "../src/resource-readers.js";
import { JupyterServer } from "../src/server.js";
import { TaskStore } from "../src/store.js";
import { tasksView } from "../src/views/tasks.js";
import { GalleryLogs, logOf } from "./logs.js";
import { picture } from "./picture.js";
import { bell, GalleryServer, growing, historyOf, story } from "./previews.js";
import { GalleryResources, samplesOf } from "./resources.js";
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
/** Where nobody answers, so that what is asked fails. */
const NOWHERE = new JupyterServer("http://localhost:9/", "ws://localhost:9/", "");
const LIVE: LinkStatus = { link: "live", since: Date.now(), heardAt: Date.now() };

function exhibit(
  title: string,
  tasks: readonly TaskProgress[],
  link = LIVE,
  ids = tasks.map((one) => one.task_id),
  logs = new GalleryLogs([]),
  { server = NOWHERE, resources = null }: { server?: JupyterServer; resources?: ResourceSource | null } = {},
) {
  const clock = new Clock();
  const store = new TaskStore(clock);
  const entries = store.keep(ids);
  const heading = document.createElement("h2");
  heading.textContent = title;
  main.append(heading, tasksView(entries, { clock, link: signal(link), server, logs, resources, until }));
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

/** Presses the buttons of the newest exhibit that read so, one after the other, as soon as they are there. */
function press(...labels: readonly string[]): void {
  const root = main.lastElementChild;
  let left = labels;
  requestAnimationFrame(function look() {
    const buttons = [...(root?.querySelectorAll("button") ?? [])];
    const found = buttons.find((one) => !one.hidden && one.textContent?.startsWith(left[0] ?? ""));
    found?.click();
    if (found !== undefined) left = left.slice(1);
    if (left.length > 0) requestAnimationFrame(look);
  });
}

function withLog(title: string, shown: TaskProgress, logs: GalleryLogs, link = LIVE): TaskStore {
  const store = exhibit(title, [shown], link, [shown.task_id], logs);
  press("Logs");
  return store;
}

const telling = new GalleryLogs(logOf(396), 1_204);
const logged = withLog(
  "a log",
  task("Portrait with a log", "in_progress", IMAGE_RUNNING, { eta: ETA, params: {} }),
  telling,
);
logged.pictureFromKernel("portrait-with-a-log-7f3k2m9q", await picture(0.5));
withLog("a log that is empty", task("Silent", "in_progress", IMAGE_RUNNING, PLAIN), new GalleryLogs([]));
withLog(
  "a log that is loading",
  task("Slow to tell", "in_progress", IMAGE_RUNNING, PLAIN),
  new GalleryLogs(null),
);
withLog("a log out of reach", task("Not heard", "in_progress", IMAGE_RUNNING, PLAIN), new GalleryLogs(null), {
  link: "reconnecting",
  since: Date.now() - 12_000,
  heardAt: Date.now() - 12_000,
});
const long = new GalleryLogs(logOf(10_000));
withLog("a long log", task("Ten thousand lines", "in_progress", IMAGE_RUNNING, PLAIN), long);

const MEASURED: readonly Plan[] = [
  ["Queue", 0.05, "completed", { duration: 0.25, started_at: at(-95.3), finished_at: at(-95) }],
  ["Model loading", 0.15, "completed", { duration: 11.2, started_at: at(-95), finished_at: at(-83.8) }],
  [
    "Generation",
    0.7,
    "in_progress",
    { progress: 0.39, done: 156, total: 400, message: "coral growing", started_at: at(-83.8) },
  ],
  ["Post-processing", 0.1, "pending"],
];
const MEASURED_DONE: readonly Plan[] = [
  ...MEASURED.slice(0, 2),
  ["Generation", 0.7, "completed", { duration: 70, done: 400, total: 400, started_at: at(-83.8) }],
  ["Post-processing", 0.1, "completed", { duration: 13.8, started_at: at(-13.8) }],
];

function measured(title: string, shown: TaskProgress, resources: GalleryResources): TaskStore {
  const store = exhibit(title, [shown], LIVE, [shown.task_id], new GalleryLogs([]), { resources });
  press("Resources");
  return store;
}

const coralServer = new GalleryServer(
  () => historyOf(24, 90, 47),
  (number) => growing((number + 1) / 24),
);
const open = task("Coral, inside", "in_progress", MEASURED, {
  eta: ETA,
  preview_url: "headway/tasks/coral-inside-7f3k2m9q/previews/23",
});
exhibit("everything open", [open], LIVE, [open.task_id], new GalleryLogs(logOf(396)), {
  server: coralServer,
  resources: new GalleryResources(samplesOf({ length: 95 })),
});
press("Resources", "Logs");
measured(
  "resources, memory nearly full",
  task("Hungry", "in_progress", MEASURED, PLAIN),
  new GalleryResources(samplesOf({ length: 95, hunger: 15.1 })),
);
measured(
  "resources, all of them",
  task("Completed on a GPU", "completed", MEASURED_DONE, { ...PLAIN, finished_at: at(0) }),
  new GalleryResources(samplesOf({ length: 95, over: 81 })),
);
press("More");
measured(
  "resources of a full host",
  task("Among many", "in_progress", MEASURED, PLAIN),
  new GalleryResources(
    samplesOf({ length: 95, hasGpu: false }).map((one) => ({ ...one, memory_bytes: 123 * 2 ** 30 })),
  ),
);
measured(
  "resources without a GPU, and a hole",
  task("On a laptop", "in_progress", MEASURED, PLAIN),
  new GalleryResources(samplesOf({ length: 95, hasGpu: false, hole: [30, 48] })),
);
measured(
  "resources of a young task",
  task("Just begun", "in_progress", IMAGE_LOADING, { ...PLAIN, started_at: at(-4) }),
  new GalleryResources(samplesOf({ length: 4 })),
);
for (const state of ["loading", "measured", "too_old", "away"] as const)
  measured(
    `resources, none: ${state}`,
    task(`None ${state}`, "in_progress", IMAGE_LOADING, PLAIN),
    new GalleryResources([], state),
  );
const expired = task("None of an expired task", "in_progress", IMAGE_LOADING, PLAIN);
measured("resources, none: unknown task", expired, new GalleryResources([], "loading")).missing(
  expired.task_id,
);

function previewed(title: string, shown: TaskProgress, newest: number, server: GalleryServer): void {
  const preview_url = `headway/tasks/${shown.task_id}/previews/${newest}`;
  const sources = { server };
  exhibit(title, [{ ...shown, preview_url }], LIVE, [shown.task_id], new GalleryLogs([]), sources);
}

const TEXT = "text/plain; charset=utf-8";
previewed(
  "a text",
  task("The keeper", "in_progress", IMAGE_RUNNING, { ...PLAIN, eta: ETA }),
  39,
  new GalleryServer(
    () => historyOf(40, 90, 60, TEXT),
    async (number) => story((number + 1) / 40),
  ),
);
previewed(
  "the beginning of a text",
  task("The keeper, begun", "in_progress", IMAGE_LOADING, PLAIN),
  1,
  new GalleryServer(
    () => historyOf(2, 90, 3, TEXT),
    async (number) => story((number + 1) / 20),
  ),
);
previewed(
  "a sound",
  task("fm-bell, rung", "completed", IMAGE_DONE, { ...FINISHED, ...PLAIN }),
  9,
  new GalleryServer(
    () => [...historyOf(9, 60, 90), ...historyOf(10, 60, 100, "audio/wav").slice(-1)],
    async (number) => (number === 9 ? bell() : growing((number + 1) / 9, 2)),
  ),
);
const ASKED = (seconds: number, by = "maria") => ({ cancel_request: { by, at: at(-seconds) } });
exhibit("cancel? (takes itself back)", [task("To be or not", "in_progress", IMAGE_RUNNING, PLAIN)]);
press("Cancel");
exhibit("could not ask", [task("Nobody listens", "in_progress", IMAGE_RUNNING, PLAIN)]);
press("Cancel", "Stop");
exhibit("asked to stop", [task("About to stop", "in_progress", IMAGE_RUNNING, { ...PLAIN, ...ASKED(4) })]);
exhibit("asked to stop, ignored", [
  task("Deaf", "in_progress", IMAGE_RUNNING, {
    ...PLAIN,
    ...ASKED(75, "a-user-with-a-very-long-name@example.org"),
  }),
]);
exhibit("cancelled by somebody", [
  task("Stopped by maria", "cancelled", IMAGE_RUNNING, { ...FINISHED, ...ASKED(4) }),
]);

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

/** A log that is full, with twenty more lines a second. */
function lengthen(): void {
  let id = 10_000;
  setInterval(() => {
    id += 1;
    long.add({ id, timestamp: at(0), level: "info", message: `line ${id}`, metadata: {} });
  }, 50);
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
  let id = 396;
  setInterval(() => {
    id += 1;
    const entry = logOf(id).at(-1);
    if (entry !== undefined) telling.add({ ...entry, timestamp: at(0) });
  }, 250);
  setInterval(async () => live.pictureFromKernel(coral.task_id, await picture(seq / 30)), 500);
}

const root = document.documentElement;
if (location.hash.includes("dark")) root.dataset.theme = "dark";
if (location.hash.includes("live")) move();
if (location.hash.includes("rush")) rush();
if (location.hash.includes("long")) lengthen();
document.querySelector("#theme")?.addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
});
