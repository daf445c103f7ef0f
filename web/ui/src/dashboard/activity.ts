// Activity over time of the whole exam since this page was opened: signals and incidents a minute, and how many were offline.
import type { Down } from "./protocol";

export interface Point {
  at: number; // begin of the bin
  signals: number;
  incidents: number;
  offline: number; // the most in the bin
}

export class Activity {
  readonly #points: Point[] = [];
  readonly #seen = new Set<string>();

  constructor(
    readonly width = 60_000,
    private readonly most = 24 * 60,
  ) {}

  /** Counts a signal once; a repeat has the same stream and number. */
  signal(f: Extract<Down, { t: "signal" }>, now: number): void {
    const key = `${f.session}/${f.stream}/${f.seq}`;
    if (this.#seen.has(key)) return;
    if (this.#seen.size > 100_000) this.#seen.clear(); // a repeat comes soon or never
    this.#seen.add(key);
    const p = this.#at(now);
    p.signals++;
    if (f.incident) p.incidents++;
  }

  offline(count: number, now: number): void {
    const p = this.#at(now);
    p.offline = Math.max(p.offline, count);
  }

  /** The bins so far, oldest first, without holes. */
  points(): readonly Point[] {
    return this.#points;
  }

  #at(now: number): Point {
    const at = Math.floor(now / this.width) * this.width;
    let last = this.#points[this.#points.length - 1];
    if (!last) {
      last = { at, signals: 0, incidents: 0, offline: 0 };
      this.#points.push(last);
    }
    // After a sleep of the computer the bins between are filled, but not for ever.
    if (at - last.at > this.most * this.width) this.#points.length = 0;
    while (last.at < at) {
      last = { at: this.#points.length === 0 ? at : last.at + this.width, signals: 0, incidents: 0, offline: 0 };
      this.#points.push(last);
      if (this.#points.length > this.most) this.#points.shift();
    }
    return last;
  }
}
