import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fake = (name: string) => fileURLToPath(new URL(`./test/moodle/fake/${name}.ts`, import.meta.url));

export default defineConfig({
  test: {
    include: ["test/**/*.test.{ts,tsx}", "src/**/*.test.{ts,tsx}"],
    environment: "happy-dom",
    // Two cores are shared with everything else that runs.
    maxWorkers: 2,
  },
  // The plugin is outside this folder.
  server: { fs: { allow: ["../.."] } },
  // What only Moodle has.
  resolve: {
    alias: { "core/ajax": fake("ajax"), "core/str": fake("str"), "core_form/changechecker": fake("changechecker") },
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
