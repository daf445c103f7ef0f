import { describe, expect, it } from "vitest";
import { Activity } from "../../src/dashboard/activity";
import { loadSettings, alertsOf } from "../../src/dashboard/alerts";
import { answered, fits, makeBatch, summary, undoOf, withProgress } from "../../src/dashboard/batch";
import { bins, entryOf, Feed, incidentID, isIncident, type Entry } from "../../src/dashboard/feed";
import { emptyStudent, newerProgress } from "../../src/dashboard/merge";
import { newID, parseFrames, type Progress, type SignalFrame, type State } from "../../src/dashboard/protocol";
import { Roster } from "../../src/dashboard/roster";
import { filters } from "../../src/dashboard/order";
import { named, words } from "../../src/dashboard/words";

const progress = (id: string, session: string, stage: Progress["stage"], lms?: Progress["lms"]): Progress => ({
  id,
  session,
  kind: "pause",
  stage,
  at: 1,
  ...(lms ? { lms } : {}),
});

describe("a batch", () => {
  it("splits targets so that each frame fits into 64 KiB, under ids of their own", () => {
    const targets = Array.from({ length: 2000 }, (_, i) => `0198c1a2-0000-7000-8000-${String(i).padStart(12, "0")}`);
    const { batch, frames } = makeBatch("pause", targets, false, { text: "x".repeat(2000) }, 1);
    expect(frames.length).toBe(4);
    expect(new Set(batch.ids).size).toBe(4);
    for (const f of frames) expect(JSON.stringify(f).length).toBeLessThan(64 << 10);
  });

  it("sums up progress per student", () => {
    let { batch } = makeBatch("pause", ["a", "b", "c", "d"], false, {}, 1, () => "cmd00001");
    batch = withProgress(batch, progress("cmd00001", "a", "seen", { state: "accepted" }));
    batch = withProgress(batch, progress("cmd00001", "b", "queued", { state: "waiting" }));
    batch = withProgress(batch, progress("cmd00001", "c", "refused"));
    expect(summary(batch)).toMatchObject({
      total: 4,
      sent: 1,
      seen: 1,
      queued: 1,
      refused: 1,
      lmsAccepted: 1,
      lmsWaiting: 1,
      lmsBad: 0,
    });
    expect(withProgress(batch, progress("another1", "a", "seen"))).toBe(batch);
  });

  it("is answered when everyone whom a frame names was answered for", () => {
    let { batch } = makeBatch("pause", ["a", "b"], false, {}, 1, () => "cmd00001");
    batch = withProgress(batch, progress("cmd00001", "a", "seen"));
    expect(answered(batch, "cmd00001")).toBe(false);
    batch = withProgress(batch, progress("cmd00001", "b", "queued"));
    expect(answered(batch, "cmd00001")).toBe(true);
    expect(answered(makeBatch("message", [], true, {}, 1, () => "cmd00002").batch, "cmd00002")).toBe(true);
  });

  it("can be undone where there is an opposite, for those whom it reached, once", () => {
    let { batch } = makeBatch("pause", ["a", "b"], false, {}, 1, () => "cmd00001");
    expect(undoOf(batch)).toBeUndefined();
    batch = withProgress(batch, progress("cmd00001", "a", "seen"));
    batch = withProgress(batch, progress("cmd00001", "b", "refused"));
    expect(undoOf(batch)).toEqual({ action: "resume", targets: ["a"] });
    expect(undoOf({ ...batch, undone: true })).toBeUndefined();
    expect(undoOf({ ...batch, action: "terminate" })).toBeUndefined();
  });

  it.each(["pause", "resume"] as const)(
    "counts a %s that the LMS refused as refused, also where the student had seen it",
    (kind) => {
      let { batch } = makeBatch(kind, ["a", "b"], false, {}, 1, () => "cmd00001");
      batch = withProgress(batch, {
        ...progress("cmd00001", "a", "seen", { state: "refused", problem: "It is not proctored any more." }),
        kind,
      });
      batch = withProgress(batch, { ...progress("cmd00001", "b", "seen", { state: "failed" }), kind });
      expect(summary(batch)).toMatchObject({ seen: 1, refused: 1, lmsBad: 2 });
      expect(undoOf(batch)?.targets).toEqual(["b"]);
    },
  );

  it("counts extra time for an attempt that has yet to begin as kept, not as waiting for the LMS", () => {
    let { batch } = makeBatch("extend", ["a", "b", "c"], false, { seconds: 60 }, 1, () => "cmd00001");
    const extend = (session: string, status?: string): Progress => ({
      ...progress("cmd00001", session, "queued", { state: "waiting", status }),
      kind: "extend",
    });
    batch = withProgress(batch, extend("a"), extend("b", "none"), extend("c"));
    const states = new Map<string, State>([
      ["a", "ready"],
      ["b", "active"],
      ["c", "active"],
    ]);
    expect(summary(batch, (id) => states.get(id))).toMatchObject({ kept: 2, queued: 1, lmsWaiting: 1 });
    expect(summary(batch)).toMatchObject({ kept: 1, queued: 2, lmsWaiting: 2 });
  });

  it("grants lost time by its own frame", () => {
    expect(makeBatch("grant", ["a"], false, {}, 1, () => "cmd00001").frames).toEqual([
      { t: "lost_time", id: "cmd00001", targets: ["a"], grant: true },
    ]);
  });

  it.each([
    ["pause", "active", true],
    ["pause", "paused", false],
    ["resume", "paused", true],
    ["admit", "awaiting", true],
    ["admit", "active", false],
    ["terminate", "ready", false],
    ["message", "submitted", false],
    ["note", "submitted", true],
    ["reactivate", "terminated", true],
    ["message", "time_up", true],
    ["warn", "time_up", true],
    ["extend", "time_up", true],
    ["terminate", "time_up", true],
    ["flag", "time_up", true],
    ["note", "time_up", true],
    ["pause", "time_up", false],
    ["resume", "time_up", false],
    ["message", "stopped", false],
    ["extend", "stopped", false],
    ["terminate", "stopped", false],
    ["reactivate", "stopped", false],
    ["note", "stopped", true],
  ] as const)("%s fits a session that is %s: %s", (action, state, want) => {
    const s = emptyStudent("a");
    expect(fits(action, { ...s, life: { version: 1, state } })).toBe(want);
  });
});

const signalFrame = (seq: number, recv: number, more: Partial<SignalFrame> = {}): SignalFrame => ({
  t: "signal",
  session: "a",
  stream: "abc",
  seq,
  kind: "blur",
  severity: 0.1,
  at: recv - 10,
  recv,
  ...more,
});

describe("Feed", () => {
  it("holds each signal once, whether it came live, again, or from the store", () => {
    const feed = new Feed();
    expect(feed.add(entryOf(signalFrame(1, 100), "a") as Entry)).toBe(true);
    expect(feed.add(entryOf(signalFrame(1, 100), "a") as Entry)).toBe(false);
    feed.add({
      type: "signal",
      at: 90,
      recv: 100,
      stream: "abc",
      seq: 1,
      kind: "blur",
      severity: 0.1,
      incident: true,
      review: { state: "cleared", version: 2 },
    });
    feed.add(entryOf(signalFrame(1, 100), "a") as Entry);
    feed.add(entryOf(signalFrame(2, 200), "a") as Entry);
    const list = feed.list();
    expect(list.length).toBe(2);
    expect(list[1]).toMatchObject({ seq: 1, review: { state: "cleared" } });
    expect(incidentID(list[1] as Entry)).toBe("abc/1");
  });

  it("has a loss of the student's own among the incidents, and no other", () => {
    const causes = ["student", "server", "lms", "unclear", "navigation"] as const;
    const got = causes.filter((cause) => isIncident(entryOf({ t: "gap", session: "a", id: cause, start: 1, cause }, "a") as Entry));
    expect(got).toEqual(["student"]);
  });

  it("does not take frames of another session", () => {
    expect(entryOf(signalFrame(1, 100, { session: "b" }), "a")).toBeUndefined();
  });

  it("keeps the later of two waits for the LMS, and its final answer", () => {
    const early = progress("cmd00001", "a", "queued", { state: "waiting" });
    const later = progress("cmd00001", "a", "queued", { state: "waiting", problem: "It cannot be reached.", at: 5 });
    const done = progress("cmd00001", "a", "queued", { state: "accepted", at: 9 });
    expect(newerProgress(later, early).lms).toEqual(later.lms);
    expect(newerProgress(early, later).lms).toEqual(later.lms);
    expect(newerProgress(done, later).lms).toEqual(done.lms);
    expect(newerProgress(later, done).lms).toEqual(done.lms);
  });
  it("does not let progress that overtook itself take a command back", () => {
    const feed = new Feed();
    for (const stage of ["delivered", "queued"] as const)
      feed.add(
        entryOf({ t: "progress", id: "cmd00001", session: "a", kind: "warn", stage, at: stage === "queued" ? 1 : 2 }, "a") as Entry,
      );
    expect(feed.list()).toMatchObject([{ type: "command", stage: "delivered", at: 1 }]);
  });

  it("shows a chat line that is being sent once it came back, once", () => {
    const feed = new Feed();
    feed.add({ type: "chat", id: "chat0001", at: 5, from: "proctor", text: "hi", pending: true });
    feed.add(entryOf({ t: "chat", id: "chat0001", session: "a", from: "proctor", text: "hi", at: 7 }, "a") as Entry);
    expect(feed.list()).toEqual([{ type: "chat", id: "chat0001", at: 7, from: "proctor", text: "hi" }]);
  });

  it("bins signals by the height of their severity, without holes", () => {
    const got = bins(
      [entryOf(signalFrame(1, 1000), "a"), entryOf(signalFrame(2, 3500, { incident: true, severity: 0.6 }), "a")] as Entry[],
      1000,
    );
    expect(got).toEqual({ at: [1000, 2000, 3000], low: [1, 0, 0], high: [0, 0, 1] });
  });
});

describe("Roster", () => {
  it("takes snapshots and deltas, and drops who is gone", () => {
    const roster = new Roster();
    roster.apply([
      { t: "snapshot", number: 1, page: 1, rows: [{ id: "a" }, { id: "b" }] },
      { t: "session", row: { id: "late", life: { version: 1, state: "ready" } } },
      { t: "snapshot", number: 1, page: 2, last: true, rows: [{ id: "c" }] },
    ]);
    expect([...roster.students.keys()]).toEqual(["a", "b", "late", "c"]);
    expect(roster.loaded.value).toBe(true);
    const news = roster.apply([
      { t: "session", row: { id: "a", tally: { signals: 1, incidents: 0, open: 0, severity: 0, hand: 9 } } },
    ]);
    expect(news.length).toBe(1);
    expect(alertsOf(news[0] as never).map((x) => x.kind)).toEqual(["hand"]);
    roster.apply([
      { t: "welcome", role: "proctor", exam: { id: "e", title: "" }, now: 1, ping: 1 },
      { t: "snapshot", number: 9, page: 1, last: true, rows: [{ id: "b" }] },
    ]);
    expect([...roster.students.keys()]).toEqual(["b"]);
    // What happened during a break is news as well.
    const missed = roster.apply([
      {
        t: "snapshot",
        number: 10,
        page: 1,
        last: true,
        rows: [{ id: "b", tally: { signals: 1, incidents: 0, open: 0, severity: 0, hand: 7 } }],
      },
    ]);
    expect(missed.flatMap(alertsOf).map((x) => x.kind)).toEqual(["hand"]);
  });

  it("treats an exam without students as loaded", () => {
    const roster = new Roster();
    roster.apply([{ t: "snapshot", number: 1, page: 1, last: true, rows: null }]);
    expect(roster.loaded.value).toBe(true);
  });
});

describe("Activity", () => {
  it("counts a signal once and fills quiet minutes", () => {
    const a = new Activity(60_000);
    a.signal(signalFrame(1, 5), 30_000);
    a.signal(signalFrame(1, 5), 31_000);
    a.offline(3, 32_000);
    a.offline(1, 33_000);
    a.signal(signalFrame(2, 5, { incident: true }), 190_000);
    expect(a.points()).toEqual([
      { at: 0, signals: 1, incidents: 0, offline: 3 },
      { at: 60_000, signals: 0, incidents: 0, offline: 0 },
      { at: 120_000, signals: 0, incidents: 0, offline: 0 },
      { at: 180_000, signals: 1, incidents: 1, offline: 0 },
    ]);
  });

  it("does not fill days of sleep", () => {
    const a = new Activity(1000, 10);
    a.offline(1, 1000);
    a.offline(1, 9_000_000_000);
    expect(a.points().length).toBe(1);
  });
});

describe("small things", () => {
  it("reads one frame, many, and nothing from what is not JSON", () => {
    expect(parseFrames('{"t":"pulse","now":1,"online":2}').length).toBe(1);
    expect(parseFrames('[{"t":"pulse"},null,3,{"x":1},{"t":"ack"}]').length).toBe(2);
    expect(parseFrames("nonsense")).toEqual([]);
  });

  it("makes ids that the server takes", () => {
    const ids = Array.from({ length: 200 }, newID);
    expect(new Set(ids).size).toBe(200);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{8,64}$/);
  });

  it.each([[null], ["{"], ['{"volume":7,"sound":"yes"}']])("falls back from kept settings that make no sense: %s", (kept) => {
    expect(loadSettings({ getItem: () => kept })).toEqual({ sound: true, volume: 0.6, desktop: false });
  });

  it("has words for every state, cause and filter", () => {
    for (const state of [
      "created",
      "ready",
      "awaiting",
      "authorized",
      "active",
      "paused",
      "time_up",
      "submitted",
      "terminated",
      "expired",
      "stopped",
      "canceled",
    ]) {
      expect(words.en, state).toHaveProperty(`state_${state}`);
    }
    for (const cause of ["student", "server", "lms", "unclear", "navigation"]) {
      expect(words.en, cause).toHaveProperty(`cause_${cause}`);
      expect(words.en, cause).toHaveProperty(`brief_${cause}`);
    }
    for (const f of filters) expect(words.en, f).toHaveProperty(`filter_${f}`);
    expect(named("state", "napping")).toBe("napping");
  });

  it.each(["en", "id"] as const)(
    "says that a loss is the student's own of theirs only, and calls older ones by their new name (%s)",
    (lang) => {
      const w = words[lang];
      const others = [w.cause_server, w.cause_lms, w.cause_unclear, w.brief_server, w.brief_lms, w.brief_unclear].join(" ");
      expect(others).not.toMatch(/own link|student|sambungan|peserta/);
      expect([w.cause_navigation, w.brief_navigation]).toEqual([w.cause_unclear, w.brief_unclear]);
    },
  );

  it("has the same parameters in both languages", () => {
    const names = (w: unknown): string[] =>
      [...JSON.stringify(w).matchAll(/\{(\w+)\}/g)]
        .map((m) => m[1] as string)
        .filter((v, i, all) => all.indexOf(v) === i)
        .sort();
    for (const key of Object.keys(words.en) as (keyof typeof words.en)[])
      expect([key, names(words.id[key])]).toEqual([key, names(words.en[key])]);
  });
});
