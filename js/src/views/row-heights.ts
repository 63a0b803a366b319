/** Where each row of a log lies: all are of one height, but for the few that are unfolded. Pure. */

import { indexFrom, type LogEntry } from "../log-entry.js";

/** Until the first row has been measured, px. */
const ROW_HEIGHT = 20;
/** Of an unfolded row before it was measured, rows. */
const UNFOLDED_ROWS = 4;

interface Unfolded {
  readonly index: number;
  /** How much higher than the others, px. */
  readonly extra: number;
}

export class RowHeights {
  /** Of one that is not unfolded, px. */
  row = ROW_HEIGHT;
  private readonly unfolded = new Map<number, number>();
  private arranged: Unfolded[] = [];
  private count = 0;

  get total(): number {
    return this.top(this.count);
  }

  isUnfolded(id: number): boolean {
    return this.unfolded.has(id);
  }

  toggle(id: number): void {
    if (!this.unfolded.delete(id)) this.unfolded.set(id, UNFOLDED_ROWS * this.row);
  }

  /** Takes the height of a row that is drawn; whether it is another than was thought. */
  measured(id: number, height: number): boolean {
    const known = this.unfolded.get(id) ?? this.row;
    if (Math.abs(known - height) < 0.5) return false;
    if (this.unfolded.has(id)) this.unfolded.set(id, height);
    else this.row = height;
    return true;
  }

  /** These are the rows; entries before the oldest one will not come back. */
  arrange(entries: readonly LogEntry[], oldest: number): void {
    this.count = entries.length;
    this.arranged = [];
    for (const [id, height] of [...this.unfolded].sort(([a], [b]) => a - b)) {
      const index = indexFrom(entries, id);
      if (entries[index]?.id === id) this.arranged.push({ index, extra: height - this.row });
      else if (id < oldest) this.unfolded.delete(id);
    }
  }

  /** The upper edge of a row. */
  top(index: number): number {
    let top = index * this.row;
    for (const one of this.arranged) {
      if (one.index >= index) break;
      top += one.extra;
    }
    return top;
  }

  /** The row that a line lies in. */
  at(y: number): number {
    let extra = 0;
    for (const one of this.arranged) {
      const top = one.index * this.row + extra;
      if (y < top + this.row) break;
      if (y < top + this.row + one.extra) return one.index;
      extra += one.extra;
    }
    return Math.max(0, Math.floor((y - extra) / this.row));
  }
}
