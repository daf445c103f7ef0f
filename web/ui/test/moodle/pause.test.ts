import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makePause } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/moodle_pause";
import { saveAnswers, holdAutosave, releaseAutosave } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/moodle_page";
import { page } from "./timer";

let steps: string[];
let saves: (boolean | Error)[];
let states: (string | Error)[];
const next = <T>(list: (T | Error)[]): Promise<T> => {
  const found = list.length > 1 ? list.shift() : list[0];
  return found instanceof Error ? Promise.reject(found) : Promise.resolve(found as T);
};
const make = () =>
  makePause({
    clock: {
      running: () => true,
      differs: () => false,
      moveTo: () => true,
      freeze: () => steps.push("freeze"),
      thaw: () => steps.push("thaw"),
    },
    save: () => {
      steps.push("save");
      return next(saves);
    },
    status: () => {
      steps.push("ask");
      return next(states);
    },
    hold: () => steps.push("hold"),
    release: () => steps.push("release"),
    leave: (status) => steps.push("leave " + status),
  });

beforeEach(() => {
  vi.useFakeTimers();
  steps = [];
  saves = [true];
  states = ["paused"];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a pause", () => {
  it("stops the clock and core's saving, saves, and leaves when Moodle knows", async () => {
    await make().begin();
    expect(steps).toEqual(["freeze", "hold", "save", "ask", "leave paused"]);
  });

  it("waits for Moodle, whose waiting page would send the student back", async () => {
    states = ["running", new Error("busy"), "running", "paused"];
    const done = make().begin();
    await vi.advanceTimersByTimeAsync(500);
    expect(steps).toEqual(["freeze", "hold", "save", "ask"]);
    await vi.advanceTimersByTimeAsync(20_000);
    await done;
    expect(steps.filter((step) => step === "ask")).toHaveLength(4);
    expect(steps.at(-1)).toBe("leave paused");
  });

  it("saves again when a save fails, and not for ever", async () => {
    saves = [new Error("offline"), false];
    const done = make().begin();
    await vi.advanceTimersByTimeAsync(10_000);
    await done;
    expect(steps.filter((step) => step === "save")).toHaveLength(3);
    expect(steps.at(-1)).toBe("leave paused");
  });

  it("is left for the quiz when the attempt has ended in Moodle", async () => {
    states = ["complete"];
    await make().begin();
    expect(steps.at(-1)).toBe("leave complete");
  });

  it("is one pause however often it is told", async () => {
    const pause = make();
    await Promise.all([pause.begin(), pause.begin()]);
    expect(steps.filter((step) => step === "save")).toHaveLength(1);
  });

  it("that ends before Moodle heard of it leaves the student where they are", async () => {
    states = ["running"];
    const pause = make();
    const done = pause.begin();
    await vi.advanceTimersByTimeAsync(1500);
    pause.end();
    states = ["paused"];
    await vi.advanceTimersByTimeAsync(60_000);
    await done;
    expect(steps.some((step) => step.startsWith("leave"))).toBe(false);
    expect(steps.slice(-2)).toEqual(["release", "thaw"]);
  });

  it("may follow another", async () => {
    states = ["running"];
    const pause = make();
    const first = pause.begin();
    await vi.advanceTimersByTimeAsync(1500);
    pause.end();
    pause.end();
    const second = pause.begin();
    states = ["paused"];
    await vi.advanceTimersByTimeAsync(60_000);
    await Promise.all([first, second]);
    expect(steps.filter((step) => step === "leave paused")).toHaveLength(1);
    expect(steps.filter((step) => step === "thaw")).toHaveLength(1);
  });
});

describe("saving the answers", () => {
  const answer = (status: number, body: unknown) =>
    vi.fn(async (_url: string, _init?: RequestInit) => new Response(JSON.stringify(body), { status }));
  beforeEach(() => {
    vi.useRealTimers();
    vi.stubGlobal("M", { cfg: { wwwroot: "http://moodle.test" } });
    page();
  });

  it("posts the form's fields as autosave does, without its buttons, the editor's text included", async () => {
    vi.stubGlobal("tinyMCE", {
      triggerSave: () => ((document.querySelector('[name="q1:1_answer"]') as HTMLInputElement).value = "43"),
    });
    const ask = answer(200, { status: "OK" });
    expect(await saveAnswers(ask as unknown as typeof fetch)).toBe(true);
    const [url, init] = ask.mock.calls[0] as [string, RequestInit];
    expect(url).toBe("http://moodle.test/mod/quiz/autosave.ajax.php");
    expect(init.body).toBe("attempt=7&sesskey=key&q1%3A1_answer=43");
  });

  it.each([
    ["Moodle's refusal, which has status 200", 200, { error: "paused" }, false],
    ["an error page", 500, {}, false],
    ["what is no object", 200, null, false],
  ])("is not content with %s", async (_, status, body, taken) => {
    expect(await saveAnswers(answer(status, body) as unknown as typeof fetch)).toBe(taken);
  });

  it("has nothing to do on a page without answers", async () => {
    document.body.innerHTML = "";
    const ask = answer(200, {});
    expect(await saveAnswers(ask as unknown as typeof fetch)).toBe(true);
    expect(ask).not.toHaveBeenCalled();
  });

  it("holds core's own saving back, and has it catch up afterwards", () => {
    const autosave = {
      dirty: true,
      delay_timer: null as unknown,
      stop_autosaving: () => (autosave.delay_timer = true),
      start_save_timer_if_necessary: vi.fn(),
    };
    vi.stubGlobal("M", { cfg: { wwwroot: "" }, mod_quiz: { autosave } });
    releaseAutosave();
    expect(autosave.start_save_timer_if_necessary).not.toHaveBeenCalled();
    holdAutosave();
    releaseAutosave();
    expect(autosave.delay_timer).toBe(null);
    expect(autosave.start_save_timer_if_necessary).toHaveBeenCalledOnce();
  });
});
