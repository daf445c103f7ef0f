import assert from "node:assert/strict";
import { cp, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readVersion, zip } from "./zip.mjs";

const plugins = fileURLToPath(new URL("../../moodle-plugin", import.meta.url));

/** Reads a zip by its central directory, as an unpacker does. */
const list = (data) => {
  const end = data.lastIndexOf(Buffer.from("PK\x05\x06"));
  const files = new Map();
  let at = data.readUInt32LE(end + 16);
  for (let n = data.readUInt16LE(end + 10); n > 0; n--) {
    assert.equal(data.readUInt32LE(at), 0x02014b50, "central header");
    const length = data.readUInt16LE(at + 28);
    const name = data.toString("utf8", at + 46, at + 46 + length);
    const local = data.readUInt32LE(at + 42);
    assert.equal(data.readUInt32LE(local), 0x04034b50, `local header of ${name}`);
    const start = local + 30 + data.readUInt16LE(local + 26);
    files.set(name, data.subarray(start, start + data.readUInt32LE(at + 20)));
    at += 46 + length;
  }
  return files;
};

for (const component of ["quizaccess_vigil", "ltiservice_vigil"]) {
  test(`the zip of ${component} holds one folder, named vigil, and no dot files`, async () => {
    const made = await zip(path.join(plugins, component));
    const names = [...list(made.zip).keys()];
    assert.match(made.file, new RegExp(`^${component}-\\d+\\.\\d+\\.\\d+\\.zip$`));
    assert.deepEqual(
      names.filter((name) => !name.startsWith("vigil/")),
      [],
    );
    assert.deepEqual(
      names.filter((name) => name.split("/").some((part) => part.startsWith("."))),
      [],
    );
    for (const wanted of ["version.php", "LICENSE", "README.md", `lang/en/${component}.php`]) {
      assert.ok(names.includes(`vigil/${wanted}`), wanted);
    }
  });
}

test("the same files make the same zip, whenever they were written", async (t) => {
  const copy = await mkdtemp(path.join(os.tmpdir(), "vigil-zip-"));
  t.after(() => rm(copy, { recursive: true }));
  await cp(plugins, copy, { recursive: true });
  await utimes(path.join(copy, "ltiservice_vigil/version.php"), 0, 0);
  await writeFile(path.join(copy, "ltiservice_vigil/.hidden"), "not for the zip");
  const [one, two] = await Promise.all([plugins, copy].map((root) => zip(path.join(root, "ltiservice_vigil"))));
  assert.ok(one.zip.equals(two.zip));
});

test("a version.php without a component is refused", () => {
  assert.throws(() => readVersion("$plugin->version = 2026112300;\n$plugin->release = '1.0';\n"), /no component/);
});
