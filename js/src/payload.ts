/** The guards through which a value comes in that nobody vouches for: what is not what it should be is null. */

/** An ISO 8601 time in UTC that `Date.parse` understands. */
export type Timestamp = string;
export type Metadata = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isOneOf<T extends string>(allowed: readonly T[], value: unknown): value is T {
  return allowed.some((one) => one === value);
}

export function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

export function timestamp(value: unknown): Timestamp | null {
  return typeof value === "string" && !Number.isNaN(Date.parse(value)) ? value : null;
}

export function wholeNumber(value: unknown): number | null {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null;
}

export function nonNegative(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

/** Clamping would make a certainty of nonsense. */
export function fraction(value: unknown): number | null {
  const number = nonNegative(value);
  return number === null || number > 1 ? null : number;
}

export function clamped(value: unknown, most: number): number | null {
  return typeof value === "number" && Number.isFinite(value) ? Math.min(most, Math.max(0, value)) : null;
}
