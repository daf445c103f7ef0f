// A session's timeline: filters, the chart, reviews of incidents, printing. The table is the server's (web/page/timeline.html):
//   #timeline tbody tr[data-type][data-incident][data-id][data-review][data-version], #filters, #chart, #print
import "uplot/dist/uPlot.min.css";
import { problemOf, readConfig } from "../dashboard/config";
import { bins, momentOf, type Entry, type ReviewState } from "../dashboard/feed";
import type { Right } from "../dashboard/protocol";
import { fullTime, zoneText } from "../dashboard/format";
import { allowed, downloads, make, printing } from "./common";
import { t, type Word } from "./words";

interface Config {
  api: string;
  entries: Entry[] | null;
  rights?: Right[] | null;
}

const config = readConfig<Config>();
const rows = [...document.querySelectorAll<HTMLTableRowElement>("#timeline tbody tr")];

const filters = ["all", "incidents", "open", "signal", "gap", "command", "chat"] as const;
type Filter = (typeof filters)[number];

function passes(row: HTMLTableRowElement, f: Filter): boolean {
  const incident = row.dataset.incident === "true";
  switch (f) {
    case "all":
      return true;
    case "incidents":
      return incident;
    case "open":
      return incident && ["none", "pending", "appealed"].includes(row.dataset.review ?? "none");
    default:
      return row.dataset.type === f;
  }
}

let recount: () => void = () => undefined;

function filtering(): void {
  const box = document.getElementById("filters");
  if (!box || rows.length === 0) return;
  box.hidden = false;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", t("filter"));
  const count = make("span", "small muted numbers");
  count.setAttribute("role", "status");
  const buttons = filters.map((f) => {
    const button = make("button", "button button-small");
    button.type = "button";
    button.addEventListener("click", () => choose(f));
    return button;
  });
  const choose = (chosen: Filter): void => {
    let n = 0;
    for (const row of rows) {
      row.hidden = !passes(row, chosen);
      if (!row.hidden) n++;
    }
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(filters[i] === chosen)));
    count.textContent = t("shown", { n });
  };
  recount = () => {
    buttons.forEach((button, i) => {
      const n = rows.filter((r) => passes(r, filters[i] as Filter)).length;
      button.textContent = `${t(filters[i] as Filter)} ${n.toLocaleString(t.lang)}`;
      // The one that is chosen stays in use, so that the focus does.
      button.disabled = n === 0 && button.getAttribute("aria-pressed") !== "true";
    });
  };
  box.append(...buttons, count);
  choose("all");
  recount();
}

/**
 * Times as the reader's clock shows them; what the server wrote stays as the tooltip. Rows and entries come in one order. Each time has the offset
 * that held at its own moment: it is named once where it is the same for all, else with the first time of each day and wherever it changes.
 */
function localTimes(): void {
  const entries = config.entries ?? [];
  const header = document.querySelector("#timeline thead th");
  if (entries.length !== rows.length || !header) return;
  const time = new Intl.DateTimeFormat(t.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const date = new Intl.DateTimeFormat(t.lang, { dateStyle: "medium" });
  const zones = new Set(
    entries.flatMap((e) => [
      zoneText(momentOf(e), t.lang),
      ...(e.type === "signal" && e.impossible ? [] : [zoneText(e.at, t.lang)]),
    ]),
  );
  let day = "";
  let zone = "";
  const put = (cell: HTMLTableCellElement | undefined, at: number, dated: boolean): void => {
    if (!cell?.textContent?.trim()) return;
    cell.title = `${cell.textContent.trim()} UTC`;
    const today = date.format(at);
    const its = zoneText(at, t.lang);
    const parts = [time.format(at)];
    if (dated && today !== day) parts.unshift(today);
    if (zones.size > 1 && (!dated || today !== day || its !== zone)) parts.push(its);
    cell.textContent = parts.join(" ");
    if (dated) [day, zone] = [today, its];
  };
  rows.forEach((row, i) => {
    const e = entries[i];
    if (!e) return;
    put(row.cells[0], momentOf(e), true);
    const wrong = row.cells[1]?.querySelector("time");
    if (e.type === "signal" && e.impossible) {
      if (!wrong) return; // decades off: it is not kept what it said
      wrong.title = wrong.textContent ?? "";
      wrong.textContent = fullTime(e.at, t.lang);
    } else {
      put(row.cells[1], e.at, false);
    }
  });
  header.textContent = t("server_time");
  const [only = ""] = zones;
  document
    .querySelector(".table-wrap")
    ?.before(make("p", "small muted", zones.size > 1 ? t("local_each") : t("local", { zone: only })));
}

const next: Record<ReviewState, ReviewState[]> = {
  none: ["cleared", "upheld"],
  pending: ["cleared", "upheld"],
  cleared: ["pending"],
  upheld: ["pending"],
  appealed: ["overturned", "upheld"],
  overturned: [],
};

function reviewing(row: HTMLTableRowElement): void {
  const cell = row.querySelector<HTMLElement>("td.review");
  if (!cell || !row.dataset.id || row.dataset.version === undefined) return;
  const state = (row.dataset.review ?? "none") as ReviewState;
  const box = make("span", "review-buttons no-print");
  const said = make("span", "small");
  said.setAttribute("role", "status");
  let note: HTMLInputElement | undefined;
  if (next[state].length > 1) {
    note = make("input", "review-note");
    note.type = "text";
    note.maxLength = 500;
    note.placeholder = t("note");
    note.setAttribute("aria-label", t("note"));
    box.append(note);
  }
  for (const to of next[state]) {
    const button = make("button", "button button-small", t(to as Word));
    button.type = "button";
    button.addEventListener("click", () => {
      for (const b of box.querySelectorAll("button")) b.disabled = true;
      void save(to);
    });
    box.append(button);
  }
  const save = async (to: ReviewState): Promise<void> => {
    let problem: string;
    try {
      const response = await fetch(`${config.api}/incidents/review`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({
          id: row.dataset.id,
          review: to,
          version: Number(row.dataset.version),
          ...(note?.value.trim() ? { note: note.value.trim() } : {}),
        }),
      });
      if (response.ok) {
        const answer = (await response.json()) as { review?: { state: ReviewState; by?: string; note?: string; version: number } };
        const review = answer.review ?? { state: to, version: Number(row.dataset.version) + 1 };
        row.dataset.review = review.state;
        row.dataset.version = String(review.version);
        cell.replaceChildren(t(`state_${review.state}` as Word), " ", make("span", "muted small", review.by ?? ""));
        if (review.note) cell.append(document.createElement("br"), make("span", "small", review.note));
        reviewing(row);
        recount();
        row.querySelector<HTMLElement>("td.review button")?.focus();
        return;
      }
      problem = await problemOf(response);
    } catch (err) {
      problem = err instanceof Error ? err.message : String(err);
    }
    said.textContent = t("failed", { problem });
    for (const b of box.querySelectorAll("button")) b.disabled = false;
  };
  box.append(said);
  cell.append(box);
}

async function chart(): Promise<void> {
  const box = document.getElementById("chart");
  const data = bins(config.entries ?? [], 60_000);
  if (!box || data.at.length < 2) return;
  box.hidden = false;
  const area = make("div", "plot");
  const legend = make("p", "small muted legend-line");
  for (const [mark, word] of [
    ["legend-signals", "chart_signals"],
    ["legend-incidents", "chart_incidents"],
  ] as const) {
    const pair = make("span", "legend-pair");
    pair.append(make("span", `legend-mark ${mark}`), t(word));
    legend.append(pair);
  }
  box.append(area, legend);
  area.setAttribute("role", "img");
  area.setAttribute("aria-label", t("chart_signals"));
  const { plot } = await import("../dashboard/plot");
  plot(area, {
    height: 120,
    label: t("chart_signals"),
    at: data.at,
    series: [
      { label: t("chart_signals"), color: "--accent", bars: true, values: data.low.map((n, i) => n + (data.high[i] ?? 0)) },
      { label: t("chart_incidents"), color: "--bad", bars: true, values: data.high },
    ],
  });
}

printing();
downloads(config);
filtering();
localTimes();
if (allowed(config, "review")) rows.forEach(reviewing);
void chart();
