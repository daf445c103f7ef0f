import { describe, expect, it } from "vitest";
import { kindOf, OFFLINE, reduce, unheard } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/attempt";

const exam = { id: "e", title: "Exam" };
const welcome = {
  t: "welcome" as const,
  role: "student",
  session: "s",
  exam,
  now: 0,
  epoch: 1,
  ping: 1,
  state: "active",
  version: 7,
  end: 5000,
};

describe("what a page knows of its attempt", () => {
  it("is what the page before knew until the server speaks", () => {
    expect(unheard("paused")).toMatchObject({ state: "paused", told: false });
    expect(reduce(unheard("paused"), welcome)).toMatchObject({
      state: "active",
      told: true,
      version: 7,
      end: 5000,
      left: 0,
      reason: "",
    });
  });

  it("does not go back to an older version on the same connection", () => {
    const attempt = reduce(unheard(""), welcome);
    expect(reduce(attempt, { t: "state", state: "paused", version: 6, at: 0 })).toBe(attempt);
    expect(reduce(attempt, { t: "state", state: "paused", version: 7, at: 0, reason: "r" })).toMatchObject({
      state: "paused",
      reason: "r",
      end: 5000,
    });
  });

  it("takes an older version from a new connection", () => {
    const later = reduce(unheard(""), { ...welcome, version: 9, state: "paused" });
    expect(reduce(later, { ...welcome, version: 3 })).toMatchObject({ state: "active", version: 3 });
  });

  it("keeps the end when a question about the clock is answered without one, and drops it when the server says so", () => {
    const attempt = reduce(unheard(""), welcome);
    expect(reduce(attempt, { t: "time", at: 1, now: 2 })).toBe(attempt);
    expect(reduce(attempt, { t: "time", at: 1, now: 2, end: 5000 })).toBe(attempt);
    expect(reduce(attempt, { t: "time", now: 2 })).toMatchObject({ end: 0 });
    expect(reduce(attempt, { t: "time", now: 2, end: 9000 })).toMatchObject({ end: 9000 });
    expect(reduce(attempt, { t: "time", now: 2, left: 100 })).toMatchObject({ end: 0, left: 100 });
  });

  it("is saved later until the server says that this is over, or welcomes again", () => {
    const saving = reduce(reduce(unheard(""), welcome), { t: "notice", kind: "saving_later" });
    expect(saving.saving).toBe(true);
    expect(reduce(saving, { t: "notice", kind: "other" })).toBe(saving);
    expect(reduce(saving, { t: "notice", kind: "saving_later", over: true }).saving).toBe(false);
    expect(reduce(saving, welcome).saving).toBe(false);
  });

  it("is not changed by frames about something else", () => {
    const attempt = reduce(unheard(""), welcome);
    expect(reduce(attempt, { t: "hand" })).toBe(attempt);
  });
});

describe("what the panel says", () => {
  const connected = { state: "connected" as const, since: 0 };
  const away = { state: "waiting" as const, since: 0 };
  const attempt = reduce(unheard(""), welcome);
  it.each([
    [{ ...attempt, state: "stopped" }, connected, 0, true, "off"],
    [{ ...attempt, state: "submitted" }, away, OFFLINE, true, "ended"],
    [attempt, { state: "stopped" as const, since: 0, code: "ended" }, 0, true, "ended"],
    [attempt, { state: "superseded" as const, since: 0 }, 0, true, "elsewhere"],
    [attempt, { state: "stopped" as const, since: 0 }, 0, true, "stopped"],
    [{ ...attempt, state: "paused", saving: true }, connected, 0, true, "paused"],
    [{ ...attempt, state: "time_up", saving: true }, connected, 0, true, "saving"],
    [{ ...attempt, state: "time_up" }, connected, 0, true, "timeup"],
    [attempt, connected, 0, true, "connected"],
    [attempt, away, OFFLINE - 1, false, "connecting"],
    [attempt, away, OFFLINE - 1, true, "reconnecting"],
    [attempt, away, OFFLINE, true, "offline"],
    [{ ...attempt, state: "paused" }, away, OFFLINE, true, "offline"],
  ])("%o on %o for %i ms (connected before: %s) is %s", (of, status, since, before, kind) => {
    expect(kindOf(of, status as never, since, before)).toBe(kind);
  });
});
