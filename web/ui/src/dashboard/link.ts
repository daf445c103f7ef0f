// The proctor's socket: gets a token, connects, comes back after a drop, keeps what was not answered and tells how it
// stands. What each refusal and close code asks for is in docs/protocol.md.
import { signal } from "@preact/signals";
import { Backoff } from "./backoff";
import type { ServerClock } from "./clock";
import { parseFrames, type Down, type Duty, type Kept, type Up } from "./protocol";

export type LinkState =
  | { is: "connecting" }
  | { is: "open" }
  | { is: "waiting"; until: number } // by performance.now()
  | { is: "stopped"; why: Stop; detail?: string };
export type Stop = "expired" | "forbidden" | "superseded" | "protocol" | "other";

interface Grant {
  token: string;
  expires: number;
  url: string;
  now: number;
}
interface Problem {
  status?: number;
  detail?: string;
  code?: string;
  duty?: Duty;
  wait?: number;
}

const closeDuty: Record<number, Duty> = {
  1003: "stop",
  1009: "stop",
  4000: "stop",
  4001: "stop",
  4002: "renew",
  4003: "stop",
  4008: "stop",
};

export interface LinkOptions {
  exam: string;
  tokenEndpoint: string;
  clock: ServerClock;
  /** Called with what came in since the last animation frame, in order. */
  onFrames: (frames: Down[]) => void;
  /** A kept frame was not taken: the server's words. */
  onDropped: (id: string, message: string) => void;
}

export class Link {
  readonly state = signal<LinkState>({ is: "connecting" });
  /** When anything was heard last, by performance.now(); 0: never. */
  readonly heard = signal(0);
  #socket: WebSocket | undefined;
  #grant: Grant | undefined;
  #backoff = new Backoff();
  #timer = 0;
  #watch = 0;
  #ping = 10_000;
  #welcomed = false;
  #kept = new Map<string, Kept>();
  #held: Down[] = [];
  #flush = 0;
  #flushTimer = 0;
  #asked = 0;
  #tries = 0; // number of the attempt to connect; an older one that ends late is ignored

  constructor(private readonly options: LinkOptions) {}

  start(): void {
    addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
    addEventListener("pagehide", () => {
      this.send({ t: "bye", reason: "closing" });
      this.#socket?.close(1000);
    });
    // Back from the browser's page cache: the socket is gone.
    addEventListener("pageshow", (e) => {
      if (e.persisted) this.retry();
    });
    this.#watch = window.setInterval(() => this.#silence(), 1000);
    void this.#connect();
  }

  /** Connects now, whatever stood before. */
  retry(): void {
    clearTimeout(this.#timer);
    this.#backoff.reset();
    this.#drop();
    void this.#connect();
  }

  /** Gives way to another window of this person, until retry. */
  leave(): void {
    this.#tries++;
    clearTimeout(this.#timer);
    this.send({ t: "bye", reason: "closing" });
    this.#drop();
    this.#stop("superseded");
  }

  /** Sends if there is a link; false if not. */
  send(frame: Up): boolean {
    if (!this.#welcomed || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Sends now or after the next welcome, again after every drop, until settle names its id. */
  keep(frame: Kept): void {
    this.#kept.set(frame.id, frame);
    this.send(frame);
  }

  /** The server answered for all: no need to send it again. */
  settle(id: string): void {
    this.#kept.delete(id);
  }

  unsettled(id: string): boolean {
    return this.#kept.has(id);
  }

  #hurry = (): void => {
    if (document.visibilityState !== "visible") return;
    if (this.state.value.is === "waiting") this.retry();
  };

  async #connect(): Promise<void> {
    const mine = ++this.#tries;
    this.state.value = { is: "connecting" };
    const grant = await this.#getGrant();
    if (mine !== this.#tries) return;
    if ("problem" in grant) {
      const { problem } = grant;
      if (problem.duty === "stop" || (problem.duty === undefined && (problem.status === 401 || problem.status === 403))) {
        this.#stop(
          problem.status === 401 || problem.code === "unauthorized" ? "expired" : problem.status === 403 ? "forbidden" : "other",
          problem.detail,
        );
      } else {
        this.#later(problem.wait);
      }
      return;
    }
    let socket: WebSocket;
    try {
      socket = new WebSocket(grant.url, ["vigil.v1", "vigil.token." + grant.token]);
    } catch (err) {
      this.#stop("other", String(err));
      return;
    }
    this.#socket = socket;
    this.#welcomed = false;
    let opened = false;
    // A proxy that takes the connection and says nothing would hold us for minutes.
    const slow = window.setTimeout(() => socket.close(), 15_000);
    socket.onopen = () => {
      opened = true;
      this.heard.value = performance.now();
    };
    socket.onmessage = (e) => {
      clearTimeout(slow);
      if (typeof e.data === "string") this.#receive(e.data);
    };
    socket.onclose = (e) => {
      clearTimeout(slow);
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#welcomed = false;
      this.#closed(e.code, e.reason, opened);
    };
  }

  #closed(code: number, reason: string, opened: boolean): void {
    // After an open that failed only the token endpoint can say why.
    if (!opened) this.#grant = undefined;
    const duty = closeDuty[code] ?? "retry";
    if (duty === "stop") {
      const why: Stop =
        code === 4001 ? "superseded" : code === 4003 ? "forbidden" : code === 4008 || code < 4000 ? "protocol" : "other";
      this.#stop(why, reason);
      return;
    }
    if (duty === "renew") {
      this.#grant = undefined;
    }
    this.#later(code === 4004 ? Number(reason) || undefined : undefined);
  }

  #later(wait?: number): void {
    const pause = wait === undefined ? this.#backoff.next() : Math.min(60_000, wait * (0.75 + Math.random() / 2));
    this.state.value = { is: "waiting", until: performance.now() + pause };
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#connect(), pause);
  }

  #stop(why: Stop, detail?: string): void {
    clearTimeout(this.#timer);
    // What waits for the next animation frame is of students whom this person may not see any more.
    if (why === "forbidden") this.#held = [];
    this.state.value = { is: "stopped", why, detail };
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#welcomed = false;
    socket?.close();
  }

  async #getGrant(): Promise<Grant | { problem: Problem }> {
    const kept = this.#grant;
    if (kept && kept.expires - this.options.clock.now() > 30_000) return kept;
    try {
      const response = await fetch(this.options.tokenEndpoint, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        credentials: "same-origin",
        body: JSON.stringify({ exam: this.options.exam }),
        signal: AbortSignal.timeout(15_000),
      });
      const body: unknown = await response.json().catch(() => ({}));
      if (!response.ok) return { problem: { ...(body as Problem), status: response.status } };
      this.#grant = body as Grant;
      return this.#grant;
    } catch {
      return { problem: { duty: "retry" } }; // no network, or too slow
    }
  }

  #receive(text: string): void {
    this.heard.value = performance.now();
    for (const f of parseFrames(text)) {
      switch (f.t) {
        case "welcome":
          this.#welcome(f.ping, f.now);
          break;
        case "token":
          if (this.#grant) this.#grant = { ...this.#grant, token: f.token, expires: f.expires };
          continue;
        case "time":
          this.options.clock.sample(f.now, f.at);
          continue;
        case "ack":
          if (f.id) this.settle(f.id);
          break;
        case "chat":
          this.settle(f.id);
          break;
        case "pulse":
          this.options.clock.sample(f.now);
          break;
        case "error":
          this.#error(f);
          break;
      }
      this.#held.push(f);
    }
    this.#schedule();
  }

  #welcome(ping: number, now: number): void {
    this.#ping = ping || this.#ping;
    this.#welcomed = true;
    this.#backoff.reset();
    this.options.clock.sample(now);
    this.state.value = { is: "open" };
    this.send({ t: "subscribe", signals: "all" });
    this.#askTime();
    for (const frame of this.#kept.values()) this.send(frame);
  }

  #error(f: Extract<Down, { t: "error" }>): void {
    const frame = f.ref ? this.#kept.get(f.ref) : undefined;
    if (!frame) return;
    if (f.duty === "retry") {
      // After a drop it is sent again anyway.
      window.setTimeout(() => this.unsettled(frame.id) && this.send(frame), f.wait || this.#backoff.next() + 500);
      return;
    }
    this.settle(frame.id);
    this.options.onDropped(frame.id, f.message);
  }

  #askTime(): void {
    this.#asked = performance.now();
    this.send({ t: "time", at: Math.round(this.#asked) });
  }

  /** Frames of one animation frame are handed over together. A hidden page has none, and its timers may wait for a minute. */
  #schedule(): void {
    if (this.#flush || this.#held.length === 0) return;
    const run = (): void => {
      cancelAnimationFrame(this.#flush);
      clearTimeout(this.#flushTimer);
      this.#flush = 0;
      const frames = this.#held;
      this.#held = [];
      if (frames.length > 0) this.options.onFrames(frames);
    };
    if (document.visibilityState === "hidden") {
      run();
      return;
    }
    this.#flush = requestAnimationFrame(run);
    this.#flushTimer = window.setTimeout(run, 250);
  }

  /** Every second: a socket that says nothing for three pings is dead, whatever the browser believes. */
  #silence(): void {
    if (!this.#welcomed) return;
    const now = performance.now();
    if (now - this.heard.value > 3 * this.#ping + 2000) {
      this.#drop();
      this.#later();
    } else if (now - this.#asked > 60_000) {
      this.#askTime();
    }
  }

  /** For tests: ends everything. */
  close(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#timer);
    removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    this.#tries++;
    this.#drop();
  }
}
