// The whole exam over time, since this page was opened.
import type { JSX } from "preact";
import { useComputed, useSignal } from "@preact/signals";
import { Plot } from "./chart";
import { useStore } from "./context";
import { t } from "./words";

const key = "vigil.chart";

export function ActivityChart(): JSX.Element {
  const store = useStore();
  const open = useSignal(wanted());
  // Drawn again every five seconds, not with every signal.
  const beat = useComputed(() => Math.floor(store.mono.value / 5000));
  void beat.value;
  const points = store.activity.points();
  const last = points.slice(-5);
  const summary = t("chart_summary", {
    signals: last.reduce((n, p) => n + p.signals, 0),
    incidents: last.reduce((n, p) => n + p.incidents, 0),
    offline: store.counts.value.offline,
  });
  return (
    <details
      class="activity"
      open={open.value}
      onToggle={(e) => {
        open.value = e.currentTarget.open;
        try {
          localStorage.setItem(key, open.value ? "open" : "closed");
        } catch {
          // The choice holds for this page.
        }
      }}
    >
      <summary>
        <strong>{t("activity")}</strong> <span class="small muted">{summary}</span>
      </summary>
      {open.value &&
        (points.length < 1 ? (
          <p class="muted small">
            {t("activity_since")}: {t("chart_none")}
          </p>
        ) : (
          <Plot
            height={110}
            label={summary}
            at={points.map((p) => p.at)}
            from={(points[points.length - 1]?.at ?? 0) - 15 * 60_000}
            series={[
              { label: t("chart_signals"), color: "--accent", bars: true, values: points.map((p) => p.signals) },
              { label: t("chart_incidents"), color: "--bad", bars: true, values: points.map((p) => p.incidents) },
              { label: t("chart_offline"), color: "--warn", values: points.map((p) => p.offline) },
            ]}
          />
        ))}
    </details>
  );
}

function wanted(): boolean {
  try {
    const kept = localStorage.getItem(key);
    if (kept !== null) return kept === "open";
  } catch {
    // As if nothing was kept.
  }
  return matchMedia("(min-width: 48rem) and (min-height: 40rem)").matches;
}
