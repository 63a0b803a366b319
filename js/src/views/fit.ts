/** Which labels go where on a line that has not room for all of them. Pure. */

export interface Label {
  /** The span of the line that the label names, px. */
  readonly start: number;
  readonly end: number;
  /** How wide the label is, px. */
  readonly width: number;
  /** The higher is placed first. */
  readonly priority: number;
}

interface Interval {
  readonly from: number;
  readonly to: number;
}

/**
 * The left edge of each label, or null for one that finds no room.
 *
 * A label begins where its span begins; where that is taken, it ends where its span ends. It never leaves the line, and
 * never stands beside its span instead of under it.
 */
export function fitLabels(labels: readonly Label[], lineWidth: number, gap: number): (number | null)[] {
  const placed: Interval[] = [];
  const edges: (number | null)[] = labels.map(() => null);
  const order = labels
    .map((_, index) => index)
    .sort((a, b) => priority(labels[b]) - priority(labels[a]) || a - b);
  for (const index of order) {
    const label = labels[index];
    if (label === undefined) continue;
    const edge = candidates(label, lineWidth).find((from) => isFree(placed, from, from + label.width, gap));
    if (edge === undefined) continue;
    placed.push({ from: edge, to: edge + label.width });
    edges[index] = edge;
  }
  return edges;
}

function candidates({ start, end, width }: Label, lineWidth: number): number[] {
  const last = Math.max(0, lineWidth - width);
  const edges = [Math.min(start, last), Math.max(0, Math.min(end, lineWidth) - width)];
  return edges.filter((from) => from < end && from + width > start);
}

function isFree(placed: readonly Interval[], from: number, to: number, gap: number): boolean {
  return placed.every((other) => to + gap <= other.from || other.to + gap <= from);
}

function priority(label: Label | undefined): number {
  return label?.priority ?? 0;
}
