import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeMoodleClock } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/moodle_clock";
import { makeTimer, page } from "./timer";

let timer: ReturnType<typeof makeTimer>;
const clock = () => makeMoodleClock({ timer: () => timer });
const ticksOf = (ms: number) => {
  const before = timer.ticks;
  vi.advanceTimersByTime(ms);
  return timer.ticks - before;
};

beforeEach(() => {
  vi.useFakeTimers();
  page();
  timer = makeTimer(60_000);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Moodle's own way", () => {
  it("begins another loop at every call, and posts once for each", () => {
    timer.updateEndTime(120);
    timer.updateEndTime(180);
    expect(ticksOf(1000)).toBeGreaterThan(25);
    vi.advanceTimersByTime(200_000);
    expect(timer.posts).toBeGreaterThan(1);
  });
});

describe("moving the clock", () => {
  it("keeps one loop however often it moves, and posts once", () => {
    const ours = clock();
    for (let n = 2; n < 12; n++) ours.moveTo(Date.now() + n * 60_000);
    expect(ticksOf(1000)).toBe(10);
    vi.advanceTimersByTime(700_000);
    expect(timer.posts).toBe(1);
  });

  it.each([
    ["later", 90_000, true],
    ["earlier", 30_000, true],
    ["by what nobody sees", 62_000, false],
  ])("%s: %i ms left", (_, left, moved) => {
    expect(clock().moveTo(Date.now() + left)).toBe(moved);
    expect(timer.endtime - Date.now()).toBe(moved ? left : 60_000);
  });

  it("takes the place of core's way, which autosave uses", () => {
    clock().running();
    for (let n = 2; n < 8; n++) timer.updateEndTime(n * 60);
    expect(timer.endtime - Date.now()).toBe(420_000);
    expect(ticksOf(1000)).toBe(10);
  });

  it("leaves a page alone that shows no clock", () => {
    page(false);
    expect(clock().moveTo(Date.now() + 90_000)).toBe(false);
    expect(timer.endtime - Date.now()).toBe(60_000);
  });

  it("leaves a clock alone that does not run yet", () => {
    timer.Y = null;
    expect(clock().running()).toBe(false);
    expect(clock().moveTo(Date.now() + 90_000)).toBe(false);
  });

  it("does not take nonsense for an end", () => {
    expect(clock().moveTo(Number.NaN)).toBe(false);
    expect(timer.endtime - Date.now()).toBe(60_000);
  });

  it("does nothing where there is no quiz at all", () => {
    const none = makeMoodleClock();
    none.freeze();
    none.thaw();
    expect(none.moveTo(Date.now() + 90_000)).toBe(false);
  });
});

describe("a stopped clock", () => {
  it("posts nothing while its time runs out, and goes on with the new end", () => {
    const ours = clock();
    ours.freeze();
    expect(ticksOf(100_000)).toBe(0);
    expect(timer.posts).toBe(0);
    ours.moveTo(Date.now() + 60_000);
    expect(ticksOf(1000)).toBe(0);
    ours.thaw();
    expect(ticksOf(1000)).toBe(10);
    expect(timer.posts).toBe(0);
  });

  it("is not started by autosave", () => {
    const ours = clock();
    ours.freeze();
    timer.updateEndTime(600);
    expect(ticksOf(1000)).toBe(0);
  });

  it("goes on once when it is told twice", () => {
    const ours = clock();
    ours.freeze();
    ours.thaw();
    ours.thaw();
    expect(ticksOf(1000)).toBe(10);
  });
});
