// One student's story as the panel shows it: what the timeline holds and what comes in live, each thing once.
import { newerProgress } from "./merge";
import type { ChatFrame, CommandKind, Cause, Data, Down, LMSProgress, Stage } from "./protocol";

export interface Review {
  state: ReviewState;
  by?: string;
  note?: string;
  at?: number;
  version?: number;
}
export type ReviewState = "none" | "pending" | "cleared" | "upheld" | "appealed" | "overturned";

export interface SignalEntry {
  type: "signal";
  at: number;
  recv?: number;
  stream: string;
  seq: number;
  kind: string;
  severity: number;
  incident?: boolean;
  dur?: number;
  data?: Data;
  review?: Review;
  impossible?: boolean;
}
export interface GapEntry {
  type: "gap";
  at: number;
  id: string;
  end?: number;
  cause: Cause;
  proposed?: number;
  decision?: string;
  review?: Review;
}
export interface CommandEntry {
  type: "command";
  at: number;
  id: string;
  kind: CommandKind;
  text?: string;
  reason?: string;
  seconds?: number;
  by?: string;
  stage: Stage;
  problem?: string;
  lms?: LMSProgress;
}
export interface ChatEntry {
  type: "chat";
  at: number;
  id: string;
  from: string;
  name?: string;
  text: string;
  urgent?: boolean;
  pending?: boolean;
}
export interface StateEntry {
  type: "state";
  at: number;
  state: string;
  by?: string;
  reason?: string;
}
export type Entry = SignalEntry | GapEntry | CommandEntry | ChatEntry | StateEntry;

/** What names an entry for ever. A state has no id: state and moment do. */
export function keyOf(e: Entry): string {
  switch (e.type) {
    case "signal":
      return `s/${e.stream}/${e.seq}`;
    case "state":
      return `t/${e.state}/${e.at}`;
    default:
      return `${e.type[0] === "c" ? e.type.slice(0, 2) : e.type}/${e.id}`;
  }
}

/** When it reached us: signals are ordered by the server's clock, the browser's may be wrong. */
export function momentOf(e: Entry): number {
  return e.type === "signal" ? (e.recv ?? e.at) : e.at;
}

/**
 * Whether the browser's clock cannot be right about a signal: it says that it was noticed after it arrived, or before the session was there.
 * What the timeline says of it (`impossible`) and what comes in live follow one rule, Signal.Impossible of the server.
 */
export function cannotBe(e: SignalEntry, created: number | undefined): boolean {
  if (e.impossible) return true;
  if (e.recv === undefined || e.stream.startsWith("server:")) return false;
  return e.at > e.recv + 60_000 || (created !== undefined && e.at < created - 60_000);
}

/** Whether a moment is only the nearest that the server keeps of a clock that is decades off (PossibleTime of the server). */
export function farOff(at: number): boolean {
  return at <= Date.UTC(2000, 0) || at >= Date.UTC(2200, 0);
}

/** The id by which an incident is reviewed; undefined when the entry is none. */
export function incidentID(e: Entry): string | undefined {
  if (e.type === "signal" && e.incident) return `${e.stream}/${e.seq}`;
  return e.type === "gap" && e.review ? `gap/${e.id}` : undefined;
}

/** Nothing is left of a gap that began after the end of the attempt, which was not known then. */
function noGap(e: Entry): boolean {
  return e.type === "gap" && e.end !== undefined && e.end <= e.at;
}

/** Whether an entry is an incident; of gaps only the student's own are. One that comes in live has no review yet. */
export function isIncident(e: Entry): boolean {
  return incidentID(e) !== undefined || (e.type === "gap" && e.cause === "student");
}

/** The entry of a live frame for this session; undefined when it has none. */
export function entryOf(f: Down, session: string): Entry | undefined {
  if (!("session" in f) || f.session !== session) return undefined;
  switch (f.t) {
    case "signal": {
      const { stream, seq, kind, at, recv, dur, data, incident } = f;
      return { type: "signal", stream, seq, kind, severity: f.severity ?? 0, at, recv, dur, data, incident };
    }
    case "gap":
      return { type: "gap", id: f.id, at: f.start, end: f.end, cause: f.cause, proposed: f.proposed, decision: f.decision };
    case "progress":
      return { type: "command", id: f.id, at: f.at, kind: f.kind, stage: f.stage, problem: f.problem, lms: f.lms, by: f.by };
    case "chat":
      return chatEntry(f);
    default:
      return undefined;
  }
}

export function chatEntry(f: ChatFrame): ChatEntry {
  return { type: "chat", id: f.id, at: f.at, from: f.from, name: f.name, text: f.text, urgent: f.urgent };
}

/** The feed: entries by key, and in order of their moments when asked. */
export class Feed {
  readonly #entries = new Map<string, Entry>();

  /** Takes an entry; false when it changed nothing. What the newer one leaves out stays (a live frame has no review). */
  add(e: Entry): boolean {
    const key = keyOf(e);
    const old = this.#entries.get(key);
    if (!old) {
      this.#entries.set(key, e);
      return true;
    }
    const merged = { ...old, ...defined(e) } as Entry;
    if (old.type === "command" && merged.type === "command" && e.type === "command") {
      // Progress may overtake itself, and says when it moved: the command was given before.
      const newer = newerProgress({ ...old, session: "" }, { ...e, session: "" });
      merged.stage = newer.stage;
      merged.problem = newer.problem;
      merged.lms = newer.lms;
      merged.at = Math.min(old.at, e.at);
    }
    if (old.type === "chat" && !(e as ChatEntry).pending) delete (merged as ChatEntry).pending;
    if (JSON.stringify(merged) === JSON.stringify(old)) return false;
    this.#entries.set(key, merged);
    return true;
  }

  has(e: Entry): boolean {
    return this.#entries.has(keyOf(e));
  }

  /** Newest first. */
  list(): Entry[] {
    return [...this.#entries.values()]
      .filter((e) => !noGap(e))
      .sort((a, b) => momentOf(b) - momentOf(a) || (keyOf(a) < keyOf(b) ? 1 : -1));
  }
}

function defined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Partial<T>;
}

/** Signals per bin of time by the height of their severity, for the chart. */
export function bins(entries: readonly Entry[], width: number): { at: number[]; low: number[]; high: number[] } {
  const table = new Map<number, { low: number; high: number }>();
  for (const e of entries) {
    if (e.type !== "signal") continue;
    const bin = Math.floor(momentOf(e) / width) * width;
    const cell = table.get(bin) ?? { low: 0, high: 0 };
    if (e.incident || e.severity >= 0.3) cell.high++;
    else cell.low++;
    table.set(bin, cell);
  }
  const known = [...table.keys()].sort((a, b) => a - b);
  const out = { at: [] as number[], low: [] as number[], high: [] as number[] };
  const first = known[0];
  const last = known[known.length - 1];
  if (first === undefined || last === undefined) return out;
  // At most 2,000 bins: a session that is read days later does not fill the memory with zeros.
  const step = width * Math.max(1, Math.ceil((last - first) / width / 2000));
  for (let at = first; at <= last; at += step) {
    let low = 0;
    let high = 0;
    for (let b = at; b < at + step; b += width) {
      low += table.get(b)?.low ?? 0;
      high += table.get(b)?.high ?? 0;
    }
    out.at.push(at);
    out.low.push(low);
    out.high.push(high);
  }
  return out;
}
