/** Bundles the front end into the Python package; `--gallery` builds the page that shows every view instead. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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
const lab = resolve(here, "../src/headway/labextension");
const gallery = resolve(here, "gallery/dist");

async function bundle(source, out, options = {}) {
  mkdirSync(dirname(out), { recursive: true });
  await build({ ...common, ...options, entryPoints: [resolve(here, source)], outfile: out });
  const zipped = gzipSync(readFileSync(out)).length;
  console.log(`${relative(here, out)}  ${statSync(out).size} bytes, ${zipped} gzipped`);
}

/** A prebuilt JupyterLab extension: one script, named after its content, and two files that lead to it. */
async function bundleLab(styles) {
  rmSync(lab, { recursive: true, force: true });
  const entry = resolve(lab, "static/remoteEntry.js");
  await bundle("src/lab.ts", entry, {
    format: "iife",
    define: { HEADWAY_STYLES: JSON.stringify(styles) },
  });
  const script = readFileSync(entry);
  const load = `static/remoteEntry.${createHash("sha256").update(script).digest("hex").slice(0, 16)}.js`;
  writeFileSync(resolve(lab, load), script);
  rmSync(entry);
  const { name, version, description, license } = JSON.parse(readFileSync(resolve(here, "package.json")));
  const _build = { load, mimeExtension: "./mimeExtension" };
  writeJson("package.json", {
    name,
    version,
    description,
    license,
    jupyterlab: { mimeExtension: true, outputDir: "../src/headway/labextension", _build },
  });
  writeJson("install.json", {
    packageManager: "python",
    packageName: name,
    uninstallInstructions: `pip uninstall ${name}`,
  });
}

function writeJson(name, value) {
  writeFileSync(resolve(lab, name), `${JSON.stringify(value, null, 2)}\n`);
}

if (process.argv.includes("--gallery")) {
  await bundle("gallery/gallery.ts", resolve(gallery, "gallery.js"));
  await bundle("gallery/gallery.css", resolve(gallery, "gallery.css"));
} else {
  await bundle("src/widget.ts", resolve(widget, "widget.js"));
  await bundle("src/styles/widget.css", resolve(widget, "widget.css"));
  await bundleLab(readFileSync(resolve(widget, "widget.css"), "utf8"));
}
