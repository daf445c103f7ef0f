import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { init, type Config, type Monitor } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/monitor";
import { FakeSocket } from "./fakesocket";

const exam = { id: "e", title: "E", watch: ["window"] };
const welcome = { t: "welcome", role: "student", session: "s1", exam, now: 0, epoch: 1, state: "active", version: 3, ping: 10000 };
const refused = "The learning platform did not do it; the attempt is running there.";

let monitor: Monitor | undefined;
let pages = 0;
let events: [string, Record<string, unknown>][];
const names = ["paused", "resumed", "terminated", "state"];
const listen = (event: Event) => events.push([event.type, (event as CustomEvent).detail as Record<string, unknown>]);

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const root = () => {
  const host = Array.from(document.querySelectorAll("*")).find((one) => one.shadowRoot);
  return host?.shadowRoot as ShadowRoot;
};
const find = <E extends HTMLElement>(selector: string) => root().querySelector(selector) as E;
const card = () => root().querySelector(".card")?.textContent ?? "";
const dialog = () => find<HTMLDialogElement>("dialog");
const pill = () => find(".pill");
const told = (name: string) => events.filter(([type]) => type === "vigil:" + name).length;
const sent = () =>
  FakeSocket.last.sent.flatMap(
    (text) => [JSON.parse(text)].flat() as { t: string; kind?: string; reason?: string; id?: string; stamp?: string }[],
  );
const state = (name: string, version: number, reason?: string) =>
  FakeSocket.last.hear({ t: "state", state: name, version, reason, at: 0 });
const command = (id: string, kind: string) => FakeSocket.last.hear({ t: "command", id, kind, at: 0 });

/** The quiz page, connected. */
const open = async (config: Partial<Config> = {}, first: object = {}) => {
  monitor = init({ tokenEndpoint: "/token", assertion: async () => "a", key: "k", page: ++pages, back: "/course", ...config });
  await settle();
  await FakeSocket.last.open();
  FakeSocket.last.hear({ ...welcome, ...first });
  await settle();
};
/** The next page of the same tab. */
const turn = async (first: object) => {
  monitor?.stop();
  await open({}, first);
};
const menus = async () => {
  const before = sent().filter((frame) => frame.kind === "context_menu").length;
  document.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true }));
  await settle(100);
  return sent().filter((frame) => frame.kind === "context_menu").length - before;
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", async () =>
    Response.json({ token: "t", expires: Date.now() + 300000, now: Date.now(), url: "wss://tool/socket", session: "s1" }),
  );
  document.body.innerHTML = "";
  sessionStorage.clear();
  FakeSocket.all = [];
  events = [];
  names.forEach((name) => document.addEventListener("vigil:" + name, listen));
});
afterEach(() => {
  monitor?.stop();
  monitor = undefined;
  names.forEach((name) => document.removeEventListener("vigil:" + name, listen));
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("hello", () => {
  it("takes the page's own line away when it is connected, and not before", async () => {
    const line = document.createElement("p");
    line.dataset.vigilLine = "";
    document.body.append(line);
    await open();
    expect(line.isConnected).toBe(false);
  });
  it("leaves the page's own line where nobody welcomes it", async () => {
    const line = document.createElement("p");
    line.dataset.vigilLine = "";
    document.body.append(line);
    monitor = init({ tokenEndpoint: "/token", assertion: async () => "a", key: "k", page: ++pages, back: "/course" });
    await settle(60000);
    expect(line.isConnected).toBe(true);
    line.remove();
  });
  it("brings the page's stamp, on each connection", async () => {
    await open({ stamp: "head.claims.signature" });
    expect(sent()[0]).toMatchObject({ t: "hello", stamp: "head.claims.signature" });
    FakeSocket.last.drop(1006);
    await settle(1000);
    await FakeSocket.last.open();
    expect(sent()[0]).toMatchObject({ t: "hello", stamp: "head.claims.signature" });
  });

  it.each([
    ["none", undefined],
    ["an empty one", ""],
    ["one that is none of the format", "x".repeat(16385)],
  ])("has no stamp where the page has %s", async (_, stamp) => {
    await open({ stamp });
    expect(sent()[0]?.t).toBe("hello");
    expect(sent()[0]).not.toHaveProperty("stamp");
  });
});

describe("receipts", () => {
  it("go to whoever asked for them, as they came", async () => {
    const taken: unknown[] = [];
    await open({ onReceipt: (frame) => taken.push(frame) });
    const frame = { t: "receipt", page: "n", until: 5, receipt: "a.b.c" };
    FakeSocket.last.hear(frame);
    await settle();
    expect(taken).toEqual([frame]);
  });
});

describe("time that is over by Vigil's clock", () => {
  it("is said without an alarm, and the student is watched on", async () => {
    await open();
    expect(await menus()).toBe(1);
    state("time_up", 4, "deadline");
    await settle(100);
    expect(pill().dataset.kind).toBe("timeup");
    expect(pill().textContent).toContain("Time is over");
    expect(find(".about").textContent).toContain("The quiz decides when your attempt ends");
    expect(find("[role=status]").textContent).toBe("");
    expect(dialog().open).toBe(false);
    expect(card()).toBe("");
    expect(await menus()).toBe(1);
    expect(find<HTMLFormElement>("form").hidden).toBe(false);
  });

  it("goes on when the LMS says a later end, without a word of a pause", async () => {
    await open({}, { state: "time_up" });
    state("active", 4);
    await settle();
    expect(pill().dataset.kind).toBe("connected");
    expect(card()).toBe("");
    expect(told("resumed")).toBe(0);
  });

  it("does not end the connection when the page turns", async () => {
    await open({}, { state: "time_up" });
    window.dispatchEvent(new Event("pagehide"));
    expect(sent().at(-1)).toEqual({ t: "bye", reason: "navigating" });
  });
});

describe("proctoring that was switched off", () => {
  it("is said once, and the student works on: no dialog, no link, nothing watched", async () => {
    await open();
    state("stopped", 4);
    FakeSocket.last.drop(4000, "");
    await settle(100);
    expect(pill().dataset.kind).toBe("off");
    expect(card()).toContain("Proctoring was switched off");
    expect(card()).toContain("You can go on working");
    expect(dialog().open).toBe(false);
    expect(root().querySelector("a")).toBeNull();
    expect(told("terminated")).toBe(0);
    expect(await menus()).toBe(0);
    const count = FakeSocket.all.length;
    await settle(600000);
    expect(FakeSocket.all.length).toBe(count);
    find(".card button").click();
    expect(card()).toBe("");
  });

  it("leaves the conversation to be read, and nothing to be written", async () => {
    await open({}, { chat: [{ t: "chat", id: "c1", from: "proctor", text: "Welcome", at: 0 }] });
    pill().click();
    expect(root().activeElement).toBe(find("textarea"));
    state("stopped", 4);
    await settle();
    expect(find(".log").textContent).toContain("Welcome");
    expect(find("form").hidden).toBe(true);
    expect(root().activeElement).toBe(find(".log"));
  });

  it("while paused lets the page go on", async () => {
    await open();
    command("command01", "pause");
    state("paused", 4);
    await settle();
    expect(dialog().open).toBe(true);
    state("stopped", 5);
    await settle();
    expect(dialog().open).toBe(false);
    expect(told("resumed")).toBe(1);
    expect(card()).not.toContain("Your exam goes on");
  });

  it("is not said again by the next page, when that cannot connect any more", async () => {
    await open();
    state("stopped", 4);
    monitor?.stop();
    vi.stubGlobal("fetch", async () =>
      Response.json({ duty: "stop", code: "forbidden", detail: "Proctoring was switched off." }, { status: 403 }),
    );
    monitor = init({ tokenEndpoint: "/token", assertion: async () => "a", key: "k", page: ++pages });
    await settle(100);
    expect(pill().dataset.kind).toBe("off");
    expect(find("[role=status]").textContent).toBe("");
  });
});

describe("a pause", () => {
  it("that a proctor ended is said to be over", async () => {
    await open();
    command("command01", "pause");
    state("paused", 4, "Fire drill");
    await settle();
    expect(dialog().textContent).toContain("A proctor paused your exam.");
    expect(dialog().textContent).toContain("Fire drill");
    command("command02", "resume");
    state("active", 5);
    await settle();
    expect(dialog().open).toBe(false);
    expect(card()).toContain("You are back in.");
    expect(told("resumed")).toBe(1);
    expect(
      sent()
        .filter((frame) => frame.t === "seen")
        .map((frame) => frame.id),
    ).toEqual(["command01", "command02"]);
  });

  it("that the page itself explains covers nothing of it", async () => {
    await open({ explained: true }, { state: "paused", reason: "Nobody watched." });
    await settle();
    expect(dialog()?.open ?? false).toBe(false);
    expect(pill().dataset.kind).toBe("paused");
    expect(told("paused")).toBe(1);
  });

  it("of the LMS's own, because nobody watched, took no time that it did not say", async () => {
    await open({ explained: true }, { state: "paused", reason: "The learning platform holds the attempt." });
    await settle();
    state("active", 5, "The learning platform let the attempt go on.");
    await settle();
    expect(card()).toContain("You are back in.");
    expect(card()).not.toContain("kept running");
  });

  it("of the LMS's own is no proctor's on the next page either", async () => {
    await open({ explained: true }, { state: "paused", reason: "The learning platform holds the attempt." });
    await settle();
    monitor?.stop();
    await open({}, { state: "active", version: 5 });
    expect(card()).toContain("You are back in.");
    expect(card()).not.toContain("kept running");
  });

  it("that ends when the time is over is over, too", async () => {
    await open();
    command("command01", "pause");
    state("paused", 4);
    command("command02", "resume");
    state("time_up", 5, "deadline");
    await settle();
    expect(dialog().open).toBe(false);
    expect(pill().dataset.kind).toBe("timeup");
    expect(told("resumed")).toBe(1);
    expect(
      sent()
        .filter((frame) => frame.t === "seen")
        .map((frame) => frame.id),
    ).toEqual(["command01", "command02"]);
  });

  it("that the LMS did not take goes on at once, and nobody is welcomed back", async () => {
    await open();
    command("command01", "pause");
    state("paused", 4, "Fire drill");
    await settle();
    state("active", 5, refused);
    await settle();
    expect(dialog().open).toBe(false);
    expect(told("resumed")).toBe(1);
    expect(card()).not.toContain("You are back in.");
    expect(card()).toContain("your time kept running");
    expect(card()).not.toContain(refused);
  });

  it("that the LMS did not end is there again, without the reason that is for proctors", async () => {
    await open();
    command("command01", "pause");
    state("paused", 4, "Fire drill");
    command("command02", "resume");
    state("active", 5);
    await settle();
    state("paused", 6, "The learning platform did not do it; the attempt is paused there.");
    await settle();
    expect(dialog().open).toBe(true);
    expect(dialog().textContent).toContain("It is still paused");
    expect(dialog().textContent).not.toContain("The learning platform");
    expect(card()).not.toContain("You are back in.");
    expect(told("paused")).toBe(2);

    // The next page of the tab says the same.
    await turn({ state: "paused", version: 6, reason: "The learning platform did not do it; the attempt is paused there." });
    expect(dialog().textContent).toContain("It is still paused");
    expect(dialog().textContent).not.toContain("The learning platform");

    // A later pause is a proctor's again.
    command("command03", "resume");
    state("active", 7);
    command("command04", "pause");
    state("paused", 8, "Fire drill");
    await settle();
    expect(dialog().textContent).toContain("A proctor paused your exam.");
    expect(dialog().textContent).toContain("Fire drill");
  });
});

describe("a state that this page does not know", () => {
  it("is no end: the student is watched on", async () => {
    await open();
    state("napping", 4);
    await settle();
    expect(pill().dataset.kind).toBe("connected");
    expect(await menus()).toBe(1);
  });

  it("is an end when the server says so", async () => {
    await open();
    state("vanished", 4);
    FakeSocket.last.drop(4000, "");
    await settle();
    expect(pill().dataset.kind).toBe("ended");
    expect(await menus()).toBe(0);
  });

  it("before the attempt begins watches nothing", async () => {
    await open({}, { state: "awaiting" });
    expect(await menus()).toBe(0);
  });
});

describe("what the server refuses for good", () => {
  const hand = () => find<HTMLButtonElement>("form button:not([type=submit])");
  const drop = async (ref: string) => {
    FakeSocket.last.hear({ t: "error", code: "invalid", message: "no", duty: "drop", ref });
    await settle(200);
  };
  const lastSeq = () =>
    String(
      (
        sent()
          .filter((frame) => frame.t === "signal")
          .at(-1) as unknown as { seq: number }
      ).seq,
    );

  it("is told to who raised a hand: it is down, and stays so", async () => {
    await open();
    pill().click();
    hand().click();
    await settle(200);
    expect(hand().textContent).toBe("Lower hand");
    await drop(lastSeq());
    expect(hand().textContent).toBe("Raise hand");
    expect(card()).toContain("Your hand could not be raised");
    expect(card()).toContain("call somebody");
    await turn({ hand: false });
    expect(hand().textContent).toBe("Raise hand");
  });

  it("is told to who lowered it: it is up for the proctors", async () => {
    await open({}, { hand: true });
    pill().click();
    hand().click();
    await settle(200);
    await drop(lastSeq());
    expect(hand().textContent).toBe("Lower hand");
    expect(card()).toContain("Your hand is still raised");
  });

  it("is not told of what the browser noticed by itself: the record says it", async () => {
    await open();
    await menus();
    await drop(lastSeq());
    expect(card()).toBe("");
  });
});

describe("a computer whose clock is set", () => {
  it("has the page told anew when the attempt ends", async () => {
    const ends: number[] = [];
    const end = Date.now() + 3_600_000;
    await open({ onTime: (time) => ends.push(time.localEnd) }, { now: Date.now(), end });
    const real = () => end - 3_600_000 + (performance.now() - began);
    const began = performance.now();
    const answer = () => {
      const asked = sent()
        .filter((frame) => frame.t === "time")
        .at(-1) as unknown as { at: number } | undefined;
      if (asked) FakeSocket.last.hear({ t: "time", at: asked.at, now: real() });
    };
    await settle(3000);
    answer();
    const told = ends.length;
    vi.setSystemTime(Date.now() + 20 * 60_000);
    await settle(6000);
    answer();
    expect(ends.length).toBe(told + 1);
    expect(Math.abs((ends.at(-1) ?? 0) - end - 20 * 60_000)).toBeLessThan(10_000);
  });
});
