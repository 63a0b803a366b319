/** A length of time yet to come as the round figure that people say, and when one that is shown gives way. Pure. */

type Unit = "s" | "min" | "h" | "d";

export interface Figure {
  /** 0 is "a moment". */
  readonly seconds: number;
  readonly unit: Unit;
  /** To what it was rounded, seconds. */
  readonly step: number;
}

const UNIT_S: Readonly<Record<Unit, number>> = { s: 1, min: 60, h: 3_600, d: 86_400 };
const SPOKEN: Readonly<Record<Unit, string>> = { s: "second", min: "minute", h: "hour", d: "day" };

export type Coarseness = "fine" | "coarse";
const COARSE_STEP_S = 5;

/** Less than this is said as "a moment". */
const MOMENT_S = 2;

/** The farther away, the rounder: below so many seconds, rounded to so many. */
const STEPS: readonly (readonly [below: number, step: number, unit: Unit])[] = [
  [19.5, 1, "s"],
  [57.5, 5, "s"],
  [165, 30, "min"],
  [1_050, 60, "min"],
  [3_450, 300, "min"],
  [9_900, 1_800, "h"],
  [36 * 3_600, 3_600, "h"],
];

/** `coarse` spares a second's precision where the figures beside this one have none. */
export function rounded(seconds: number, coarse: Coarseness = "fine"): Figure {
  const [, fine, unit] = STEPS.find(([below]) => seconds < below) ?? [0, UNIT_S.d, "d" as const];
  const step = coarse === "coarse" ? Math.max(COARSE_STEP_S, fine) : fine;
  return { seconds: seconds < MOMENT_S ? 0 : step * Math.round(seconds / step), unit, step };
}

/**
 * The figure to show after `last`. It falls as time passes, and rises only where it is clearly exceeded, so that a value
 * which trembles on the edge between two figures does not make them flicker.
 */
export function settled(last: Figure | null, seconds: number, coarse: Coarseness = "fine"): Figure {
  const next = rounded(seconds, coarse);
  if (last === null || next.seconds <= last.seconds) return next;
  const clearly = seconds - Math.max(1, next.step / 4);
  return rounded(clearly, coarse).seconds > last.seconds ? next : last;
}

/** "3" or "2½", without the unit. */
export function digits({ seconds, unit }: Figure): string {
  const value = seconds / UNIT_S[unit];
  return Number.isInteger(value) ? String(value) : `${Math.floor(value)}½`;
}

/** "3 min", "a moment". */
export function written(figure: Figure): string {
  if (figure.seconds === 0) return "a moment";
  const value = digits(figure);
  return `${value} ${figure.unit === "d" ? plural("day", value) : figure.unit}`;
}

/** "3 minutes", "a moment". */
export function said(figure: Figure): string {
  if (figure.seconds === 0) return "a moment";
  const value = digits(figure);
  return `${value.replace("½", " and a half")} ${plural(SPOKEN[figure.unit], value)}`;
}

/** "about 3 min", "a moment". */
export function about(figure: Figure, words = written): string {
  return figure.seconds === 0 ? words(figure) : `about ${words(figure)}`;
}

function plural(word: string, value: string): string {
  return value === "1" ? word : `${word}s`;
}
