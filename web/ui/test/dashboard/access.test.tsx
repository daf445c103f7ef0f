import { render } from "preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { accessOf, compareAccess, fullAccess, may, rightOf, rights } from "../../src/dashboard/access";
import { App } from "../../src/dashboard/app";
import type { Action } from "../../src/dashboard/batch";
import type { Config } from "../../src/dashboard/config";
import { StoreContext } from "../../src/dashboard/context";
import type { AccessView, Down, Right, Row } from "../../src/dashboard/protocol";
import { Store } from "../../src/dashboard/store";
import { words } from "../../src/dashboard/words";

const actions: Action[] = [
  "message",
  "warn",
  "pause",
  "resume",
  "extend",
  "terminate",
  "flag",
  "note",
  "admit",
  "reactivate",
  "grant",
  "refuse",
];
const without = (...lost: Right[]): Right[] => rights.filter((r) => !lost.includes(r));

describe("access", () => {
  it("is everything where the server tells nothing of it, and what it tells where it does", () => {
    expect(accessOf(undefined)).toEqual(fullAccess);
    expect(accessOf({})).toEqual({ rights: [], all: false });
    expect(accessOf({ rights: null })).toEqual({ rights: [], all: false });
    expect(accessOf({ rights: ["talk", "watch", "fly" as Right], all: true })).toEqual({ rights: ["watch", "talk"], all: true });
  });

  it("counts nothing without the right to watch", () => {
    expect(rights.filter((r) => may({ rights: ["talk", "end"], all: true }, r))).toEqual([]);
    expect(rights.filter((r) => may({ rights: ["watch", "end"], all: true }, r))).toEqual(["watch", "end"]);
  });

  it("knows what each action needs", () => {
    const got = Object.fromEntries(actions.map((a) => [a, rightOf(a)]));
    expect(got).toEqual({
      flag: "watch",
      note: "watch",
      message: "talk",
      warn: "talk",
      admit: "time",
      pause: "time",
      resume: "time",
      extend: "time",
      grant: "time",
      refuse: "time",
      terminate: "end",
      reactivate: "reopen",
    });
  });

  it("tells what was lost, given, and who is seen", () => {
    expect(compareAccess(fullAccess, { rights: without("end", "time"), all: false })).toEqual({
      lost: ["time", "end"],
      given: [],
      seen: "some",
    });
    expect(compareAccess({ rights: ["watch"], all: false }, { rights: ["watch", "talk"], all: true })).toEqual({
      lost: [],
      given: ["talk"],
      seen: "all",
    });
    expect(compareAccess(fullAccess, { rights: ["talk"], all: false })).toEqual({ lost: ["watch"], given: [] });
    expect(compareAccess({ rights: [], all: false }, fullAccess)).toEqual({ lost: [], given: ["watch"] });
    expect(compareAccess(fullAccess, fullAccess)).toEqual({ lost: [], given: [] });
  });

  it("has words for every right", () => {
    for (const r of rights) for (const lang of ["en", "id"] as const) expect(words[lang], r).toHaveProperty(`right_${r}`);
  });
});

const row = (id: string, more: Partial<Row> = {}): Row => ({
  id,
  who: { name: id, user: `u-${id}`, attempt: 1, created: 1 },
  life: { version: 1, state: "active", started: 1, end: 9e15, control: [] },
  conn: { c: "online", since: 1, heard: 1, epoch: 1 },
  tally: { signals: 1, incidents: 0, open: 0, severity: 0 },
  lost: { version: 1, gaps: 1, total: 9000, proposed: 9000, granted: 0 },
  ...more,
});
const state = (id: string, is: NonNullable<Row["life"]>["state"]): Row =>
  row(id, { life: { version: 1, state: is, end: 9e15, left: 9000 } });
const list = [row("ayu"), state("budi", "paused"), state("citra", "awaiting"), state("dewi", "terminated")];

let store: Store;
let box: HTMLElement;
let number = 0;
const welcome = (access?: AccessView): Down => ({
  t: "welcome",
  role: "proctor",
  exam: { id: "e", title: "Exam" },
  now: 1000,
  ping: 10_000,
  ...(access ? { access } : {}),
});
const snapshot = (rows: Row[]): Down => ({ t: "snapshot", number: ++number, page: 1, last: true, rows });
const buttons = (where = "body"): string[] => [...document.querySelectorAll(`${where} button`)].map((b) => b.textContent ?? "");
const draw = async (): Promise<void> => {
  await vi.advanceTimersByTimeAsync(50);
};
const take = async (...frames: Down[]): Promise<void> => {
  store.receive(frames);
  store.arrange(true);
  await draw();
};
const begin = async (access?: AccessView, config: Partial<Config> = {}): Promise<void> => {
  store = new Store({
    lang: "en",
    now: 1000,
    exam: { id: "e", title: "Exam" },
    tokenEndpoint: "/t",
    api: "/api",
    links: { report: "/report" },
    ...config,
  });
  vi.spyOn(store.link, "keep").mockImplementation(() => undefined);
  vi.spyOn(store.link, "send").mockImplementation(() => true);
  store.link.state.value = { is: "open" };
  render(
    <StoreContext.Provider value={store}>
      <App />
    </StoreContext.Provider>,
    box,
  );
  await take(welcome(access), snapshot(list));
};
const said = (): string => [...document.querySelectorAll(".banners .said p")].map((p) => p.textContent).join(" | ");

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async () =>
    Response.json({
      entries: [
        {
          type: "signal",
          at: 1,
          recv: 1,
          stream: "abc",
          seq: 1,
          kind: "hidden",
          severity: 0.3,
          incident: true,
          review: { state: "none", version: 1 },
        },
        { type: "chat", at: 2, id: "line0001", from: "student", text: "May I ask something?" },
      ],
      next: "",
    }),
  );
  box = document.createElement("div");
  document.body.replaceChildren(box);
});
afterEach(async () => {
  render(null, box);
  await vi.advanceTimersByTimeAsync(200); // effects that wait would block those of the next test
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("the dashboard", () => {
  it.each([
    ["talk", ["Message", "Warn"]],
    ["time", ["Pause", "Resume", "Extra time", "Admit", "Give lost time", "Refuse lost time"]],
    ["end", ["End attempt"]],
  ] as [Right, string[]][])("hides in the bulk bar what needs the right to %s, and nothing else", async (right, hidden) => {
    await begin({ rights: [...rights], all: true });
    store.select(store.order.value, true);
    await draw();
    const whole = buttons(".bulk-actions");
    await take({ t: "access", rights: without(right), all: true });
    expect(whole.filter((b) => !buttons(".bulk-actions").includes(b)).sort()).toEqual([...hidden].sort());
  });

  it.each([
    ["talk", "ayu", ["Warn"]],
    ["time", "ayu", ["Give lost time", "Refuse lost time", "Pause", "Extra time"]],
    ["time", "budi", ["Give lost time", "Refuse lost time", "Resume", "Extra time"]],
    ["end", "ayu", ["End attempt"]],
    ["reopen", "dewi", ["Reopen attempt"]],
    ["review", "ayu", ["Fine", "Not fine"]],
    ["export", "ayu", []],
  ] as [Right, string, string[]][])(
    "hides in the panel what needs the right to %s (%s), and nothing else",
    async (right, id, hidden) => {
      await begin({ rights: [...rights], all: true });
      store.open(id);
      await draw();
      const whole = buttons(".detail");
      await take({ t: "access", rights: without(right), all: true });
      expect(whole.filter((b) => !buttons(".detail").includes(b)).sort()).toEqual([...hidden].sort());
      await take({ t: "access", rights: [...rights], all: true });
      expect(buttons(".detail")).toEqual(whole);
    },
  );

  it("offers everything where the server tells nothing of rights, also after a page that was limited", async () => {
    await begin(undefined, { rights: ["watch"] });
    expect(buttons("header")).toContain("Message everyone");
    expect(store.may("reopen")).toBe(true);
  });

  it("begins with what the page says, before the server is heard", () => {
    store = new Store({
      lang: "en",
      now: 1,
      exam: { id: "e", title: "" },
      tokenEndpoint: "",
      api: "",
      links: {},
      rights: ["watch", "talk"],
    });
    expect(rights.filter((r) => store.may(r))).toEqual(["watch", "talk"]);
  });

  it("says who gets a message to everyone, where not everyone is seen", async () => {
    await begin({ rights: [...rights], all: false });
    expect(buttons("header")).toContain("Message everyone you see");
    store.ask.value = { action: "message", targets: [], all: true };
    await draw();
    expect(document.querySelector("dialog")?.textContent).toMatch(/^Message to everyone you seeEveryone whom you see/);
    await take({ t: "access", rights: [...rights], all: true });
    expect(document.querySelector("dialog")?.textContent).toMatch(/^Message to everyoneEveryone whose attempt/);
  });

  it("shows the chat to who may not write, without the means to, and marks nothing as read", async () => {
    await begin({ rights: ["watch"], all: true });
    await take({
      t: "session",
      row: { id: "ayu", tally: { signals: 1, incidents: 0, open: 0, severity: 0, hand: 500, unread: 1 } },
    });
    vi.spyOn(document, "hasFocus").mockReturnValue(true);
    store.open("ayu");
    await draw();
    const panel = document.querySelector(".detail");
    expect(panel?.textContent).toContain("May I ask something?");
    expect(panel?.textContent).toContain("You can read this chat, but not write");
    expect(panel?.querySelector("textarea")).toBeNull();
    expect(buttons(".detail").filter((b) => /Send|Mark as read|Lower/.test(b))).toEqual([]);
    await take({ t: "session", row: { id: "ayu", tally: { signals: 1, incidents: 0, open: 0, severity: 0, unread: 1 } } });
    await vi.advanceTimersByTimeAsync(3000);
    expect(store.link.send).not.toHaveBeenCalledWith(expect.objectContaining({ t: "seen" }));
  });

  it("keeps a line that was being written when the right to write went and came back", async () => {
    await begin();
    store.open("ayu");
    await draw();
    document.getElementById("tab-chat")?.click();
    await draw();
    const field = (): HTMLTextAreaElement | null => document.querySelector("#chat-text");
    (field() as HTMLTextAreaElement).value = "Half a sen";
    field()?.dispatchEvent(new Event("input", { bubbles: true }));
    await take({ t: "access", rights: ["watch"], all: true });
    expect(field()).toBeNull();
    await take({ t: "access", rights: ["watch", "talk"], all: true });
    expect(field()?.value).toBe("Half a sen");
  });

  it("does not take a command that it may not give, wherever it comes from", async () => {
    await begin({ rights: ["watch"], all: true });
    for (const a of actions) store.command(a, ["ayu"], false, {});
    expect(vi.mocked(store.link.keep).mock.calls.map(([f]) => f.t === "command" && f.kind)).toEqual(["flag", "note"]);
  });

  it("offers no Undo that needs a right which is lost", async () => {
    await begin();
    store.command("pause", ["ayu"], false, {});
    await take({
      t: "progress",
      id: store.batches.value[0]?.ids[0] as string,
      session: "ayu",
      kind: "pause",
      stage: "seen",
      at: 1,
    });
    expect(buttons(".results")).toContain("Undo");
    await take({ t: "access", rights: without("time"), all: true });
    expect(buttons(".results")).not.toContain("Undo");
  });

  it("says what was lost and given while it is open, in a live region, until it is put away", async () => {
    await begin({ rights: ["watch", "talk"], all: true });
    expect(said()).toBe("");
    await take({ t: "access", rights: ["watch", "end", "reopen"], all: false });
    expect(said()).toBe(
      "You may no longer write to students. You may now end attempts and reopen attempts. You now see the students of your groups only.",
    );
    expect(document.querySelector(".said")?.closest("[role=status]")).not.toBeNull();
    await take({ t: "access", rights: ["watch", "end", "reopen"] });
    expect(document.querySelectorAll(".said").length).toBe(1);
    document.querySelector<HTMLElement>(".said button")?.click();
    await draw();
    expect(said()).toBe("");
  });

  it("leaves only the last word on what may be seen and done, and none when nobody may be watched", async () => {
    await begin({ rights: ["watch", "talk"], all: true });
    await take({ t: "access", rights: ["watch", "talk"], all: false });
    await take({ t: "access", rights: ["watch", "talk"], all: true });
    expect(said()).toBe("You now see all students.");
    await take({ t: "access", rights: [], all: false });
    expect(said()).not.toContain("You now see all students.");
  });

  it("says nothing of the first welcome, and of a later one only what changed", async () => {
    await begin({ rights: ["watch", "talk"], all: false });
    await take(welcome({ rights: ["watch", "talk"] }));
    expect(said()).toBe("");
    await take(welcome({ rights: ["watch"] }));
    expect(said()).toBe("You may no longer write to students.");
  });

  it("closes the dialog of what is not allowed any more, and says why", async () => {
    await begin();
    store.ask.value = { action: "terminate", targets: ["ayu"], all: false };
    await draw();
    await take({ t: "access", rights: without("talk"), all: true });
    expect(document.querySelector("dialog.ask")).not.toBeNull();
    await take({ t: "access", rights: without("talk", "end"), all: true });
    expect(document.querySelector("dialog.ask")).toBeNull();
    expect(said()).toContain("You may no longer end attempts. The dialog “End attempt” was closed.");
  });

  it("moves the focus to the list when what had it is gone", async () => {
    await begin();
    store.select(["ayu"], true);
    await draw();
    const end = [...document.querySelectorAll<HTMLElement>(".bulk button")].find((b) => b.textContent === "End attempt");
    end?.focus();
    expect(document.activeElement).toBe(end);
    await take({ t: "access", rights: without("end"), all: true });
    await vi.advanceTimersByTimeAsync(100);
    expect(document.activeElement?.id).toBe("main");
  });

  it("keeps nothing of any student when the right to watch is lost, and has them again when it comes back", async () => {
    await begin();
    store.open("ayu");
    store.select(["budi"], true);
    store.command("note", ["citra"], false, { text: "x" });
    await take({ t: "session", row: { id: "dewi", tally: { signals: 1, incidents: 0, open: 0, severity: 0, unread: 3 } } });
    await take({ t: "access", rights: ["talk"], all: true });
    expect(document.body.textContent).not.toMatch(/ayu|budi|citra|dewi/);
    expect(document.body.textContent).toContain("You may not watch this exam");
    expect(said()).toBe("You may no longer watch this exam.");
    expect([store.selection.value.size, store.batches.value.length, store.alerts.latest.value.length, store.openID.value]).toEqual([
      0,
      0,
      0,
      undefined,
    ]);
    expect(document.querySelector('a[href="/report"]')).toBeNull();
    await take({ t: "access", rights: [...rights], all: true }, snapshot(list));
    expect(document.querySelectorAll("[data-session]").length).toBe(4);
  });

  it("keeps nothing of any student when the server ends the link for good", async () => {
    await begin();
    vi.spyOn(store.link, "start").mockImplementation(() => undefined);
    store.start();
    store.link.state.value = { is: "stopped", why: "forbidden", detail: "" };
    await draw();
    expect(document.querySelector("[data-session]")).toBeNull();
    expect(document.body.textContent).toContain("You may not watch this exam (any more).");
    store.link.close();
  });
});

/** Notifications of the browser. */
class FakeNotification {
  static permission = "granted";
  static made: FakeNotification[] = [];
  closed = false;
  onclick: (() => void) | null = null;
  constructor(
    readonly title: string,
    readonly options: { body: string },
  ) {
    FakeNotification.made.push(this);
  }
  close(): void {
    this.closed = true;
  }
}

describe("what was spoken and shown of students", () => {
  const away = (): void => {
    FakeNotification.made = [];
    vi.stubGlobal("Notification", FakeNotification);
    vi.stubGlobal("isSecureContext", true);
    vi.spyOn(document, "hasFocus").mockReturnValue(false);
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    store.alerts.settings.value = { sound: false, volume: 0, desktop: true };
  };
  const hand = (id: string): Down => ({
    t: "session",
    row: { id, tally: { signals: 1, incidents: 0, open: 0, severity: 0, hand: 500 } },
  });
  afterEach(() => vi.restoreAllMocks());

  it("goes with the students whom this person does not see any more", async () => {
    await begin({ rights: [...rights], all: false });
    away();
    await take(hand("ayu"));
    expect(store.alerts.spoken.value).toContain("ayu");
    expect(FakeNotification.made.map((n) => [n.options.body, n.closed])).toEqual([[store.alerts.spoken.value, false]]);
    await take(snapshot(list.filter((r) => r.id !== "budi")));
    expect(store.alerts.spoken.value).toContain("ayu");
    expect(FakeNotification.made[0]?.closed).toBe(false);
    await take(snapshot([list[2] as Row, list[3] as Row]));
    expect(document.querySelector(".sr-only[role=status]")?.textContent).toBe("");
    expect(FakeNotification.made[0]?.closed).toBe(true);
  });

  it("goes with the right to watch", async () => {
    await begin();
    away();
    await take(hand("ayu"));
    await take({ t: "access", rights: ["talk"], all: true });
    expect(store.alerts.spoken.value).toBe("");
    expect(FakeNotification.made.map((n) => n.closed)).toEqual([true]);
  });
});

describe("who is missing", () => {
  const answers = (...lists: (string[] | number)[]): { asked: () => number } => {
    let n = 0;
    vi.stubGlobal("fetch", async () => {
      const names = lists[Math.min(n++, lists.length - 1)] ?? [];
      return typeof names === "number"
        ? Response.json({ detail: "Not any more." }, { status: names })
        : Response.json({ members: names.map((name) => ({ user: `u-${name}`, name })) });
    });
    return { asked: () => n };
  };
  const dialog = (): string => document.querySelector("dialog.ask")?.textContent ?? "";
  const show = async (): Promise<void> => {
    [...document.querySelectorAll<HTMLElement>("button")].find((b) => b.textContent === "Who is missing?")?.click();
    await draw();
  };

  it("is asked for again when this person sees others, also where rights and groups look the same", async () => {
    const server = answers(["Eka", "Farid"], ["Eka"], 403);
    await begin({ rights: [...rights], all: false }, { members: true });
    await show();
    expect(dialog()).toContain("Farid");
    await take({ t: "access", rights: [...rights], all: false });
    expect(dialog()).toContain("Eka");
    expect(dialog()).not.toContain("Farid");
    await take({ t: "access", rights: ["watch"], all: false });
    expect(dialog()).not.toMatch(/Eka|Farid/);
    expect(dialog()).toContain("Not any more.");
    expect(server.asked()).toBe(3);
    await take({ t: "session", row: { id: "ayu", conn: { c: "lost", since: 2, epoch: 1 } } });
    expect(server.asked()).toBe(3);
  });

  it("does not take an answer of whom they saw before", async () => {
    let late: ((r: Response) => void) | undefined;
    let n = 0;
    vi.stubGlobal("fetch", () =>
      n++ === 0
        ? new Promise<Response>((done) => {
            late = done;
          })
        : Promise.resolve(Response.json({ members: [] })),
    );
    await begin({ rights: [...rights], all: false }, { members: true });
    await show();
    await take({ t: "access", rights: [...rights], all: false });
    late?.(Response.json({ members: [{ user: "u", name: "Farid" }] }));
    await draw();
    expect(dialog()).not.toContain("Farid");
  });

  it("is gone with the right to watch", async () => {
    answers(["Eka"]);
    await begin({ rights: [...rights], all: false }, { members: true });
    await show();
    expect(dialog()).toContain("Eka");
    await take({ t: "access", rights: [], all: false });
    expect(document.body.textContent).not.toContain("Eka");
  });
});

describe("a student who is seen no more", () => {
  it("takes panel, selection and dialog along, and it is said", async () => {
    await begin({ rights: [...rights], all: false });
    store.open("ayu");
    store.select(["ayu", "budi"], true);
    store.ask.value = { action: "pause", targets: ["ayu"], all: false };
    await take({ t: "session", row: { id: "ayu", tally: { signals: 1, incidents: 0, open: 0, severity: 0, unread: 1 } } });
    expect(store.alerts.latest.value.length).toBe(1);
    await take(snapshot(list.slice(1)));
    expect(said()).toBe(
      "1 student left your list. The panel of ayu was closed: this student is not in your list any more. The dialog “Pause” was closed: the student is not in your list any more.",
    );
    expect([store.openID.value, store.ask.value, [...store.selection.value], store.alerts.latest.value.length]).toEqual([
      undefined,
      undefined,
      ["budi"],
      0,
    ]);
    expect(document.querySelector(".dash-open, .detail, dialog.ask")).toBeNull();
  });

  it("leaves a dialog for several open while one of them is there", async () => {
    await begin({ rights: [...rights], all: false });
    store.ask.value = { action: "message", targets: ["ayu", "budi"], all: false };
    await take(snapshot(list.slice(1)));
    expect(document.querySelector("dialog.ask h2")?.textContent).toBe("Message to budi");
  });

  it("is no news for who sees everyone", async () => {
    await begin();
    await take(snapshot(list.slice(1)));
    expect(said()).toBe("");
  });
});
