import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ServerClock } from "../../src/dashboard/clock";
import { Link } from "../../src/dashboard/link";
import type { Down, Up } from "../../src/dashboard/protocol";

class FakeSocket {
  static readonly OPEN = 1;
  static made: FakeSocket[] = [];
  static get last(): FakeSocket {
    return FakeSocket.made[FakeSocket.made.length - 1] as FakeSocket;
  }
  readyState = 0;
  sent: Up[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: ((e: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.made.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Up);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): this {
    this.readyState = 1;
    this.onopen?.();
    return this;
  }
  say(...frames: object[]): this {
    this.onmessage?.({ data: JSON.stringify(frames) });
    return this;
  }
  welcome(): this {
    return this.open().say({ t: "welcome", role: "proctor", exam: { id: "e", title: "" }, now: 1000, ping: 10_000 });
  }
  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
  of(type: string): Up[] {
    return this.sent.filter((f) => f.t === type);
  }
}

let answer: () => { status: number; body: object };
let asked: number;
let frames: Down[];
let dropped: [string, string][];
let link: Link;

const settle = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.999);
  FakeSocket.made = [];
  asked = 0;
  frames = [];
  dropped = [];
  answer = () => ({
    status: 200,
    body: { token: `t${asked}`, expires: Date.now() + 300_000, url: "wss://x/socket", now: Date.now() },
  });
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", async () => {
    asked++;
    const { status, body } = answer();
    return { ok: status < 400, status, json: async () => body };
  });
  link = new Link({
    exam: "e",
    tokenEndpoint: "/token",
    clock: new ServerClock(),
    onFrames: (list) => frames.push(...list),
    onDropped: (id, message) => dropped.push([id, message]),
  });
  link.start();
  await settle();
});
afterEach(() => {
  link.close();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("Link", () => {
  it("offers the protocol and the token, asks for a snapshot and hands frames over together", async () => {
    expect(FakeSocket.last.protocols).toEqual(["vigil.v1", "vigil.token.t1"]);
    FakeSocket.last.welcome().say({ t: "pulse", now: 1, online: 2 });
    expect(link.state.value.is).toBe("open");
    expect(FakeSocket.last.of("subscribe").length).toBe(1);
    await settle(300);
    expect(frames.map((f) => f.t)).toEqual(["welcome", "pulse"]);
  });

  it.each([
    [1006, "waiting"],
    [1001, "waiting"],
    [1011, "waiting"],
    [4002, "waiting"],
    [4004, "waiting"],
    [4005, "waiting"],
    [4006, "waiting"],
    [4007, "waiting"],
    [4009, "waiting"],
    [4000, "stopped"],
    [4001, "stopped"],
    [4003, "stopped"],
    [4008, "stopped"],
    [1003, "stopped"],
    [1009, "stopped"],
  ])("after close code %i it is %s", async (code, want) => {
    FakeSocket.last.welcome().end(code);
    expect(link.state.value.is).toBe(want);
    const made = FakeSocket.made.length;
    await settle(20_000);
    expect(FakeSocket.made.length > made).toBe(want === "waiting");
  });

  it("keeps its token over a short drop, but asks for another after 4002 and after an open that failed", async () => {
    FakeSocket.last.welcome().end(1006);
    await settle(600);
    expect([asked, FakeSocket.made.length]).toEqual([1, 2]);
    FakeSocket.last.welcome().end(4002);
    await settle(600);
    expect([asked, FakeSocket.made.length]).toEqual([2, 3]);
    FakeSocket.last.end(1006);
    await settle(1100);
    expect([asked, FakeSocket.made.length]).toEqual([3, 4]);
  });

  it("uses the token that the socket renewed", async () => {
    FakeSocket.last.welcome().say({ t: "token", token: "renewed", expires: Date.now() + 300_000 });
    FakeSocket.last.end(1006);
    await settle(600);
    expect(FakeSocket.last.protocols[1]).toBe("vigil.token.renewed");
  });

  it.each([
    ["an ended sign-in", 401, { code: "unauthorized", duty: "stop" }, { is: "stopped", why: "expired" }],
    ["no right to the exam", 403, { code: "forbidden", duty: "stop" }, { is: "stopped", why: "forbidden" }],
    ["a bare 403", 403, {}, { is: "stopped", why: "forbidden" }],
    ["a server that starts", 503, { duty: "retry" }, { is: "waiting" }],
    ["a bare 502 of a proxy", 502, {}, { is: "waiting" }],
  ])("does what the token endpoint says: %s", async (_name, status, body, want) => {
    answer = () => ({ status, body });
    FakeSocket.last.end(1006); // an open that failed: the token endpoint knows why
    await settle(505);
    expect(link.state.value).toMatchObject(want);
  });

  it("waits as long as a draining server asks", async () => {
    FakeSocket.last.welcome().end(4004, "4000");
    await settle(2900);
    expect(FakeSocket.made.length).toBe(1);
    await settle(2200);
    expect(FakeSocket.made.length).toBe(2);
  });

  it("doubles its pauses and starts over after a welcome", async () => {
    for (const [i, pause] of [500, 1000, 2000, 4000, 8000, 15_000, 15_000].entries()) {
      FakeSocket.last.end(1006);
      await settle(pause - 30);
      expect(FakeSocket.made.length).toBe(i + 1);
      await settle(40);
      expect(FakeSocket.made.length).toBe(i + 2);
    }
    FakeSocket.last.welcome().end(1006);
    await settle(510);
    expect(FakeSocket.made.length).toBe(9);
  });

  it("sends what was not answered again after a drop, until it is settled", async () => {
    link.keep({ t: "chat", id: "chat0001", session: "a", text: "hi" });
    link.keep({ t: "command", id: "cmd00001", kind: "pause", targets: ["a"] });
    FakeSocket.last.welcome();
    expect([FakeSocket.last.of("chat").length, FakeSocket.last.of("command").length]).toEqual([1, 1]);
    FakeSocket.last.say({ t: "ack", id: "chat0001" }).end(1006);
    await settle(600);
    FakeSocket.last.welcome();
    expect([FakeSocket.last.of("chat").length, FakeSocket.last.of("command").length]).toEqual([0, 1]);
    link.settle("cmd00001");
    FakeSocket.last.end(1006);
    await settle(600);
    expect(FakeSocket.last.welcome().of("command").length).toBe(0);
  });

  it("sends a frame again that came too early, and forgets one that is refused", async () => {
    FakeSocket.last.welcome();
    link.keep({ t: "chat", id: "chat0001", session: "a", text: "hi" });
    link.keep({ t: "chat", id: "chat0002", session: "b", text: "hi" });
    FakeSocket.last.say(
      { t: "error", code: "too_many", message: "Slower", duty: "retry", ref: "chat0001", wait: 700 },
      { t: "error", code: "not_found", message: "There is no such attempt.", duty: "drop", ref: "chat0002" },
    );
    await settle(800);
    expect(FakeSocket.last.of("chat").map((f) => (f as { id: string }).id)).toEqual(["chat0001", "chat0002", "chat0001"]);
    expect(dropped).toEqual([["chat0002", "There is no such attempt."]]);
  });

  it("hands nothing over any more when the server says that this person may not watch", async () => {
    const socket = FakeSocket.last.welcome();
    await settle(300);
    frames = [];
    socket.say({ t: "session", row: { id: "s1" } });
    socket.end(4003);
    await settle(1000);
    expect(frames).toEqual([]);
    expect(link.state.value).toMatchObject({ is: "stopped", why: "forbidden" });
    link.retry(); // and works again when they may
    await settle();
    FakeSocket.last.welcome().say({ t: "session", row: { id: "s2" } });
    await settle(300);
    expect(frames.map((f) => f.t)).toEqual(["welcome", "session"]);
  });

  it("gives up a socket that says nothing for three pings", async () => {
    FakeSocket.last.welcome();
    await settle(31_000);
    expect(link.state.value.is).toBe("open");
    await settle(3000);
    expect(link.state.value.is).not.toBe("open");
  });
});
