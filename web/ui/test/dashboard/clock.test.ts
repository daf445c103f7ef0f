import { describe, expect, it } from "vitest";
import { Backoff } from "../../src/dashboard/backoff";
import { ServerClock, timeLeft, watchedTime } from "../../src/dashboard/clock";
import { clockText, lengthText, shortLength } from "../../src/dashboard/format";
import type { Connection, Life } from "../../src/dashboard/protocol";
import { span } from "../../src/dashboard/window";

describe("ServerClock", () => {
  it("takes half of the round trip off, and keeps the best sample", () => {
    let mono = 1000;
    const clock = new ServerClock(
      () => mono,
      () => 0,
    );
    clock.sample(50_000); // delay unknown
    mono = 2000;
    clock.sample(51_100, 1900); // left at 1900, came back at 2000: the server said 51100 at about 1950
    expect(clock.now()).toBe(51_150);
    mono = 3000;
    clock.sample(52_000); // arrived late: not better
    expect(clock.now()).toBe(52_150);
  });

  it("follows a jump of the server's clock", () => {
    let mono = 0;
    const clock = new ServerClock(
      () => mono,
      () => 0,
    );
    clock.sample(1000, 0);
    mono = 10;
    clock.sample(900_000);
    expect(clock.now()).toBe(900_000);
  });

  it("does not follow a change of this computer's clock", () => {
    let wall = 5000;
    const clock = new ServerClock(
      () => 100,
      () => wall,
    );
    clock.sample(7000, 100);
    wall = 999_999;
    expect(clock.now()).toBe(7000);
  });
});

describe("timeLeft", () => {
  it.each([
    ["counts down", { version: 1, state: "active", end: 5000 }, 2000, 3000, false],
    ["ends at zero", { version: 1, state: "active", end: 5000 }, 9000, 0, false],
    ["stands still while paused", { version: 1, state: "paused", end: 5000, left: 1234 }, 9000, 1234, true],
    ["a zero that the server left out", { version: 1, state: "paused", end: 5000, changed: 6000 }, 9000, 0, true],
    ["has no end", { version: 1, state: "active" }, 9000, undefined, false],
    ["is over", { version: 1, state: "submitted", end: 99_000 }, 9000, undefined, true],
    ["is over by what we know", { version: 1, state: "time_up", end: 5000 }, 9000, 0, false],
    ["goes on without us", { version: 1, state: "stopped", end: 99_000 }, 9000, undefined, true],
  ] as const)("%s", (_name, life, now, left, stands) => {
    expect(timeLeft(life, now)).toEqual({ left, stands });
  });
});

describe("words for time", () => {
  it.each([
    [0, "0:00"],
    [1, "0:01"],
    [59_000, "0:59"],
    [61_000, "1:01"],
    [3_599_001, "1:00:00"],
    [-5, "0:00"],
  ])("clock %i is %s", (ms, want) => {
    expect(clockText(ms)).toBe(want);
  });
  it.each([
    [4000, "4 s", "4 s"],
    [150_000, "2 min 30 s", "2 min"],
    [900_000, "15 min", "15 min"],
    [3_900_000, "1 h 5 min", "1 h"],
    [260_000_000, "3 d", "3 d"],
  ])("length %i is %s or %s", (ms, long, short) => {
    expect(lengthText(ms, "en")).toBe(long);
    expect(shortLength(ms, "en")).toBe(short);
  });
});

describe("Backoff", () => {
  it("doubles to a quarter of a minute, with full jitter, and starts over", () => {
    const b = new Backoff(() => 1);
    expect(Array.from({ length: 7 }, () => b.next())).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    b.reset();
    expect(b.next()).toBe(500);
    expect(new Backoff(() => 0).next()).toBe(0);
  });
});

describe("span", () => {
  it("keeps a short list whole", () => {
    expect(span(199, 60, -5000, 800)).toEqual({ from: 0, to: 199, before: 0, after: 0 });
  });
  it.each([[0], [-1], [-600], [-60_000], [-119_000], [500], [-500_000]])(
    "has every row that can be seen, and the list's height (top %i)",
    (top) => {
      const s = span(2000, 60, top, 800);
      expect(s.before + (s.to - s.from) * 60 + s.after).toBe(120_000);
      const first = Math.max(0, Math.floor(-top / 60));
      const last = Math.min(1999, Math.floor((-top + 799) / 60));
      if (first <= 1999 && last >= 0) {
        expect(s.from).toBeLessThanOrEqual(first);
        expect(s.to).toBeGreaterThan(last);
      }
      expect(s.to - s.from).toBeLessThanOrEqual(48);
    },
  );
});

describe("watched time", () => {
  const m = 60_000;
  const life = { version: 1, state: "active" as const, counted: true, started: 10 * m };
  it.each([
    ["nobody ever came", life, { c: "never" }, 52 * m, 0, 42],
    ["here since the start", life, { c: "online", reports: 9 * m }, 20 * m, 10, 10],
    ["here again", life, { c: "online", watched: 3 * m, reports: 15 * m, since: 15 * m }, 20 * m, 8, 10],
    ["away, and still within the grace", life, { c: "navigating", reports: 10 * m, since: 19 * m }, 20 * m, 9, 10],
    ["lost", life, { c: "lost", watched: 4 * m, since: 15 * m }, 20 * m, 4, 10],
    ["a pause was in it", { ...life, pauses: [{ from: 12 * m, to: 17 * m }] }, { c: "online", reports: 10 * m }, 20 * m, 5, 5],
    ["paused now", { ...life, state: "paused" as const, changed: 15 * m }, { c: "online", reports: 10 * m }, 60 * m, 5, 5],
    ["handed in", { ...life, state: "submitted" as const, ended: 52 * m }, { c: "closed", watched: 40 * m }, 900 * m, 40, 42],
  ] as [string, Life, Connection, number, number, number][])("%s", (_, l, conn, now, watched, open) => {
    expect(watchedTime(l, conn, now)).toEqual({ watched: watched * m, open: open * m });
  });
  it("is not told of attempts of before it was counted", () => {
    expect(watchedTime({ version: 1, state: "active", started: 1 }, { c: "online" }, 100)).toBeUndefined();
  });
});
