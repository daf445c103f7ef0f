// Builds web/assets, which is committed so that Go alone builds the binary. The whole directory is made here: what is
// not built lives in static/ and is copied. File names are fixed, so that pages can name them and CI can compare them.
import { build } from "esbuild";
import { cp, mkdir, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// Every page, in one place: the output's name, its source. Pages are ES modules (<script type="module">); a style sheet
// that a page imports comes out under the page's name.
const pages = {
  base: "src/style/base.css",
  pages: "src/style/pages.css",
  dashboard: "src/dashboard/index.tsx",
  checkin: "src/checkin/index.ts",
  timeline: "src/pages/timeline.ts",
  report: "src/pages/report.ts",
};

// Scripts for other people's pages: one classic script each, which needs no CORS.
const scripts = {
  monitor: "src/monitor-entry.ts",
};

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../assets");

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: here,
  outdir: out,
  bundle: true,
  minify: true,
  sourcemap: false,
  charset: "utf8",
  legalComments: "none",
  target: ["es2020", "safari15", "firefox102", "chrome100"],
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
};

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
if (existsSync(join(here, "static"))) await cp(join(here, "static"), out, { recursive: true });
await build({ ...common, entryPoints: pages, format: "esm", splitting: true, chunkNames: "chunk-[name]-[hash]" });
await build({ ...common, entryPoints: scripts, format: "iife" });
