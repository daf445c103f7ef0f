// Builds a Moodle plugin's amd/src/*.js into amd/build/*.min.js and .map, as Moodle's own grunt does, without a Moodle.
//
//   node build.mjs COMPONENT PLUGIN_DIRECTORY
//
// The packages in package-lock.json are the ones that Moodle 4.5 and 5.1 pin, so the files are byte for byte what a Moodle
// checkout builds. Files of modules that are gone are removed.

import babel from "@babel/core";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { rollup } from "rollup";
import { terser } from "rollup-plugin-terser";

/** Names the module, as RequireJS wants it in a bundle. */
const nameModule =
  (id) =>
  ({ types: t }) => ({
    visitor: {
      ExportDefaultDeclaration(found) {
        throw found.buildCodeFrameError("Export by name: a default export needs another return in the AMD wrapper.");
      },
      Program: {
        exit(program) {
          const define = program.node.body
            .map((statement) => t.isExpressionStatement(statement) && statement.expression)
            .find((call) => t.isCallExpression(call) && t.isIdentifier(call.callee, { name: "define" }));
          if (define && !t.isStringLiteral(define.arguments[0])) {
            define.arguments.unshift(t.stringLiteral(id));
          }
        },
      },
    },
  });

/** Babel with Moodle's options. */
const transpile = (id) => ({
  name: "babel",
  transform(source, filename) {
    const { code, map } = babel.transformSync(source, {
      filename,
      configFile: false,
      babelrc: false,
      sourceMaps: true,
      comments: false,
      compact: false,
      plugins: ["transform-es2015-modules-amd-lazy", "system-import-transformer", nameModule(id)],
      presets: [["@babel/preset-env", { modules: false, useBuiltIns: false }]],
    });
    return { code, map };
  },
});

/** Builds one module; resolves with the names of its files. */
const build = async (component, src, out, name) => {
  const module = name.replace(/\.js$/, "").split(path.sep).join("/");
  const file = path.join(out, `${module}.min.js`);
  const bundle = await rollup({
    input: path.join(src, name),
    treeshake: false,
    context: "window",
    onwarn: (warning) => {
      // A module that imports nothing looks unused to rollup; everything else is worth knowing.
      if (!["EMPTY_BUNDLE", "THIS_IS_UNDEFINED"].includes(warning.code)) {
        console.warn(`${name}: ${warning.message}`);
      }
    },
    plugins: [transpile(`${component}/${module}`), terser({ mangle: false })],
  });
  const {
    output: [chunk],
  } = await bundle.generate({ file, format: "esm", sourcemap: true });
  await bundle.close();
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `${chunk.code}\n//# sourceMappingURL=${path.basename(file)}.map`);
  await writeFile(`${file}.map`, chunk.map.toString());
  return [`${module}.min.js`, `${module}.min.js.map`];
};

const [component, directory] = process.argv.slice(2);
if (!component || !directory) {
  console.error("usage: node build.mjs COMPONENT PLUGIN_DIRECTORY");
  process.exit(2);
}
// The list of browsers is as old as Moodle's on purpose.
const warn = console.warn;
console.warn = (...text) => String(text[0]).includes("caniuse-lite is outdated") || warn(...text);

const plugin = path.resolve(directory);
// Babel looks for its plugins and for the list of browsers here.
process.chdir(path.dirname(fileURLToPath(import.meta.url)));
const src = path.join(plugin, "amd/src");
const out = path.join(plugin, "amd/build");
const names = (await readdir(src, { recursive: true })).filter((name) => name.endsWith(".js")).sort();
await mkdir(out, { recursive: true });
const built = new Set();
for (const name of names) {
  (await build(component, src, out, name)).forEach((file) => built.add(file));
}
for (const file of await readdir(out, { recursive: true })) {
  if (/\.min\.js(\.map)?$/.test(file) && !built.has(file.split(path.sep).join("/"))) {
    await rm(path.join(out, file));
  }
}
console.log(`${component}: ${names.length} modules`);
