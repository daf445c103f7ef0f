// What came of this proctor's commands, student by student, with Undo where there is one.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { summary, undoOf, type Batch, type Summary } from "./batch";
import { useStore } from "./context";
import { badAtLMS, keptUntilBegin, stageOf, waitsForLMS } from "./merge";
import { nameOf } from "./order";
import type { CommandKind, LMSState, Progress, State } from "./protocol";
import { named, t } from "./words";

export function Results(): JSX.Element | null {
  const store = useStore();
  const batches = store.batches.value;
  if (batches.length === 0) return null;
  return (
    <section class="results" aria-label={t("results")}>
      {batches.slice(0, 3).map((b) => (
        <Result key={b.key} batch={b} />
      ))}
    </section>
  );
}

function words(s: Summary, b: Batch, open: boolean): string[] {
  const out: string[] = [];
  if (b.problem) out.push(t("result_problem", { problem: b.problem }));
  else if (s.sent > 0 || (b.all && s.total === 0)) out.push(open ? t("result_sent", { n: s.sent }) : t("result_offline"));
  if (s.queued > 0) out.push(t("result_queued", { n: s.queued }));
  if (s.delivered > 0) out.push(t("result_delivered", { n: s.delivered }));
  if (s.seen > 0) out.push(t("result_seen", { n: s.seen }));
  if (s.done > 0) out.push(t("result_done", { n: s.done }));
  if (s.refused > 0) out.push(t("result_refused", { n: s.refused }));
  if (s.kept > 0) out.push(t("result_kept", { n: s.kept }));
  if (s.lmsWaiting > 0) out.push(t("result_lms_waiting", { n: s.lmsWaiting }));
  if (s.lmsAccepted > 0) out.push(t("result_lms_accepted", { n: s.lmsAccepted }));
  if (s.lmsBad > 0) out.push(t("result_lms_bad", { n: s.lmsBad }));
  return out;
}

function Result({ batch: b }: { batch: Batch }): JSX.Element {
  const store = useStore();
  const details = useSignal(false);
  const s = summary(b, (session) => store.student(session)?.life.state);
  const bad = s.refused > 0 || s.lmsBad > 0 || b.problem !== undefined;
  const settled = !bad && s.total > 0 && s.sent === 0 && s.queued === 0 && s.lmsWaiting === 0;
  const back = undoOf(b);
  const undo = back && store.allows(back.action) ? back : undefined;
  const open = store.link.state.value.is === "open";

  // What went well need not be put away by hand; while it is being read or can be undone it stays a little longer.
  useEffect(() => {
    if (!settled || details.value) return;
    const timer = window.setTimeout(() => store.forget(b), undo ? 30_000 : 8000);
    return () => clearTimeout(timer);
  }, [settled, details.value, undo === undefined]);

  const only = !b.all && b.targets.length === 1 ? store.student(b.targets[0] as string) : undefined;
  const who = b.all
    ? t(store.access.value.all ? "who_all" : "who_all_seen")
    : only
      ? nameOf(only)
      : t("who_n", { n: b.targets.length });
  return (
    <div class={`result${bad ? " result-bad" : settled ? " result-good" : ""}`}>
      <div class="result-line">
        <p class="result-text" role="status">
          <strong>
            {named("do", b.action)} · {who}
          </strong>
          <span class="small">{b.undone ? t("undone") : words(s, b, open).join(" · ")}</span>
        </p>
        <div class="result-buttons">
          {undo && (
            <button type="button" class="button-small" onClick={() => store.undo(b)}>
              {t("undo")}
            </button>
          )}
          {b.results.size > 0 && (
            <button
              type="button"
              class="button-quiet button-small"
              aria-expanded={details.value}
              onClick={() => (details.value = !details.value)}
            >
              {details.value ? t("hide") : t("details")}
            </button>
          )}
          <button type="button" class="button-quiet button-small" onClick={() => store.forget(b)}>
            {t("dismiss")}
          </button>
        </div>
      </div>
      {details.value && (
        <ul class="result-list plain">
          {[...b.results.values()]
            .sort(worstFirst)
            .slice(0, 300)
            .map((p) => (
              <li key={p.session}>
                <span class="result-name">{nameFor(store.student(p.session), p)}</span>{" "}
                <ProgressWords p={p} state={store.student(p.session)?.life.state} />
              </li>
            ))}
        </ul>
      )}
    </div>
  );
}

function nameFor(s: ReturnType<ReturnType<typeof useStore>["student"]>, p: Progress): string {
  return s ? nameOf(s) : p.session;
}

function worstFirst(a: Progress, b: Progress): number {
  const rank = (p: Progress): number =>
    stageOf(p) === "refused" || badAtLMS(p) ? 0 : p.stage === "queued" || waitsForLMS(p) ? 1 : 2;
  return rank(a) - rank(b) || b.at - a.at;
}

/** How far one command got with one student, whose session is in a state, and what to do where it did not. */
export function ProgressWords({
  p,
  state,
}: {
  p: Pick<Progress, "kind" | "stage" | "problem" | "lms">;
  state: State | undefined;
}): JSX.Element {
  if (keptUntilBegin(p, state)) return <span class="progress">{t("lms_kept")}</span>;
  const lms = p.lms && p.lms.state !== "none" ? p.lms : undefined;
  const stage = stageOf(p);
  const bad = stage === "refused" || lms?.state === "refused" || lms?.state === "failed" || lms?.state === "unknown";
  return (
    <span class={`progress${bad ? " progress-bad" : ""}`}>
      {named("stage", stage)}
      {p.problem ? `: ${p.problem}` : ""}
      {lms && (
        <>
          {" · "}
          {lms.state === "waiting" ? t("lms_waiting") : t("lms_trouble", { what: named("lms", lms.state) })}
          {lms.problem && lms.problem !== p.problem ? ` (${lms.problem})` : ""}
          {bad && <span class="todo"> {todo(p.kind, lms.state)}</span>}
        </>
      )}
    </span>
  );
}

/** What to do where the LMS did not follow. A pause or a resumption that it refused is taken back here, too. */
function todo(kind: CommandKind, lms: LMSState): string {
  if (lms === "refused" && kind === "pause") return t("todo_refused_pause");
  if (lms === "refused" && kind === "resume") return t("todo_refused_resume");
  if (lms === "refused" && kind === "flag") return t("lms_not_flag");
  return named("todo", lms);
}
