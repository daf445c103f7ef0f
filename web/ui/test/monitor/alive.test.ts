import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { init, type Monitor } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/monitor";
import { FakeSocket } from "./fakesocket";

const welcome = {
  t: "welcome",
  role: "student",
  session: "s1",
  exam: { id: "e", title: "E", watch: ["window"] },
  now: 0,
  epoch: 1,
  state: "active",
  version: 3,
  ping: 10000,
};

interface Word {
  t: string;
  id?: string;
  doc: string;
  pages: number;
  visible: number;
  hidden: number;
  focus: number;
  focused: number;
  given: number;
  away?: boolean;
  can?: string[];
}

let monitor: Monitor | undefined;
let visibility = "visible";

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const sent = () => FakeSocket.last.sent.flatMap((text) => [JSON.parse(text)].flat() as Word[]);
const words = () => sent().filter((f) => f.t === "alive");
const ask = (id: string): Word | undefined => {
  FakeSocket.last.hear({ t: "alive", id });
  return words().find((f) => f.id === id); // at once: nothing was waited for
};
/** Time passes on a connection that is heard. */
const pass = async (ms: number) => {
  for (let gone = 0; gone < ms; gone += 10_000) {
    FakeSocket.last.hear({ t: "pulse" });
    await settle(Math.min(10_000, ms - gone));
  }
};
const show = (on: boolean) => {
  visibility = on ? "visible" : "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
};
const open = async (first: object = {}) => {
  monitor = init({ tokenEndpoint: "/token", assertion: async () => "a", key: "k", page: 1 });
  await settle();
  await FakeSocket.last.open();
  FakeSocket.last.hear({ ...welcome, ...first });
  await settle();
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", async () =>
    Response.json({ token: "t", expires: Date.now() + 300000, now: Date.now(), url: "wss://tool/socket", session: "s1" }),
  );
  visibility = "visible";
  vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visibility as DocumentVisibilityState);
  vi.spyOn(document, "hasFocus").mockImplementation(() => visibility === "visible");
  sessionStorage.clear();
  FakeSocket.all = [];
});
afterEach(() => {
  monitor?.stop();
  monitor = undefined;
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("the monitor's answer", () => {
  it("is announced in the hello, and comes within the message's handler", async () => {
    await open();
    expect(sent()[0]?.can).toEqual(["alive"]);
    await pass(60_000);
    const word = ask("alive-1");
    expect(word?.visible).toBeGreaterThanOrEqual(60_000);
    expect(word).toMatchObject({ pages: 1, hidden: 0, focus: 1 });
    expect(word?.doc).toMatch(/^[0-9a-f]{32}$/);
  });

  it("counts what was hidden, and says so at once when it begins and ends", async () => {
    await open();
    await settle(10_000);
    show(false);
    expect(words().at(-1)).toMatchObject({ away: true, hidden: 0 });
    expect(words().at(-1)).not.toHaveProperty("id");
    await pass(300_000);
    const hidden = ask("alive-1");
    expect(hidden?.away).toBe(true);
    expect(hidden?.hidden).toBe(300_000);
    show(true);
    expect(words().at(-1)).not.toHaveProperty("away");
    await settle(1000);
    const shown = ask("alive-2");
    expect(shown).toMatchObject({ hidden: 300_000, focus: 2 });
    expect(shown?.doc).toBe(hidden?.doc);
  });

  it("counts nothing while the page is kept for a way back", async () => {
    await open();
    await settle(5000);
    window.dispatchEvent(new Event("pagehide"));
    await settle(600_000);
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    await settle();
    await FakeSocket.last.open();
    FakeSocket.last.hear(welcome);
    await settle();
    const word = ask("alive-1");
    expect((word?.visible ?? 0) + (word?.hidden ?? 0)).toBeLessThan(20_000);
  });

  it("tells the highest number given out, and how many pages this tab has shown", async () => {
    await open();
    await settle(100);
    const before = ask("alive-1")?.given ?? 0;
    document.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true }));
    await settle(100);
    expect(ask("alive-2")?.given).toBe(before + 1);
    monitor?.stop();
    await open();
    expect(ask("alive-1")).toMatchObject({ pages: 2 });
    expect(ask("alive-2")?.given).toBeGreaterThanOrEqual(0);
  });

  it("is none where nobody is watched", async () => {
    await open({ state: "ready" });
    expect(ask("alive-1")).toBeUndefined();
  });
});
