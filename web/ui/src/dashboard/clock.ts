// The server's clock as this browser knows it, and what is left of an attempt by it.
import type { Connection, Life } from "./protocol";

/** States in which nobody is watched any more. One that we do not know is of a newer server, and none of them. */
export const ended = new Set(["submitted", "terminated", "expired", "stopped", "canceled"]);
/** States of an attempt that has begun and is not over, by the LMS's word; time_up is over by ours only. */
export const begun = new Set(["active", "paused", "time_up"]);
/** States before the attempt begins. */
export const before = new Set(["created", "ready", "awaiting", "authorized"]);

/** Estimates the server's time. It runs on the monotonic clock, so that a change of the computer's clock moves nothing. */
export class ServerClock {
  #offset: number | undefined;
  #error = Infinity; // half of the round trip of the sample in use
  #taken = 0;

  constructor(
    private readonly mono: () => number = () => performance.now(),
    private readonly wall: () => number = () => Date.now(),
  ) {}

  /** Now, by the server; by this computer before the server said anything. */
  now(): number {
    return this.#offset === undefined ? this.wall() : this.mono() + this.#offset;
  }

  /** This computer's clock minus the server's: positive when this one is ahead. */
  skew(): number {
    return this.#offset === undefined ? 0 : this.wall() - this.now();
  }

  /** The server's time as it left. sent is the monotonic time of the question; without one the delay is not known. */
  sample(serverNow: number, sent?: number): void {
    const at = this.mono();
    const error = sent === undefined ? 1000 : (at - sent) / 2;
    const offset = serverNow + (sent === undefined ? 0 : error) - at;
    const jumped = this.#offset !== undefined && Math.abs(offset - this.#offset) > 2000 + error;
    if (this.#offset === undefined || error <= this.#error || jumped || at - this.#taken > 10 * 60_000) {
      this.#offset = offset;
      this.#error = error;
      this.#taken = at;
    }
  }
}

/** What is left of an attempt: ms, undefined when there is no end, and stands still while paused. */
export function timeLeft(life: Life, now: number): { left: number | undefined; stands: boolean } {
  if (ended.has(life.state)) return { left: undefined, stands: true };
  if (life.state === "paused") {
    if (life.left !== undefined) return { left: life.left, stands: true };
    // The server leaves out a zero: with an end that is over nothing is left.
    return { left: life.end ? Math.max(0, life.end - (life.changed ?? now)) : undefined, stands: true };
  }
  return { left: life.end ? Math.max(0, life.end - now) : undefined, stands: false };
}

/** How long the attempt has been open, and how much of that was watched; pauses are in neither. undefined: it is not counted. */
export function watchedTime(life: Life, conn: Connection, now: number): { watched: number; open: number } | undefined {
  const { started } = life;
  if (!life.counted || !started) return undefined;
  const to = life.ended || (life.state === "paused" || life.state === "time_up" ? life.changed : 0) || now;
  const within = (from: number): number => {
    let sum = to - Math.max(from, started);
    for (const p of life.pauses ?? []) sum -= Math.max(0, Math.min(p.to, to) - Math.max(p.from, from, started));
    return Math.max(0, sum);
  };
  const open = within(started);
  let watched = conn.watched ?? 0;
  if (conn.reports) {
    const away = conn.c !== "online" && conn.c !== "degraded" ? conn.since : undefined;
    watched += Math.max(0, within(conn.reports) - (away ? Math.max(0, to - away) : 0));
  }
  return { watched: Math.min(watched, open), open };
}
