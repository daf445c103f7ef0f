import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, expect, it, vi } from "vitest";
import { type Outbox, openOutbox } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/outbox";
import { makeSender } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/sender";
import { makeSocket } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/socket";
import { tabStorage } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/storage";
import { tokenSource } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/token";

// A student's browser from a seed: pages that come and go, a line that fails, a machine that sleeps or whose clock is
// set, storage that is cleared, and a server that stores, refuses and closes as ours does. When all of that is over, every
// signal that was noticed is at the server, once and as it was written. One seed is one run: MONITOR_SEED=7 MONITOR_SEEDS=1 npm test -- seeds.

declare const process: { env: Record<string, string | undefined> };
declare const setImmediate: (act: () => void) => unknown;

const first = Number(process.env.MONITOR_SEED ?? 1);
const seeds = Number(process.env.MONITOR_SEEDS ?? 50);

/** Numbers from 0 to 1 that a seed decides. */
const dice = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const immediate = setImmediate;

class World {
  readonly roll: () => number;
  readonly factory = new IDBFactory();
  readonly area = new Map<string, string>();
  readonly faults: string[] = [];
  readonly history: string[] = [];
  /** What is stored, by stream and number. */
  readonly stored = new Map<string, string>();
  /** What was noticed and written, the same way. Of what is excused nothing is expected. */
  readonly noticed = new Map<string, string>();
  readonly excused = new Set<string>();
  readonly sockets = new Set<Line>();
  silent = false;
  calm = false;
  page: Page | undefined;
  frozen: Page | undefined;
  passed = 0;

  constructor(seed: number) {
    this.roll = dice(seed);
  }

  chance(p: number): boolean {
    return !this.calm && this.roll() < p;
  }

  between(least: number, most: number): number {
    return Math.round(least + this.roll() * (most - least));
  }

  note(text: string): void {
    this.history.push(`${(this.passed / 1000).toFixed(2)} ${text}`);
  }

  /** Lets time go on, in steps in which what waits for the database gets on as well. */
  async run(ms: number): Promise<void> {
    for (const end = this.passed + ms; this.passed < end; ) {
      const step = Math.min(200, end - this.passed);
      this.passed += step;
      await vi.advanceTimersByTimeAsync(step);
      for (let i = 0; i < 3; i++) await new Promise((done) => immediate(() => done(undefined)));
    }
  }

  cut(): void {
    for (const line of this.sockets) line.end(1006, "");
  }
}

/** A WebSocket over a line that can fail, with the server at its other end. */
class Line {
  static world: World;
  readonly world = Line.world;
  readyState = 0;
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  private readonly ways: Record<"up" | "down", (() => void)[]> = { up: [], down: [] };
  dead = false;
  private greeted = false;
  private stream = "";

  constructor() {
    this.world.sockets.add(this);
    this.carry("down", () => {
      if (this.world.chance(0.1)) {
        this.end(1006, "");
        return;
      }
      this.readyState = 1;
      this.onopen?.();
      this.tell({
        t: "welcome",
        role: "student",
        session: "s1",
        exam: { id: "e" },
        now: Date.now(),
        epoch: 1,
        state: "active",
        version: 1,
        ping: 10000,
      });
    });
  }

  /** Brings something over, in its turn; on a silent line it waits. */
  private carry(way: "up" | "down", act: () => void): void {
    const queue = this.ways[way];
    if (queue.push(act) > 1) return;
    const next = () => {
      if (this.readyState === 3 || this.dead) return;
      if (!this.world.silent) queue.shift()?.();
      if (queue.length > 0) setTimeout(next, this.world.between(5, 300));
    };
    setTimeout(next, this.world.between(5, 300));
  }

  send(text: string): void {
    if (this.readyState === 1) this.carry("up", () => this.take(text));
  }

  close(): void {
    this.readyState = 3;
    this.world.sockets.delete(this);
  }

  end(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.close();
    setTimeout(() => this.onclose?.({ code, reason }), this.world.between(1, 100));
  }

  private tell(frame: object): void {
    this.carry("down", () => this.onmessage?.({ data: JSON.stringify(frame) }));
  }

  /** What the server does with a message. */
  private take(text: string): void {
    const frames = text.startsWith("[")
      ? (JSON.parse(text) as { t: string; seq: number; at: number; stream: string }[])
      : [JSON.parse(text)];
    const seqs: number[] = [];
    for (const f of frames) {
      if (f.t === "hello") {
        this.greeted = true;
        this.stream = f.stream;
      } else if (f.t === "time") {
        this.tell({ t: "time", at: f.at, now: Date.now() });
      } else if (f.t === "signal") {
        if (!this.greeted) this.world.faults.push("a signal came before its hello");
        if (this.world.chance(0.03)) {
          this.tell({ t: "error", ref: String(f.seq), code: "unavailable", duty: "retry", wait: 500, message: "Later." });
          continue;
        }
        const key = `${this.stream} ${f.seq}`;
        const before = this.world.stored.get(key);
        if (before !== undefined && before !== JSON.stringify(f)) this.world.faults.push(`${key} came with another content`);
        this.world.stored.set(key, JSON.stringify(f));
        seqs.push(f.seq);
      }
    }
    if (seqs.length === 0) return;
    if (this.world.chance(0.05))
      this.end(this.world.between(0, 1) ? 1006 : 4006, ""); // before it has answered
    else this.tell({ t: "ack", stream: this.stream, seqs });
  }
}

/** A page of the quiz, with the parts that monitor.js ties together. */
class Page {
  private outbox: Outbox | undefined;
  private opening: Promise<void> | undefined;
  private sender: ReturnType<typeof makeSender> | undefined;
  readonly socket: ReturnType<typeof makeSocket>;

  constructor(private readonly world: World) {
    const area = {
      getItem: (key: string) => world.area.get(key) ?? null,
      setItem: (key: string, value: string) => void world.area.set(key, value),
      removeItem: (key: string) => void world.area.delete(key),
    } as unknown as Storage;
    const tokens = tokenSource({
      endpoint: "https://tool/token",
      body: async () => ({ assertion: "a" }),
      tab: tabStorage("t:", area),
      fetch: (async () => {
        await new Promise((done) => setTimeout(done, world.between(20, 400)));
        if (world.silent || world.chance(0.1)) throw new TypeError("no network");
        return Response.json({
          token: "t",
          expires: Date.now() + 300_000,
          now: Date.now(),
          url: "wss://tool/socket",
          session: "s1",
        });
      }) as typeof fetch,
    });
    this.socket = makeSocket({
      tokens,
      local: (server) => server,
      random: world.roll,
      WebSocket: Line as unknown as new (url: string, protocols: string[]) => WebSocket,
      hello: async () => {
        await this.open();
        return { t: "hello", ...(await (this.outbox as Outbox).hello()) };
      },
      onFrame: (frame) => {
        if (frame.t === "ack") void this.sender?.acknowledge(frame);
        else if (frame.t === "error") void this.sender?.refused(frame);
      },
      onStatus: (status) => {
        if (status.state === "connected") void this.sender?.begin();
        else this.sender?.end();
      },
    });
    this.socket.start();
  }

  private open(): Promise<void> {
    this.opening ??= openOutbox({ session: "s1", factory: this.world.factory, onStream: () => this.socket.reconnect() }).then(
      (box) => {
        this.outbox = box;
        this.sender = makeSender({ outbox: box, send: (frames) => this.socket.send(frames) });
      },
    );
    return this.opening;
  }

  async signal(): Promise<void> {
    await this.open();
    const box = this.outbox as Outbox;
    const entry = await box.add({ kind: "copy", at: Date.now(), data: { length: this.world.noticed.size } });
    if (!entry) {
      this.world.faults.push("a signal was not kept");
      return;
    }
    const key = `${box.stream()} ${entry.seq}`;
    if (this.world.noticed.has(key)) this.world.faults.push(`${key} was given twice`);
    this.world.noticed.set(key, entry.frame);
    void this.sender?.flush();
  }

  left(): Promise<number> {
    return this.outbox ? this.outbox.count() : Promise.resolve(0);
  }

  /** What only this page's memory holds is gone with it. */
  gone(): void {
    if (this.outbox && !this.outbox.durable()) excuse(this.world, this.outbox.stream());
  }
}

function excuse(world: World, stream?: string): void {
  for (const key of world.noticed.keys()) {
    if (!world.stored.has(key) && (stream === undefined || key.startsWith(`${stream} `))) world.excused.add(key);
  }
}

const events: Record<string, [much: number, act: (w: World) => void | Promise<void>]> = {
  "a signal": [40, (w) => void w.page?.signal()],
  "a page turn": [
    10,
    (w) => {
      w.page?.socket.leave("navigating");
      w.page?.gone();
      w.page = new Page(w);
    },
  ],
  // The page before was kept by the browser, and goes on where it was.
  "a turn, and back": [
    3,
    async (w) => {
      w.frozen = w.page;
      w.page?.socket.leave("navigating");
      const next = new Page(w);
      w.page = next;
      await w.run(w.between(200, 5000));
      next.socket.leave("navigating");
      next.gone();
      w.page = w.frozen;
      w.page?.socket.start();
    },
  ],
  "the line is cut": [4, (w) => w.cut()],
  "the line is silent": [
    3,
    async (w) => {
      w.silent = true;
      await w.run(w.between(1000, 60_000));
      w.silent = false;
    },
  ],
  "the line is silent and then gone": [
    3,
    async (w) => {
      w.silent = true;
      await w.run(w.between(1000, 30_000));
      for (const line of w.sockets) line.dead = true; // nobody tells the browser
      w.silent = false;
    },
  ],
  "the machine sleeps": [2, (w) => void vi.setSystemTime(Date.now() + w.between(10_000, 3_600_000))],
  "the clock is set": [2, (w) => void vi.setSystemTime(Date.now() + w.between(-7_200_000, 7_200_000))],
  "the server is drained": [
    2,
    (w) => {
      for (const line of w.sockets) line.end(4004, String(w.between(1, 3000)));
    },
  ],
  "the site's data is cleared": [
    1,
    async (w) => {
      await new Promise<void>((done) => {
        const request = w.factory.open("vigil", 1);
        request.onerror = () => done();
        request.onupgradeneeded = () => request.transaction?.abort();
        request.onsuccess = () => {
          const clear = request.result.transaction(["streams", "signals"], "readwrite");
          clear.objectStore("streams").clear();
          clear.objectStore("signals").clear();
          clear.oncomplete = () => {
            request.result.close();
            done();
          };
        };
      });
      excuse(w);
    },
  ],
};

async function play(seed: number): Promise<World> {
  const w = new World(seed);
  Line.world = w;
  vi.spyOn(Math, "random").mockImplementation(w.roll);
  w.page = new Page(w);
  const total = Object.values(events).reduce((sum, [much]) => sum + much, 0);
  for (let i = 0; i < 60; i++) {
    await w.run(w.between(20, 4000));
    let n = w.roll() * total;
    for (const [name, [much, act]] of Object.entries(events)) {
      n -= much;
      if (n < 0) {
        w.note(name);
        await act(w);
        break;
      }
    }
  }
  w.note("calm");
  w.calm = true;
  await w.run(120_000);
  if (w.page.socket.status().state !== "connected") w.faults.push(`at rest the socket is ${w.page.socket.status().state}`);
  if ((await w.page.left()) > 0) w.faults.push(`at rest ${await w.page.left()} signals are kept`);
  for (const [key, frame] of w.noticed) {
    const got = w.stored.get(key);
    if (got !== frame && !(got === undefined && w.excused.has(key)))
      w.faults.push(`${key} is stored as ${got}, was written as ${frame}`);
  }
  w.page.socket.leave("closing");
  return w;
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it(`keeps every signal, and comes back, in ${seeds} runs from seed ${first} on`, { timeout: 120_000 }, async () => {
  let signals = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
      now: 1_770_000_000_000,
    });
    const w = await play(seed);
    signals += w.noticed.size;
    expect(w.faults, `seed ${seed}:\n${w.history.join("\n")}`).toEqual([]);
    vi.clearAllTimers();
  }
  expect(signals).toBeGreaterThan(seeds * 10);
});
