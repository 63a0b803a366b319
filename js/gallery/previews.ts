/** A server that has a history of previews and nothing else, without a network. */

import type { PreviewFact } from "../src/preview-fact.js";
import { JupyterServer } from "../src/server.js";
import { picture } from "./picture.js";

type Draw = (number: number) => Promise<Blob>;

/** Answers for the previews of every task; all else it does not know. */
export class GalleryServer extends JupyterServer {
  constructor(
    private readonly facts: () => readonly (Omit<PreviewFact, "kind"> & { readonly media_type: string })[],
    private readonly draw: Draw,
  ) {
    super("http://localhost:9/", "ws://localhost:9/", "");
  }

  override async fetch(url: string, _: AbortSignal): Promise<Response> {
    const [, number] = /\/previews(?:\/(\d+))?$/.exec(url) ?? [];
    if (number !== undefined) return new Response(await this.draw(Number(number)));
    if (url.endsWith("/previews")) return Response.json(this.facts());
    return Response.json({ reason: "TaskNotFoundError" }, { status: 404 });
  }
}

/** So many previews of a task that began `seconds` ago, up to now and to that percent. */
export function historyOf(count: number, seconds: number, percent: number, mediaType = "image/jpeg") {
  const isPicture = mediaType.startsWith("image");
  return Array.from({ length: count }, (_, index) => {
    const part = (index + 1) / count;
    return {
      number: index,
      at: new Date(Date.now() - 1000 * seconds * (1 - part)).toISOString(),
      progress: percent * part,
      media_type: mediaType,
      bytes: 9_000 + 350 * index,
      width: isPicture ? 256 : null,
      height: isPicture ? 256 : null,
    };
  });
}

/** Coral that grows out of noise. */
export async function growing(part: number, phase = 0.4): Promise<Blob> {
  const size = 256;
  const clear = await createImageBitmap(await picture(phase));
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser draws nothing");
  context.filter = `blur(${(18 * (1 - part) ** 1.5).toFixed(1)}px) saturate(${0.35 + 0.65 * part})`;
  context.drawImage(clear, -8, -8, size + 16, size + 16);
  const pixels = context.getImageData(0, 0, size, size);
  const strength = 150 * (1 - part) ** 2;
  for (let at = 0; at < pixels.data.length; at++)
    if (at % 4 !== 3) pixels.data[at] = (pixels.data[at] ?? 0) + strength * (Math.random() - 0.5);
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.82 });
}

const STORY = `The keeper had not spoken aloud for eleven days when the light went out.

He noticed it first in the water. The long bright road that the lamp laid down across the bay, and took up again, and laid down, was simply not there; and where it had been, the sea went on moving as if it had never been told to shine.

He climbed. There were two hundred and six steps, and he knew which of them complained. At the hundred-and-fortieth he stopped, because something above him had`;

export function story(part: number): Blob {
  return new Blob([STORY.slice(0, Math.round(STORY.length * part))], { type: "text/plain; charset=utf-8" });
}

/** A second of a bell, as a WAV file. */
export function bell(): Blob {
  const rate = 8_000;
  const samples = new Int16Array(rate * 2);
  for (let at = 0; at < samples.length; at++) {
    const time = at / rate;
    const wave = Math.sin(
      2 * Math.PI * 440 * time + 3 * Math.exp(-time) * Math.sin(2 * Math.PI * 616 * time),
    );
    samples[at] = 16_000 * Math.exp(-2 * time) * wave;
  }
  const header = new DataView(new ArrayBuffer(44));
  const word = (at: number, text: string) =>
    [...text].forEach((letter, index) => {
      header.setUint8(at + index, letter.charCodeAt(0));
    });
  word(0, "RIFF");
  header.setUint32(4, 36 + samples.byteLength, true);
  word(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  word(36, "data");
  header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], { type: "audio/wav" });
}
