// One student's story: a chart, and every entry with both clocks, newest first.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { Plot } from "./chart";
import { useStore } from "./context";
import {
  bins,
  cannotBe,
  farOff,
  incidentID,
  isIncident,
  keyOf,
  momentOf,
  type Entry,
  type ReviewState,
  type SignalEntry,
} from "./feed";
import { fullTime, lengthText, timeText } from "./format";
import { ProgressWords } from "./results";
import type { State } from "./protocol";
import { Severity } from "./row";
import { named, signalNamed, t } from "./words";

const first = 150;

export function StoryList(): JSX.Element | null {
  const store = useStore();
  const incidents = useSignal(false);
  const most = useSignal(first);
  const story = store.story.value;
  if (!story) return null;
  const all = story.entries.value;
  const state = store.student(story.session)?.life.state;
  const list = incidents.value ? all.filter(isIncident) : all.filter((e) => e.type !== "chat");
  const chart = bins(all, 60_000);
  return (
    <div class="story">
      {chart.at.length > 1 && (
        <Plot
          height={90}
          label={t("chart_signals")}
          at={chart.at}
          series={[
            { label: t("chart_signals"), color: "--accent", bars: true, values: chart.low.map((n, i) => n + (chart.high[i] ?? 0)) },
            { label: t("chart_incidents"), color: "--bad", bars: true, values: chart.high },
          ]}
        />
      )}
      <label class="check small">
        <input type="checkbox" checked={incidents.value} onChange={(e) => (incidents.value = e.currentTarget.checked)} />
        {t("only_incidents")}
      </label>
      {story.problem.value && (
        <p class="note note-warn small">
          {t("story_failed", { problem: story.problem.value })}{" "}
          <button type="button" class="button-quiet button-small" onClick={() => void story.load()}>
            {t("try_again")}
          </button>
        </p>
      )}
      {story.part.value && <p class="note small">{t("story_part")}</p>}
      {story.reviewProblem.value && (
        <p class="note note-bad small" role="alert">
          {t("review_failed", { problem: story.reviewProblem.value })}
        </p>
      )}
      {list.length === 0 && (
        <p class="muted small" aria-busy={story.loading.value}>
          {story.loading.value ? "…" : t("story_empty")}
        </p>
      )}
      <ol class="entries plain">
        {list.slice(0, most.value).map((e) => (
          <EntryRow key={keyOf(e)} e={e} state={state} />
        ))}
      </ol>
      {list.length > most.value && (
        <button type="button" class="button-small" onClick={() => (most.value += 300)}>
          {t("more")}
        </button>
      )}
    </div>
  );
}

function EntryRow({ e, state }: { e: Entry; state: State | undefined }): JSX.Element {
  const store = useStore();
  const now = store.now.peek();
  return (
    <li
      class={`entry entry-${e.type}${e.type === "signal" && e.incident ? " entry-incident" : ""}`}
      data-kind={e.type === "signal" ? e.kind : e.type}
      data-cause={e.type === "gap" ? e.cause : undefined}
    >
      <time class="entry-time numbers" dateTime={new Date(momentOf(e)).toISOString()}>
        {timeText(momentOf(e), now, t.lang)}
      </time>
      <div class="entry-body">
        <Body e={e} now={now} state={state} />
        <ReviewRow e={e} />
      </div>
    </li>
  );
}

function Body({ e, now, state }: { e: Entry; now: number; state: State | undefined }): JSX.Element {
  switch (e.type) {
    case "signal":
      return (
        <>
          <p>
            <strong>{signalNamed(e.kind, e.severity)}</strong>
            {e.dur ? ` ${t("took", { length: lengthText(e.dur, t.lang) })}` : ""}{" "}
            {e.severity > 0 && <Severity severity={e.severity} />}
          </p>
          <SignalData e={e} />
          <Clocks e={e} now={now} />
        </>
      );
    case "gap":
      return (
        <>
          <p>
            <strong>{t("gap")}</strong>{" "}
            {e.end ? t("took", { length: lengthText(e.end - e.at, t.lang) }) : t("gap_open", { time: timeText(e.at, now, t.lang) })}
          </p>
          <p class="small muted">
            {named("cause", e.cause)}
            {e.decision === "granted"
              ? ` · ${t("gap_granted")}`
              : e.decision === "refused"
                ? ` · ${t("gap_refused")}`
                : e.proposed
                  ? ` · ${t("gap_proposed", { length: lengthText(e.proposed, t.lang) })}`
                  : ""}
          </p>
        </>
      );
    case "command":
      return (
        <>
          <p>
            <strong>{named("do", e.kind)}</strong>
            {e.seconds ? ` +${lengthText(e.seconds * 1000, t.lang)}` : ""}{" "}
            {e.by && <span class="muted small">{t("by", { name: e.by })}</span>}
          </p>
          {e.text && <p class="entry-quote">{e.text}</p>}
          {e.reason && <p class="small muted">{named("reason", e.reason)}</p>}
          <p class="small">
            <ProgressWords p={e} state={state} />
          </p>
        </>
      );
    case "chat":
      return <p>{e.text}</p>;
    case "state":
      return (
        <p>
          {t("state_to", { state: named("state", e.state) })} {e.by && <span class="muted small">{t("by", { name: e.by })}</span>}
          {e.reason && <span class="muted small"> · {named("reason", e.reason)}</span>}
        </p>
      );
  }
}

/** A page of the quiz: its number, or a name for those that have none. */
function pageOf(value: unknown): string {
  if (value === "summary" || value === "paused") return t(`page_${value}`);
  return typeof value === "number" ? t("data_page", { n: value }) : String(value);
}

function SignalData({ e }: { e: SignalEntry }): JSX.Element | null {
  if (!e.data) return null;
  const parts: string[] = [];
  for (const [key, value] of Object.entries(e.data)) {
    if (key === "asleep" || key === "reported") continue;
    if (key === "continued" && value === true) parts.push(t("data_continued"));
    else if (key === "kind" && e.kind === "signal_refused") parts.unshift(named("kind", String(value)));
    else if (key === "length") parts.push(t("data_length", { n: Number(value) }));
    else if (key === "page") parts.push(pageOf(value));
    else if (key === "cause") parts.push(named("cause", String(value)));
    else if (key === "why" && e.kind === "monitor_silent") parts.push(named("silent", String(value)));
    else if (key === "browser" && e.kind === "connected") parts.push(t("data_browser"));
    else if (key === "missed") parts.push(t("data_missed", { n: Number(value) }));
    else if (key === "hash")
      continue; // of a paste, in what was stored before no monitor sent it any more
    else if (key === "width" || key === "height") continue;
    else parts.push(`${key}: ${value === true ? "✓" : value === false ? "–" : String(value)}`);
  }
  if (e.data.width !== undefined && e.data.height !== undefined) parts.push(`${String(e.data.width)} × ${String(e.data.height)}`);
  // What the computer did is no part of what is said of the student.
  const { asleep, reported } = e.data;
  return (
    <>
      {parts.length > 0 && <p class="small muted entry-data">{parts.join(" · ")}</p>}
      {typeof asleep === "number" && <p class="small entry-asleep">{t("data_asleep", { length: lengthText(asleep, t.lang) })}</p>}
      {typeof reported === "number" && (
        <p class="small entry-reported">{t("data_reported", { length: lengthText(reported, t.lang) })}</p>
      )}
    </>
  );
}

/** Both clocks, where they differ by more than a connection takes. */
function Clocks({ e, now }: { e: SignalEntry; now: number }): JSX.Element | null {
  const store = useStore();
  if (!e.recv || e.stream.startsWith("server:")) return null;
  if (cannotBe(e, store.student(store.story.peek()?.session ?? "")?.who.created)) {
    return (
      <p class="small entry-impossible">{farOff(e.at) ? t("at_far") : t("at_impossible", { time: fullTime(e.at, t.lang) })}</p>
    );
  }
  const off = e.recv - (e.at + (e.dur ?? 0));
  if (Math.abs(off) < 3000) return null;
  const words =
    off > 0 ? t("arrived_late", { length: lengthText(off, t.lang) }) : t("clock_ahead", { length: lengthText(-off, t.lang) });
  return <p class="small muted">{t("at_student", { time: timeText(e.at, now, t.lang), off: words })}</p>;
}

const next: Record<ReviewState, ReviewState[]> = {
  none: ["cleared", "upheld"],
  pending: ["cleared", "upheld"],
  cleared: ["pending"],
  upheld: ["pending"],
  appealed: ["overturned", "upheld"],
  overturned: [],
};

function ReviewRow({ e }: { e: Entry }): JSX.Element | null {
  const store = useStore();
  const busy = useSignal(false);
  if (incidentID(e) === undefined || (e.type !== "signal" && e.type !== "gap")) return null;
  const state = e.review?.state ?? "none";
  const review = async (to: ReviewState): Promise<void> => {
    busy.value = true;
    await store.story.peek()?.review(e, to);
    busy.value = false;
  };
  return (
    <p class="review small">
      <span class={`review-state review-${state}`}>
        {named("reviewed", state)}
        {e.review?.by ? ` (${e.review.by})` : ""}
      </span>
      {store.may("review") &&
        next[state].map((to) => (
          <button key={to} type="button" class="button-small" disabled={busy.value} onClick={() => void review(to)}>
            {t(`review_${to}` as "review_cleared")}
          </button>
        ))}
    </p>
  );
}
