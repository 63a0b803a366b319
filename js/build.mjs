/** Bundles the front end into the Python package; `--gallery` builds the page that shows every view instead. */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const common = {
  bundle: true,
  minify: true,
  target: "es2022",
  format: "esm",
  logLevel: "warning",
  legalComments: "none",
};

const widget = resolve(here, "../src/headway/static");
const gallery = resolve(here, "gallery/dist");

const jobs = process.argv.includes("--gallery")
  ? [
      { in: "gallery/gallery.ts", out: resolve(gallery, "gallery.js") },
      { in: "gallery/gallery.css", out: resolve(gallery, "gallery.css") },
    ]
  : [
      { in: "src/widget.ts", out: resolve(widget, "widget.js") },
      { in: "src/styles/widget.css", out: resolve(widget, "widget.css") },
    ];

for (const job of jobs) {
  mkdirSync(dirname(job.out), { recursive: true });
  await build({ ...common, entryPoints: [resolve(here, job.in)], outfile: job.out });
  const zipped = gzipSync(readFileSync(job.out)).length;
  console.log(`${relative(here, job.out)}  ${statSync(job.out).size} bytes, ${zipped} gzipped`);
}
