import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { onAutosave } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/moodle_page";
import { FIELD, makeReceipts } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/receipts";
import { tabStorage } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/storage";

const refusing = {
  getItem: () => {
    throw new Error("refused");
  },
  setItem: () => {
    throw new Error("refused");
  },
  removeItem: () => {
    throw new Error("refused");
  },
};

let sent: string[];
let now: number;
let wall: number;
let made: ReturnType<typeof makeReceipts> | undefined;
const field = () => document.querySelector<HTMLInputElement>(`input[name=${FIELD}]`);
const frame = (page: string, n = 1) => ({ t: "receipt" as const, page, until: n, receipt: `${page}.${n}.s` });
const open = (options: Partial<Parameters<typeof makeReceipts>[0]> = {}) => {
  made?.stop();
  made = makeReceipts({
    tab: tabStorage("t:"),
    form: "responseform",
    send: async (text) => void sent.push(text),
    ticks: () => now,
    now: () => wall,
    ...options,
  });
  return made;
};
const wait = async (ms: number) => {
  for (let gone = 0; gone < ms; gone += 1000) {
    now += Math.min(1000, ms - gone);
    wall += Math.min(1000, ms - gone);
    await vi.advanceTimersByTimeAsync(Math.min(1000, ms - gone));
  }
  await vi.advanceTimersByTimeAsync(0);
};

/** What core's autosave does each second (mod/quiz/yui/src/autosave, detect_hidden_field_changes). */
const watchHidden = () => {
  const form = document.getElementById("responseform") as HTMLFormElement;
  const values: Record<string, string> = {};
  const look = () => {
    let changes = 0;
    form.querySelectorAll<HTMLInputElement>("input[type=hidden]").forEach((hidden) => {
      if (hidden.name && (!(hidden.name in values) || hidden.value !== values[hidden.name])) {
        values[hidden.name] = hidden.value;
        changes++;
      }
    });
    return changes;
  };
  look();
  return look;
};

beforeEach(() => {
  vi.useFakeTimers();
  now = 1000;
  wall = 1_800_000_000_000;
  sent = [];
  sessionStorage.clear();
  document.body.innerHTML =
    '<form id="responseform"><input type="hidden" name="thispage" value="0"><input name="q1" value="a"></form>';
});
afterEach(() => {
  made?.stop();
  made = undefined;
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the field", () => {
  it("belongs to the quiz's form and is not in it", () => {
    open().take(frame("p1"));
    expect(field()?.value).toBe("p1.1.s");
    expect(field()?.getAttribute("form")).toBe("responseform");
    expect(document.querySelector(`#responseform input[name=${FIELD}]`)).toBeNull();
  });

  it("never changes what core's autosave watches: an idle page saves nothing", async () => {
    const receipts = open();
    const look = watchHidden();
    const events = vi.fn();
    ["input", "change", "submit"].forEach((name) => document.addEventListener(name, events));
    let changes = 0;
    for (let minute = 1; minute <= 30; minute++) {
      receipts.take(frame("p1", minute));
      for (let s = 0; s < 60; s++) {
        await wait(1000);
        changes += look();
      }
    }
    expect(changes).toBe(0);
    expect(events).not.toHaveBeenCalled();
    expect(field()?.value).toBe("p1.30.s");
  });

  it("is not made where there is no form", () => {
    document.body.innerHTML = "";
    open().take(frame("p1"));
    expect(field()).toBeNull();
  });
});

describe("what is kept", () => {
  it("is the newest of each page, across pages, and of few pages", () => {
    open().take(frame("p1", 1));
    made?.take(frame("p1", 2));
    open();
    expect(field()?.value).toBe("p1.2.s");
    for (const page of ["p2", "p3", "p4", "p5"]) made?.take(frame(page));
    expect(field()?.value).toBe("p2.1.s p3.1.s p4.1.s p5.1.s");
  });

  it("is this page's where storage is refused", () => {
    open({ tab: tabStorage("t:", refusing as unknown as Storage) }).take(frame("p1", 1));
    made?.take(frame("p1", 2));
    expect(field()?.value).toBe("p1.2.s");
  });

  it.each([
    { page: 5 },
    { page: "" },
    { receipt: 7 },
    { receipt: "a b" },
    { receipt: "x".repeat(4097) },
    { receipt: '"><script>' },
  ])("is not %j", (wrong) => {
    open().take({ ...frame("p1"), ...wrong } as ReturnType<typeof frame>);
    expect(field()?.value).toBe("");
  });
});

describe("without answers", () => {
  it("they go by themselves after two minutes, once a turn", async () => {
    const receipts = open();
    for (let minute = 0; minute < 10; minute++) {
      receipts.take(frame("p1", minute));
      await wait(60_000);
    }
    expect(sent.length).toBeGreaterThanOrEqual(4);
    expect(sent.length).toBeLessThanOrEqual(6);
    expect(sent[0]).toMatch(/^p1\.[12]\.s$/);
  });

  it("they do not while core saves", async () => {
    const receipts = open();
    for (let minute = 0; minute < 10; minute++) {
      receipts.take(frame("p1", minute));
      await wait(60_000);
      receipts.sent();
    }
    expect(sent).toEqual([]);
  });

  it("the LMS is asked how the attempt stands though no receipt comes", async () => {
    open();
    await wait(300_000);
    expect(sent.length).toBeGreaterThanOrEqual(2);
    expect(sent[0]).toBe("");
  });

  it("the LMS is asked though core saves: its saves do not tell that the attempt is held", async () => {
    const receipts = open();
    for (let n = 0; n < 30; n++) {
      await wait(10_000);
      receipts.sent();
    }
    expect(sent.length).toBeGreaterThanOrEqual(3);
  });

  it("the waiting page sends each at once", async () => {
    open({ atOnce: true }).take(frame("w1"));
    await wait(0);
    expect(sent).toEqual(["w1.1.s"]);
  });

  it("a failure is made good by the next", async () => {
    let fail = true;
    const receipts = open({
      atOnce: true,
      send: async (text) => {
        if (fail) throw new Error("down");
        sent.push(text);
      },
    });
    receipts.take(frame("w1", 1));
    await wait(0);
    fail = false;
    receipts.take(frame("w1", 2));
    await wait(0);
    expect(sent).toEqual(["w1.2.s"]);
  });
});

describe("core's saves", () => {
  /** Core's part of the page, as far as its saves go. */
  const core = (calls: string[]) => {
    const autosave = {
      delay_timer: null as unknown,
      save_transaction: null as unknown,
      over: false,
      save_changes() {
        calls.push(`core ${field()?.value ?? ""}`.trim());
        this.save_transaction = this.over ? null : {};
      },
      stop_autosaving: () => undefined,
      start_save_timer_if_necessary: () => undefined,
    };
    vi.stubGlobal("M", { cfg: { wwwroot: "" }, mod_quiz: { autosave } });
    return autosave;
  };

  it("are heard of once each, but not those that it leaves out near the end", () => {
    const calls: string[] = [];
    const autosave = core(calls);
    const saved = () => void calls.push("heard");
    onAutosave(saved);
    onAutosave(saved);
    autosave.save_changes();
    expect(calls).toEqual(["core", "heard"]);
    autosave.over = true;
    autosave.save_changes();
    expect(calls).toEqual(["core", "heard", "core"]);
  });

  it("may not be there", () => {
    vi.stubGlobal("M", { cfg: { wwwroot: "" } });
    expect(() => onAutosave(() => undefined)).not.toThrow();
  });

  /** A page whose machine sleeps for some ms after its last receipt; stopped: its monotonic clock stood still. */
  const asleep = (ms: number, { stopped = false, first = true } = {}) => {
    const calls: string[] = [];
    const autosave = core(calls);
    const receipts = open();
    onAutosave(receipts.sent, receipts.waking);
    if (first) receipts.take(frame("p1", 1));
    wall += ms;
    now += stopped ? 0 : ms;
    return { calls, autosave, receipts };
  };

  it.each([false, true])(
    "of a page that wakes go with the receipt that comes then (monotonic clock stood still: %s)",
    async (stopped) => {
      const { calls, autosave, receipts } = asleep(200_000, { stopped });
      autosave.save_changes();
      await wait(2000);
      expect(calls).toEqual([]);
      receipts.take(frame("p1", 2));
      await wait(0);
      expect(calls).toEqual(["core p1.2.s"]);
    },
  );

  it("of a page that wakes go without one after ten seconds, and the next at once", async () => {
    const { calls, autosave } = asleep(200_000);
    autosave.save_changes();
    await wait(9000);
    expect(calls).toEqual([]);
    await wait(1000);
    expect(calls).toEqual(["core p1.1.s"]);
    autosave.save_transaction = null;
    autosave.save_changes();
    expect(calls).toHaveLength(2);
  });

  it.each([
    ["the last receipt is new", 120_000, true],
    ["none ever came", 600_000, false],
  ])("wait for nothing where %s", (_, ms, first) => {
    const { calls, autosave } = asleep(ms, { first });
    autosave.save_changes();
    expect(calls).toHaveLength(1);
  });

  it("do not follow when the form was sent or the attempt paused meanwhile", async () => {
    const { calls, autosave, receipts } = asleep(200_000);
    autosave.save_changes();
    autosave.delay_timer = true; // as core's stop_autosaving leaves it
    receipts.take(frame("p1", 2));
    await wait(20_000);
    expect(calls).toEqual([]);
  });
});
