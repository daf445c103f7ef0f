import { describe, expect, it } from "vitest";
import { judge, mayStart, rowsOf, worst, type Row } from "../../src/checkin/checks";
import { words } from "../../src/checkin/words";

const all = ["focus", "clipboard", "fullscreen", "display", "window", "idle"];

describe("the system check", () => {
  it("looks at what is watched only", () => {
    expect(rowsOf([], false)).toEqual(["socket", "clock"]);
    expect(rowsOf([], true)).toEqual(["socket", "clock", "fullscreen"]);
    expect(rowsOf(all, false)).toEqual(["socket", "clock", "visibility", "clipboard", "fullscreen", "displays", "storage"]);
  });

  it.each([
    ["socket", { rtt: 40 }, {}, "pass", "pass"],
    ["socket", { rtt: 1500 }, {}, "warn", "slow"],
    ["socket", {}, {}, "fail", "fail"],
    ["socket", { refused: true, problem: "It has ended." }, {}, "fail", "refused"],
    ["clock", { rtt: 1, offset: 200 }, {}, "pass", "pass"],
    ["clock", { rtt: 1, offset: 65_000 }, {}, "warn", "ahead"],
    ["clock", { rtt: 1, offset: -65_000 }, {}, "warn", "behind"],
    ["clock", {}, {}, "warn", "unknown"],
    ["displays", {}, { displays: true }, "pass", "pass"],
    ["displays", {}, { displays: false }, "warn", "warn"],
    ["storage", {}, {}, "warn", "warn"],
  ] as const)("%s of %j and %j is %s", (id, probe, can, result, word) => {
    const row = judge(id, probe, can);
    expect([row.result, row.word]).toEqual([result, word]);
    expect(words.en).toHaveProperty(`check_${id}_${word}`);
  });

  const row = (result: Row["result"]): Row => ({ id: "socket", result, word: "" });

  it("is as good as its worst row", () => {
    expect(worst([row("pass"), row("warn")])).toBe("warn");
    expect(worst([row("fail"), row("wait")])).toBe("wait");
    expect(worst([])).toBe("pass");
  });

  it.each([
    ["all is well", { consent: true, left: 1, rows: [row("pass")], tries: 1 }, true],
    ["notes do not hinder", { consent: true, left: 1, rows: [row("warn")], tries: 1 }, true],
    ["no consent", { consent: false, left: 1, rows: [row("pass")], tries: 1 }, false],
    ["still checking", { consent: true, left: 1, rows: [row("wait")], tries: 0 }, false],
    ["too late", { consent: true, left: 0, rows: [row("pass")], tries: 1 }, false],
    ["no socket at the first try", { consent: true, left: 1, rows: [row("fail")], tries: 1 }, false],
    ["no socket at the second try either", { consent: true, left: 1, rows: [row("fail")], tries: 2 }, true],
  ])("may start: %s", (_name, state, want) => {
    expect(mayStart(state)).toBe(want);
  });

  it("has the same parameters in both languages", () => {
    const names = (w: string): string[] => [...w.matchAll(/\{(\w+)\}/g)].map((m) => m[1] as string).sort();
    for (const key of Object.keys(words.en) as (keyof typeof words.en)[])
      expect([key, names(String(words.id[key]))]).toEqual([key, names(String(words.en[key]))]);
  });
});
