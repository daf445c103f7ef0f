// The contract's checker, on a small tree made here.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const checker = join(dirname(fileURLToPath(import.meta.url)), "contract.php");

const core = {
  "version.php": "<?php $release = '9.9 (made up)';",
  "lib/a.php": String.raw`<?php
function takes_two($one, array $two = ['x' => [1, 2]]) { return "{$one}"; }
function takes_any(...$all) {}
define ('A_CONSTANT', 1);
class_alias(core\moved::class, 'old_name', true);`,
  "lib/classes/moved.php": String.raw`<?php
namespace core;
use other\thing as parent_thing;
class moved extends base {
    const LEVEL = 3;
    private function hidden() {}
    public static function instance(int $id, ?string $name = null): static { return new class { public function inner() {} }; }
    public function after_anonymous() {}
}`,
  "lib/classes/base.php": String.raw`<?php namespace core; abstract class base { public function __construct($id) {} public function old($a, $b) {} }`,
  "db/install.xml":
    '<XMLDB><TABLES><TABLE NAME="quiz"><FIELDS><FIELD NAME="id"/><FIELD NAME="name"/></FIELDS></TABLE></TABLES></XMLDB>',
};

function check(list, flags = []) {
  const dir = mkdtempSync(join(tmpdir(), "contract-"));
  try {
    for (const [name, text] of Object.entries(core)) {
      const path = join(dir, "tree/public", name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    writeFileSync(join(dir, "needs"), list);
    const args = [checker, "--needs", join(dir, "needs"), ...flags, join(dir, "tree")];
    const { status, stdout, stderr } = spawnSync("php", args, { encoding: "utf8" });
    return { status, lines: stdout.trim().split("\n").slice(1), said: stdout + stderr };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("what is there is not missed", () => {
  const { status, lines, said } = check(String.raw`# a comment
lib/a.php | lib/classes/moved.php | lib/classes/base.php
    class old_name        # another name of a class
    class core\moved
    call takes_two 1 2
    call takes_any 0 7
    call old_name::instance 1 2
    call core\moved::after_anonymous 0
    call core\moved::__construct 1   # of what it extends
    override core\moved::old 2
    const A_CONSTANT
    const core\moved::LEVEL
    text 'old_name', true
    call gone 1 | call takes_any 1
db/install.xml
    table quiz id name
`);
  assert.deepEqual([lines, status], [[], 0], said);
  assert.match(said, /Moodle 9\.9 \(made up\).*looked at 13 of 13 needs, 0 missing/);
});

for (const [what, list, wanted] of [
  ["a function that is gone", "lib/a.php\n    call gone 1", /lib\/a\.php: gone\(\) is not declared/],
  ["an argument too many", "lib/a.php\n    call takes_two 1 3", /takes_two\(\) takes 1 to 2 arguments, is called with 3$/],
  ["an argument too few", "lib/a.php\n    call takes_two 0", /takes_two\(\) takes 1 to 2 arguments, is called with 0/],
  [
    "a method that is private",
    String.raw`lib/classes/moved.php
    call core\moved::hidden 0`,
    /is private/,
  ],
  [
    "a method that is not there",
    String.raw`lib/classes/moved.php
    call core\moved::gone 0`,
    /is not declared/,
  ],
  [
    "an override of what takes more",
    String.raw`lib/classes/base.php
    override core\base::old 1`,
    /takes 2 arguments, ours 1/,
  ],
  [
    "a class",
    String.raw`lib/a.php
    class core\other`,
    /class core\\other is not declared/,
  ],
  ["a constant", "lib/a.php\n    const B_CONSTANT", /constant B_CONSTANT is not declared/],
  ["a table", "db/install.xml\n    table course id", /there is no table course/],
  ["a field", "db/install.xml\n    table quiz id duedate", /table quiz has no field duedate/],
  ["a text", "lib/a.php\n    text M.mod_quiz.timer", /there is no "M\.mod_quiz\.timer"/],
  ["a file", "lib/b.php | lib/c.php\n    class x", /lib\/b\.php or lib\/c\.php: there is no such file/],
]) {
  test(`${what} is missed`, () => {
    const { status, lines, said } = check(`${list}\n`);
    assert.equal(status, 1, said);
    assert.equal(lines.length, 1, said);
    assert.match(lines[0], wanted);
  });
}

test("of a part of a tree only what is there is judged, and not nothing at all", () => {
  assert.equal(check("lib/a.php\n    call takes_any 1\nlib/b.php\n    class x\n", ["--partial"]).status, 0);
  assert.equal(check("lib/b.php\n    class x\n", ["--partial"]).status, 1);
});

test("a wrong list, a wrong tree and a wrong option are named", () => {
  assert.match(check("lib/a.php\n    clas x\n").said, /line 2 of the list: "clas" is none of/);
  for (const [args, said] of [
    [["/nowhere"], /\/nowhere is not a directory/],
    [["--parial", "."], /no option --parial/],
    [["--needs"], /there is no list ""/],
  ]) {
    const { status, stderr } = spawnSync("php", [checker, ...args], { encoding: "utf8" });
    assert.equal(status, 2);
    assert.match(stderr, said);
  }
});
