/** A preview that is heard: the browser's own player, once there is something to play. */

import { h } from "../dom.js";

export class PreviewSound {
  readonly node = h("div", "hw-preview-sound");
  private url = "";

  constructor() {
    this.node.hidden = true;
  }

  play(url: string): void {
    if (url === this.url) return;
    this.url = url;
    const player = h("audio", "hw-player");
    player.controls = true;
    player.preload = "metadata";
    player.src = url;
    this.node.replaceChildren(player);
    this.node.hidden = false;
  }
}
