// Packs each Moodle plugin into a zip that Moodle's installer takes: one folder, named as the plugin is.
//
//   node zip.mjs OUT_DIRECTORY PLUGIN_DIRECTORY...
//
// The same files give the same bytes, whenever, wherever and by whomever they are packed: names are sorted, times are those of
// the version, and nothing is compressed, because compressors differ. Files and folders with a leading dot stay out.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
/** Names are UTF-8. */
const FLAGS = 0x0800;
const UNIX = 3 << 8;
const FILE_MODE = (0o100644 << 16) >>> 0;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) {
    n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  }
  return n >>> 0;
});

/** Node 20 before 20.15 has no crc32 of its own. */
const crc32 =
  zlib.crc32 ??
  ((data) => {
    let crc = 0xffffffff;
    for (const byte of data) {
      crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff];
    }
    return (crc ^ 0xffffffff) >>> 0;
  });

/** A date as DOS writes it; version 2026112300 was made on 2026-11-23. */
const dosDate = (version) => {
  const [year, month, day] = [version.slice(0, 4), version.slice(4, 6), version.slice(6, 8)].map(Number);
  return ((year - 1980) << 9) | (month << 5) | day;
};

/**
 * Packs entries into a zip.
 *
 * @param {{name: string, data: Buffer}[]} entries
 * @param {string} version of which the first eight digits are the files' date
 * @returns {Buffer}
 */
export const pack = (entries, version) => {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, data } of [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const title = Buffer.from(name);
    // Versions, flags, method, time, date, checksum, sizes, the lengths of name and extra: the same in both headers.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(FLAGS, 2);
    common.writeUInt16LE(dosDate(version), 8);
    common.writeUInt32LE(crc32(data) >>> 0, 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(title.length, 22);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(LOCAL);
    parts.push(head, common, title, data);

    const central = Buffer.alloc(6);
    central.writeUInt32LE(CENTRAL);
    central.writeUInt16LE(UNIX | 20, 4);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(FILE_MODE, 6);
    tail.writeUInt32LE(offset, 10);
    directory.push(central, common, tail, title);
    offset += head.length + common.length + title.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
};

/** What version.php says of the plugin. */
export const readVersion = (source) => {
  const component = /^\$plugin->component\s*=\s*'([a-z][a-z0-9]*)_([a-z][a-z0-9_]*)';/m.exec(source);
  const version = /^\$plugin->version\s*=\s*(\d{10});/m.exec(source);
  const release = /^\$plugin->release\s*=\s*'([\w.-]+)';/m.exec(source);
  if (!component || !version || !release) {
    throw new Error("version.php has no component, no version or no release");
  }
  return { component: `${component[1]}_${component[2]}`, folder: component[2], version: version[1], release: release[1] };
};

/**
 * Packs a plugin. A licence beside the plugins goes into each.
 *
 * @param {string} plugin its directory
 * @returns {Promise<{file: string, zip: Buffer}>}
 */
export const zip = async (plugin) => {
  const about = readVersion(await readFile(path.join(plugin, "version.php"), "utf8"));
  if (path.basename(path.resolve(plugin)) !== about.component) {
    throw new Error(`${plugin}: version.php says ${about.component}`);
  }
  const entries = [];
  const walk = async (folder) => {
    for (const entry of await readdir(path.join(plugin, folder), { withFileTypes: true })) {
      const name = path.posix.join(folder, entry.name);
      if (entry.name.startsWith(".") || entry.name === "node_modules") {
        continue;
      }
      if (entry.isDirectory()) {
        await walk(name);
      } else if (entry.isFile()) {
        entries.push({ name: `${about.folder}/${name}`, data: await readFile(path.join(plugin, name)) });
      } else {
        throw new Error(`${plugin}/${name} is neither a file nor a folder`);
      }
    }
  };
  await walk("");
  if (!entries.some(({ name }) => name === `${about.folder}/LICENSE`)) {
    entries.push({ name: `${about.folder}/LICENSE`, data: await readFile(path.join(plugin, "../LICENSE")) });
  }
  return { file: `${about.component}-${about.release}.zip`, zip: pack(entries, about.version) };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [out, ...plugins] = process.argv.slice(2);
  if (!out || !plugins.length) {
    console.error("usage: node zip.mjs OUT_DIRECTORY PLUGIN_DIRECTORY...");
    process.exit(2);
  }
  await mkdir(out, { recursive: true });
  for (const plugin of plugins) {
    const { file, zip: data } = await zip(plugin);
    await writeFile(path.join(out, file), data);
    console.log(`${path.join(out, file)}  ${Math.ceil(data.length / 1024)} KiB`);
  }
}
