/** The rows of a log that are in sight, and no others. */

import { h, onResize, setAttribute, watch } from "../dom.js";
import { dayAndTime } from "../format.js";
import type { LogBook } from "../log-book.js";
import { indexFrom, type LogEntry } from "../log-entry.js";
import { isFoldable, logRow } from "./log-row.js";
import { RowHeights } from "./row-heights.js";

/** Rows beyond the edge, so that scrolling by a line shows no gap before the next frame. */
const SPARE_ROWS = 6;
/** Of a list that the notebook has taken out of the page for now. */
const UNSEEN_HEIGHT = 320;

/** Whoever scrolls is left alone for so long: to move the rows under them would end the browser's smooth motion. */
const SCROLLING_MS = 150;

/** What browsers round a place to. */
const FRACTION_PX = 1;

interface Place {
  readonly id: number;
  readonly below: number;
}

export class LogList {
  readonly node = h("div", "hw-log-list");
  private readonly canvas = h("div", "hw-log-canvas");
  private readonly rows = new Map<number, HTMLElement>();
  private readonly heights = new RowHeights();
  private search = "";
  private isOutdated = false;
  private isFollowing = true;
  /** Where the reader was, as the browser forgets it of what is taken out of the page. */
  private top = 0;
  private scrolledAt = Number.NEGATIVE_INFINITY;
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** As they were when the rows were laid last; the book goes on meanwhile. */
  private entries: readonly LogEntry[] = [];

  constructor(
    private readonly book: LogBook,
    /** Whether the newest entry is in sight, and stays so. */
    private readonly followed: (isFollowing: boolean) => void,
    until: AbortSignal,
  ) {
    const { node, canvas } = this;
    node.append(canvas);
    node.tabIndex = 0;
    node.setAttribute("role", "list");
    node.addEventListener("scroll", () => this.scrolled(), { signal: until, passive: true });
    node.addEventListener("click", (event) => this.clicked(event), { signal: until });
    node.addEventListener("pointerover", (event) => this.explain(event), { signal: until });
    // Texts wrap elsewhere, and what the notebook puts back into the page stands at its top.
    onResize(node, () => this.draw(), until);
    until.addEventListener("abort", () => {
      cancelAnimationFrame(this.frame);
      clearTimeout(this.timer);
    });
    watch(until, () => {
      void book.changes.value;
      this.changed();
    });
  }

  /** Marks what is searched for, from the book's next change on. */
  mark(search: string): void {
    this.search = search;
    this.isOutdated = true;
  }

  /** To the end, and along with it from now on. */
  follow(): void {
    this.isFollowing = true;
    this.take();
  }

  private get height(): number {
    return this.node.clientHeight || UNSEEN_HEIGHT;
  }

  private changed(): void {
    clearTimeout(this.timer);
    const left = this.scrolledAt + SCROLLING_MS - performance.now();
    if (this.isFollowing || this.isOutdated || left <= 0) this.take();
    else this.timer = setTimeout(() => this.changed(), left);
  }

  /** The entries are others than before; whoever reads one of them keeps it before their eyes. */
  private take(): void {
    if (this.node.clientHeight > 0) this.top = this.node.scrollTop;
    const place = this.isFollowing ? null : this.place();
    if (this.isOutdated) this.remove(new Set());
    this.isOutdated = false;
    this.entries = [...this.book.shown];
    this.arrange();
    if (place !== null) this.top = this.heights.top(indexFrom(this.entries, place.id)) + place.below;
    this.draw();
  }

  private arrange(): void {
    this.heights.arrange(this.entries, this.book.oldest);
  }

  /** Of the first row in sight, as it was drawn last. */
  private place(): Place | null {
    let place: Place | null = null;
    for (const row of this.rows.values()) {
      const top = Number(row.dataset.top);
      const isInSight = top + (row.offsetHeight || this.heights.row) > this.top;
      const below = this.top - top;
      if (isInSight && below > (place?.below ?? Number.NEGATIVE_INFINITY))
        place = { id: Number(row.dataset.entry), below };
    }
    return place;
  }

  private scrolled(): void {
    if (!this.node.isConnected || this.node.clientHeight === 0) return;
    const isUpwards = this.node.scrollTop < this.top - FRACTION_PX;
    this.top = this.node.scrollTop;
    this.scrolledAt = performance.now();
    this.isFollowing = !isUpwards && this.top + this.height >= this.heights.total - 2 * FRACTION_PX;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      // The browser may be in the middle of a smooth motion, which must not be told where it is.
      this.top = this.node.scrollTop;
      this.lay();
    });
  }

  private draw(): void {
    this.lay();
    if (this.measure()) this.lay();
    const most = Math.max(0, this.heights.total - this.height);
    const top = this.isFollowing ? most : Math.min(this.top, most);
    if (Math.abs(this.node.scrollTop - top) > FRACTION_PX) this.node.scrollTop = top;
    if (top === this.top) return;
    this.top = top;
    this.lay();
  }

  private lay(): void {
    const { canvas, entries, heights } = this;
    // First, as the list is no higher than its rows.
    canvas.style.height = `${heights.total}px`;
    const { height } = this;
    this.followed(this.isFollowing || heights.total <= height);
    const first = Math.max(0, heights.at(this.top) - SPARE_ROWS);
    const last = Math.min(entries.length, heights.at(this.top + height) + 1 + SPARE_ROWS);
    const wanted = entries.slice(first, last);
    this.remove(new Set(wanted.map((entry) => entry.id)));
    let place = canvas.firstElementChild;
    for (const [index, entry] of wanted.entries()) {
      const row = this.row(entry);
      const top = heights.top(first + index);
      row.dataset.top = String(top);
      row.style.transform = `translateY(${top}px)`;
      setAttribute(row, "aria-posinset", String(first + index + 1));
      setAttribute(row, "aria-setsize", String(entries.length));
      // In the order of the entries, for screen readers and the selection of text.
      if (row === place) place = place.nextElementSibling;
      else canvas.insertBefore(row, place);
    }
  }

  private row(entry: LogEntry): HTMLElement {
    const known = this.rows.get(entry.id);
    if (known !== undefined) return known;
    const made = logRow(entry, this.heights.isUnfolded(entry.id), this.search);
    this.rows.set(entry.id, made);
    return made;
  }

  private remove(wanted: ReadonlySet<number>): void {
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      // The focus would fall to the page's body, and the keys with it.
      if (row.contains(document.activeElement)) this.node.focus({ preventScroll: true });
      row.remove();
      this.rows.delete(id);
    }
  }

  /** Whether a row is of another height than was thought. */
  private measure(): boolean {
    let isNews = false;
    let isPlainKnown = false;
    for (const [id, row] of this.rows) {
      const isPlain = !this.heights.isUnfolded(id);
      if (isPlain && isPlainKnown) continue;
      isPlainKnown ||= isPlain;
      const { height } = row.getBoundingClientRect();
      if (height > 0) isNews = this.heights.measured(id, height) || isNews;
    }
    if (isNews) this.arrange();
    return isNews;
  }

  private clicked(event: Event): void {
    if (!(event.target instanceof Element)) return;
    const isSelecting = getSelection()?.isCollapsed === false;
    const row = event.target.closest<HTMLElement>(".hw-log-row");
    const entry = row === null ? null : this.entry(Number(row.dataset.entry));
    const isButton = event.target.closest("button") !== null;
    if (row === null || entry === null || !isFoldable(row)) return;
    if (isButton || !isSelecting) this.toggle(entry, isButton);
  }

  private toggle(entry: LogEntry, isByButton: boolean): void {
    this.heights.toggle(entry.id);
    this.arrange();
    this.isFollowing = false;
    this.rows.get(entry.id)?.remove();
    this.rows.delete(entry.id);
    this.draw();
    this.bringInSight(entry.id);
    if (isByButton) this.rows.get(entry.id)?.querySelector("button")?.focus({ preventScroll: true });
    this.scrolled();
  }

  /** The whole row, and if it is too high for that, its beginning. */
  private bringInSight(id: number): void {
    const index = indexFrom(this.entries, id);
    const [top, bottom] = [this.heights.top(index), this.heights.top(index + 1)];
    this.top = Math.min(top, Math.max(this.top, bottom - this.height));
    this.draw();
  }

  /** The whole time, made when the pointer comes. */
  private explain(event: Event): void {
    const time = event.target instanceof HTMLElement ? event.target.closest("time") : null;
    if (time !== null) setAttribute(time, "title", `${dayAndTime(time.dateTime)}\n${time.dateTime}`);
  }

  private entry(id: number): LogEntry | null {
    const found = this.entries[indexFrom(this.entries, id)];
    return found?.id === id ? found : null;
  }
}
