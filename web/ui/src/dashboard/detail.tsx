// The panel of one student: facts, what can be done, story and chat.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { fits, type Action } from "./batch";
import { Chat } from "./chat";
import { useStore } from "./context";
import { watchedTime } from "./clock";
import { lengthText, shortLength, timeText } from "./format";
import { groupText } from "./groups";
import { Icon } from "./icons";
import { badAtLMS, type Student } from "./merge";
import { attention, isEnded, nameOf } from "./order";
import type { MonitorView } from "./protocol";
import { ProgressWords } from "./results";
import { Conn, Left, State } from "./row";
import { StoryList } from "./storylist";
import { named, t } from "./words";

/** Done at once: nothing is lost, and there is an Undo or nothing to undo. */
const direct = new Set<Action>(["resume", "admit"]);
const offered: Action[] = ["admit", "resume", "warn", "pause", "extend", "flag", "note", "terminate", "reactivate"];

export function Detail(): JSX.Element | null {
  const store = useStore();
  const story = store.story.value;
  const held = story && store.roster.students.get(story.session);
  const element = useRef<HTMLElement>(null);
  const small = useSmall();
  void store.roster.members.value;

  const close = (): void => {
    const id = story?.session;
    store.open(undefined);
    requestAnimationFrame(() =>
      (document.getElementById(`row-${id}`) ?? document.getElementById("main"))?.focus({ preventScroll: true }),
    );
  };

  // Escape closes the panel wherever the focus is, unless a dialog takes it or the list has a selection to clear.
  useEffect(() => {
    const onKey = (e: KeyboardEvent): void => {
      if (e.key !== "Escape" || e.defaultPrevented || document.querySelector("dialog[open]")) return;
      if ((e.target as Element).closest?.(".grid-body") && store.selection.peek().size > 0) return;
      close();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [story]);
  useEffect(() => {
    element.current?.querySelector<HTMLElement>("h2")?.focus({ preventScroll: true });
  }, []);
  // Beside the list the panel is as high as the screen lets it be, also while the header is in sight.
  useEffect(() => {
    const fitScreen = (): void => {
      const panel = element.current;
      if (!panel) return;
      panel.style.blockSize = small.value ? "" : `${innerHeight - Math.max(0, panel.getBoundingClientRect().top)}px`;
    };
    fitScreen();
    addEventListener("scroll", fitScreen, { passive: true });
    addEventListener("resize", fitScreen);
    return () => {
      removeEventListener("scroll", fitScreen);
      removeEventListener("resize", fitScreen);
    };
  }, [small.value]);
  // On a small screen the panel covers everything: what is behind it is out of reach.
  useEffect(() => {
    const behind = document.querySelectorAll<HTMLElement>(".dash-head, .dash-main > main, .dash-foot");
    for (const e of behind) e.inert = small.value;
    return () => {
      for (const e of behind) e.inert = false;
    };
  }, [small.value]);

  if (!story || !held) return null;
  return (
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: it is modal only as a dialog, on a small screen
    <section
      class="detail"
      ref={element}
      role={small.value ? "dialog" : undefined}
      aria-modal={small.value || undefined}
      aria-label={t("detail")}
    >
      <Panel s={held.value} close={close} />
    </section>
  );
}

function useSmall(): { value: boolean } {
  const query = matchMedia("(max-width: 63.99rem)");
  const small = useSignal(query.matches);
  useEffect(() => {
    const change = (): void => {
      small.value = query.matches;
    };
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  return small;
}

/** Whether the page's monitor answers, and for how long the page was seen. */
function MonitorFact({ m }: { m: MonitorView }): JSX.Element {
  const now = useStore().now.value;
  const warn = m.state === "silent" || m.state === "altered";
  const seen = (m.visible ?? 0) + (m.hidden ?? 0) > 0;
  return (
    <>
      <span class={warn ? "pill pill-warn" : undefined}>
        {t(`monitor_${m.state}`, { time: timeText(m.since, now, t.lang, false) })}
      </span>
      {seen && (
        <span class="small muted numbers">
          {" "}
          {t("monitor_totals", {
            visible: lengthText(m.visible ?? 0, t.lang),
            hidden: lengthText(m.hidden ?? 0, t.lang),
            focused: lengthText(m.focused ?? 0, t.lang),
          })}
        </span>
      )}
    </>
  );
}

function Panel({ s, close }: { s: Student; close: () => void }): JSX.Element {
  const store = useStore();
  const tab = useSignal<"story" | "chat">(s.tally.unread ? "chat" : "story");
  const { why } = attention(s, store.dismissed.value);
  const now = store.now.value;
  const over = isEnded(s);
  const { state } = s.life;
  const more = state === "time_up" || state === "stopped" ? t(`about_${state}`) : ""; // its name does not say it all
  const trouble = s.orders.filter((p) => badAtLMS(p) && !store.dismissed.value.has(s.id + p.id));
  const page = `/dashboard/${encodeURIComponent(store.config.exam.id)}/sessions/${encodeURIComponent(s.id)}`;

  const act = (action: Action): void => {
    if (direct.has(action)) store.command(action, [s.id], false, {});
    else store.ask.value = { action, targets: [s.id], all: false };
  };
  const tabKey = (e: KeyboardEvent): void => {
    if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    e.preventDefault();
    tab.value = tab.value === "chat" ? "story" : "chat";
    document.getElementById(`tab-${tab.value}`)?.focus();
  };

  const watched = watchedTime(s.life, s.conn, now);
  return (
    <>
      <header class="detail-head">
        <div>
          <h2 tabIndex={-1}>{nameOf(s)}</h2>
          <p class={`small ${why === "none" ? "muted" : "detail-why"}`}>{named("why", why)}</p>
        </div>
        <button type="button" class="button-quiet icon-button" aria-label={t("close_detail")} onClick={close}>
          <Icon name="close" />
        </button>
      </header>

      <div class="detail-scroll">
        <dl class="facts">
          <div>
            <dt>{t("col_state")}</dt>
            <dd>
              <State s={s} />
              {s.life.reason && !more && <span class="small muted"> {named("reason", s.life.reason)}</span>}
            </dd>
          </div>
          <div>
            <dt>{t("col_connection")}</dt>
            <dd>
              <Conn s={s} />
            </dd>
          </div>
          <div>
            <dt>{t("col_left")}</dt>
            <dd>
              <Left s={s} />
            </dd>
          </div>
          <div>
            <dt>{t("last_heard")}</dt>
            <dd class="numbers">
              {s.conn.c === "online" && !over
                ? t("heard_live")
                : s.conn.heard
                  ? t("ago", { length: lengthText(now - s.conn.heard, t.lang) })
                  : "–"}
            </dd>
          </div>
          {s.monitor && (
            <div class="fact-wide">
              <dt>{t("monitor")}</dt>
              <dd>
                <MonitorFact m={s.monitor} />
              </dd>
            </div>
          )}
          <div>
            <dt>{t("started")}</dt>
            <dd class="numbers">
              {s.life.started ? timeText(s.life.started, now, t.lang, false) : t("not_started")}
              {s.life.ended ? ` – ${timeText(s.life.ended, now, t.lang, false)}` : ""}
            </dd>
          </div>
          {watched && (
            <div>
              <dt>{t("watched")}</dt>
              <dd class="numbers">
                {t("watched_of", { watched: lengthText(watched.watched, t.lang), open: lengthText(watched.open, t.lang) })}
              </dd>
            </div>
          )}
          <div>
            <dt>{t("user_id")}</dt>
            <dd class="user-id">
              {s.who.user}
              {s.who.attempt > 1 ? `, ${t("attempt", { n: s.who.attempt })}` : ""}
            </dd>
          </div>
          {store.grouped.value && (
            <div class="fact-wide">
              <dt>{t("groups")}</dt>
              <dd>{groupText(s) || t("no_group")}</dd>
            </div>
          )}
        </dl>

        {more && <p class="note small callout">{more}</p>}
        {!!s.tally.hand && !over && (
          <div class="note note-warn callout">
            <p>
              <Icon name="hand" /> {t("hand_up", { length: shortLength(now - s.tally.hand, t.lang) })}
            </p>
            {store.may("talk") && (
              <button type="button" class="button-small" onClick={() => store.seen(s.id)}>
                {t("lower_hand")}
              </button>
            )}
          </div>
        )}
        {trouble.map((p) => (
          <div class="note note-bad callout" key={p.id}>
            <p>
              <strong>{named("do", p.kind)}:</strong> <ProgressWords p={p} state={s.life.state} />
            </p>
            <button type="button" class="button-small" onClick={() => store.dismiss(s.id, p.id)}>
              {t("put_aside")}
            </button>
          </div>
        ))}
        {s.lost.gaps > 0 && (
          <div class={`note callout${s.lost.proposed > 0 ? " note-warn" : ""}`}>
            <p class="small">
              <strong>{t("lost_title")}:</strong>{" "}
              {t("lost_sum", {
                n: s.lost.gaps,
                length: lengthText(s.lost.total, t.lang),
                granted: lengthText(s.lost.granted, t.lang),
              })}
              {s.lost.proposed > 0 && ` ${t("lost_sum_proposed", { length: lengthText(s.lost.proposed, t.lang) })}`}
            </p>
            {s.lost.proposed > 0 && store.may("time") && (
              <div class="row">
                {fits("grant", s) && (
                  <button
                    type="button"
                    class="button-small button-primary"
                    onClick={() => store.command("grant", [s.id], false, {})}
                  >
                    {t("do_grant")}
                  </button>
                )}
                <button type="button" class="button-small" onClick={() => act("refuse")}>
                  {t("do_refuse")}
                </button>
              </div>
            )}
          </div>
        )}

        <div class="detail-actions" role="group" aria-label={t("commands")}>
          {offered.map((a) => {
            if (!store.allows(a) || !fits(a, s) || (a === "pause" && store.exam.value?.pause === false)) return null;
            const tone = a === "terminate" ? " button-danger-quiet" : a === "admit" || a === "resume" ? " button-primary" : "";
            return (
              <button key={a} type="button" class={`button-small${tone}`} onClick={() => act(a)}>
                {named("do", a)}
              </button>
            );
          })}
        </div>

        <div class="tabs">
          <div role="tablist" onKeyDown={tabKey}>
            {(["story", "chat"] as const).map((name) => (
              <button
                key={name}
                type="button"
                role="tab"
                id={`tab-${name}`}
                aria-selected={tab.value === name}
                aria-controls={`panel-${name}`}
                tabIndex={tab.value === name ? 0 : -1}
                onClick={() => (tab.value = name)}
              >
                {name === "story" ? t("tab_story") : t("tab_chat")}
                {name === "chat" && !!s.tally.unread && <span class="pill pill-accent numbers">{s.tally.unread}</span>}
              </button>
            ))}
          </div>
          <a class="tabs-link small" href={page}>
            {t("full_timeline")}
          </a>
        </div>
        <div role="tabpanel" id={`panel-${tab.value}`} aria-labelledby={`tab-${tab.value}`} class="tabpanel">
          {tab.value === "story" ? <StoryList /> : <Chat s={s} />}
        </div>
      </div>
    </>
  );
}
