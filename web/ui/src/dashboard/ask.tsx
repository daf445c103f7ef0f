// The dialog before a command: what it will do, to whom, and the words that go with it.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { concernsLMS, fits, reachesLMS, type Details } from "./batch";
import { useStore } from "./context";
import { lengthText } from "./format";
import { isEnded, nameOf } from "./order";
import type { Ask } from "./store";
import { named, t, type Word } from "./words";

const reasons = ["environment", "behaviour", "identity", "illness", "technical", "network", "staff", "lost_time", "other"];
const canned: Partial<Record<Ask["action"], Word[]>> = {
  message: ["canned_2", "canned_3", "canned_4", "canned_5", "canned_6"],
  warn: ["canned_warn_1", "canned_warn_2", "canned_warn_3"],
};
const minutes = [5, 10, 15, 30];
/** Commands whose text is what they are. */
const textual = new Set<Ask["action"]>(["message", "warn", "note"]);
/** Commands that come with a reason. */
const reasoned = new Set<Ask["action"]>(["pause", "extend", "terminate", "flag", "reactivate"]);

export function AskDialog(): JSX.Element | null {
  const store = useStore();
  const ask = store.ask.value;
  return ask ? <Dialog key={ask.action} ask={ask} /> : null;
}

function Dialog({ ask }: { ask: Ask }): JSX.Element {
  const store = useStore();
  const element = useRef<HTMLDialogElement>(null);
  const text = useSignal("");
  const reason = useSignal("");
  const mins = useSignal(10);
  const severity = useSignal(0.3);
  const typed = useSignal("");
  const { action } = ask;

  useEffect(() => {
    const back = document.activeElement;
    element.current?.showModal();
    element.current?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      if (back instanceof HTMLElement && back.isConnected) back.focus({ preventScroll: true });
    };
  }, []);

  const { all: everyone } = store.access.value;
  void store.roster.version.value; // students may end while the dialog is open
  const asked = ask.all
    ? store.roster.all().filter((s) => !isEnded(s))
    : ask.targets.map((id) => store.student(id)).filter((s) => s !== undefined);
  const targets = asked.filter((s) => fits(action, s));
  const only = targets.length === 1 && asked.length === 1 ? targets[0] : undefined;
  const who = ask.all ? t(everyone ? "who_all" : "who_all_seen") : only ? nameOf(only) : t("who_n", { n: targets.length });
  const untold = concernsLMS(action) ? targets.filter((s) => !reachesLMS(action, s)).length : 0;
  const needsCount = action === "terminate" && targets.length > 1;
  const bytes = new TextEncoder().encode(text.value.trim()).length;
  const ready =
    targets.length > 0 &&
    bytes <= 2000 &&
    (!textual.has(action) || bytes > 0) &&
    (action !== "extend" || (mins.value >= 1 && mins.value <= 240)) &&
    (!needsCount || typed.value.trim() === String(targets.length));

  const close = (): void => {
    store.ask.value = undefined;
  };
  const send = (e: Event): void => {
    e.preventDefault();
    if (!ready) return;
    const details: Details = {};
    if (text.value.trim()) details.text = text.value.trim();
    if (reason.value) details.reason = reason.value;
    if (action === "extend") details.seconds = Math.round(mins.value * 60);
    if (action === "flag") details.severity = severity.value;
    store.command(
      action,
      targets.map((s) => s.id),
      ask.all,
      details,
    );
    close();
  };
  const total = targets.reduce((sum, s) => sum + s.lost.proposed, 0);
  const about =
    action === "message" && ask.all
      ? t(everyone ? "about_message_all" : "about_message_all_seen")
      : t(`about_${action}` as Word, { length: lengthText(total, t.lang) });

  return (
    <dialog class="ask" ref={element} aria-labelledby="ask-title" onClose={close} onCancel={close}>
      <form method="dialog" onSubmit={send}>
        <h2 id="ask-title">{t(`title_${action}` as Word, { who })}</h2>
        {targets.length === 0 ? <p class="note note-warn">{t("fits_none")}</p> : <p>{about}</p>}
        {targets.length > 0 && targets.length < asked.length && (
          <p class="small muted">{t("fits_n", { n: targets.length, total: asked.length })}</p>
        )}
        {untold > 0 && (
          <p class="note note-warn small">
            {t("lms_not_told", { n: untold })}{" "}
            {t(
              action === "extend" || action === "grant"
                ? "lms_not_extend"
                : action === "terminate"
                  ? "lms_not_terminate"
                  : action === "flag"
                    ? "lms_not_flag"
                    : "lms_not_pause",
            )}
          </p>
        )}
        {action === "extend" && (
          <div class="field">
            <label for="ask-minutes">{t("minutes")}</label>
            <div class="row">
              <input
                id="ask-minutes"
                data-first
                type="number"
                min="1"
                max="240"
                step="1"
                inputMode="numeric"
                value={mins.value}
                onInput={(e) => (mins.value = Number(e.currentTarget.value))}
              />
              {minutes.map((m) => (
                <button
                  key={m}
                  type="button"
                  class="button-small numbers"
                  aria-pressed={mins.value === m}
                  onClick={() => (mins.value = m)}
                >
                  +{m}
                </button>
              ))}
            </div>
          </div>
        )}
        {canned[action] && (
          <div class="field">
            <span class="field-label">{t("canned")}</span>
            <div class="canned">
              {canned[action]?.map((w) => (
                <button key={w} type="button" class="button-small" onClick={() => (text.value = t(w))}>
                  {t(w)}
                </button>
              ))}
            </div>
          </div>
        )}
        {action === "flag" && (
          <div class="field">
            <label for="ask-severity">{t("severity")}</label>
            <select
              id="ask-severity"
              data-first
              value={String(severity.value)}
              onChange={(e) => (severity.value = Number(e.currentTarget.value))}
            >
              <option value="0.1">{t("severity_1")}</option>
              <option value="0.3">{t("severity_2")}</option>
              <option value="0.6">{t("severity_3")}</option>
              <option value="0.9">{t("severity_4")}</option>
            </select>
          </div>
        )}
        {reasoned.has(action) && (
          <div class="field">
            <label for="ask-reason">{t("reason")}</label>
            <select id="ask-reason" data-first value={reason.value} onChange={(e) => (reason.value = e.currentTarget.value)}>
              <option value="">{t("reason_none")}</option>
              {reasons.map((r) => (
                <option key={r} value={r}>
                  {named("reason", r)}
                </option>
              ))}
            </select>
          </div>
        )}
        {(textual.has(action) || reasoned.has(action)) && (
          <div class="field">
            <label for="ask-text">
              {textual.has(action)
                ? t(`text_${action}` as Word)
                : action === "flag" || action === "reactivate"
                  ? t("text_reason")
                  : t("text_reason_shown")}
            </label>
            <textarea
              id="ask-text"
              data-first={textual.has(action) || undefined}
              rows={3}
              value={text.value}
              aria-describedby="ask-bytes"
              onInput={(e) => (text.value = e.currentTarget.value)}
              onKeyDown={(e) => {
                if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) send(e);
              }}
            />
            <span id="ask-bytes" class={`small ${bytes > 2000 ? "too-long" : "muted"}`}>
              {bytes > 1500 ? `${bytes} / 2000` : ""}
            </span>
          </div>
        )}
        {needsCount && (
          <div class="field">
            <label for="ask-count">{t("confirm_type", { n: targets.length })}</label>
            <input
              id="ask-count"
              type="text"
              inputMode="numeric"
              autocomplete="off"
              value={typed.value}
              onInput={(e) => (typed.value = e.currentTarget.value)}
            />
          </div>
        )}
        <div class="row ask-buttons">
          <button type="button" onClick={close}>
            {t("cancel")}
          </button>
          <button
            type="submit"
            class={action === "terminate" ? "button-danger" : "button-primary"}
            disabled={!ready}
            data-first={(!textual.has(action) && !reasoned.has(action)) || undefined}
          >
            {action === "message" || action === "warn" ? t("send") : named("do", action)}
          </button>
        </div>
      </form>
    </dialog>
  );
}
