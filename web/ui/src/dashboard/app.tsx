// The dashboard's frame: header, notices, chart, list, panel, commands.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { ActivityChart } from "./activitychart";
import { AskDialog } from "./ask";
import { BulkBar } from "./bulk";
import { useStore } from "./context";
import { Detail } from "./detail";
import { Filters } from "./filters";
import { Header, Banners, StopText } from "./header";
import type { LinkState } from "./link";
import { List } from "./list";
import { MissingButton } from "./missing";
import { Results } from "./results";
import { t } from "./words";

export function App(): JSX.Element {
  const store = useStore();
  const open = store.openID.value !== undefined;
  const state = store.link.state.value;
  const loaded = store.roster.loaded.value;
  void store.roster.members.value;
  const nobody = loaded && store.roster.students.size === 0;

  const access = store.access.value;

  useEffect(() => {
    document.body.classList.toggle("has-panel", open);
  }, [open]);
  // What had the focus may be gone with a right, or with the student whom it was about.
  useEffect(() => {
    const frame = requestAnimationFrame(() => {
      if (document.activeElement !== document.body && document.activeElement !== null) return;
      (document.querySelector<HTMLElement>(".detail h2") ?? document.getElementById("main"))?.focus({ preventScroll: true });
    });
    return () => cancelAnimationFrame(frame);
  }, [access, open]);

  return (
    <div class={`dash${open ? " dash-open" : ""}`}>
      <Header />
      <Banners />
      <div class="dash-main">
        <main id="main" tabIndex={-1} aria-label={t("students")}>
          {state.is !== "stopped" && !store.may("watch") ? (
            <NoWatch />
          ) : !loaded && state.is === "stopped" ? (
            <Stopped state={state} />
          ) : !loaded ? (
            <Skeleton />
          ) : nobody ? (
            <Empty />
          ) : (
            <>
              <ActivityChart />
              <Filters />
              <List />
            </>
          )}
        </main>
        {open && <Detail key={store.openID.value} />}
      </div>
      <div class="dash-foot">
        <Results />
        <BulkBar />
      </div>
      <AskDialog />
      <div class="sr-only" role="status" aria-live="polite">
        {store.alerts.spoken.value}
      </div>
    </div>
  );
}

/** Nothing was ever loaded, and trying again does not help. */
function Stopped({ state }: { state: LinkState & { is: "stopped" } }): JSX.Element {
  return (
    <div class="card empty empty-stop" role="alert">
      <h2>{t("link_stopped")}</h2>
      <StopText state={state} />
    </div>
  );
}

/** The link is up, and the person may not see anyone. */
function NoWatch(): JSX.Element {
  return (
    <div class="card empty empty-stop">
      <h2>{t("no_watch_title")}</h2>
      <p>{t("no_watch_body")}</p>
    </div>
  );
}

function Skeleton(): JSX.Element {
  return (
    <div class="skeleton" role="status">
      <p class="muted">{t("loading")}</p>
      {Array.from({ length: 8 }, (_, i) => (
        <div class="skeleton-row" key={i} aria-hidden="true">
          <span />
          <span />
          <span />
          <span />
        </div>
      ))}
    </div>
  );
}

function Empty(): JSX.Element {
  const store = useStore();
  return (
    <div class="card empty">
      <div class="empty-mark" aria-hidden="true" />
      <h2>{t("empty_title")}</h2>
      <p>{t("empty_body")}</p>
      {!store.access.value.all && <p>{t("empty_seen")}</p>}
      <p class="muted small">{t("empty_check")}</p>
      {store.config.members && (
        <p>
          <MissingButton />
        </p>
      )}
    </div>
  );
}
