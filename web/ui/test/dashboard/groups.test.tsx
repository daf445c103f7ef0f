import { render } from "preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { App } from "../../src/dashboard/app";
import { StoreContext } from "../../src/dashboard/context";
import { compareGroups, groupCounts, groupText, inGroups, noGroup } from "../../src/dashboard/groups";
import { emptyStudent, mergeRow, type Student } from "../../src/dashboard/merge";
import { compare } from "../../src/dashboard/order";
import type { Down, Group, Row } from "../../src/dashboard/protocol";
import { Store } from "../../src/dashboard/store";

const A: Group = { id: "1", name: "Group A" };
const B: Group = { id: "2", name: "Group B" };
const C: Group = { id: "10", name: "Group 10" };
const student = (id: string, list: Group[] = [], version = 1): Student => ({
  ...emptyStudent(id),
  who: { name: id, user: id, attempt: 1, created: 1 },
  groups: { version, list },
});

describe("groups of a row", () => {
  it("count by their version, and the later of two of one version", () => {
    let s = mergeRow(undefined, { id: "a", groups: { version: 5, list: [A] } });
    s = mergeRow(s, { id: "a", groups: { version: 4, list: [B] } });
    expect(groupText(s)).toBe("Group A");
    s = mergeRow(s, { id: "a", groups: { version: 5, list: [A, B] } }); // this person sees more now
    expect(groupText(s)).toBe("Group A, Group B");
    s = mergeRow(s, { id: "a", groups: { version: 6 } });
    expect(s.groups).toEqual({ version: 6, list: [] });
    expect(mergeRow(s, { id: "a", groups: { version: 5, list: [A] } })).toBe(s);
  });

  it("stay where nothing is said of them: in a delta, and in the row that a snapshot only names", () => {
    const s = mergeRow(undefined, { id: "a", groups: { version: 5, list: [A] } });
    expect(mergeRow(s, { id: "a" })).toBe(s);
    expect(mergeRow(s, { id: "a" }, true).groups).toBe(s.groups);
  });
});

describe("groups of the list", () => {
  it("are counted by name as people read it, with those in none last", () => {
    const list = [student("a", [B]), student("b", [A, B]), student("c"), student("d", [C])];
    expect(groupCounts(list, new Set(), [])).toEqual([
      { ...C, count: 1 },
      { ...A, count: 1 },
      { ...B, count: 2 },
      { id: noGroup, name: "", count: 1 },
    ]);
  });

  it("are none where nobody is in one, and the same where nothing changed", () => {
    expect(groupCounts([student("a"), student("b")], new Set(), [])).toEqual([]);
    const old = groupCounts([student("a", [A])], new Set(), []);
    expect(groupCounts([student("b", [A])], new Set(), old)).toBe(old);
  });

  it("have the name that was told last", () => {
    const renamed = { ...A, name: "Tutorial 1" };
    for (const list of [
      [student("a", [A], 1), student("b", [renamed], 2)],
      [student("b", [renamed], 2), student("a", [A], 1)],
    ]) {
      expect(groupCounts(list, new Set(), [])).toEqual([{ ...renamed, count: 2 }]);
    }
  });

  it("keep a chosen one whose last student has gone", () => {
    const old = groupCounts([student("a", [A]), student("b", [B])], new Set(), []);
    expect(groupCounts([student("b", [B])], new Set([A.id]), old)).toEqual([
      { ...A, count: 0 },
      { ...B, count: 1 },
    ]);
    expect(groupCounts([student("b", [B])], new Set(), old)).toEqual([{ ...B, count: 1 }]);
  });

  it.each([
    [[], ["a", "b", "ab", "none"]],
    [["1"], ["a", "ab"]],
    [
      ["1", "2"],
      ["a", "b", "ab"],
    ],
    [[noGroup], ["none"]],
    [
      [noGroup, "2"],
      ["b", "ab", "none"],
    ],
  ] as [string[], string[]][])("chosen: %j shows %j", (chosen, want) => {
    const list = [student("a", [A]), student("b", [B]), student("ab", [A, B]), student("none")];
    expect(list.filter((s) => inGroups(s, new Set(chosen))).map((s) => s.id)).toEqual(want);
  });

  it("sort students by their names whatever their order, those in none last, then by the students' names", () => {
    const list = [
      student("none"),
      student("zoe", [A]),
      student("bob", [B]),
      student("ann", [A]),
      student("two", [B, A]),
      student("too", [A, B]),
    ];
    expect(list.sort(compare("group", 0)).map((s) => s.id)).toEqual(["ann", "zoe", "too", "two", "bob", "none"]);
    expect(compareGroups(student("a", [B, A]), student("b", [A, B]))).toBe(0);
  });
});

describe("the dashboard with groups", () => {
  let store: Store;
  let box: HTMLElement;
  let number = 0;
  const row = (id: string, groups?: Group[], state: "active" | "paused" = "active"): Row => ({
    id,
    who: { name: id, user: id, attempt: 1, created: 1 },
    life: { version: 1, state },
    conn: { c: "online" },
    ...(groups ? { groups: { version: 1, list: groups } } : {}),
  });
  const snapshot = (...rows: Row[]): Down => ({ t: "snapshot", number: ++number, page: 1, last: true, rows });
  const draw = async (): Promise<void> => {
    await vi.advanceTimersByTimeAsync(50);
  };
  const take = async (...frames: Down[]): Promise<void> => {
    store.receive(frames);
    store.arrange(true);
    await draw();
  };
  const button = (name: string): HTMLElement | undefined =>
    [...document.querySelectorAll<HTMLElement>("button")].find((b) => b.textContent?.startsWith(name));
  const names = (): (string | null)[] => [...document.querySelectorAll("[data-session] .name")].map((n) => n.textContent);
  const choose = async (name: string): Promise<void> => {
    [...document.querySelectorAll<HTMLElement>(".group-list label")]
      .find((l) => l.textContent?.startsWith(name))
      ?.querySelector("input")
      ?.click();
    store.arrange(true); // as the effect of a started store does
    await draw();
  };

  beforeEach(async () => {
    vi.useFakeTimers();
    vi.stubGlobal("fetch", async () => Response.json({ entries: [], next: "" }));
    box = document.createElement("div");
    document.body.replaceChildren(box);
    store = new Store({ lang: "en", now: 1000, exam: { id: "e", title: "Exam" }, tokenEndpoint: "", api: "", links: {} });
    store.link.state.value = { is: "open" };
    store.sort.value = "name";
    render(
      <StoreContext.Provider value={store}>
        <App />
      </StoreContext.Provider>,
      box,
    );
  });
  afterEach(async () => {
    render(null, box);
    await vi.advanceTimersByTimeAsync(200); // effects that wait would block those of the next test
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("has neither filter, nor column, nor order by group where nobody is in one", async () => {
    await take(snapshot(row("a"), row("b", [])));
    expect(document.body.textContent).not.toContain("Groups");
    expect(document.querySelector(".grid-groups")).toBeNull();
    expect([...document.querySelectorAll(".sort option")].map((o) => o.textContent)).not.toContain("Group");
    store.open("a");
    await draw();
    expect(document.querySelector(".facts")?.textContent).not.toContain("Groups");
  });

  it("shows groups in the row and in the panel", async () => {
    await take(snapshot(row("a", [B, A]), row("b", [])));
    expect(document.querySelector(".grid-groups")).not.toBeNull();
    expect([...document.querySelectorAll("[data-session] .td-group")].map((c) => c.textContent)).toEqual([
      "Group A, Group B",
      "In no group",
    ]);
    store.open("b");
    await draw();
    expect(document.querySelector(".facts")?.textContent).toContain("GroupsIn no group");
    await take({ t: "session", row: { id: "b", groups: { version: 2, list: [C] } } });
    expect(document.querySelector(".facts")?.textContent).toContain("GroupsGroup 10");
  });

  it("shows the students of the groups that are chosen, counts by them, and all again", async () => {
    await take(snapshot(row("a", [A], "paused"), row("b", [B]), row("ab", [A, B]), row("none", undefined, "paused")));
    button("Groups: all")?.click();
    await draw();
    expect([...document.querySelectorAll(".group-list label")].map((l) => l.textContent)).toEqual([
      "Group A2 students",
      "Group B2 students",
      "In no group1 student",
    ]);
    await choose("Group A");
    expect(names()).toEqual(["a", "ab"]);
    expect(button("Groups: Group A")).toBeDefined();
    expect(button("Paused")?.textContent).toBe("Paused 1");
    expect(document.querySelector(".shown")?.textContent).toBe("2 of 4 students");
    await choose("In no group");
    expect(names()).toEqual(["a", "ab", "none"]);
    expect(button("Groups: 2 chosen")).toBeDefined();
    expect(store.counts.value.paused).toBe(2);
    button("All groups")?.click();
    store.arrange(true);
    await draw();
    expect(names()).toEqual(["a", "ab", "b", "none"]);
  });

  it("finds one among three hundred by a part of its name", async () => {
    const many = Array.from({ length: 300 }, (_, i) => ({ id: `g${i}`, name: `Tutorial ${i + 1}` }));
    await take(snapshot(...Array.from({ length: 10 }, (_, i) => row(`s${i}`, many.slice(30 * i, 30 * i + 30)))));
    button("Groups: all")?.click();
    await draw();
    expect(document.querySelectorAll(".group-list li").length).toBe(300);
    const search = document.querySelector<HTMLInputElement>("dialog input[type=search]") as HTMLInputElement;
    const type = async (text: string): Promise<void> => {
      search.value = text;
      search.dispatchEvent(new Event("input", { bubbles: true }));
      await draw();
    };
    await type("tutorial 27");
    expect([...document.querySelectorAll(".group-list .group-name")].map((n) => n.textContent)).toEqual(
      [27, 127, 227, 270, 271, 272, 273, 274, 275, 276, 277, 278, 279].map((n) => `Tutorial ${n}`),
    );
    expect(document.querySelector(".group-found")?.textContent).toBe("13 groups");
    await type("nothing like it");
    expect(document.querySelector(".group-found")?.textContent).toBe("No group has such a name.");
  });

  it("lets go of the groups with everything else when all are to be shown", async () => {
    await take(snapshot(row("a", [A]), row("b", [B])));
    store.chosen.value = new Set(["1"]);
    store.search.value = "b";
    store.arrange(true);
    await draw();
    button("Show all")?.click();
    store.arrange(true);
    await draw();
    expect(names()).toEqual(["a", "b"]);
  });

  it("says whose students are counted, where not everyone is seen", async () => {
    await take({ t: "access", rights: ["watch"] }, snapshot(row("a", [A]), row("b", [A])));
    expect(document.querySelector(".shown")?.textContent).toBe("2 students of your groups");
  });
});
