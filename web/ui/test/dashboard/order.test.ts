import { describe, expect, it } from "vitest";
import { emptyStudent, type Student } from "../../src/dashboard/merge";
import { attention, compare, counts, matches, passes } from "../../src/dashboard/order";
import type { Life, Tally } from "../../src/dashboard/protocol";
import { dice } from "./dice";

function student(
  id: string,
  change: Partial<Omit<Student, "life" | "tally">> & { life?: Partial<Life>; tally?: Partial<Tally> } = {},
): Student {
  const s = emptyStudent(id);
  return {
    ...s,
    ...change,
    who: { ...s.who, name: id, user: id },
    life: { ...s.life, state: "active", ...change.life },
    tally: { ...s.tally, ...change.tally },
  };
}

const lost = { c: "lost" as const, since: 5 };

describe("attention", () => {
  it.each([
    ["hand", student("a", { tally: { hand: 5, unread: 2 }, conn: lost })],
    ["urgent", student("a", { life: { state: "paused" }, tally: { unread: 1 }, conn: lost })],
    ["lost", student("a", { conn: lost, tally: { unread: 1, open: 3 } })],
    ["unwatched", student("a", { life: { unwatched: 5 }, tally: { unread: 1, open: 3 } })],
    ["none", student("a", { life: { unwatched: 5, unwatched_room: true } })], // it is said once, for all of them
    ["none", student("a", { life: { unwatched: 5, unwatched_end: 9 } })],
    ["none", student("a", { life: { state: "submitted", unwatched: 5 } })],
    ["chat", student("a", { tally: { unread: 1, open: 3 } })],
    ["incidents", student("a", { tally: { open: 1 } })],
    [
      "lms",
      student("a", { orders: [{ id: "c", session: "a", kind: "extend", stage: "refused", lms: { state: "refused" }, at: 1 }] }),
    ],
    ["admission", student("a", { life: { state: "awaiting" } })],
    ["lost_time", student("a", { lost: { version: 1, gaps: 1, total: 9, proposed: 9, granted: 0 } })],
    ["none", student("a")],
    ["none", student("a", { life: { state: "submitted" }, conn: lost, tally: { hand: 5 } })],
    ["none", student("a", { tally: { incidents: 4, open: 0 } })],
  ] as [string, Student][])("%s", (want, s) => {
    expect(attention(s).why).toBe(want);
  });

  it("does not count an answer of the LMS that was put aside", () => {
    const s = student("a", {
      orders: [{ id: "cmd1", session: "a", kind: "extend", stage: "done", lms: { state: "unknown" }, at: 1 }],
    });
    expect(attention(s, new Set(["acmd1"])).why).toBe("none");
  });
});

describe("the filter for who is not watched", () => {
  it.each([
    ["now", { unwatched: 5 }, true],
    ["like many others", { unwatched: 5, unwatched_room: true }, true],
    ["perhaps, before it is known whether it began", { state: "ready", unwatched: 5, unwatched_maybe: true }, true],
    ["until a moment ago", { unwatched: 5, unwatched_end: 9 }, false],
    ["to the end", { state: "submitted", unwatched: 5, unwatched_end: 9 }, false],
    ["never", {}, false],
  ] as [string, Partial<Life>, boolean][])("%s", (_, life, want) => {
    expect(passes(student("a", { life }), "unwatched")).toBe(want);
    expect(counts([student("a", { life })]).unwatched).toBe(want ? 1 : 0);
  });
});

describe("the order by attention", () => {
  it("puts hands before lost ones, chat, incidents by severity and recency, decisions, and the rest by name", () => {
    const list = [
      student("zoe"),
      student("bob"),
      student("ended", { life: { state: "submitted" } }),
      student("minor", { tally: { open: 5, severity: 0.3, last_at: 99 } }),
      student("severe", { tally: { open: 1, severity: 0.9, last_at: 1 } }),
      student("minor-old", { tally: { open: 5, severity: 0.4, last_at: 98 } }),
      student("gone", { conn: lost }),
      student("gone-later", { conn: { ...lost, since: 9 } }),
      student("waits-less", { tally: { hand: 20 } }),
      student("waits-longest", { tally: { hand: 10 } }),
      student("urgent", { life: { state: "paused" }, tally: { unread: 1 } }),
      student("writes", { tally: { unread: 1 } }),
      student("admit", { life: { state: "awaiting" } }),
    ];
    const got = list.sort(compare("attention", 0)).map((s) => s.id);
    expect(got).toEqual([
      "waits-longest",
      "waits-less",
      "urgent",
      "gone-later",
      "gone",
      "writes",
      "severe",
      "minor",
      "minor-old",
      "admit",
      "bob",
      "zoe",
      "ended",
    ]);
  });

  it.each(["attention", "name", "state", "left"] as const)("is one order, whatever came first: %s", (key) => {
    const roll = dice(11);
    const states = ["active", "paused", "submitted", "awaiting"] as const;
    const list = Array.from({ length: 200 }, (_, i) =>
      student(`s${i}`, {
        life: { state: states[Math.floor(roll() * 4)], end: roll() < 0.7 ? Math.floor(roll() * 9) * 1000 : 0 },
        conn: roll() < 0.2 ? { c: "lost", since: Math.floor(roll() * 3) } : { c: "online" },
        tally: {
          open: Math.floor(roll() * 2),
          severity: roll(),
          last_at: Math.floor(roll() * 3),
          hand: roll() < 0.1 ? 1 + Math.floor(roll() * 3) : 0,
          unread: roll() < 0.1 ? 1 : 0,
        },
      }),
    );
    const order = compare(key, 500);
    const want = [...list].sort(order).map((s) => s.id);
    for (let i = 0; i < 5; i++) {
      const shuffled = list
        .map((s) => ({ s, at: roll() }))
        .sort((a, b) => a.at - b.at)
        .map((x) => x.s);
      expect(shuffled.sort(order).map((s) => s.id)).toEqual(want);
    }
  });
});

describe("the order by state", () => {
  it("has those who run first, one that we do not know after them, and those that are over last", () => {
    const states = ["canceled", "stopped", "submitted", "napping", "created", "time_up", "paused", "active", "awaiting"] as const;
    const got = states
      .map((state) => student(state, { life: { state: state as Life["state"] } }))
      .sort(compare("state", 0))
      .map((s) => s.id);
    expect(got).toEqual(["awaiting", "active", "paused", "time_up", "napping", "created", "submitted", "stopped", "canceled"]);
  });
});

describe("filters", () => {
  const list = [
    student("a"),
    student("b", { life: { state: "paused" } }),
    student("c", { conn: lost }),
    student("d", { life: { state: "awaiting" } }),
    student("e", { life: { state: "terminated" }, conn: lost }),
    student("f", { life: { state: "time_up" } }),
    student("g", { life: { state: "time_up" }, conn: { c: "closed" } }),
    student("h", { life: { state: "stopped" }, conn: lost, tally: { hand: 4 } }),
  ];

  it("count what they pass", () => {
    const n = counts(list);
    expect(n).toEqual({
      all: 8,
      attention: 2,
      working: 2,
      unwatched: 0,
      offline: 1,
      paused: 1,
      time_up: 2,
      waiting: 1,
      finished: 2,
    });
    expect(list.filter((s) => passes(s, "offline")).map((s) => s.id)).toEqual(["c"]);
    expect(list.filter((s) => passes(s, "time_up")).map((s) => s.id)).toEqual(["f", "g"]);
    expect(list.filter((s) => passes(s, "finished")).map((s) => s.id)).toEqual(["e", "h"]);
  });

  it.each([
    ["rina", true],
    ["  rina  ", true],
    ["WIB rí", true],
    ["u77", true],
    ["budi", false],
    ["", true],
  ])("search %j: %s", (search, want) => {
    const s = { ...student("x"), who: { name: "Rina Wibowo", user: "u77", attempt: 1, created: 0 } };
    expect(matches(s, search)).toBe(want);
  });
});
