import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CLOSE, type Frame } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/protocol";
import { makeSocket, type Status } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/socket";
import { tabStorage } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/storage";
import { Refusal, tokenSource } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/token";
import { FakeSocket } from "./fakesocket";

const welcome = {
  t: "welcome",
  role: "student",
  session: "s1",
  exam: { id: "e", title: "E" },
  now: 0,
  epoch: 1,
  state: "active",
  version: 1,
  ping: 10000,
};

interface Rig {
  socket: ReturnType<typeof makeSocket>;
  statuses: Status[];
  frames: Frame[];
  asked: () => number;
  answer: (next: () => Promise<Response>) => void;
  tokens: ReturnType<typeof tokenSource>;
}

const granted = (n: number) => async () =>
  Response.json({ token: "t" + n, expires: Date.now() + 300000, now: Date.now(), url: "wss://tool/socket", session: "s1" });
const problem = (status: number, body: object) => async () => Response.json(body, { status });

let made: Rig | undefined;
let hello: (() => Promise<object>) | undefined;
const rig = (random = 1): Rig => {
  let count = 0;
  let next: (() => Promise<Response>) | undefined;
  const tokens = tokenSource({
    endpoint: "https://tool/api/v1/socket/token",
    body: async () => ({ assertion: "a" }),
    tab: tabStorage("t:", null),
    fetch: (async () => {
      count++;
      return (next ?? granted(count))();
    }) as typeof fetch,
  });
  const statuses: Status[] = [];
  const frames: Frame[] = [];
  const socket = makeSocket({
    tokens,
    local: (server) => server,
    hello: (session) => (hello ? hello() : Promise.resolve({ t: "hello", stream: "x".repeat(16), next: 1, session })),
    onFrame: (frame) => frames.push(frame),
    onStatus: (status) => statuses.push(status),
    WebSocket: FakeSocket as unknown as new (url: string, protocols: string[]) => WebSocket,
    random: () => random,
  });
  made = { socket, statuses, frames, asked: () => count, answer: (to) => (next = to), tokens };
  return made;
};

const settle = () => vi.advanceTimersByTimeAsync(0);
const connected = async (random?: number) => {
  const it = rig(random);
  it.socket.start();
  await settle();
  await FakeSocket.last.open();
  FakeSocket.last.hear(welcome);
  return it;
};

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  hello = undefined;
});
afterEach(() => {
  made?.socket.leave("closing");
  vi.useRealTimers();
});

describe("opening", () => {
  it("offers the protocol and the token, says hello first, and is connected after the welcome", async () => {
    const { socket, asked } = rig();
    socket.start();
    await settle();
    expect(FakeSocket.last.url).toBe("wss://tool/socket");
    expect(FakeSocket.last.protocols).toEqual(["vigil.v1", "vigil.token.t1"]);
    await FakeSocket.last.open();
    expect(JSON.parse(FakeSocket.last.sent[0] ?? "")).toMatchObject({ t: "hello", session: "s1" });
    expect(socket.status().state).toBe("connecting");
    expect(socket.send([{ t: "time" }])).toBe(false);
    FakeSocket.last.hear(welcome);
    expect(socket.status().state).toBe("connected");
    expect(socket.send([{ t: "time" }])).toBe(true);
    expect(asked()).toBe(1);
  });

  it("sends nothing between a welcome that came at once and its own hello", async () => {
    const { socket } = rig();
    let ready: (first: object) => void = () => undefined;
    hello = () => new Promise((done) => (ready = done));
    socket.start();
    await settle();
    await FakeSocket.last.open();
    FakeSocket.last.hear(welcome);
    expect(socket.status().state).toBe("connecting");
    expect(socket.send([{ t: "signal" }])).toBe(false);
    ready({ t: "hello" });
    await settle();
    expect(FakeSocket.last.sent).toEqual(['{"t":"hello"}']);
    expect(socket.status().state).toBe("connected");
  });

  it("uses the token that the page before had, and a newer one from the socket", async () => {
    const { socket, tokens, asked } = await connected();
    FakeSocket.last.hear({ t: "token", token: "fresh", expires: Date.now() + 300000 });
    socket.leave("navigating");
    expect(tokens.cached()?.token).toBe("fresh");
    socket.start();
    await settle();
    expect(FakeSocket.last.protocols[1]).toBe("vigil.token.fresh");
    expect(asked()).toBe(1);
  });

  it("asks for a token again when the kept one is about to end", async () => {
    const { socket, asked } = await connected();
    socket.leave("navigating");
    await vi.advanceTimersByTimeAsync(290000);
    socket.start();
    await settle();
    expect(asked()).toBe(2);
  });

  it("asks the token endpoint after an open that failed: at once, then with growing pauses", async () => {
    const { socket, asked } = rig();
    socket.start();
    await settle();
    FakeSocket.last.drop(1006);
    await settle();
    expect(asked()).toBe(2);
    FakeSocket.last.drop(1006);
    await settle();
    expect(asked()).toBe(2);
    expect(socket.status().state).toBe("waiting");
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked()).toBe(3);
    FakeSocket.last.drop(1006);
    await vi.advanceTimersByTimeAsync(1999);
    expect(asked()).toBe(3);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked()).toBe(4);
  });

  it("stops when the endpoint says so", async () => {
    const { socket, answer, asked } = rig();
    answer(problem(403, { duty: "stop", code: "forbidden", detail: "Your attempt is over." }));
    socket.start();
    await settle();
    expect(socket.status()).toMatchObject({ state: "stopped", code: "forbidden", detail: "Your attempt is over." });
    await vi.advanceTimersByTimeAsync(600000);
    socket.nudge();
    socket.start();
    await settle();
    expect(asked()).toBe(1);
  });

  it.each([
    ["retry with a wait", problem(503, { duty: "retry", code: "unavailable", wait: 4000 }), 4000],
    ["retry", problem(503, { duty: "retry", code: "unavailable" }), 500],
    ["renew", problem(401, { duty: "renew", code: "unauthorized" }), 500],
    ["a page of some proxy", async () => new Response("<h1>502</h1>", { status: 502 }), 500],
    ["no network", async () => Promise.reject(new TypeError("failed")), 500],
    ["an answer without a token", async () => Response.json({}), 500],
  ])("comes back after %s", async (_, response, wait) => {
    const { socket, answer, asked } = rig();
    answer(response as () => Promise<Response>);
    socket.start();
    await settle();
    expect(socket.status().state).toBe("waiting");
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(asked()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked()).toBe(2);
  });

  it("stops when the LMS gives no assertion any more, and retries when it merely failed", async () => {
    for (const [error, state] of [
      [new Refusal("stop", "forbidden", ""), "stopped"],
      [new Error("500"), "waiting"],
    ] as const) {
      const socket = makeSocket({
        tokens: tokenSource({ endpoint: "x", body: () => Promise.reject(error), tab: tabStorage("t:", null), fetch: vi.fn() }),
        local: (at) => at,
        hello: async () => ({}),
        onFrame: vi.fn(),
        onStatus: vi.fn(),
      });
      socket.start();
      await settle();
      expect(socket.status().state).toBe(state);
      socket.leave("closing");
    }
  });

  it("comes back when it could not say hello", async () => {
    const { socket } = rig();
    hello = () => Promise.reject(new Error("no outbox"));
    socket.start();
    await settle();
    await FakeSocket.last.open();
    FakeSocket.last.hear(welcome);
    expect(socket.status().state).toBe("waiting");
    hello = undefined;
    await vi.advanceTimersByTimeAsync(500);
    await FakeSocket.last.open();
    FakeSocket.last.hear(welcome);
    expect(socket.status().state).toBe("connected");
  });

  it("gives up on a socket that opens and never welcomes", async () => {
    const { socket } = rig();
    socket.start();
    await settle();
    await FakeSocket.last.open();
    await vi.advanceTimersByTimeAsync(15000);
    expect(FakeSocket.all[0]?.readyState).toBe(3);
    expect(socket.status().state).toBe("waiting");
  });
});

describe("a close", () => {
  const duties: [number, string, string][] = [
    ...Object.entries(CLOSE).map(([code, { name, duty }]): [number, string, string] => [Number(code), name, duty]),
    [1000, "normal", "retry"],
    [1001, "going away", "retry"],
    [1006, "lost", "retry"],
    [1011, "error", "retry"],
    [4999, "unknown", "retry"],
  ];
  it("is known for every code of the protocol", () => {
    expect(
      Object.keys(CLOSE)
        .map(Number)
        .sort((a, b) => a - b),
    ).toEqual([1003, 1009, 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008, 4009]);
  });

  it.each(duties)("with %i (%s) means %s", async (code, name, duty) => {
    const { socket, asked } = await connected();
    FakeSocket.last.drop(code, "");
    const count = FakeSocket.all.length;
    if (duty === "stop") {
      expect(socket.status().state).toBe(name === "superseded" ? "superseded" : "stopped");
      expect(socket.status().code).toBe(name);
      await vi.advanceTimersByTimeAsync(600000);
      expect(FakeSocket.all.length).toBe(count);
    } else if (duty === "renew") {
      await settle();
      expect(asked()).toBe(2);
      expect(FakeSocket.last.protocols[1]).toBe("vigil.token.t2");
    } else {
      expect(socket.status().state).toBe("waiting");
      await vi.advanceTimersByTimeAsync(500);
      expect(FakeSocket.all.length).toBe(count + 1);
      expect(asked()).toBe(1);
    }
  });

  it("with renew twice in a row pauses the second time", async () => {
    const { asked } = await connected();
    FakeSocket.last.drop(4002);
    await settle();
    await FakeSocket.last.open();
    FakeSocket.last.drop(4002);
    await settle();
    expect(asked()).toBe(2);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked()).toBe(3);
  });

  it("of a drain waits as long as its reason says", async () => {
    await connected();
    FakeSocket.last.drop(4004, "3200");
    await vi.advanceTimersByTimeAsync(3199);
    expect(FakeSocket.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all.length).toBe(2);
  });

  it("after a notice of a drain waits as long as that said, when the reason was lost", async () => {
    await connected();
    FakeSocket.last.hear({ t: "notice", kind: "reconnect", wait: 2500 });
    FakeSocket.last.drop(1006);
    await vi.advanceTimersByTimeAsync(2499);
    expect(FakeSocket.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all.length).toBe(2);
  });

  it("by another tab leads back only when the student asks for it", async () => {
    const { socket } = await connected();
    FakeSocket.last.drop(4001);
    socket.nudge();
    socket.start();
    await vi.advanceTimersByTimeAsync(600000);
    expect(FakeSocket.all.length).toBe(1);
    socket.reclaim();
    await settle();
    expect(FakeSocket.all.length).toBe(2);
  });

  it("pauses with full jitter from 0.5 s to 15 s, and starts over after a welcome", async () => {
    const { socket } = await connected(0.5);
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      FakeSocket.last.drop(4007);
      const began = Date.now();
      const count = FakeSocket.all.length;
      while (FakeSocket.all.length === count) await vi.advanceTimersByTimeAsync(50);
      pauses.push(Date.now() - began);
      await FakeSocket.last.open();
    }
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 7500, 7500, 7500]);
    FakeSocket.last.hear(welcome);
    expect(socket.status().state).toBe("connected");
    FakeSocket.last.drop(4007);
    await vi.advanceTimersByTimeAsync(250);
    expect(FakeSocket.all.length).toBe(10);
  });

  it("of an old socket does not touch the new one", async () => {
    const { socket } = await connected();
    const old = FakeSocket.last;
    socket.reconnect();
    await settle();
    await FakeSocket.last.open();
    FakeSocket.last.hear(welcome);
    old.drop(4001);
    expect(socket.status().state).toBe("connected");
  });
});

describe("silence", () => {
  it("is asked about, and ends the socket when nothing comes", async () => {
    const { socket } = await connected();
    await vi.advanceTimersByTimeAsync(20000);
    expect(FakeSocket.last.sent.some((text) => text.includes('"time"'))).toBe(true);
    expect(socket.status().state).toBe("connected");
    await vi.advanceTimersByTimeAsync(6000);
    expect(socket.status().state).toBe("waiting");
    expect(FakeSocket.all[0]?.readyState).toBe(3);
  });

  it("is none when any frame comes", async () => {
    const { socket } = await connected();
    await vi.advanceTimersByTimeAsync(20000);
    FakeSocket.last.hear({ t: "time", now: 1 });
    await vi.advanceTimersByTimeAsync(6000);
    expect(socket.status().state).toBe("connected");
  });

  it("after a sleep of the machine is asked about again before the socket is given up", async () => {
    const { socket } = await connected();
    socket.nudge();
    vi.setSystemTime(Date.now() + 3600000);
    await vi.advanceTimersByTimeAsync(6000);
    expect(socket.status().state).toBe("connected");
    await vi.advanceTimersByTimeAsync(6000);
    expect(socket.status().state).toBe("waiting");
  });

  it("ends at once when the network is back", async () => {
    const { socket } = await connected();
    for (let i = 0; i < 5; i++) {
      FakeSocket.last.drop(1006);
      socket.nudge();
      await settle();
    }
    expect(FakeSocket.all.length).toBe(6);
  });
});

describe("leaving", () => {
  it("says goodbye and closes, and nothing comes back by itself", async () => {
    const { socket } = await connected();
    socket.leave("navigating");
    expect(FakeSocket.last.sent.at(-1)).toBe('{"t":"bye","reason":"navigating"}');
    expect(FakeSocket.last.closedWith).toBe(1000);
    await vi.advanceTimersByTimeAsync(600000);
    expect(FakeSocket.all.length).toBe(1);
  });

  it("is undone when the browser shows the kept page again", async () => {
    const { socket } = await connected();
    socket.leave("navigating");
    socket.start();
    await settle();
    expect(FakeSocket.all.length).toBe(2);
  });

  it("does not forget that another tab has the session", async () => {
    const { socket } = await connected();
    FakeSocket.last.drop(4001);
    socket.leave("navigating");
    socket.start();
    await settle();
    expect(FakeSocket.all.length).toBe(1);
  });
});

it("survives what is not a frame", async () => {
  const { socket, frames } = await connected();
  const before = frames.length;
  for (const data of ["", "{", "null", "17", "[]", '[{"t":5},null,"x"]', '{"no":"type"}']) FakeSocket.last.onmessage?.({ data });
  FakeSocket.last.onmessage?.({ data: new Blob() as unknown as string });
  expect(frames.length).toBe(before);
  FakeSocket.last.hear([{ t: "news" }, { t: "time", now: 5 }]);
  expect(frames.length).toBe(before + 2);
  expect(socket.status().state).toBe("connected");
});
