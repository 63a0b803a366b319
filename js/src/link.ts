/** What the page's line to the server is worth at the moment. */

/**
 * connecting: no word yet; live: the socket brings changes; reconnecting: it did, and will again; polling: asked once a
 * second; store_down: the server answers and its store does not; kernel: only what the kernel sends by itself.
 */
export type Link = "connecting" | "live" | "reconnecting" | "polling" | "store_down" | "kernel";

export interface LinkStatus {
  readonly link: Link;
  /** When the link became so (browser's clock, ms). */
  readonly since: number;
  /** When the server last vouched for what is shown (browser's clock, ms); null if never. */
  readonly heardAt: number | null;
}

/** Most reconnects are over before anybody could read of them. */
export const PATIENCE_MS = 1_000;

/** The server, or its store, does not answer. */
export function isBroken(link: Link): link is "reconnecting" | "store_down" {
  return link === "reconnecting" || link === "store_down";
}

const UNHEARD: LinkStatus = { link: "connecting", since: 0, heardAt: null };

export class LinkState {
  /** As it was when the link last changed: while it is live, `heardAt` would change with every message. */
  status = UNHEARD;
  private heardAt: number | null = null;

  constructor(private readonly changed: (status: LinkStatus) => void) {}

  get wasHeard(): boolean {
    return this.heardAt !== null;
  }

  is(link: Link): boolean {
    return this.status.link === link;
  }

  /** The server has said what is new, or that nothing is. */
  heard(link: "live" | "polling"): void {
    this.heardAt = Date.now();
    this.become(link);
  }

  /** One that was never heard is not missed: the kernel may do without it. */
  lose(): void {
    if (this.wasHeard) this.become("reconnecting");
  }

  become(link: Link): void {
    if (link === this.status.link) return;
    this.status = { link, since: Date.now(), heardAt: this.heardAt };
    this.changed(this.status);
  }

  forget(): void {
    this.status = UNHEARD;
    this.heardAt = null;
  }
}
