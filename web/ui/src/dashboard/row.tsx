// One student in the list. It reads one signal and the clock, so nothing else draws it again.
import type { JSX } from "preact";
import type { Signal } from "@preact/signals";
import { memo } from "preact/compat";
import { useStore } from "./context";
import { begun, timeLeft } from "./clock";
import { clockText, lengthText, shortLength } from "./format";
import { groupText } from "./groups";
import { Icon, type IconName } from "./icons";
import { badAtLMS, keptUntilBegin, stageOf, waitsForLMS, type Student } from "./merge";
import { attention, isEnded, isUnwatched, lmsTrouble, nameOf, severityStep, type Why } from "./order";
import { named, t, type Word } from "./words";

interface Props {
  student: Signal<Student>;
  index: number;
  current: boolean;
  onFocus: (s: Student) => void;
  onToggle: (id: string, shift: boolean) => void;
}

const whyIcons: Record<Why, IconName | undefined> = {
  hand: "hand",
  urgent: "chat",
  lost: "lost",
  unwatched: "lost",
  chat: "chat",
  incidents: "alert",
  lms: "server",
  admission: "door",
  lost_time: "clock",
  none: undefined,
};

function Row({ student, index, current, onFocus, onToggle }: Props): JSX.Element {
  const store = useStore();
  const s = student.value;
  const { why } = attention(s, store.dismissed.value);
  const selected = store.selection.value.has(s.id);
  const opened = store.openID.value === s.id;
  const name = nameOf(s);
  const icon = whyIcons[why];
  const groups = groupsOf(s);
  const pick = (e: MouseEvent): void => {
    if ((e.target as Element).closest("input, label")) return;
    onFocus(s);
    if (e.shiftKey || e.ctrlKey || e.metaKey) onToggle(s.id, e.shiftKey);
    else store.open(s.id);
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid around the rows listens to the keys
    <div
      role="row"
      id={`row-${s.id}`}
      data-session={s.id}
      data-state={s.life.state}
      data-connection={s.conn.c}
      class={`tr why-${why}${selected ? " tr-selected" : ""}${opened ? " tr-open" : ""}${isEnded(s) ? " tr-over" : ""}`}
      aria-rowindex={index}
      aria-selected={selected}
      tabIndex={current ? 0 : -1}
      onFocus={() => onFocus(s)}
      onClick={pick}
    >
      <div role="gridcell" class="td td-check">
        <label class="check-box">
          <input
            type="checkbox"
            tabIndex={-1}
            checked={selected}
            aria-label={t("select", { name })}
            onClick={(e) => {
              e.stopPropagation();
              onToggle(s.id, e.shiftKey);
            }}
          />
        </label>
      </div>
      <div role="gridcell" class="td td-name">
        <span class={`mark mark-${why} mark-s${severityStep(s.tally.severity)}`} title={named("why", why)}>
          {icon && <Icon name={icon} />}
        </span>
        <span class="two">
          <span class="name">{name}</span>
          <span class={`sub why-text${why === "none" ? " muted" : ""}`}>{why === "none" ? who(s) : named("why", why)}</span>
        </span>
      </div>
      {store.grouped.value && (
        <div role="gridcell" class={`td td-group${groups ? "" : " muted"}`} title={groups || undefined}>
          {groups || t("no_group")}
        </div>
      )}
      <div role="gridcell" class="td td-state">
        <State s={s} />
      </div>
      <div role="gridcell" class="td td-conn">
        <Conn s={s} />
      </div>
      <div role="gridcell" class="td td-left">
        <Left s={s} />
      </div>
      <div role="gridcell" class="td td-inc">
        <Incidents s={s} />
      </div>
      <div role="gridcell" class="td td-signs">
        <Signs s={s} />
      </div>
    </div>
  );
}

/** As many groups as a row has room for. */
function groupsOf(s: Student): string {
  const text = groupText(s);
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

export const StudentRow = memo(Row);

function who(s: Student): string {
  const parts = [];
  if (s.who.attempt > 1) parts.push(t("attempt", { n: s.who.attempt }));
  if ((s.who.generation ?? 1) > 1) parts.push(t("again"));
  return parts.join(", ");
}

export function stateTone(s: Student): string {
  switch (s.life.state) {
    case "active":
      return "pill-good";
    case "paused":
    case "awaiting":
    case "time_up":
      return "pill-warn";
    case "terminated":
      return "pill-bad";
    case "ready":
    case "authorized":
    case "created":
      return "pill-accent";
    default:
      return "";
  }
}

export function State({ s }: { s: Student }): JSX.Element {
  const pill = <span class={`pill ${stateTone(s)}`}>{named("state", s.life.state)}</span>;
  return s.life.unwatched ? (
    <span class="two">
      {pill}
      <Unwatched s={s} />
    </span>
  ) : (
    pill
  );
}

/** Beside the state: nobody watches, or watched for a while, and for how long. */
function Unwatched({ s }: { s: Student }): JSX.Element {
  const store = useStore();
  const { unwatched = 0, unwatched_end, unwatched_maybe } = s.life;
  const now = isUnwatched(s);
  const length = (unwatched_end || store.now.value) - unwatched;
  const what = now
    ? t("unwatched_now", { length: shortLength(length, t.lang) })
    : t("unwatched_was", { length: shortLength(length, t.lang) });
  const text = unwatched_maybe ? `${what}, ${t("unwatched_maybe")}` : what;
  return (
    <span class={`sub${now ? " unwatched" : " muted"}`} title={text}>
      {text}
    </span>
  );
}

/** The connection: what it is, since when, and why. */
export function Conn({ s }: { s: Student }): JSX.Element {
  const store = useStore();
  const { c, since, cause, page } = s.conn;
  const tone = isEnded(s)
    ? ""
    : c === "online" || c === "navigating"
      ? " conn-good"
      : c === "lost"
        ? " conn-bad"
        : c === "degraded"
          ? " conn-warn"
          : "";
  const troubled = (c === "lost" || c === "degraded") && !isEnded(s);
  let sub = "";
  let whole = "";
  if (troubled && since) {
    const length = store.now.value - since;
    sub = `${shortLength(length, t.lang)}${cause ? ` · ${named("brief", cause)}` : ""}`;
    whole = `${t("conn_since", { length: lengthText(length, t.lang) })}${cause ? `, ${named("cause", cause)}` : ""}`;
  } else if (c === "online" && page) {
    sub = t("conn_page", { n: page });
  } else if (c === "closed" && since && !isEnded(s)) {
    sub = t("conn_since", { length: lengthText(store.now.value - since, t.lang) });
  }
  return (
    <span class="two">
      <span class={`conn${tone}`}>
        <span class="conn-dot" aria-hidden="true" />
        {named("conn", c)}
      </span>
      {sub && (
        <span class={`sub${troubled ? "" : " muted"}`} title={whole || sub}>
          {whole ? (
            <>
              <span aria-hidden="true">{sub}</span>
              <span class="sr-only">{whole}</span>
            </>
          ) : (
            sub
          )}
        </span>
      )}
    </span>
  );
}

export function Left({ s }: { s: Student }): JSX.Element {
  const store = useStore();
  if (isEnded(s)) return <span class="muted">{s.life.state === "stopped" ? "–" : t("over")}</span>;
  const { left, stands } = timeLeft(s.life, stands0(s) ? 0 : store.now.value);
  if (s.life.state === "time_up") {
    return (
      <span class="two">
        <span class="numbers left left-stands">{clockText(left ?? 0)}</span>
        <span class="sub muted">{t("waits_for_lms")}</span>
      </span>
    );
  }
  if (left === undefined) return <span class="muted">{begun.has(s.life.state) ? t("no_limit") : "–"}</span>;
  const sub = stands ? t("stands") : s.life.granted ? t("granted", { length: shortLength(s.life.granted, t.lang) }) : "";
  return (
    <span class="two">
      <span class={`numbers left${left < 5 * 60_000 && !stands ? " left-short" : ""}${stands ? " left-stands" : ""}`}>
        {clockText(left)}
      </span>
      {sub && <span class="sub muted">{sub}</span>}
    </span>
  );
}

/** While paused the clock need not be read, so the row is not drawn every second. */
function stands0(s: Student): boolean {
  return s.life.state === "paused" && s.life.left !== undefined;
}

export function Severity({ severity }: { severity: number }): JSX.Element {
  const step = severityStep(severity);
  return <span class={`sev sev-${step}`}>{t(`severity_${step}` as Word)}</span>;
}

export function Incidents({ s }: { s: Student }): JSX.Element {
  const store = useStore();
  const { incidents, open, severity, last_kind, last_at } = s.tally;
  if (incidents === 0) return <span class="muted">{t("none_yet")}</span>;
  const figure = open > 0 ? t("open_of", { open, n: incidents }) : t("reviewed", { n: incidents });
  return (
    <span class="two">
      <span class={`inc${open > 0 ? "" : " muted"}`} title={figure}>
        {open > 0 && <Severity severity={severity} />}
        <span class="numbers">{figure}</span>
      </span>
      {last_kind && (
        <span class="sub muted">
          {named("kind", last_kind)}
          {last_at ? ` · ${t("ago", { length: shortLength(store.now.value - last_at, t.lang) })}` : ""}
        </span>
      )}
    </span>
  );
}

/** What the student asks for, and how far commands and the LMS are. */
export function Signs({ s }: { s: Student }): JSX.Element {
  const store = useStore();
  const over = isEnded(s);
  const bad = lmsTrouble(s, store.dismissed.value)
    ? s.orders.find((p) => badAtLMS(p) && !store.dismissed.value.has(s.id + p.id))
    : undefined;
  const waits = s.orders.filter(waitsForLMS);
  const kept = waits.some((p) => keptUntilBegin(p, s.life.state));
  const waiting = waits.some((p) => !keptUntilBegin(p, s.life.state));
  const last = s.orders[s.orders.length - 1];
  const undelivered =
    !waiting &&
    !kept &&
    !bad &&
    last &&
    !over &&
    (last.stage === "queued" || last.stage === "delivered") &&
    last.kind !== "note" &&
    last.kind !== "flag";
  return (
    <span class="signs">
      {!!s.tally.hand && !over && (
        <span class="pill pill-bad">
          <Icon name="hand" />
          {t("hand", { length: shortLength(store.now.value - s.tally.hand, t.lang) })}
        </span>
      )}
      {!!s.tally.unread && (
        <span class={`pill ${s.life.state === "paused" ? "pill-bad" : "pill-accent"}`}>
          <Icon name="chat" />
          {t("unread", { n: s.tally.unread })}
        </span>
      )}
      {bad && (
        <span class="pill pill-bad">
          <Icon name="server" />
          {t("lms_trouble", { what: named("lms", bad.lms?.state ?? "unknown") })}
        </span>
      )}
      {s.lost.proposed > 0 && !over && (
        <span class="pill pill-warn">
          <Icon name="clock" />
          {t(store.may("time") ? "lost_proposed" : "lost_undecided", { length: shortLength(s.lost.proposed, t.lang) })}
        </span>
      )}
      {waiting && (
        <span class="pill">
          <Icon name="server" />
          {t("lms_waiting")}
        </span>
      )}
      {kept && (
        <span class="pill">
          <Icon name="clock" />
          {t("do_extend")}: {t("lms_kept")}
        </span>
      )}
      {undelivered && (
        <span class="pill">
          {named("do", last.kind)}: {named("stage", stageOf(last))}
        </span>
      )}
    </span>
  );
}
