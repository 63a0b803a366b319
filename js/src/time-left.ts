/** The time left as people say it, and the sentences that make it trustworthy. Pure. */

import type { Figures, Instants } from "./countdown.js";
import { about, digits, rounded, said, written } from "./figure.js";
import { number, UNKNOWN } from "./format.js";
import type { Estimate, Evidence, Stage, TaskProgress } from "./model.js";
import type { TaskCountdown } from "./task-countdown.js";

export interface TimeLeft {
  /** "about 3 min" */
  readonly text: string;
  /** "2–5", or empty where the estimate is sharper than its rounding. */
  readonly range: string;
  /** What else there is to say: "longer than usual", "3 ahead". */
  readonly note: string;
  /** The text for a place of ten characters, empty where it cannot be said in those. */
  readonly brief: string;
  /** The whole of it for a screen reader. */
  readonly spoken: string;
}

// Estimates follow each other by a second: until the next has come, it means nothing that one has passed.
const NEXT_ESTIMATE_MS = 1500;
const LONGER = "longer than usual";
const DONE_BY_NOW = "usually done by now";

const NO_ESTIMATE: TimeLeft = only(UNKNOWN, UNKNOWN, "no estimate yet");
const WAITING = only("waiting for a worker", "queued", "waiting for a worker");
const OVERDUE = only(LONGER, "late", LONGER);
const STALLED: TimeLeft = {
  ...only("stalled?", "stalled?", `perhaps stalled, ${DONE_BY_NOW}`),
  note: DONE_BY_NOW,
};

/** A range that ends sooner than this goes without saying. */
const SHORT_S = 5;
/** Longer steps than this would not be round in every time zone. */
const MOST_STEP_S = 300;
/** A range narrower than this would mostly be one minute or two. */
const NARROW_MS = 120_000;
const HALF_A_DAY_S = 12 * 3_600;
/** Stages that are named with what they take yet; more nobody reads. */
const MOST_STAGES = 3;

/** The time from `now` (ms) to the estimated finish of a task that runs, or to the start of one that waits. */
export function timeLeft(task: TaskProgress, countdown: TaskCountdown, now: number): TimeLeft {
  const { eta } = task;
  if (task.status === "queued") {
    const start = hasPassed(countdown.start.instants(now)?.high, now) ? null : countdown.start.read(now);
    if (start !== null) return startsIn(start, eta?.evidence?.ahead ?? 0);
    if (eta === null || eta.wait !== null) return WAITING;
  }
  const finish = countdown.finish.read(now);
  if (eta === null || finish === null) return NO_ESTIMATE;
  if (eta.stalled) return STALLED;
  if (hasPassed(countdown.finish.instants(now)?.high, now - NEXT_ESTIMATE_MS)) return OVERDUE;
  const left = finishesIn(finish);
  return eta.late ? { ...left, note: LONGER, spoken: `${left.spoken}, ${LONGER}` } : left;
}

function only(text: string, brief: string, spoken: string): TimeLeft {
  return { text, range: "", note: "", brief, spoken };
}

function hasPassed(instant: number | undefined, now: number): boolean {
  return instant !== undefined && instant < now;
}

function finishesIn(figures: Figures): TimeLeft {
  const text = about(figures.median);
  const spoken = listed(`${about(figures.median, said)} left`, spokenRange(figures));
  return { text, range: range(figures), note: "", brief: text, spoken };
}

function startsIn(figures: Figures, ahead: number): TimeLeft {
  const note = ahead === 0 ? "" : `${number(ahead)} ahead`;
  return {
    text: `starts in ${about(figures.median)}`,
    range: range(figures),
    note,
    brief: "",
    spoken: listed(`starts in ${about(figures.median, said)}`, spokenRange(figures), note),
  };
}

function listed(...parts: string[]): string {
  return parts.filter((part) => part !== "").join(", ");
}

/** "2–5", "40 s–2 min", "up to 5 min"; the unit is not said twice. */
function range({ low, median, high }: Figures): string {
  if (median.seconds === 0) return high.seconds < SHORT_S ? "" : `up to ${written(high)}`;
  if (low.seconds === 0) return `up to ${median.unit === high.unit ? digits(high) : written(high)}`;
  if (low.unit !== high.unit) return `${written(low)}–${written(high)}`;
  return low.seconds === high.seconds ? "" : `${digits(low)}–${digits(high)}`;
}

function spokenRange(figures: Figures): string {
  const { low, high } = figures;
  if (range(figures) === "") return "";
  if (low.seconds === 0) return `at most ${said(high)}`;
  const least = low.unit === high.unit ? said(low).replace(/ \w+$/, "") : said(low);
  return `between ${least} and ${said(high)}`;
}

/** What stands behind `timeLeft`, a sentence a line. */
export function estimateDetail(task: TaskProgress, countdown: TaskCountdown, now: number): string[] {
  const { eta } = task;
  const finish = countdown.finish.instants(now);
  if (eta === null || finish === null) {
    return task.status === "queued"
      ? ["no estimate before a worker takes it"]
      : ["no estimate yet: nothing comparable has finished and the pace is not known"];
  }
  const start = countdown.start.instants(now);
  const verb =
    finish.high < now ? "was expected" : eta.stalled ? "if it still works, it finishes" : "finishes";
  return [
    ...(start === null ? [] : [`starts about ${times(start, now)}`]),
    ...warning(eta),
    `${verb} about ${times(finish, now)}`,
    ...stagesYet(task.stages, countdown, now),
    ...(eta.basis === null ? [] : [`from ${eta.basis}`]),
    ...(eta.evidence === null ? [] : reasons(eta.evidence)),
  ];
}

function warning({ evidence, late, stalled }: Estimate): string[] {
  if (stalled) return [`nothing was heard for long, and such a task is ${DONE_BY_NOW}`];
  const others = evidence?.runs === 0 ? "similar ones" : "of its kind";
  return late ? [`it takes longer than nine in ten ${others} did`] : [];
}

function reasons({ runs, pace_share, coverage, usual_s }: Evidence): string[] {
  const lines: string[] = [];
  if (runs === 0) lines.push("none of its kind has finished yet, so the range is a guess");
  const share = pace_share === null ? 0 : percent(pace_share);
  if (share > 0 && share < 100) lines.push(`${share} % current speed, ${100 - share} % history`);
  const usually = runs === 0 ? "similar ones usually take" : "usually takes";
  if (usual_s !== null) lines.push(`${usually} ${about(rounded(usual_s))}`);
  if (coverage !== null) lines.push(`such ranges held ${percent(coverage)} % of the time lately`);
  return lines;
}

function percent(part: number): number {
  return Math.round(100 * part);
}

/** "Generation about 40 s yet, Post-processing about 12 s" */
function stagesYet(stages: readonly Stage[], countdown: TaskCountdown, now: number): string[] {
  const named = stages.flatMap((stage) => {
    const left = countdown.stageLeft(stage, now);
    return left === null ? [] : `${stage.name} ${about(rounded(left.median))}${yet(stage)}`;
  });
  if (named.length === 0) return [];
  const more = named.length > MOST_STAGES ? [`${named.length - MOST_STAGES} more`] : [];
  return [[...named.slice(0, MOST_STAGES), ...more].join(", ")];
}

function yet({ status }: Stage): string {
  return status === "in_progress" ? " yet" : "";
}

/** "Generation" and, while there is something to expect of it, "about 40 s yet (30 s–1 min)". */
export function stageDetail(stage: Stage, countdown: TaskCountdown, now: number): string {
  const left = countdown.stageLeft(stage, now);
  if (left === null) return stage.name;
  const figures = { low: rounded(left.low), median: rounded(left.median), high: rounded(left.high) };
  const between = range(figures);
  return `${stage.name}\n${about(figures.median)}${yet(stage)}${between === "" ? "" : ` (${between})`}`;
}

/** "14:32:10 (14:31–14:34)", or the first alone where they are one; no finer than the time left is said; with the day where that may not be today. */
function times({ low, median, high }: Instants, now: number): string {
  const left = (median - now) / 1000;
  const step = Math.min(MOST_STEP_S, rounded(left).step);
  const isNarrow = high - low < NARROW_MS;
  const at = nearest(step, median);
  const between = [low, high].map((instant) => nearest(isNarrow ? step : Math.max(60, step), instant));
  const [first = at, last = at] = between;
  const range = first === last ? "" : ` (${clock(left, isNarrow).formatRange(first, last)})`;
  return `${clock(left, step < 30).format(at)}${range}`;
}

function nearest(step_s: number, instant: number): number {
  return 1000 * step_s * Math.round(instant / 1000 / step_s);
}

function clock(left_s: number, isFine: boolean): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat([], {
    ...(left_s > HALF_A_DAY_S ? { weekday: "short" as const } : {}),
    hour: "numeric",
    minute: "2-digit",
    ...(isFine ? { second: "2-digit" as const } : {}),
  });
}
