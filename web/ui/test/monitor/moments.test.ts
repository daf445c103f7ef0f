// How long something lasted, whatever was done to the clocks: a computer with a machine's clock that can be set, a steady one that may stand still in
// sleep, and a server.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeClock, type Clock } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/clock";
import { makeDetector, type Detector } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/detect";
import { IDLE } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/detect_focus";
import type { Noticed } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/protocol";
import { tabStorage, type Tab } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/storage";

const minute = 60_000;
const server0 = 1_700_000_000_000;
let real: number; // what truly passed
let wall: number; // ahead of the server
let lost: number; // what the steady clock did not see
let online: boolean;
let clock: Clock;
let detector: Detector | undefined;
let noticed: Noticed[];
let tab: Tab;
let visible: "visible" | "hidden";

const server = () => server0 + real;
const pass = async (ms: number) => {
  for (let left = ms; left > 0; left -= 1000) {
    real += Math.min(1000, left);
    await vi.advanceTimersByTimeAsync(Math.min(1000, left));
  }
};
/** The lid is closed: nothing runs. A steady clock that stands still sees nothing of it. */
const sleep = (ms: number, still = true) => {
  real += ms;
  if (still) lost += ms;
};
/** The server answers after a round trip. */
const askTime = () => {
  if (!online) return false;
  const name = clock.ask();
  setTimeout(() => {
    if (online && clock.measure(name, server())) detector?.answered();
  }, 40);
  return true;
};
const connect = async () => {
  online = true;
  askTime();
  await pass(1000);
};
/** A page of the tab: its steady clock begins anew. */
const page = (watch = ["focus"]) => {
  const began = real - lost;
  clock = makeClock(
    () => server() + wall,
    () => real - lost - began,
  );
  detector = makeDetector({ emit: (it) => noticed.push(it), tab, clock, askTime });
  detector.set({ watch });
};
const leave = () => {
  window.dispatchEvent(new Event("pagehide"));
  const kept = ["open:hidden", "lengths"].map((name) => [name, tab.get(name)] as const);
  detector?.stop();
  for (const [name, value] of kept) tab.set(name, value);
};
const look = (is: "visible" | "hidden") => {
  visible = is;
  document.dispatchEvent(new Event("visibilitychange"));
};
const hidden = () =>
  noticed.filter((it) => it.kind === "hidden").map(({ dur, data }) => ({ dur: Math.round((dur ?? 0) / 1000), ...data }));

beforeEach(() => {
  vi.useFakeTimers();
  [real, wall, lost, online, noticed, visible] = [0, 0, 0, false, [], "visible"];
  tab = tabStorage("t:", null);
  vi.spyOn(document, "hasFocus").mockImplementation(() => visible === "visible");
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => visible });
});
afterEach(() => {
  detector?.stop();
  detector = undefined;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe.each([
  ["online", true],
  ["offline, and told when it is back", false],
])("an absence %s", (_, connected) => {
  const absent = async (meanwhile: () => void) => {
    page();
    await connect();
    await pass(30_000);
    online = connected;
    look("hidden");
    await pass(2000);
    meanwhile();
    await pass(2000);
    look("visible");
    await pass(5000);
    if (!connected) {
      await pass(60 * minute);
      await connect();
    }
  };

  it("lasted as long as it did", async () => {
    await absent(() => undefined);
    expect(hidden()).toEqual([{ dur: 4 }]);
  });

  it.each([
    ["forward", 20],
    ["back", -20],
    ["forward by years", 6e6],
    ["back by years", -1.5e7],
  ])("is no longer because the clock was set %s meanwhile", async (__, minutes) => {
    await absent(() => (wall += minutes * minute));
    expect(hidden()).toEqual([{ dur: 4 }]);
  });

  it("in which the computer slept is the server's count, and says how long it slept", async () => {
    await absent(() => sleep(20 * minute));
    expect(hidden()).toEqual([{ dur: 1204, asleep: 20 * minute }]);
  });

  it("in which the computer slept is the same where the steady clock goes on in sleep, which nobody can tell from waking", async () => {
    await absent(() => sleep(20 * minute, false));
    expect(hidden()).toEqual([{ dur: 1204 }]);
  });

  it.each([
    ["forward", 20],
    ["back", -40],
  ])("in which the computer slept and the clock was set %s is the server's count", async (__, minutes) => {
    await absent(() => {
      sleep(10 * minute);
      wall += minutes * minute;
    });
    expect(hidden()).toEqual([{ dur: 604, asleep: 10 * minute }]);
  });

  it("of hours is kept", async () => {
    await absent(() => sleep(70 * 60 * minute));
    expect(hidden()).toEqual([{ dur: 70 * 3600 + 4, asleep: 70 * 60 * minute }]);
  });
});

describe("an absence", () => {
  it("in which a virtual machine stood still, with both its clocks, is the server's count", async () => {
    page();
    await connect();
    look("hidden");
    await pass(2000);
    sleep(20 * minute);
    wall -= 20 * minute;
    look("visible");
    await pass(1000);
    expect(hidden()).toEqual([{ dur: 1202, asleep: 20 * minute }]);
  });

  it("is not blamed for a sleep before it, or after it", async () => {
    page();
    await connect();
    sleep(20 * minute);
    look("hidden");
    await pass(4000);
    look("visible");
    await pass(1000);
    online = false;
    look("hidden");
    await pass(4000);
    look("visible");
    sleep(20 * minute);
    await connect();
    expect(hidden()).toEqual([{ dur: 4 }, { dur: 4 }]);
  });

  it("counted by a steady clock that runs ahead is the server's count", async () => {
    page();
    await connect();
    look("hidden");
    await pass(4000);
    lost -= 20 * minute;
    wall += 20 * minute;
    look("visible");
    await pass(1000);
    expect(hidden()).toEqual([{ dur: 4 }]);
  });

  it("counted by a steady clock that goes back is the server's count", async () => {
    page();
    await connect();
    look("hidden");
    await pass(2000);
    lost += 8000;
    await pass(8000);
    look("visible");
    await pass(1000);
    expect(hidden()).toEqual([{ dur: 10, asleep: 8000 }]);
  });

  it("over a page turn is the server's count, whatever the clock was set to", async () => {
    page();
    await connect();
    look("hidden");
    await pass(10_000);
    leave();
    wall += 20 * minute;
    await pass(10_000);
    page();
    look("visible");
    await pass(1000);
    expect(hidden()).toEqual([{ dur: 20 }]);
  });

  it("that ended in a page without a connection is told in the next one, by the server's count", async () => {
    page();
    await connect();
    online = false;
    look("hidden");
    await pass(2000);
    sleep(20 * minute);
    look("visible");
    await pass(1000);
    leave();
    await pass(60 * minute);
    page();
    await connect();
    expect(hidden()).toEqual([{ dur: 1202, asleep: 20 * minute }]);
  });

  it("that the server does not answer is told all the same", async () => {
    page();
    await connect();
    vi.spyOn(clock, "measure").mockReturnValue(null);
    look("hidden");
    await pass(4000);
    look("visible");
    await pass(3000);
    expect(hidden()).toEqual([{ dur: 4 }]);
  });
});

describe("time without input", () => {
  it("is none because the clock was set", async () => {
    page(["idle"]);
    await connect();
    wall += 20 * minute;
    await pass(30_000);
    document.dispatchEvent(new Event("keydown"));
    wall -= 40 * minute;
    await pass(30_000);
    document.dispatchEvent(new Event("keydown"));
    await pass(5000);
    expect(noticed).toEqual([]);
  });

  it("is counted though the clock was set back", async () => {
    page(["idle"]);
    await connect();
    await pass(5 * minute);
    wall -= 20 * minute;
    await pass(IDLE - 5 * minute + 20_000);
    document.dispatchEvent(new Event("keydown"));
    await pass(5000);
    expect(noticed.map((it) => [it.kind, Math.round((it.dur ?? 0) / minute)])).toEqual([["idle", 10]]);
  });
});

describe("the clock", () => {
  it("notices that it was set, and measures anew", async () => {
    page();
    await connect();
    expect(clock.shaken()).toBe(false);
    wall += 20 * minute;
    expect(clock.shaken()).toBe(true);
    askTime();
    await pass(1000);
    expect(clock.shaken()).toBe(false);
    expect(Math.abs(clock.offset() + 20 * minute)).toBeLessThanOrEqual(500); // this test's time moves by the second
  });
});
