/** A preview that is heard: the browser's own player, once there is something to play; one at a time in a page. */

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
    player.addEventListener("play", () => silenceOthers(player));
    this.node.replaceChildren(player);
    this.node.hidden = false;
  }
}

/** A widget's code may be there once for each widget, so the page is asked, and not a variable. */
function silenceOthers(player: HTMLAudioElement): void {
  const root: Node & Partial<ParentNode> = player.getRootNode();
  for (const other of root.querySelectorAll?.<HTMLAudioElement>(".hw-player") ?? [])
    if (other !== player) other.pause();
}
