import { describe, expect, it } from "vitest";
import { mergeProgress, mergeRow, newerProgress, SnapshotPages, type Student } from "../../src/dashboard/merge";
import type { Progress, Row } from "../../src/dashboard/protocol";
import { dice } from "./dice";

const who = { name: "Ayu", user: "u1", attempt: 1, created: 1 };

describe("mergeRow", () => {
  it("fills in what a first delta lacks", () => {
    const s = mergeRow(undefined, { id: "a", who });
    expect([s.life.state, s.conn.c, s.tally.open, s.lost.proposed]).toEqual(["created", "never", 0, 0]);
  });

  it("returns the same student when nothing is newer", () => {
    const s = mergeRow(undefined, {
      id: "a",
      who,
      life: { version: 4, state: "active" },
      conn: { c: "online", epoch: 2, since: 10, heard: 20 },
    });
    expect(mergeRow(s, { id: "a", life: { version: 3, state: "ready" }, conn: { c: "lost", epoch: 1, since: 99 } })).toBe(s);
  });

  it.each([
    ["a lower epoch loses, however late", { epoch: 3, since: 10 }, { epoch: 2, since: 99 }, false],
    ["a higher epoch wins, however early", { epoch: 2, since: 99 }, { epoch: 3, since: 10 }, true],
    ["within an epoch the later one wins", { epoch: 3, since: 10 }, { epoch: 3, since: 11 }, true],
    ["within an epoch the earlier one loses", { epoch: 3, since: 11 }, { epoch: 3, since: 10 }, false],
  ])("connection: %s", (_name, old, next, wins) => {
    const s = mergeRow(undefined, { id: "a", conn: { c: "online", ...old } });
    const got = mergeRow(s, { id: "a", conn: { c: "lost", ...next } }).conn.c;
    expect(got).toBe(wins ? "lost" : "online");
  });

  it.each([
    ["a state that began later wins", { since: 10, heard: 50 }, { since: 11 }, true],
    ["a state that began earlier loses", { since: 11 }, { since: 10, heard: 50 }, false],
    ["of one state the one that was heard later wins", { since: 10, heard: 20 }, { since: 10, heard: 21 }, true],
    ["of one state the one that was heard earlier loses", { since: 10, heard: 21 }, { since: 10, heard: 20 }, false],
  ])("monitor: %s", (_name, old, next, wins) => {
    const s = mergeRow(undefined, { id: "a", monitor: { state: "answers", ...old } });
    expect(mergeRow(s, { id: "a", monitor: { state: "silent", ...next } }).monitor?.state).toBe(wins ? "silent" : "answers");
    expect(mergeRow(s, { id: "a" })).toBe(s);
  });

  it("never lets the time of the last word go back", () => {
    const s = mergeRow(undefined, { id: "a", conn: { c: "online", epoch: 1, since: 5, heard: 50 } });
    expect(mergeRow(s, { id: "a", conn: { c: "online", epoch: 1, since: 5, heard: 40 } }).conn.heard).toBe(50);
  });

  it("drops what the LMS has answered, when a snapshot no longer lists it", () => {
    const waiting: Progress = { id: "cmd00001", session: "a", kind: "pause", stage: "seen", at: 1, lms: { state: "waiting" } };
    const plain: Progress = { id: "cmd00002", session: "a", kind: "message", stage: "delivered", at: 2 };
    let s = mergeRow(undefined, { id: "a", lms: [waiting] });
    s = mergeProgress(s, plain);
    expect(mergeRow(s, { id: "a", who }, false).orders.length).toBe(2);
    expect(mergeRow(s, { id: "a", who }, true).orders.map((p) => p.id)).toEqual(["cmd00002"]);
  });
});

describe("newerProgress", () => {
  const p = (stage: Progress["stage"], at: number, lms?: Progress["lms"]): Progress => ({
    id: "cmd00001",
    session: "a",
    kind: "extend",
    stage,
    at,
    ...(lms ? { lms } : {}),
  });

  it("never goes back a stage", () => {
    expect(newerProgress(p("seen", 1), p("delivered", 2)).stage).toBe("seen");
    expect(newerProgress(p("queued", 1), p("delivered", 2)).stage).toBe("delivered");
  });

  it("lets the LMS's refusal overrule what was seen", () => {
    expect(newerProgress(p("seen", 1), p("refused", 2)).stage).toBe("refused");
  });

  it("keeps the LMS's answer when an older frame still waits for it", () => {
    expect(newerProgress(p("queued", 2, { state: "refused", problem: "no" }), p("delivered", 1, { state: "waiting" })).lms).toEqual(
      { state: "refused", problem: "no" },
    );
  });
});

describe("SnapshotPages", () => {
  it("names who is there once all pages have come", () => {
    const pages = new SnapshotPages();
    expect(pages.page(5, 1, false, ["a", "b"])).toBeUndefined();
    pages.touch("new");
    expect([...(pages.page(5, 2, true, ["c"]) ?? [])].sort()).toEqual(["a", "b", "c", "new"]);
  });

  it.each([
    [
      "a page is missing",
      [
        [5, 1, false],
        [5, 3, true],
      ],
    ],
    [
      "pages of two snapshots mix",
      [
        [5, 1, false],
        [6, 2, true],
      ],
    ],
    ["the first page is missing", [[5, 2, true]]],
  ] as [string, [number, number, boolean][]][])("says nobody is gone when %s", (_name, list) => {
    const pages = new SnapshotPages();
    for (const [number, page, last] of list) expect(pages.page(number, page, last, ["a"])).toBeUndefined();
  });

  it("forgets a snapshot that a reconnect cut short", () => {
    const pages = new SnapshotPages();
    pages.page(5, 1, false, ["a"]);
    pages.reset();
    expect(pages.page(5, 2, true, ["b"])).toBeUndefined();
    expect([...(pages.page(1, 1, true, ["c"]) ?? [])]).toEqual(["c"]);
  });
});

// Whatever order a life's deltas come in, repeated and with stale snapshots between, the newest of each group is shown.
describe("merging at random", () => {
  it.each(Array.from({ length: 60 }, (_, i) => i + 1))("ends with the newest of each versioned group (seed %i)", (seed) => {
    const roll = dice(seed);
    const die = (n: number): number => Math.floor(roll() * n);
    const rows: Row[] = [];
    const states = ["created", "ready", "active", "paused", "submitted"] as const;
    for (let version = 1; version <= 8; version++)
      rows.push({ id: "a", life: { version, state: states[die(5)] ?? "active", changed: version } });
    let since = 0;
    for (let epoch = 1; epoch <= 4; epoch++) {
      for (let i = 0; i < 3; i++)
        rows.push({ id: "a", conn: { c: i === 1 ? "lost" : "online", epoch, since: ++since, heard: since } });
    }
    const stages = ["queued", "delivered", "seen"] as const;
    for (const stage of stages)
      rows.push({ id: "a", lms: [{ id: "cmd00001", session: "a", kind: "warn", stage, at: stages.indexOf(stage) }] });
    const deck = [...rows, ...rows.filter(() => roll() < 0.4)]
      .map((row) => ({ row, at: roll() }))
      .sort((a, b) => a.at - b.at)
      .map((x) => x.row);
    let s: Student | undefined;
    let version = 0;
    for (const row of deck) {
      s = mergeRow(s, row, roll() < 0.2 && !row.lms);
      expect(s.life.version).toBeGreaterThanOrEqual(version);
      version = s.life.version;
    }
    const newestLife = rows.filter((r) => r.life).at(-1)?.life;
    const newestConn = rows.filter((r) => r.conn).at(-1)?.conn;
    expect(s?.life).toEqual(newestLife);
    expect(s?.conn).toEqual(newestConn);
    expect(s?.orders[0]?.stage).toBe("seen");
  });
});
