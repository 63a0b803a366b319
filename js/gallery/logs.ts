/** A log that looks like one of a long image task, and where the gallery's panels read it. */

import type { LogSource } from "../src/connection.js";
import type { LogCounts, LogEntry, LogLevel } from "../src/log-entry.js";
import type { LogReader } from "../src/log-readers.js";
import type { Metadata } from "../src/payload.js";

const TRACEBACK = `Traceback (most recent call last):
  File "pipeline.py", line 88, in decode
    image = vae.decode(latents / vae.config.scaling_factor)
  File "autoencoder.py", line 212, in decode
    return self.decoder(z.to(self.dtype))
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.12 GiB, 1.20 GiB free of 23.69 GiB`;

type Line = readonly [level: LogLevel, message: string, metadata?: Metadata];

const BEGINNING: readonly Line[] = [
  ["info", "loading sdxl-base-1.0 from the cache", { files: 14, gigabytes: 6.94 }],
  ["debug", "torch 2.9.1, CUDA 12.8, NVIDIA H100 80GB HBM3"],
  [
    "warning",
    "text_encoder_2 has no safetensors weights; reading pytorch_model.bin instead, which takes longer and trusts whoever wrote it",
    { file: "pytorch_model.bin" },
  ],
  ["info", "pipeline on cuda:0 in bfloat16", { seconds: 3.4 }],
];

function step(index: number): Line {
  if (index === 371) return ["warning", "NaN in 3 of 4,718,592 latents, set to 0", { step: 371 }];
  if (index === 388) return ["error", TRACEBACK, { step: 388, retry: 1 }];
  if (index === 389) return ["info", "decoding again in tiles of 512 pixels", { tiles: 9 }];
  if (index % 25 === 0) return ["info", `preview of step ${index} taken`, { width: 256, bytes: 13_204 }];
  return [
    "debug",
    `step ${index} of 400`,
    { sigma: 14.6 * 0.985 ** index, seconds: 0.21 + (index % 7) / 100 },
  ];
}

export function logOf(count: number): LogEntry[] {
  const start = Date.now() - count * 220;
  return Array.from({ length: count }, (_, index) => {
    const [level, message, metadata = {}] = BEGINNING[index] ?? step(index);
    return {
      id: index + 1,
      timestamp: new Date(start + index * 220).toISOString(),
      level,
      message,
      metadata,
    };
  });
}

export class GalleryLogs implements LogSource {
  private readonly counts: LogCounts;
  private readonly readers = new Set<LogReader>();

  constructor(
    private readonly entries: readonly LogEntry[] | null,
    dropped = 0,
  ) {
    this.counts = { dropped, total: null };
  }

  follow(_: string, reader: LogReader): void {
    this.readers.add(reader);
    if (this.entries === null) return;
    reader.logged(this.entries, this.counts);
    reader.caughtUp();
  }

  add(entry: LogEntry): void {
    for (const reader of this.readers) reader.logged([entry], this.counts);
  }
}
