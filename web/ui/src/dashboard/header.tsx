// Exam, own link, alerts and what leads elsewhere.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { problemOf } from "./config";
import { useStore } from "./context";
import { lengthText, timeText } from "./format";
import { Icon } from "./icons";
import { AlertMenu } from "./alertmenu";
import type { LinkState } from "./link";
import { isUnwatched } from "./order";
import { t, type Word } from "./words";

export function Header(): JSX.Element {
  const store = useStore();
  const { config } = store;
  const exam = store.exam.value;
  return (
    <header class="dash-head">
      <div class="dash-title">
        <h1>{exam?.title || config.exam.title}</h1>
        <p class="muted small">{exam?.course || config.exam.course || t("dashboard")}</p>
      </div>
      <OwnLink />
      <nav class="dash-tools" aria-label={t("more")}>
        {store.may("talk") && (
          <button
            type="button"
            class="button-small"
            disabled={store.counts.value.all === store.counts.value.finished}
            onClick={() => (store.ask.value = { action: "message", targets: [], all: true })}
          >
            <Icon name="chat" />
            {t(store.access.value.all ? "message_all" : "message_all_seen")}
          </button>
        )}
        <AlertMenu />
        {config.links.report && store.may("watch") && (
          <a class="button button-small" href={config.links.report}>
            {t("report")}
          </a>
        )}
        {config.links.settings && store.may("watch") && (
          <a class="button button-small" href={config.links.settings}>
            {t("settings")}
          </a>
        )}
        {config.framed && <OwnWindow />}
      </nav>
    </header>
  );
}

/** The proctor's own link: another thing than the students'. */
function OwnLink(): JSX.Element {
  const store = useStore();
  const state = store.link.state.value;
  const mono = store.mono.value;
  switch (state.is) {
    case "open": {
      const ago = Math.max(0, mono - store.link.heard.peek());
      return (
        <p class="link link-open">
          <span class="link-dot" aria-hidden="true" />
          <span class="link-is">{t("link_open")}</span>
          <span class="link-ago numbers">
            {ago < 1500 ? t("link_heard_now") : t("link_heard", { ago: lengthText(ago, t.lang) })}
          </span>
        </p>
      );
    }
    case "connecting":
      return (
        <p class="link link-wait">
          <span class="link-dot" aria-hidden="true" />
          {t("link_connecting")}
        </p>
      );
    case "waiting":
      return (
        <p class="link link-wait">
          <span class="link-dot" aria-hidden="true" />
          <span>{t("link_waiting", { s: Math.max(0, Math.ceil((state.until - mono) / 1000)) })}</span>
          <button type="button" class="button-quiet button-small" onClick={() => store.link.retry()}>
            {t("link_try")}
          </button>
        </p>
      );
    case "stopped":
      return (
        <p class="link link-off">
          <span class="link-dot" aria-hidden="true" />
          {t("link_stopped")}
        </p>
      );
  }
}

/** What stands between the proctor and the truth. */
export function Banners(): JSX.Element {
  const store = useStore();
  const state = store.link.state.value;
  const loaded = store.roster.loaded.value;
  const stale = store.stale.value;
  // A blink of the link is shown beside the title; the banner comes when it lasts.
  const lasting = stale > 0 && store.now.value - stale > 2500;
  void store.mono.value;
  void store.roster.version.value;
  const room = store.roster.all().filter((s) => isUnwatched(s) && s.life.unwatched_room);
  const skew = state.is === "open" ? store.clock.skew() : 0;
  return (
    <div class="banners" role="status">
      {state.is === "stopped" && loaded && (
        <div class="note note-bad">
          <StopText state={state} />
        </div>
      )}
      {state.is !== "stopped" && loaded && lasting && (
        <div class="note note-warn">
          <p>{t("link_stale", { time: timeText(stale, store.now.value, t.lang) })}</p>
        </div>
      )}
      {room.length > 0 && (
        <div class="note note-warn">
          <p>{t("unwatched_many", { n: room.length })}</p>
          <button type="button" class="button-small" onClick={() => (store.filter.value = "unwatched")}>
            {t("unwatched_show")}
          </button>
        </div>
      )}
      {store.notices.value.map((kind) => (
        <div class="note note-warn" key={kind}>
          <p>{t(`notice_${kind}` as Word)}</p>
        </div>
      ))}
      {store.said.value.map(({ key, text }) => (
        <div class="note said" key={key}>
          <p>{text}</p>
          <button type="button" class="button-quiet icon-button" aria-label={t("dismiss")} onClick={() => store.unsay(key)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
      {Math.abs(skew) > 30_000 && (
        <div class="note">
          <p class="small">{t("clock_skew", { length: lengthText(Math.abs(skew), t.lang) })}</p>
        </div>
      )}
    </div>
  );
}

/** Why the link does not come back by itself, and what to do. */
export function StopText({ state }: { state: LinkState & { is: "stopped" } }): JSX.Element {
  const store = useStore();
  return (
    <>
      <p>
        {t(`stop_${state.why}` as Word)} {state.why === "other" || state.why === "forbidden" ? state.detail : ""}
      </p>
      {state.why === "superseded" && (
        <button type="button" class="button-small" onClick={() => store.link.retry()}>
          {t("take_back")}
        </button>
      )}
      {(state.why === "protocol" || state.why === "other") && (
        <button type="button" class="button-small" onClick={() => location.reload()}>
          {t("reload")}
        </button>
      )}
    </>
  );
}

/** Opens the dashboard outside of the LMS's frame, where it has room. */
function OwnWindow(): JSX.Element {
  const store = useStore();
  const said = useSignal("");
  const open = async (): Promise<void> => {
    said.value = "";
    // Opened with the click, or the browser takes it for an unwanted pop-up; where it leads is known a moment later.
    const target = window.open("", "_blank");
    if (!target) {
      said.value = t("own_window_failed");
      return;
    }
    try {
      const response = await fetch(store.config.links.open ?? `${store.config.api}/open`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ path: location.pathname }),
      });
      if (!response.ok) throw new Error(await problemOf(response));
      const { url } = (await response.json()) as { url: string };
      target.opener = null;
      target.location.replace(url);
      said.value = t("own_window_done");
      store.link.leave(); // two windows would sound every alert twice
    } catch (err) {
      target.close();
      said.value = err instanceof Error ? err.message : String(err);
    }
  };
  return (
    <>
      <button type="button" class="button-small" onClick={() => void open()}>
        <Icon name="window" />
        {t("own_window")}
      </button>
      {said.value && (
        <p class="small muted" role="status">
          {said.value}
        </p>
      )}
    </>
  );
}
