// Opens a real socket to measure the way, and keeps one open while a student waits for admission.
import { parseFrames } from "../dashboard/protocol";
import type { Probe } from "./checks";

export interface Where {
  tokenEndpoint: string;
  session: string;
}
interface Problem {
  status: number;
  detail?: string;
  duty?: string;
}

class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? `HTTP ${problem.status}`);
  }
}

async function open(where: Where): Promise<WebSocket> {
  const response = await fetch(where.tokenEndpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    credentials: "same-origin",
    body: JSON.stringify({ session: where.session }),
    signal: AbortSignal.timeout(8000),
  });
  const body = (await response.json().catch(() => ({}))) as { token: string; url: string; detail?: string; duty?: string };
  if (!response.ok) throw new Refused({ ...body, status: response.status });
  return new WebSocket(body.url, ["vigil.v1", `vigil.token.${body.token}`]);
}

/** A stream id that nothing will be sent in. */
function idleStream(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Measures the way to the server within about ten seconds. Never throws. */
export async function probe(where: Where, limit = 10_000): Promise<Probe> {
  let socket: WebSocket;
  try {
    socket = await open(where);
  } catch (err) {
    if (err instanceof Refused) return { problem: err.message, refused: err.problem.duty === "stop" };
    return {};
  }
  return new Promise<Probe>((resolve) => {
    const found: Probe = {};
    let asked = 0;
    let left = 4;
    const end = (): void => {
      clearTimeout(timer);
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ t: "bye", reason: "closing" }));
      socket.onclose = null;
      socket.close();
      resolve(found);
    };
    const timer = window.setTimeout(end, limit);
    const ask = (): void => {
      asked = performance.now();
      socket.send(JSON.stringify({ t: "time", at: Date.now() }));
    };
    // Without a hello this connection is nobody's: it may ask for the time and go.
    socket.onopen = ask;
    socket.onmessage = (e) => {
      for (const f of parseFrames(String(e.data))) {
        if (f.t !== "time" || f.at === undefined) continue;
        const rtt = performance.now() - asked;
        if (found.rtt === undefined || rtt < found.rtt) {
          found.rtt = rtt;
          found.offset = Date.now() - (f.now + rtt / 2);
        }
        if (--left === 0) return end();
        window.setTimeout(ask, 250);
      }
    };
    socket.onclose = end;
  });
}

/** Waits until the session is no longer waiting; comes back after every drop. Calls at most once. */
export function waitForAdmission(where: Where, done: (state: string) => void): () => void {
  let stopped = false;
  let socket: WebSocket | undefined;
  let timer = 0;
  let pause = 500;
  const leave = (): void => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ t: "bye", reason: "closing" }));
    socket?.close();
  };
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
    leave();
  };
  const again = (): void => {
    if (stopped) return;
    pause = Math.min(15_000, pause * 2);
    timer = window.setTimeout(() => void connect(), Math.random() * pause);
  };
  const judge = (state: string | undefined): void => {
    if (stopped || state === undefined || state === "awaiting") return;
    stop();
    done(state);
  };
  const connect = async (): Promise<void> => {
    try {
      socket = await open(where);
    } catch (err) {
      if (err instanceof Refused && err.problem.duty === "stop") return judge("ended");
      return again();
    }
    if (stopped) return leave();
    socket.onopen = () => {
      pause = 500;
      socket?.send(JSON.stringify({ t: "hello", stream: idleStream(), next: 1 }));
    };
    socket.onmessage = (e) => {
      for (const f of parseFrames(String(e.data))) {
        const { t, state } = f as unknown as { t: string; state?: string };
        if (t === "welcome" || t === "state") judge(state);
      }
    };
    socket.onclose = again;
  };
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (e) => {
    if (e.persisted && !stopped) void connect();
  });
  void connect();
  return stop;
}
