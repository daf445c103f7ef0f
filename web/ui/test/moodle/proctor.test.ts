import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dictionaries } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/strings";
import en from "../../../../moodle-plugin/quizaccess_vigil/lang/en/quizaccess_vigil.php?raw";
import id from "../../../../moodle-plugin/quizaccess_vigil/lang/id/quizaccess_vigil.php?raw";
import { calls, handlers } from "./fake/ajax";
import { checks } from "./fake/changechecker";
import { asked, says } from "./fake/str";
import { makeTimer, page } from "./timer";

type MonitorConfig = Parameters<typeof import("../../../../moodle-plugin/quizaccess_vigil/amd/src/monitor").init>[0];
const monitor = vi.hoisted(() => ({ init: vi.fn((_config: MonitorConfig) => ({ stop: () => undefined })) }));
vi.mock("../../../../moodle-plugin/quizaccess_vigil/amd/src/monitor", () => monitor);

import { init, stringId } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/proctor";

const config = {
  attempt: 7,
  cmid: 3,
  key: "4-7",
  kind: "attempt" as const,
  page: 2,
  pages: 3,
  endpoint: "https://tool.test/token",
  lang: "en",
};
let status: string;
let end: number;
let replaced: string[];
let timer: ReturnType<typeof makeTimer>;
let listeners: [string, EventListener][] = [];
const tell = (name: string, detail: object) => document.dispatchEvent(new CustomEvent("vigil:" + name, { detail }));
const given = (): Required<MonitorConfig> => {
  const call = monitor.init.mock.lastCall;
  if (!call) throw new Error("the monitor was not started");
  return call[0] as Required<MonitorConfig>;
};

beforeEach(() => {
  vi.useFakeTimers();
  page();
  timer = makeTimer(600_000);
  vi.stubGlobal("M", { cfg: { wwwroot: "http://moodle.test" }, mod_quiz: { timer } });
  vi.stubGlobal("fetch", async () => new Response('{"status":"OK"}'));
  replaced = [];
  vi.spyOn(window.location, "replace").mockImplementation((url) => void replaced.push(String(url)));
  status = "running";
  end = 0;
  handlers.set("quizaccess_vigil_get_attempt_status", () => ({
    status,
    end: Math.floor(end / 1000),
    now: Math.floor(Date.now() / 1000),
  }));
  handlers.set("quizaccess_vigil_get_socket_token", () => ({ url: config.endpoint, token: "signed", expires: 1 }));
  calls.length = asked.length = 0;
  says.never = false;
  says.get = (key) => key;
  checks.disabled = false;
  monitor.init.mockClear();
  sessionStorage.clear();
  const add = document.addEventListener.bind(document);
  listeners = [];
  vi.spyOn(document, "addEventListener").mockImplementation(((name: string, listener: EventListener) => {
    listeners.push([name, listener]);
    add(name, listener);
  }) as typeof document.addEventListener);
});
afterEach(() => {
  listeners.forEach(([name, listener]) => document.removeEventListener(name, listener));
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("the words", () => {
  it("are Moodle's, with the placeholders left in", async () => {
    says.get = (key) => "own " + key;
    await init(config);
    expect(given().strings["status.connected"]).toBe("own panel_status_connected");
    expect(asked[0]).toMatchObject({ component: "quizaccess_vigil", param: { time: "{time}", name: "{name}" } });
  });

  it("are the panel's own when Moodle does not answer", async () => {
    says.never = true;
    const started = init(config);
    await vi.advanceTimersByTimeAsync(2000);
    await started;
    expect(given().strings).toEqual({});
  });

  it.each(["en", "id"] as const)("are all there in lang/%s, as in the panel", (lang) => {
    const found = new Map(
      Array.from({ en, id }[lang].matchAll(/^\$string\['(panel_\w+)'\] = '((?:[^'\\]|\\.)*)';$/gm), (m) => [m[1], m[2]]),
    );
    for (const [key, text] of Object.entries(dictionaries[lang] ?? {})) {
      expect(found.get(stringId(key)), key).toBe(text.replace(/'/g, "\\'").replace(/\{(\w+)\}/g, "{$a->$1}"));
    }
    expect(found.size).toBe(Object.keys(dictionaries[lang] ?? {}).length);
  });
});

describe("the assertion", () => {
  it("is asked for without keeping the login alive", async () => {
    await init(config);
    expect(await given().assertion()).toBe("signed");
    expect(calls.at(-1)).toMatchObject({
      name: "quizaccess_vigil_get_socket_token",
      args: { attemptid: 7 },
      noSessionUpdate: true,
    });
  });

  it.each([
    ["errorended", "stop"],
    ["errornotcheckedin", "stop"],
    ["servicerequireslogin", "stop"],
    ["dmlreadexception", undefined],
  ])("refused with %s: %s", async (errorcode, duty) => {
    handlers.set("quizaccess_vigil_get_socket_token", () => Promise.reject({ errorcode, message: "no" }));
    await init(config);
    await expect(given().assertion()).rejects.toMatchObject(duty ? { duty, message: "no" } : { message: "no" });
    if (!duty) await expect(given().assertion()).rejects.not.toHaveProperty("duty");
  });
});

describe("the page's stamp", () => {
  const stamped = (text: string) => {
    document.body.insertAdjacentHTML("beforeend", '<script type="application/json" id="quizaccess_vigil_page"></script>');
    (document.getElementById("quizaccess_vigil_page") as HTMLElement).textContent = text;
  };

  it("is handed to the monitor", async () => {
    stamped('{"stamp":"a.b.c"}');
    await init(config);
    expect(given().stamp).toBe("a.b.c");
  });

  it.each(["", "{", "null", "[]", '{"stamp":5}', "{}"])("%j is none", async (text) => {
    stamped(text);
    await init(config);
    expect(given().stamp).toBe("");
  });

  it("is missing where Moodle printed none", async () => {
    await init(config);
    expect(given().stamp).toBe("");
  });
});

describe("a new end", () => {
  it("moves the clock to what Moodle says", async () => {
    await init(config);
    end = Date.now() + 900_000;
    tell("time", { localEnd: Date.now() + 905_000 });
    await vi.advanceTimersByTimeAsync(2000);
    expect(Math.abs(timer.endtime - end)).toBeLessThan(3000);
  });

  it("that the page shows already asks nothing", async () => {
    await init(config);
    tell("time", { localEnd: Date.now() + 601_000 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(calls).toHaveLength(0);
  });

  it("that comes before the page's clock runs is not forgotten", async () => {
    timer.Y = null;
    await init(config);
    end = Date.now() + 900_000;
    tell("time", { localEnd: end });
    await vi.advanceTimersByTimeAsync(1000);
    timer.Y = {};
    await vi.advanceTimersByTimeAsync(3000);
    expect(Math.abs(timer.endtime - end)).toBeLessThan(3000);
  });
});

describe("proctoring that is switched off", () => {
  const off = () =>
    handlers.set("quizaccess_vigil_get_attempt_status", () => ({ status: "running", end: 0, now: 0, proctored: false }));

  it("leads from the waiting page back into the attempt", async () => {
    await init({ ...config, kind: "paused", page: "paused" });
    off();
    await vi.advanceTimersByTimeAsync(16_000);
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/attempt.php?attempt=7&cmid=3"]);
  });

  it("ends a pause that Moodle was yet to hear of", async () => {
    await init(config);
    tell("paused", { reason: "", left: 1000 });
    off();
    await vi.advanceTimersByTimeAsync(5000);
    expect(replaced).toHaveLength(1);
    expect(replaced[0]).not.toContain("paused.php");
  });

  it("ends the asking for tokens", async () => {
    handlers.set("quizaccess_vigil_get_socket_token", () => Promise.reject({ errorcode: "errorswitchedoff", message: "no" }));
    await init(config);
    await expect(given().assertion()).rejects.toMatchObject({ duty: "stop" });
  });
});

describe("a pause", () => {
  it("leaves for the waiting page, without the browser's question, when Moodle knows", async () => {
    await init(config);
    status = "paused";
    tell("paused", { reason: "", left: 1000 });
    await vi.advanceTimersByTimeAsync(100);
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/accessrule/vigil/paused.php?attempt=7"]);
    expect(checks.disabled).toBe(true);
  });

  it("and its end before Moodle knew leave the student on the page, with the clock running", async () => {
    await init(config);
    tell("paused", { reason: "", left: 1000 });
    await vi.advanceTimersByTimeAsync(5000);
    end = Date.now() + 605_000;
    tell("resumed", { localEnd: end });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(replaced).toEqual([]);
    expect(Math.abs(timer.endtime - end)).toBeLessThan(3000);
    expect(timer.timeoutid).not.toBe(null);
  });
});

describe("the waiting page", () => {
  const waiting = { ...config, kind: "paused" as const, page: "paused" };

  it("stays while Moodle has the attempt paused, whatever the socket says", async () => {
    status = "paused";
    await init(waiting);
    tell("state", { state: "active" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(replaced).toEqual([]);
  });

  it("goes back to the page that was left", async () => {
    sessionStorage.setItem(
      "vigil:moodle:4-7:page",
      JSON.stringify("http://moodle.test/mod/quiz/attempt.php?attempt=7&cmid=3&page=1"),
    );
    status = "paused";
    await init(waiting);
    tell("state", { state: "active" });
    await vi.advanceTimersByTimeAsync(600);
    status = "running";
    await vi.advanceTimersByTimeAsync(3000);
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/attempt.php?attempt=7&cmid=3&page=1"]);
  });

  it("goes to the attempt in a tab that knows no page, and never to another site", async () => {
    sessionStorage.setItem("vigil:moodle:4-7:page", JSON.stringify("http://evil.test/mod/quiz/"));
    await init(waiting);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/attempt.php?attempt=7&cmid=3"]);
  });

  it("goes to the quiz when the attempt has ended", async () => {
    status = "terminated";
    await init(waiting);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/view.php?id=3"]);
  });
});

describe("an end by a proctor", () => {
  it("stops the clock, so that nothing is posted, and asks nothing when the student leaves", async () => {
    await init(config);
    tell("terminated", { reason: "" });
    await vi.advanceTimersByTimeAsync(700_000);
    expect(timer.posts).toBe(0);
    expect(checks.disabled).toBe(true);
  });
});

describe("receipts", () => {
  const frame = { t: "receipt" as const, page: "n", until: 1, receipt: "a.b.c" };

  it("go to Moodle by themselves from the waiting page, which leaves when the hold is over", async () => {
    status = "paused";
    handlers.set("quizaccess_vigil_send_receipts", () => {
      status = "running";
      return { status, proctored: true };
    });
    await init({ ...config, kind: "paused", page: "paused", receipts: true });
    given().onReceipt(frame);
    await vi.advanceTimersByTimeAsync(100);
    expect(calls.find((call) => call.name === "quizaccess_vigil_send_receipts")).toMatchObject({
      args: { attemptid: 7, receipts: "a.b.c" },
      noSessionUpdate: true,
    });
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/attempt.php?attempt=7&cmid=3"]);
  });

  it("are not sent where Moodle does not want them", async () => {
    await init(config);
    given().onReceipt(frame);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(calls.filter((call) => call.name === "quizaccess_vigil_send_receipts")).toEqual([]);
    expect(document.querySelector("input[name=vigil_receipts]")).toBeNull();
  });

  it("that do not come let a held page save its answers and wait", async () => {
    handlers.set("quizaccess_vigil_send_receipts", () => {
      status = "paused";
      return { status, proctored: true };
    });
    await init({ ...config, receipts: true });
    await vi.advanceTimersByTimeAsync(160_000);
    expect(replaced).toEqual(["http://moodle.test/mod/quiz/accessrule/vigil/paused.php?attempt=7"]);
  });
});
