import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cannotBe, farOff, momentOf, type Entry, type GapEntry, type SignalEntry } from "../../src/dashboard/feed";
import { Story } from "../../src/dashboard/story";
import type { Store } from "../../src/dashboard/store";

/** A server that pages as Vigil does: what stands after a place, 500 at most. */
let entries: Entry[];
let asked: (string | null)[];
let refuse: ((after: string | null) => Response | undefined) | undefined;
let onPage: (() => void) | undefined;
const key = (e: Entry) => ("id" in e ? e.id : "seq" in e ? String(e.seq).padStart(6, "0") : "");
const place = (e: Entry) => `${momentOf(e)}.${key(e)}`;
const serve = (url: string): Response => {
  const after = new URL(url, "http://vigil.test").searchParams.get("after");
  asked.push(after);
  const refused = refuse?.(after);
  if (refused) return refused;
  const all = [...entries].sort((a, b) => momentOf(a) - momentOf(b) || (key(a) < key(b) ? -1 : 1));
  const from = after === null ? 0 : all.findIndex((e) => place(e) === after) + 1;
  const page = all.slice(from, from + 500);
  const answer = Response.json({ entries: page, next: from + 500 < all.length ? place(page[499] as Entry) : "" });
  onPage?.();
  return answer;
};

const signal = (seq: number, at: number): SignalEntry => ({
  type: "signal",
  stream: "abc",
  seq,
  kind: "blur",
  severity: 0.1,
  at,
  recv: at,
});
const gap = (id: string, at: number, end: number): GapEntry => ({ type: "gap", id, at, end, cause: "unclear" });
const story = () => new Story({ config: { api: "/api/v1/exams/e" }, clock: { now: () => 0 } } as unknown as Store, "s");
const has = (s: Story, id: string) => s.entries.value.some((e) => e.type === "gap" && e.id === id);

beforeEach(() => {
  vi.useFakeTimers();
  entries = Array.from({ length: 1100 }, (_, i) => signal(i + 1, 1000 + i));
  asked = [];
  refuse = onPage = undefined;
  vi.stubGlobal("fetch", async (url: string) => serve(url));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("the story", () => {
  it("is read page by page, each entry once, while more come in", async () => {
    let more = 0;
    onPage = () => more++ < 2 && entries.push(gap(`late-${more}`, 1001, 1500));
    const s = story();
    await s.load();
    expect(asked).toEqual([null, "1499.000500", "1999.001000"]);
    expect(s.entries.value.filter((e) => e.type === "signal").length).toBe(1100);
    expect([s.part.value, s.loading.value, s.problem.value]).toEqual([false, false, ""]);
  });

  it("goes on where it ended for a command, whose words are in the store only", async () => {
    const s = story();
    await s.load();
    asked = [];
    entries.push({ type: "command", id: "cmd00001", at: 5000, kind: "warn", text: "Look at your own screen", stage: "queued" });
    s.take([{ t: "progress", id: "cmd00001", session: "s", kind: "warn", stage: "queued", at: 5000 }]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toEqual(["1999.001000"]);
    expect(s.entries.value[0]).toMatchObject({ id: "cmd00001", text: "Look at your own screen" });
  });

  it("begins anew for what may have begun before the end of what it has", async () => {
    const s = story();
    await s.load();
    asked = [];
    entries.push({ type: "state", at: 1200, state: "expired" });
    s.take([
      { t: "session", row: { id: "s", life: { version: 5, state: "expired" } } },
      { t: "session", row: { id: "other", life: { version: 5, state: "expired" } } },
    ]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked[0]).toBeNull();
    expect(s.entries.value.some((e) => e.type === "state")).toBe(true);

    // As after a break of the proctor's own link.
    entries.push(gap("before", 1100, 1900));
    await s.load(true);
    expect(has(s, "before")).toBe(true);
    expect(s.entries.value.length).toBe(1102);
  });

  it("shows a gap that was split when it ended by its parts", async () => {
    const s = story();
    s.take([{ t: "gap", session: "s", id: "g1", start: 1000, cause: "unclear" }]);
    expect(s.entries.value).toMatchObject([{ id: "g1", cause: "unclear" }]);
    s.take([
      { t: "gap", session: "s", id: "g1", start: 1000, end: 61_000, cause: "unclear", proposed: 60_000 },
      { t: "gap", session: "s", id: "g2", start: 61_000, end: 91_000, cause: "lms", proposed: 30_000 },
      { t: "gap", session: "s", id: "g3", start: 91_000, end: 99_000, cause: "student" },
      { t: "gap", session: "s", id: "g4", start: 95_000, end: 95_000, cause: "student" }, // after the end of the attempt
    ]);
    expect(s.entries.value.map((e) => e.type === "gap" && [e.id, e.cause, e.end])).toEqual([
      ["g3", "student", 99_000],
      ["g2", "lms", 91_000],
      ["g1", "unclear", 61_000],
    ]);
  });

  it("begins anew where the server does not know the place, and tells of any other fault", async () => {
    const s = story();
    await s.load();
    refuse = (after) =>
      after === null
        ? undefined
        : Response.json({ status: 400, code: "invalid", detail: "This is not a place in the timeline." }, { status: 400 });
    asked = [];
    await s.load();
    expect(asked).toEqual(["1999.001000", null, "1499.000500"]);
    refuse = () => Response.json({ status: 503, detail: "The store does not answer." }, { status: 503 });
    await s.load();
    expect(s.problem.value).toContain("The store does not answer.");
    expect(s.loading.value).toBe(false);
  });
});

describe("a student's clock that is wrong", () => {
  const created = Date.UTC(2026, 10, 30, 14);
  const recv = created + 3_600_000;
  const entry = (at: number, more: Partial<SignalEntry> = {}): SignalEntry => ({
    type: "signal",
    stream: "abcdefghijklmnop",
    seq: 1,
    kind: "hidden",
    severity: 0.1,
    at,
    recv,
    ...more,
  });
  it.each([
    ["right", recv - 4000, {}, false],
    ["right, and told an hour later", created + 1000, {}, false],
    ["a little ahead", recv + 50_000, {}, false],
    ["20 minutes ahead", recv + 1_200_000, {}, true],
    ["years behind", Date.UTC(2003, 0), {}, true],
    ["what the timeline says it is", recv - 4000, { impossible: true }, true],
    ["the server's own", Date.UTC(2003, 0), { stream: "server:x" }, false],
  ] as [string, number, Partial<SignalEntry>, boolean][])("is known: %s", (_, at, more, wrong) => {
    expect(cannotBe(entry(at, more), created)).toBe(wrong);
  });

  it("is decades off where only the nearest moment is kept", () => {
    expect([Date.UTC(2000, 0), Date.UTC(2000, 0) + 1, recv, Date.UTC(2200, 0)].map(farOff)).toEqual([true, false, false, true]);
  });
});
