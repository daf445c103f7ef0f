// What this proctor ordered: one batch per decision, with what came of it for each student.
import { begun } from "./clock";
import { isEnded } from "./order";
import { maxTargets, newID, type CommandKind, type CommandUp, type LostTimeUp, type Progress, type State } from "./protocol";
import { badAtLMS, keptUntilBegin, mergeOrders, stageOf, waitsForLMS, type Student } from "./merge";

/** What a proctor can decide: a command, or what becomes of lost time. */
export type Action = CommandKind | "grant" | "refuse";

export interface Details {
  text?: string;
  reason?: string;
  seconds?: number;
  severity?: number;
}

export interface Batch {
  key: string; // of its first frame
  action: Action;
  details: Details;
  at: number;
  /** The frames' ids: more than one where there are too many targets for one frame. */
  ids: readonly string[];
  frames: readonly (CommandUp | LostTimeUp)[];
  /** Who it is for; empty for everyone. */
  targets: readonly string[];
  all: boolean;
  results: ReadonlyMap<string, Progress>; // by session
  problem?: string; // the server did not take a frame
  undone?: boolean;
}

/** The frames of a decision, and its batch. */
export function makeBatch(
  action: Action,
  targets: readonly string[],
  all: boolean,
  details: Details,
  at: number,
  id: () => string = newID,
): { batch: Batch; frames: (CommandUp | LostTimeUp)[] } {
  const frames: (CommandUp | LostTimeUp)[] = [];
  if (all && action !== "grant" && action !== "refuse") {
    frames.push({ t: "command", id: id(), kind: action, all: true, ...details });
  } else {
    for (let i = 0; i < targets.length; i += maxTargets) {
      const part = targets.slice(i, i + maxTargets);
      if (action === "grant" || action === "refuse")
        frames.push({ t: "lost_time", id: id(), targets: part, grant: action === "grant" });
      else frames.push({ t: "command", id: id(), kind: action, targets: part, ...details });
    }
  }
  const ids = frames.map((f) => f.id);
  return {
    batch: { key: ids[0] ?? id(), action, details, at, ids, frames, targets: all ? [] : [...targets], all, results: new Map() },
    frames,
  };
}

/** The batch with more progress; the same batch if none of it is its own or news. */
export function withProgress(b: Batch, ...list: Progress[]): Batch {
  let results: Map<string, Progress> | undefined;
  for (const p of list) {
    if (!b.ids.includes(p.id)) continue;
    const old = (results ?? b.results).get(p.session);
    const merged = mergeOrders(old ? [old] : [], p)[0] as Progress;
    if (merged === old) continue;
    results ??= new Map(b.results);
    results.set(p.session, merged);
  }
  return results ? { ...b, results } : b;
}

/** Whether everyone whom a frame names has been answered for; a frame to everyone is answered by its first progress. */
export function answered(b: Batch, id: string): boolean {
  const frame = b.frames.find((f) => f.id === id);
  if (!frame) return true;
  const targets = frame.targets ?? [];
  return targets.length === 0 || targets.every((session) => b.results.has(session));
}

export interface Summary {
  total: number;
  sent: number; // nothing heard of yet
  queued: number;
  delivered: number;
  seen: number;
  done: number;
  refused: number;
  kept: number; // extra time that waits for the attempt to begin
  lmsWaiting: number;
  lmsAccepted: number;
  lmsBad: number;
}

/** What came of a batch. stateOf tells how a session stands, where that is known. */
export function summary(b: Batch, stateOf: (session: string) => State | undefined = () => undefined): Summary {
  const s: Summary = {
    total: Math.max(b.targets.length, b.results.size),
    sent: 0,
    queued: 0,
    delivered: 0,
    seen: 0,
    done: 0,
    refused: 0,
    kept: 0,
    lmsWaiting: 0,
    lmsAccepted: 0,
    lmsBad: 0,
  };
  for (const p of b.results.values()) {
    if (keptUntilBegin(p, stateOf(p.session))) {
      s.kept++;
      continue;
    }
    s[stageOf(p)]++;
    if (waitsForLMS(p)) s.lmsWaiting++;
    else if (badAtLMS(p)) s.lmsBad++;
    else if (p.lms?.state === "accepted") s.lmsAccepted++;
  }
  s.sent = s.total - b.results.size;
  return s;
}

/** The opposite of a batch, where there is one, and the students for whom it took effect. */
export function undoOf(b: Batch): { action: Action; targets: string[] } | undefined {
  if (b.undone || b.problem) return undefined;
  const action = b.action === "pause" ? "resume" : b.action === "resume" ? "pause" : undefined;
  if (!action) return undefined;
  const targets = [...b.results.values()].filter((p) => stageOf(p) !== "refused").map((p) => p.session);
  return targets.length > 0 ? { action, targets } : undefined;
}

/** Whether an action can be done to a student in this state, so that a bulk command names only those whom it fits. */
export function fits(action: Action, s: Student): boolean {
  switch (action) {
    case "message":
    case "warn":
    case "extend":
      return !isEnded(s);
    case "pause":
      return s.life.state === "active";
    case "resume":
      return s.life.state === "paused";
    case "terminate":
      return begun.has(s.life.state);
    case "admit":
      return s.life.state === "awaiting";
    case "reactivate":
      return s.life.state === "terminated";
    case "grant":
    case "refuse":
      return s.lost.proposed > 0 && !(action === "grant" && isEnded(s));
    case "flag":
    case "note":
      return true;
  }
}

const controls: Partial<Record<Action, string>> = {
  pause: "pause",
  resume: "resume",
  extend: "update",
  grant: "update",
  terminate: "terminate",
  flag: "flag",
};

/** Whether the student's LMS is told of such a command. */
export function reachesLMS(action: Action, s: Student): boolean {
  const control = controls[action];
  return control !== undefined && (s.life.control ?? []).includes(control);
}

/** Whether the action is one that LMSs can be told of at all. */
export function concernsLMS(action: Action): boolean {
  return controls[action] !== undefined;
}
