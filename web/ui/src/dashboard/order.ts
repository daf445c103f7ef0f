// Which students need a look first, and why: the default order of the list, its filters and its counts.
import { ended, timeLeft } from "./clock";
import { compareGroups } from "./groups";
import { badAtLMS, type Student } from "./merge";

/** Why a student stands where they stand; the first that holds counts. Higher needs a look sooner. */
export type Why = "hand" | "urgent" | "lost" | "unwatched" | "chat" | "incidents" | "lms" | "admission" | "lost_time" | "none";

export interface Attention {
  why: Why;
  rank: number;
}

const ranks: Record<Why, number> = {
  hand: 6,
  urgent: 6,
  lost: 5,
  unwatched: 5,
  chat: 4,
  incidents: 3,
  lms: 2,
  admission: 1,
  lost_time: 1,
  none: 0,
};

export type Dismissed = ReadonlySet<string>;
const nothing: Dismissed = new Set();

/** A bad answer of the LMS that nobody put aside yet. */
export function lmsTrouble(s: Student, dismissed: Dismissed = nothing): boolean {
  return s.orders.some((p) => badAtLMS(p) && !dismissed.has(s.id + p.id));
}

export function isEnded(s: Student): boolean {
  return ended.has(s.life.state);
}

/** In the exam, and out of reach. A session that never connected is not lost, it has not come. */
export function isLost(s: Student): boolean {
  return s.conn.c === "lost" && !isEnded(s);
}

/** The attempt is open and nobody watches it: no page of it has connected. */
export function isUnwatched(s: Student): boolean {
  return !!s.life.unwatched && !s.life.unwatched_end && !isEnded(s);
}

export function isOffline(s: Student): boolean {
  return !isEnded(s) && (s.conn.c === "lost" || ((s.conn.c === "closed" || s.conn.c === "superseded") && running(s)));
}

/** The attempt has begun, and its time is not over: who left after that is not missed. */
function running(s: Student): boolean {
  return s.life.state === "active" || s.life.state === "paused";
}

// Students are never changed, only replaced, so what was found out about one holds as long as it lives.
const known = new WeakMap<Student, { dismissed: Dismissed; found: Attention }>();

export function attention(s: Student, dismissed: Dismissed = nothing): Attention {
  const old = known.get(s);
  if (old?.dismissed === dismissed) return old.found;
  const why = reason(s, dismissed);
  const found = { why, rank: ranks[why] };
  known.set(s, { dismissed, found });
  return found;
}

function reason(s: Student, dismissed: Dismissed): Why {
  const over = isEnded(s);
  if (s.tally.hand && !over) return "hand";
  if (s.tally.unread && s.life.state === "paused") return "urgent";
  if (isLost(s)) return "lost";
  // What many have at once is said once, above the list.
  if (isUnwatched(s) && !s.life.unwatched_room) return "unwatched";
  if (s.tally.unread) return "chat";
  if (s.tally.open > 0) return "incidents";
  if (lmsTrouble(s, dismissed)) return "lms";
  if (s.life.state === "awaiting") return "admission";
  if (s.lost.proposed > 0 && !over) return "lost_time";
  return "none";
}

export type SortKey = "attention" | "name" | "group" | "state" | "left";
const stateOrder = [
  "awaiting",
  "active",
  "paused",
  "time_up",
  "?",
  "authorized",
  "ready",
  "created",
  "terminated",
  "expired",
  "submitted",
  "stopped",
  "canceled",
];

/** Where a state stands in the order; one that we do not know stands after those that run. */
function stateRank(s: Student): number {
  const at = stateOrder.indexOf(s.life.state);
  return at < 0 ? stateOrder.indexOf("?") : at;
}

/** Names as people read them; built once, since building one is slow. */
const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

export function nameOf(s: Student): string {
  return s.who.name || s.who.user || s.id;
}

function compareNames(a: Student, b: Student): number {
  return byName.compare(nameOf(a), nameOf(b)) || a.who.attempt - b.who.attempt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/**
 * Compares two students by attention: raised hands and urgent chat first (who waits longest leads), then lost ones, unread
 * chat, open incidents by severity and recency, trouble with the LMS, decisions to take; then names.
 */
export function compareAttention(a: Student, b: Student, dismissed: Dismissed = nothing): number {
  const x = attention(a, dismissed);
  const y = attention(b, dismissed);
  if (x.rank !== y.rank) return y.rank - x.rank;
  switch (x.rank) {
    case ranks.hand: {
      const d = (a.tally.hand || Infinity) - (b.tally.hand || Infinity);
      if (d) return Number.isNaN(d) ? compareNames(a, b) : d;
      break;
    }
    case ranks.lost: {
      const d = (b.life.unwatched ?? b.conn.since ?? 0) - (a.life.unwatched ?? a.conn.since ?? 0);
      if (d) return d;
      break;
    }
    case ranks.incidents: {
      const d = severityStep(b.tally.severity) - severityStep(a.tally.severity) || (b.tally.last_at ?? 0) - (a.tally.last_at ?? 0);
      if (d) return d;
      break;
    }
    case 0: {
      const d = Number(isEnded(a)) - Number(isEnded(b));
      if (d) return d;
      break;
    }
  }
  return compareNames(a, b);
}

export function compare(key: SortKey, now: number, dismissed: Dismissed = nothing): (a: Student, b: Student) => number {
  switch (key) {
    case "attention":
      return (a, b) => compareAttention(a, b, dismissed);
    case "name":
      return compareNames;
    case "group":
      return (a, b) => compareGroups(a, b) || compareNames(a, b);
    case "state":
      return (a, b) => stateRank(a) - stateRank(b) || compareNames(a, b);
    case "left":
      return (a, b) => {
        const x = timeLeft(a.life, now).left ?? Infinity;
        const y = timeLeft(b.life, now).left ?? Infinity;
        // Two attempts that end in the same second stay in the order of their names.
        const d = Math.round(x / 1000) - Math.round(y / 1000);
        return d && !Number.isNaN(d) ? d : compareNames(a, b);
      };
  }
}

/** 0 info, 1 low, 2 medium, 3 high, 4 critical. */
export function severityStep(severity: number): 0 | 1 | 2 | 3 | 4 {
  if (severity >= 0.9) return 4;
  if (severity >= 0.6) return 3;
  if (severity >= 0.3) return 2;
  return severity > 0 ? 1 : 0;
}

export const filters = ["all", "attention", "working", "unwatched", "offline", "paused", "time_up", "waiting", "finished"] as const;
export type Filter = (typeof filters)[number];

export function passes(s: Student, f: Filter, dismissed: Dismissed = nothing): boolean {
  switch (f) {
    case "all":
      return true;
    case "attention":
      return attention(s, dismissed).rank > 0;
    case "working":
      return s.life.state === "active";
    case "unwatched":
      return isUnwatched(s);
    case "offline":
      return isOffline(s);
    case "paused":
      return s.life.state === "paused";
    case "time_up":
      return s.life.state === "time_up";
    case "waiting":
      return s.life.state === "awaiting";
    case "finished":
      return isEnded(s);
  }
}

export function counts(students: Iterable<Student>, dismissed: Dismissed = nothing): Record<Filter, number> {
  const out: Record<Filter, number> = {
    all: 0,
    attention: 0,
    working: 0,
    unwatched: 0,
    offline: 0,
    paused: 0,
    time_up: 0,
    waiting: 0,
    finished: 0,
  };
  for (const s of students) for (const f of filters) if (passes(s, f, dismissed)) out[f]++;
  return out;
}

/** Whether every word of the search is somewhere in the student's name or LMS user id; case and accents do not matter. */
export function matches(s: Student, search: string): boolean {
  const wanted = fold(search).split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return true;
  const text = fold(`${s.who.name ?? ""} ${s.who.user}`);
  return wanted.every((w) => text.includes(w));
}

/** Text to be searched: without case and accents. */
export function fold(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
