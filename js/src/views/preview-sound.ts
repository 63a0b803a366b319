/** A preview that is heard: the browser's own player, once there is something to play. */

import { signal } from "@preact/signals-core";
import { h } from "../dom.js";

export class PreviewSound {
  readonly node = h("div", "hw-preview-sound");
  readonly isThere = signal(false);

  constructor() {
    this.node.hidden = true;
  }

  play(url: string): void {
    const player = h("audio", "hw-player");
    player.controls = true;
    player.preload = "metadata";
    player.src = url;
    this.node.replaceChildren(player);
    this.node.hidden = false;
    this.isThere.value = true;
  }
}
