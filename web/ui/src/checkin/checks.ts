// What the system check found, as rows for the student. Pure.
export type Result = "pass" | "warn" | "fail" | "wait";
export type CheckID = "socket" | "clock" | "visibility" | "clipboard" | "fullscreen" | "displays" | "storage";

export interface Row {
  id: CheckID;
  result: Result;
  /** Which words say it: check_{id}_{word}. */
  word: string;
  params?: Record<string, string | number>;
}

export interface Probe {
  /** ms of the best round trip; undefined: no socket. */
  rtt?: number;
  /** This computer's clock minus the server's, ms. */
  offset?: number;
  /** Why there was no socket: the server's words, or none. */
  problem?: string;
  /** The server said that trying again will not help. */
  refused?: boolean;
}

export interface Capabilities {
  [name: string]: string | number | boolean;
}

/** The rows that matter for this exam: the link, the clock and the storage always, else what is watched. */
export function rowsOf(watch: readonly string[], fullscreen: boolean): CheckID[] {
  const rows: CheckID[] = ["socket", "clock"];
  if (watch.includes("focus")) rows.push("visibility");
  if (watch.includes("clipboard")) rows.push("clipboard");
  if (fullscreen || watch.includes("fullscreen")) rows.push("fullscreen");
  if (watch.includes("display")) rows.push("displays");
  if (watch.length > 0) rows.push("storage");
  return rows;
}

export function judge(id: CheckID, probe: Probe, can: Capabilities): Row {
  switch (id) {
    case "socket":
      if (probe.rtt === undefined)
        return { id, result: "fail", word: probe.refused ? "refused" : "fail", params: { problem: probe.problem ?? "" } };
      if (probe.rtt > 1000) return { id, result: "warn", word: "slow", params: { ms: Math.round(probe.rtt) } };
      return { id, result: "pass", word: "pass", params: { ms: Math.max(1, Math.round(probe.rtt)) } };
    case "clock":
      if (probe.offset === undefined) return { id, result: "warn", word: "unknown" };
      return Math.abs(probe.offset) > 10_000
        ? {
            id,
            result: "warn",
            word: probe.offset > 0 ? "ahead" : "behind",
            params: { s: Math.round(Math.abs(probe.offset) / 1000) },
          }
        : { id, result: "pass", word: "pass" };
    default:
      return { id, result: can[id] === true ? "pass" : "warn", word: can[id] === true ? "pass" : "warn" };
  }
}

/** The worst of the rows. */
export function worst(rows: readonly Row[]): Result {
  for (const result of ["wait", "fail", "warn"] as const) if (rows.some((r) => r.result === result)) return result;
  return "pass";
}

/**
 * Whether the student may begin: agreed, in time, and the check is over. A check whose connection failed is over after a
 * second try: a broken check must not lock anyone out of an exam.
 */
export function mayStart(state: { consent: boolean; left: number; rows: readonly Row[]; tries: number }): boolean {
  const result = worst(state.rows);
  return state.consent && state.left > 0 && result !== "wait" && (result !== "fail" || state.tries > 1);
}
