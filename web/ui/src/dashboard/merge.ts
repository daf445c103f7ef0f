// How rows from snapshots and deltas become what the dashboard shows. Pure: the same frames in the same order always give
// the same students, and a group that is older than the one shown changes nothing.
import { before } from "./clock";
import type {
  CommandKind,
  Connection,
  Group,
  Groups,
  Life,
  Lost,
  MonitorView,
  Progress,
  Row,
  Stage,
  State,
  Tally,
  Who,
} from "./protocol";

/** The groups that a student is in, as far as this proctor may know; none for who is in no group. */
export interface Membership {
  version: number;
  list: readonly Group[];
}

/** A student as shown. Objects are never changed, only replaced, so that comparing by identity is enough. */
export interface Student {
  id: string;
  who: Who;
  life: Life;
  conn: Connection;
  tally: Tally;
  /** None: nothing was asked yet. */
  monitor?: MonitorView;
  lost: Lost;
  groups: Membership;
  /** Commands to this session whose progress we know, oldest first. */
  orders: readonly Progress[];
}

const noWho: Who = { user: "", attempt: 1, created: 0 };
const noLife: Life = { version: 0, state: "created" };
const noConn: Connection = { c: "never" };
const noTally: Tally = { signals: 0, incidents: 0, open: 0, severity: 0 };
const noLost: Lost = { version: 0, gaps: 0, total: 0, proposed: 0, granted: 0 };
const noGroups: Membership = { version: 0, list: [] };
const none: readonly Progress[] = [];

/** Commands that are remembered for one student. */
export const maxOrders = 60;

export function emptyStudent(id: string): Student {
  return { id, who: noWho, life: noLife, conn: noConn, tally: noTally, lost: noLost, groups: noGroups, orders: none };
}

/** Merges a row. snapshot: the row is whole, so what it does not list as open with the LMS is open no more. */
export function mergeRow(old: Student | undefined, row: Row, snapshot = false): Student {
  const was = old ?? emptyStudent(row.id);
  const next: Student = {
    id: was.id,
    who: row.who ?? was.who,
    life: row.life && row.life.version >= was.life.version ? row.life : was.life,
    conn: row.conn ? newerConn(was.conn, row.conn) : was.conn,
    tally: row.tally ?? was.tally,
    ...newerMonitor(was.monitor, row.monitor),
    lost: row.lost && row.lost.version >= was.lost.version ? row.lost : was.lost,
    groups: newerGroups(was.groups, row.groups),
    orders: was.orders,
  };
  if (snapshot) {
    const listed = row.lms ?? [];
    const ids = new Set(listed.map((p) => p.id));
    next.orders = was.orders.filter((p) => ids.has(p.id) || !openWithLMS(p));
  }
  for (const p of row.lms ?? []) next.orders = mergeOrders(next.orders, p);
  if (next.orders.length === was.orders.length && next.orders.every((p, i) => p === was.orders[i])) next.orders = was.orders;
  return old && same(old, next) ? old : next;
}

/** Merges the progress of one command. */
export function mergeProgress(old: Student, p: Progress): Student {
  const orders = mergeOrders(old.orders, p);
  return orders === old.orders ? old : { ...old, orders };
}

function same(a: Student, b: Student): boolean {
  return (
    a.who === b.who &&
    a.life === b.life &&
    a.conn === b.conn &&
    a.tally === b.tally &&
    a.monitor === b.monitor &&
    a.lost === b.lost &&
    a.groups === b.groups &&
    a.orders === b.orders
  );
}

/** Of a platform that never told of groups a row has none; once it did, each whole row has them. */
function newerGroups(old: Membership, next: Groups | undefined): Membership {
  return next && next.version >= old.version ? { version: next.version, list: next.list ?? noGroups.list } : old;
}

/** The state that began later, then the one that was heard later. */
function newerMonitor(old: MonitorView | undefined, next: MonitorView | undefined): { monitor?: MonitorView } {
  const monitor = !old || (next && (next.since - old.since || (next.heard ?? 0) - (old.heard ?? 0)) >= 0) ? (next ?? old) : old;
  return monitor ? { monitor } : {};
}

/** The connection of the higher epoch, then the one that took its value later, then the one that was heard later. */
function newerConn(old: Connection, next: Connection): Connection {
  const order = (next.epoch ?? 0) - (old.epoch ?? 0) || (next.since ?? 0) - (old.since ?? 0);
  if (order !== 0) return order > 0 ? next : old;
  return (next.heard ?? 0) >= (old.heard ?? 0) ? next : { ...next, heard: old.heard };
}

const stages: Record<Stage, number> = { queued: 0, delivered: 1, done: 2, seen: 2, refused: 3 };

const open = (p: Progress): boolean => !p.lms || p.lms.state === "waiting" || p.lms.state === "none";

/** Progress only moves forward: a stage never goes back, an answer of the LMS is not taken back by "waiting", and of two waits the later counts. */
export function newerProgress(old: Progress, next: Progress): Progress {
  const stage = stages[next.stage] >= stages[old.stage] ? next : old;
  const kept = open(next) && (!open(old) || (old.lms?.at ?? 0) > (next.lms?.at ?? 0));
  const lms = kept ? old.lms : (next.lms ?? old.lms);
  const out: Progress = {
    ...next,
    stage: stage.stage,
    problem: stage.problem ?? old.problem,
    at: Math.max(old.at, next.at),
    by: next.by ?? old.by,
  };
  if (lms) out.lms = lms;
  return out;
}

export function mergeOrders(orders: readonly Progress[], p: Progress): readonly Progress[] {
  const i = orders.findIndex((o) => o.id === p.id);
  if (i < 0) return [...orders.slice(-(maxOrders - 1)), p];
  const merged = newerProgress(orders[i] as Progress, p);
  if (JSON.stringify(merged) === JSON.stringify(orders[i])) return orders;
  return orders.map((o, j) => (j === i ? merged : o));
}

/** What is in effect at once, and is taken back when the LMS refuses it. */
const takenBack = new Set<CommandKind>(["pause", "resume"]);

/** How far a command got: one that the LMS refused is refused, also where the student had seen it before. */
export function stageOf(p: Pick<Progress, "kind" | "stage" | "lms">): Stage {
  return takenBack.has(p.kind) && p.lms?.state === "refused" ? "refused" : p.stage;
}

/** Extra time that waits for the attempt to begin: the LMS is not asked before, or it answered that it knows no running attempt. */
export function keptUntilBegin(p: Pick<Progress, "kind" | "lms">, state: State | undefined): boolean {
  return (
    p.kind === "extend" && p.lms?.state === "waiting" && (p.lms.status === "none" || (state !== undefined && before.has(state)))
  );
}

/** The LMS has not answered this command yet. */
export function waitsForLMS(p: Progress): boolean {
  return p.lms?.state === "waiting";
}

/** The LMS did not do what this command asks, or may not have. */
export function badAtLMS(p: Progress): boolean {
  return p.lms?.state === "refused" || p.lms?.state === "failed" || p.lms?.state === "unknown";
}

function openWithLMS(p: Progress): boolean {
  return waitsForLMS(p) || badAtLMS(p);
}

/** Collects the pages of a snapshot, to tell which rows are gone when it is whole. */
export class SnapshotPages {
  #number = 0;
  #next = 0; // page expected; 0: no snapshot is under way
  #named = new Set<string>();

  /** Another connection: what was under way will not be finished. */
  reset(): void {
    this.#number = 0;
    this.#next = 0;
    this.#named.clear();
  }

  /** A delta named this row: it is there, even if it was added after its page was sent. */
  touch(id: string): void {
    if (this.#next > 0) this.#named.add(id);
  }

  /** One page. When it makes the snapshot whole: the ids that it named, else undefined. */
  page(number: number, page: number, last: boolean, ids: Iterable<string>): ReadonlySet<string> | undefined {
    if (page === 1) {
      this.#number = number;
      this.#next = 1;
      this.#named = new Set();
    }
    if (number !== this.#number || page !== this.#next) {
      this.#next = 0; // a page is missing: rows are taken, but nobody is gone
      return undefined;
    }
    for (const id of ids) this.#named.add(id);
    this.#next++;
    if (!last) return undefined;
    this.#next = 0;
    return this.#named;
  }
}
