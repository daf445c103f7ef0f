// The proctor's half of the socket protocol (docs/protocol.md). Times are ms since the Unix epoch, durations are ms; fields
// that are zero are left out by the server, so most are optional here.

export type State =
  | "created"
  | "ready"
  | "awaiting"
  | "authorized"
  | "active"
  | "paused"
  | "time_up"
  | "submitted"
  | "terminated"
  | "expired"
  | "stopped"
  | "canceled";
export type Conn = "never" | "online" | "navigating" | "degraded" | "lost" | "superseded" | "closed";
/** navigation is of older servers, and counts as unclear. */
export type Cause = "student" | "server" | "lms" | "unclear" | "navigation";
export type CommandKind =
  | "message"
  | "warn"
  | "pause"
  | "resume"
  | "extend"
  | "terminate"
  | "flag"
  | "note"
  | "admit"
  | "reactivate";
export type Stage = "queued" | "delivered" | "seen" | "done" | "refused";
export type LMSState = "none" | "waiting" | "accepted" | "refused" | "failed" | "unknown";
export type Right = "watch" | "talk" | "time" | "end" | "reopen" | "review" | "export";
export type Duty = "retry" | "renew" | "stop" | "drop";
export type Data = Record<string, string | number | boolean>;

export interface Who {
  name?: string;
  user: string;
  attempt: number;
  generation?: number;
  created: number;
}
export interface Life {
  version: number;
  state: State;
  changed?: number;
  by?: string;
  reason?: string;
  started?: number;
  ended?: number;
  end?: number;
  left?: number;
  granted?: number;
  control?: string[];
  opened?: number;
  pauses?: { from: number; to: number }[];
  counted?: boolean;
  unwatched?: number;
  unwatched_end?: number;
  unwatched_room?: boolean;
  unwatched_maybe?: boolean;
}
export interface Connection {
  c: Conn;
  since?: number;
  heard?: number;
  epoch?: number;
  cause?: Cause;
  page?: number;
  reports?: number;
  watched?: number;
}
export interface Tally {
  signals: number;
  incidents: number;
  open: number;
  severity: number;
  last_kind?: string;
  last_at?: number;
  hand?: number;
  unread?: number;
}
/** Whether the page's monitor answers when it is asked, and its totals in ms. */
export interface MonitorView {
  state: "answers" | "unsupported" | "silent" | "away" | "altered";
  since: number;
  heard?: number;
  pages?: number;
  visible?: number;
  hidden?: number;
  focus?: number;
  focused?: number;
}
export interface Lost {
  version: number;
  gaps: number;
  total: number;
  proposed: number;
  granted: number;
}
export interface LMSProgress {
  state: LMSState;
  status?: string;
  problem?: string;
  at?: number;
}
export interface Progress {
  t?: "progress";
  id: string;
  session: string;
  kind: CommandKind;
  stage: Stage;
  problem?: string;
  lms?: LMSProgress;
  at: number;
  by?: string;
}
export interface Group {
  id: string;
  name: string;
}
/** The groups that the student is in, of those that this proctor may know of. */
export interface Groups {
  version: number;
  list?: readonly Group[] | null;
}
export interface Row {
  id: string;
  who?: Who;
  life?: Life;
  conn?: Connection;
  tally?: Tally;
  monitor?: MonitorView;
  lost?: Lost;
  groups?: Groups;
  lms?: Progress[];
}

/** What this proctor may do, and whether they see everyone. */
export interface AccessView {
  rights?: readonly Right[] | null;
  all?: boolean;
}

export interface ExamView {
  id: string;
  title: string;
  course?: string;
  watch?: string[];
  fullscreen?: boolean;
  pause?: boolean;
  admission?: boolean;
  attention?: number;
}
export interface WelcomeFrame {
  t: "welcome";
  role: string;
  exam: ExamView;
  now: number;
  ping: number;
  name?: string;
  access?: AccessView;
}
/** It changed; a snapshot of what is seen from now on follows. */
export interface AccessFrame extends AccessView {
  t: "access";
}
export interface SnapshotFrame {
  t: "snapshot";
  number: number;
  page: number;
  last?: boolean;
  rows: Row[] | null;
}
export interface SessionFrame {
  t: "session";
  row: Row;
}
export interface SignalFrame {
  t: "signal";
  session: string;
  stream: string;
  seq: number;
  kind: string;
  severity?: number;
  incident?: boolean;
  at: number;
  recv: number;
  dur?: number;
  data?: Data;
}
export interface GapFrame {
  t: "gap";
  session: string;
  id: string;
  start: number;
  end?: number;
  cause: Cause;
  proposed?: number;
  decision?: "" | "granted" | "refused";
}
export interface ProgressFrame extends Progress {
  t: "progress";
}
export interface ChatFrame {
  t: "chat";
  id: string;
  session: string;
  from: "student" | "proctor" | "system" | "lms";
  name?: string;
  text: string;
  urgent?: boolean;
  at: number;
}
export interface AckFrame {
  t: "ack";
  id?: string;
}
export interface TokenFrame {
  t: "token";
  token: string;
  expires: number;
}
export interface TimeFrame {
  t: "time";
  at?: number;
  now: number;
}
export interface PulseFrame {
  t: "pulse";
  now: number;
  online: number;
}
export interface NoticeFrame {
  t: "notice";
  kind: "saving_later" | "reconnect" | "behind" | "relay";
  over?: boolean;
  wait?: number;
}
export interface ErrorFrame {
  t: "error";
  code: string;
  message: string;
  duty: Duty;
  ref?: string;
  field?: string;
  wait?: number;
}
export type Down =
  | WelcomeFrame
  | SnapshotFrame
  | SessionFrame
  | SignalFrame
  | GapFrame
  | ProgressFrame
  | ChatFrame
  | AckFrame
  | TokenFrame
  | TimeFrame
  | PulseFrame
  | NoticeFrame
  | ErrorFrame
  | AccessFrame;

export interface CommandUp {
  t: "command";
  id: string;
  kind: CommandKind;
  targets?: string[];
  all?: boolean;
  text?: string;
  reason?: string;
  seconds?: number;
  severity?: number;
}
export interface LostTimeUp {
  t: "lost_time";
  id: string;
  targets: string[];
  grant: boolean;
}
export interface ChatUp {
  t: "chat";
  id: string;
  session: string;
  text: string;
}
export type Kept = CommandUp | LostTimeUp | ChatUp;
export type Up =
  | Kept
  | { t: "subscribe"; signals?: "all" | "incidents" | "none" }
  | { t: "seen"; session: string }
  | { t: "time"; at: number }
  | { t: "bye"; reason: "closing" };

/** A frame of the server as a list; what is not JSON, not an object or has no type is left out. */
export function parseFrames(text: string): Down[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  const list = Array.isArray(value) ? value : [value];
  return list.filter((f): f is Down => typeof f === "object" && f !== null && typeof (f as { t?: unknown }).t === "string");
}

/** Targets one command frame may name: a frame has 64 KiB and a session id 36 characters and its quotes. */
export const maxTargets = 500;

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** A fresh id for a command or a chat line. */
export function newID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(20));
  let id = "";
  for (const b of bytes) id += letters[b & 63];
  return id;
}
