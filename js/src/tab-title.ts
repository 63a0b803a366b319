/**
 * How far the page's tasks are, in front of its title: "42 % portrait · notebook.ipynb - JupyterLab".
 *
 * One per document, on `globalThis`, as anywidget evaluates the bundle once per widget: two of them would each take
 * the other's title for the page's own.
 */

import { UNKNOWN } from "./format.js";

/** What one view has to tell. Plain data: the owner may be another copy of the bundle, of another release. */
export interface TitleClaim {
  /** By task id; a view none of whose tasks is running claims nothing. */
  readonly tasks: ReadonlyMap<string, { readonly name: string; readonly percent: number }>;
  /** Nobody vouches for the percents. */
  readonly isStale: boolean;
}

const MOST_NAME_CHARS = 40;

export class TabTitle {
  private readonly claims = new Map<object, TitleClaim>();
  private readonly observer = new MutationObserver(() => this.defend());
  private prefix = "";

  constructor(private readonly page: Document) {}

  /** Takes the place of what the view has claimed before; null gives it up. */
  claim(view: object, claim: TitleClaim | null): void {
    if (claim === null) this.claims.delete(view);
    else this.claims.set(view, claim);
    const last = this.prefix;
    this.prefix = this.text();
    if (this.prefix === last) return;
    if (last === "")
      this.observer.observe(this.page.head, { subtree: true, childList: true, characterData: true });
    if (this.prefix === "") this.observer.disconnect();
    this.replace(last);
  }

  /** Somebody else has written a title; one that has kept ours is left as it is, so that nobody is fought with. */
  private defend(): void {
    if (!this.page.title.includes(this.prefix)) this.replace("");
  }

  private replace(last: string): void {
    const { title } = this.page;
    const isThere = last !== "" && title.includes(last);
    this.page.title = isThere ? title.replace(last, () => this.prefix) : `${this.prefix}${title}`;
  }

  private text(): string {
    const tasks = new Map([...this.claims.values()].flatMap((claim) => [...claim.tasks]));
    const [only] = tasks.values();
    if (only === undefined) return "";
    const sum = [...tasks.values()].reduce((total, task) => total + task.percent, 0);
    const isStale = [...this.claims.values()].some((claim) => claim.isStale);
    // 100 belongs to what is over.
    const percent = isStale ? UNKNOWN : `${Math.min(99, Math.floor(sum / tasks.size))} %`;
    return `${percent} ${tasks.size === 1 ? brief(only.name) : `${tasks.size} tasks`} · `;
  }
}

function brief(name: string): string {
  const line = name.replace(/\s+/g, " ").trim();
  return line.length <= MOST_NAME_CHARS ? line : `${line.slice(0, MOST_NAME_CHARS - 1)}…`;
}

const SHARED = Symbol.for("headway.title");

/** The page's, made by whoever comes first. */
export function tabTitle(): Pick<TabTitle, "claim"> {
  const page = globalThis as { [SHARED]?: Pick<TabTitle, "claim"> };
  page[SHARED] ??= new TabTitle(document);
  return page[SHARED];
}
