/** The quiet words for "what you see may be old", empty while it is not. */

import type { LinkStatus } from "../connection.js";
import { elapsed } from "../format.js";

/** A worker that says nothing for so long may have nothing to say; it is only worth a word when nobody else watches it. */
const QUIET_S = 10;

export function linkNote(
  status: LinkStatus,
  updatedAt: string | null,
  now: number,
  browserNow: number,
): string {
  const seen =
    status.heardAt === null ? "" : ` · state of ${elapsed((browserNow - status.heardAt) / 1000)} ago`;
  switch (status.link) {
    case "live":
    case "connecting":
      return "";
    case "reconnecting":
      return `reconnecting${seen}`;
    case "store_down":
      return `the store does not answer${seen}`;
    case "polling":
      return "no live connection, asked every second";
    case "kernel": {
      const silence = updatedAt === null ? 0 : (now - Date.parse(updatedAt)) / 1000;
      return silence < QUIET_S ? "" : `no change for ${elapsed(silence)}`;
    }
  }
}
