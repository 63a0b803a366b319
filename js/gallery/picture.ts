/** A picture that looks like something, made in the browser. */

export async function picture(phase: number): Promise<Blob> {
  const size = 256;
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser draws nothing");
  const pixels = context.createImageData(size, size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const value = wave(x / size, y / size, phase);
      const at = 4 * (y * size + x);
      pixels.data[at] = 24 + 220 * value ** 1.5;
      pixels.data[at + 1] = 40 + 120 * value;
      pixels.data[at + 2] = 72 + 90 * (1 - value);
      pixels.data[at + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 });
}

function wave(x: number, y: number, phase: number): number {
  const warp = Math.sin(9 * x + phase) + Math.cos(11 * y - phase) + Math.sin(14 * (x + y));
  const spots = Math.sin(34 * x + 2.2 * warp) * Math.cos(34 * y - 2.2 * warp);
  return 1 / (1 + Math.exp(-6 * (spots + 0.15)));
}
