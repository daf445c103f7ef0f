import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { capabilities, makeDetector, type Detector } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/detect";
import { IDLE, LONG } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/detect_focus";
import type { Noticed } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/protocol";
import { tabStorage, type Tab } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/storage";

const all = ["focus", "clipboard", "fullscreen", "display", "window", "idle"];
let noticed: Noticed[];
let detector: Detector | undefined;
let tab: Tab;
let focused: boolean;
let visible: "visible" | "hidden";
let asked: boolean[];

const set = (object: object, name: string, value: unknown) =>
  Object.defineProperty(object, name, { configurable: true, writable: true, value });
const begin = (watch = all, fullscreen = false) => {
  detector = makeDetector({
    emit: (it) => noticed.push(it),
    tab,
    askFullscreen: (is) => asked.push(is),
    ours: (e) => (e.target as Element)?.id === "ours",
  });
  detector.set({ watch, fullscreen });
  return detector;
};
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const kinds = () => noticed.map((it) => it.kind);
const hide = () => {
  visible = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
};
const show = () => {
  visible = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
};
const blur = () => {
  focused = false;
  window.dispatchEvent(new Event("blur"));
};
const focus = () => {
  focused = true;
  window.dispatchEvent(new Event("focus"));
};
const pagehide = () => window.dispatchEvent(new Event("pagehide"));

beforeEach(() => {
  vi.useFakeTimers();
  noticed = [];
  asked = [];
  focused = true;
  visible = "visible";
  tab = tabStorage("t:", null);
  document.body.innerHTML =
    '<form id="f"><input id="i"><input id="file" type="file"><textarea id="ours"></textarea></form><a id="a" href="/next">x</a>';
  vi.spyOn(document, "hasFocus").mockImplementation(() => focused);
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => visible });
});
afterEach(() => {
  detector?.stop();
  detector = undefined;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a hidden page", () => {
  it("is one signal with its start and duration", async () => {
    begin();
    const at = Date.now();
    hide();
    await pass(7000);
    show();
    expect(noticed).toEqual([{ kind: "hidden", at, dur: 7000 }]);
  });

  it("is one absence, not two, when the focus goes with it and comes back later", async () => {
    begin();
    const at = Date.now();
    blur();
    await pass(900);
    hide();
    await pass(7000);
    show();
    await pass(100);
    focus();
    await pass(5000);
    expect(noticed).toEqual([{ kind: "hidden", at, dur: 7900 }]);
  });

  it("that stays hidden is reported after a minute, and the rest when it ends", async () => {
    begin();
    const at = Date.now();
    hide();
    await pass(LONG + 10);
    expect(noticed).toEqual([{ kind: "hidden", at, dur: LONG }]);
    await pass(30000);
    show();
    expect(noticed[1]).toEqual({ kind: "hidden", at: at + LONG, dur: 30010, data: { continued: true } });
    expect(noticed.length).toBe(2);
  });

  it("by leaving the page is nothing", async () => {
    begin();
    pagehide();
    hide();
    await pass(3000);
    expect(noticed).toEqual([]);
    expect(tab.get("open:hidden")).toBeUndefined();
  });

  it("by leaving the page is nothing either where the browser hides it first", async () => {
    begin();
    document.getElementById("f")?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    hide();
    await pass(300);
    pagehide();
    const kept = tab.get("open:hidden");
    detector?.stop();
    tab.set("open:hidden", kept);
    await pass(1000);
    visible = "visible";
    begin();
    expect(noticed).toEqual([]);
  });

  it("of no length is nothing", async () => {
    begin();
    hide();
    await pass(200);
    show();
    expect(noticed).toEqual([]);
  });

  it("that the system discards is reported by the page that is loaded again", async () => {
    begin();
    const at = Date.now();
    hide();
    // No goodbye: the page is gone, and its timers with it.
    const kept = tab.get("open:hidden");
    detector?.stop();
    tab.set("open:hidden", kept);
    await pass(40000);
    visible = "visible";
    begin();
    expect(noticed).toEqual([{ kind: "hidden", at, dur: 40000 }]);
  });

  it("is nothing that an exam asks for which does not watch the focus", async () => {
    begin(["clipboard"]);
    hide();
    await pass(7000);
    show();
    expect(noticed).toEqual([]);
  });
});

describe("a page without focus", () => {
  it("is one signal with its start and duration", async () => {
    begin();
    const at = Date.now();
    blur();
    await pass(20000);
    focus();
    expect(noticed).toEqual([{ kind: "blur", at, dur: 20000 }]);
  });

  it("is none when the focus went into a frame of the page", async () => {
    begin();
    const frame = document.createElement("iframe");
    set(document, "activeElement", frame);
    window.dispatchEvent(new Event("blur"));
    await pass(60000);
    window.dispatchEvent(new Event("focus"));
    expect(noticed).toEqual([]);
    // From inside the frame to another program: the window hears nothing of it.
    window.dispatchEvent(new Event("blur"));
    await pass(500);
    focused = false;
    await pass(10000);
    focus();
    expect(kinds()).toEqual(["blur"]);
    delete (document as unknown as Record<string, unknown>).activeElement;
  });

  it.each([
    ["a file dialog", () => document.getElementById("file")?.dispatchEvent(new MouseEvent("click", { bubbles: true }))],
    ["a print dialog", () => window.dispatchEvent(new Event("beforeprint"))],
    ["a page turn", () => pagehide()],
  ])("is none when it is %s", async (_, cause) => {
    begin(["focus"]);
    cause();
    await pass(100);
    blur();
    await pass(20000);
    window.dispatchEvent(new Event("afterprint"));
    focus();
    expect(noticed).toEqual([]);
  });

  it("for a moment is nothing", async () => {
    begin();
    blur();
    await pass(500);
    focus();
    expect(noticed).toEqual([]);
  });

  it("from the start tells when it gets the focus", async () => {
    focused = false;
    begin();
    await pass(3000);
    focus();
    expect(kinds()).toEqual(["focus_gained"]);
  });
});

describe("the clipboard", () => {
  const paste = (target: Element, text: string) => {
    const event = new Event("paste", { bubbles: true }) as Event & { clipboardData: object };
    event.clipboardData = { getData: () => text };
    target.dispatchEvent(event);
  };

  it("tells the length of a copy, and no text", () => {
    begin();
    const input = document.getElementById("i") as HTMLInputElement;
    input.value = "secret words";
    input.focus();
    input.setSelectionRange(0, 6);
    input.dispatchEvent(new Event("copy", { bubbles: true }));
    expect(noticed).toEqual([{ kind: "copy", at: Date.now(), data: { length: 6 } }]);
  });

  it("tells the length of a paste, and neither the text nor a hash of it", () => {
    begin();
    paste(document.getElementById("i") as Element, "abc");
    expect(noticed).toEqual([{ kind: "paste", at: Date.now(), data: { length: 3 } }]);
  });

  it("ignores what happens in our own panel", () => {
    begin();
    paste(document.getElementById("ours") as Element, "ours");
    paste(document.getElementById("i") as Element, "theirs");
    expect(noticed.map((it) => it.data?.length)).toEqual([6]);
  });

  it("is reported at most so often that a held key cannot fill the outbox", () => {
    begin();
    const input = document.getElementById("i") as HTMLInputElement;
    input.value = "x";
    input.focus();
    input.setSelectionRange(0, 1);
    for (let i = 0; i < 200; i++) input.dispatchEvent(new Event("copy", { bubbles: true }));
    expect(noticed.length).toBe(20);
  });

  it("is not blocked", () => {
    begin();
    for (const name of ["copy", "cut", "paste", "contextmenu"]) {
      const event = new Event(name, { bubbles: true, cancelable: true });
      document.getElementById("i")?.dispatchEvent(event);
      expect(event.defaultPrevented).toBe(false);
    }
  });
});

describe("the window", () => {
  const size = (width: number, height: number, more: { inner?: number; ratio?: number } = {}) => {
    set(window, "outerWidth", width);
    set(window, "outerHeight", height);
    set(window, "innerWidth", more.inner ?? width);
    set(window, "innerHeight", height - 80);
    set(window, "devicePixelRatio", more.ratio ?? 1);
    window.dispatchEvent(new Event("resize"));
  };
  beforeEach(() => size(1200, 900));

  it("reports a new size once it has settled", async () => {
    begin(["window"]);
    for (const width of [1150, 1000, 640]) size(width, 900);
    await pass(1000);
    expect(noticed.map((it) => [it.kind, it.data])).toEqual([["resize", { width: 640, height: 900 }]]);
  });

  it.each([
    ["a zoom", () => size(1200, 900, { ratio: 1.5, inner: 800 })],
    ["a screen of another density", () => size(900, 700, { ratio: 2 })],
    ["a sidebar", () => size(1200, 900, { inner: 850 })],
    ["a small change", () => size(1190, 880)],
  ])("does not report %s", async (_, change) => {
    begin(["window"]);
    change();
    await pass(1000);
    expect(noticed).toEqual([]);
  });

  it("does not report the keyboard or the turning of a phone", async () => {
    vi.spyOn(window, "matchMedia").mockImplementation((query) => ({ matches: query.includes("coarse") }) as MediaQueryList);
    begin(["window"]);
    size(400, 800);
    await pass(1000);
    expect(noticed).toEqual([]);
  });

  it("suspects developer tools only right after the keys that open them, and once", async () => {
    begin(["window"]);
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "F12" }));
    size(1200, 900, { inner: 800 });
    await pass(1000);
    size(1200, 900);
    await pass(1000);
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "F12" }));
    size(1200, 900, { inner: 800 });
    await pass(1000);
    expect(kinds()).toEqual(["devtools_suspected"]);
  });

  it("reports printing and the context menu, and not the panel's own", () => {
    begin(["window"]);
    window.dispatchEvent(new Event("beforeprint"));
    document.getElementById("i")?.dispatchEvent(new Event("contextmenu", { bubbles: true }));
    document.getElementById("ours")?.dispatchEvent(new Event("contextmenu", { bubbles: true }));
    expect(kinds()).toEqual(["print", "context_menu"]);
  });
});

describe("full screen", () => {
  let element: Element | null;
  const change = (to: Element | null) => {
    element = to;
    document.dispatchEvent(new Event("fullscreenchange"));
  };
  beforeEach(() => {
    element = null;
    Object.defineProperty(document, "fullscreenElement", { configurable: true, get: () => element });
    set(document, "fullscreenEnabled", true);
    set(
      document.documentElement,
      "requestFullscreen",
      vi.fn(async () => change(document.documentElement)),
    );
  });

  it("is asked for only where the exam does", () => {
    begin(all, false);
    expect(asked).toEqual([]);
    detector?.set({ watch: all, fullscreen: true });
    expect(asked).toEqual([true]);
  });

  it("that is left is reported, and asked for again", async () => {
    const it = begin(all, true);
    await it.enterFullscreen();
    const at = Date.now();
    change(null);
    await pass(500);
    expect(noticed).toEqual([{ kind: "fullscreen_left", at }]);
    expect(asked[asked.length - 1]).toBe(true);
  });

  it("that a page turn ended is no signal, and comes back at the first click", async () => {
    const it = begin(all, true);
    await it.enterFullscreen();
    document.getElementById("f")?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    change(null);
    pagehide();
    await pass(500);
    it.stop();
    window.dispatchEvent(new Event("pageshow"));
    asked = [];
    begin(all, true);
    expect(asked).toEqual([]);
    document.body.click();
    await pass(10);
    expect(element).toBe(document.documentElement);
    expect(noticed).toEqual([]);
  });

  it("that is refused is reported once", async () => {
    const it = begin(all, true);
    it.refuseFullscreen();
    it.refuseFullscreen();
    expect(kinds()).toEqual(["fullscreen_refused"]);
    it.stop();
    asked = [];
    begin(all, true);
    expect(asked).toEqual([]);
  });

  it("is not asked for where the browser has none", () => {
    set(document, "fullscreenEnabled", false);
    begin(all, true);
    expect(asked).toEqual([]);
    expect(capabilities(document, window, true).fullscreen).toBe(false);
  });
});

describe("screens", () => {
  afterEach(() => delete (window.screen as unknown as Record<string, unknown>).isExtended);

  it("tells of a second one at the start once, and of one that is added", () => {
    set(window.screen, "isExtended", true);
    begin(["display"]).stop();
    begin(["display"]);
    expect(kinds()).toEqual(["display_extended"]);
    set(window.screen, "isExtended", false);
    focus();
    set(window.screen, "isExtended", true);
    focus();
    expect(kinds()).toEqual(["display_extended", "display_added"]);
  });

  it("says nothing, and that it cannot, where the browser does not tell", () => {
    begin(["display"]);
    expect(noticed).toEqual([]);
    expect(capabilities(document, window, true).displays).toBe(false);
  });
});

describe("idleness", () => {
  it("is reported with its duration when input comes", async () => {
    begin(["idle"]);
    const at = Date.now();
    await pass(IDLE + 120000);
    expect(noticed).toEqual([]);
    document.dispatchEvent(new Event("keydown"));
    expect(noticed).toEqual([{ kind: "idle", at, dur: IDLE + 120000 }]);
  });

  it("is not counted while the page is hidden, without focus or paused", async () => {
    const it = begin(["idle"]);
    hide();
    await pass(2 * IDLE);
    show();
    await pass(IDLE - 60000);
    it.set({ watch: ["idle"], paused: true });
    await pass(2 * IDLE);
    it.set({ watch: ["idle"] });
    document.dispatchEvent(new Event("keydown"));
    expect(noticed).toEqual([]);
  });
});

it("notices nothing before it is told to, and nothing after it was stopped", async () => {
  detector = makeDetector({ emit: (it) => noticed.push(it), tab });
  const everything = async () => {
    hide();
    await pass(9000);
    show();
    blur();
    await pass(9000);
    focus();
    window.dispatchEvent(new Event("beforeprint"));
    document.getElementById("i")?.dispatchEvent(new Event("contextmenu", { bubbles: true }));
    document.getElementById("i")?.dispatchEvent(new Event("paste", { bubbles: true }));
    await pass(2 * IDLE);
    document.dispatchEvent(new Event("keydown"));
  };
  await everything();
  detector.set({ watch: [] });
  await everything();
  detector.set({ watch: all });
  detector.stop();
  await everything();
  expect(noticed).toEqual([]);
});
