// The check-in page: system check, countdown, consent, waiting for admission, and for platforms without our plugin the
// window that stays open as the monitor.
//
// The page comes from the server (web/page/checkin.html) and works without this script: then nothing is checked and the
// button is simply there. The script needs these elements:
//
//   #checkin-form   posts to /checkin/{session}/start; fields consent=yes and notice (what is agreed to); with
//                   target=_blank where the exam opens in a window of its own
//   #consent        the checkbox, or a hidden field where the student agreed before
//   #start          the submit button
//   #check          an empty list for the check's rows
//   #countdown      shown with what is left of the time to begin
//   #waiting        there while the session waits for admission
import { capabilities as capable } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/detect";
import { init } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/monitor";
import "../style/checkin.css";
import { readConfig } from "../dashboard/config";
import { clockText } from "../dashboard/format";
import { judge, mayStart, rowsOf, worst, type Capabilities, type Row } from "./checks";
import { probe, waitForAdmission } from "./probe";
import { t, type Word } from "./words";

interface Config {
  session: string;
  state: string;
  tokenEndpoint: string;
  left: number;
  courseURL?: string;
  watch: string[] | null;
  fullscreen: boolean;
  admission: boolean;
  plugin: boolean;
  agreed: boolean; // to the notice as it is now
}

const config = readConfig<Config>();
const form = document.querySelector<HTMLFormElement>("#checkin-form");
const consent = document.querySelector<HTMLInputElement>("#consent");
const start = document.querySelector<HTMLButtonElement>("#start");
const list = document.querySelector<HTMLElement>("#check");
const countdown = document.querySelector<HTMLElement>("#countdown");
const waiting = document.querySelector<HTMLElement>("#waiting");

const where = { tokenEndpoint: config.tokenEndpoint, session: config.session };
const began = performance.now();
let rows: Row[] = [];
let tries = 0;
let over = false;
let sent = false;

function left(): number {
  return Math.max(0, config.left - (performance.now() - began));
}

/** Whether something can be kept for later pages; a private window may refuse. */
async function canStore(): Promise<boolean> {
  try {
    sessionStorage.setItem("vigil.check", "1");
    sessionStorage.removeItem("vigil.check");
  } catch {
    return false;
  }
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open("vigil-check");
      request.onsuccess = () => {
        request.result.close();
        indexedDB.deleteDatabase("vigil-check");
        resolve(true);
      };
      request.onerror = () => resolve(false);
    } catch {
      resolve(false);
    }
  });
}

async function check(): Promise<void> {
  if (!list || !form) return;
  const ids = rowsOf(config.watch ?? [], config.fullscreen);
  const can = capable(document, window, await canStore()) as Capabilities;
  rows = ids.map((id) => (id === "socket" || id === "clock" ? { id, result: "wait", word: "" } : judge(id, {}, can)));
  show();
  const found = await probe(where);
  tries++;
  rows = ids.map((id) => judge(id, found, can));
  show();
}

let again: HTMLButtonElement | undefined;
let summary: HTMLElement | undefined;
let hint: HTMLElement | undefined;

function show(): void {
  if (!list) return;
  list.replaceChildren(
    ...rows.map((r) => {
      const item = document.createElement("li");
      item.className = `check-row check-${r.result}`;
      item.dataset.check = r.id;
      item.dataset.result = r.result;
      const mark = document.createElement("span");
      mark.className = "check-mark";
      mark.setAttribute("aria-hidden", "true");
      const body = document.createElement("div");
      const title = document.createElement("p");
      const name = document.createElement("strong");
      name.textContent = t(`title_${r.id}` as Word);
      const result = document.createElement("span");
      result.className = `pill ${r.result === "pass" ? "pill-good" : r.result === "warn" ? "pill-warn" : r.result === "fail" ? "pill-bad" : ""}`;
      result.textContent = t(`result_${r.result}` as Word);
      title.append(name, " ", result);
      body.append(title);
      if (r.word) {
        const text = document.createElement("p");
        text.className = "small";
        text.textContent = t(`check_${r.id}_${r.word}` as Word, r.params);
        body.append(text);
      }
      item.append(mark, body);
      return item;
    }),
  );
  if (!summary) {
    const line = document.createElement("div");
    line.className = "row";
    summary = document.createElement("p");
    summary.className = "check-summary";
    summary.setAttribute("role", "status");
    again = document.createElement("button");
    again.type = "button";
    again.className = "button button-small";
    again.textContent = t("again");
    again.addEventListener("click", () => void check());
    line.append(summary, again);
    list.after(line);
  }
  const result = worst(rows);
  summary.textContent = result === "fail" && tries > 1 ? t("summary_fail_again") : t(`summary_${result}` as Word);
  if (again) again.hidden = result === "wait" || result === "pass";
  judgeStart();
}

/** Enables the button when the student may begin, and says what is missing when not. */
function judgeStart(): void {
  if (!start || waiting || sent) return;
  const agreed = !consent || consent.type === "hidden" || consent.checked;
  const may = mayStart({ consent: agreed, left: left(), rows, tries });
  start.disabled = !may;
  if (!hint) {
    hint = document.createElement("p");
    hint.className = "small muted";
    hint.id = "start-hint";
    start.setAttribute("aria-describedby", hint.id);
    (start.closest("p") ?? start).after(hint);
  }
  const result = worst(rows);
  hint.textContent =
    may || over ? "" : result === "wait" ? t("hint_check") : !agreed ? t("hint_consent") : result === "fail" ? t("hint_retry") : "";
}

function tick(): void {
  if (!countdown) return;
  const ms = left();
  countdown.hidden = false;
  countdown.className = `note ${ms === 0 ? "note-bad" : ms < 60_000 ? "note-warn" : ""}`;
  if (ms > 0) {
    countdown.textContent = t(ms < 60_000 ? "left_soon" : "left", { time: clockText(ms) });
    return;
  }
  if (over) return;
  over = true;
  countdown.textContent = t("left_over");
  countdown.setAttribute("role", "alert");
  if (config.courseURL) {
    const link = document.createElement("a");
    link.className = "button button-primary button-small";
    link.href = config.courseURL;
    link.textContent = t("back");
    countdown.append(" ", link);
  }
  if (start) start.disabled = true;
  judgeStart();
}

/** The exam is in another window: this one stays as the connection to the proctor. */
function becomeMonitor(): void {
  if (document.getElementById("vigil-monitor") || !form) return;
  clearInterval(timer);
  sent = true;
  if (countdown) countdown.hidden = true;
  const card = document.createElement("section");
  card.id = "vigil-monitor";
  card.className = "card stack";
  const title = document.createElement("h1");
  title.textContent = t("monitor_title");
  title.tabIndex = -1;
  const text = document.createElement("p");
  text.textContent = t("monitor_text");
  const blocked = document.createElement("p");
  blocked.className = "small muted";
  blocked.textContent = t("monitor_blocked");
  const anew = document.createElement("button");
  anew.type = "button";
  anew.textContent = t("monitor_again");
  anew.addEventListener("click", () => form.requestSubmit());
  const panel = document.createElement("div");
  card.append(title, text, panel, blocked, anew);
  form.hidden = true;
  form.before(card);
  title.focus();
  init({
    tokenEndpoint: config.tokenEndpoint,
    tokenBody: async () => ({ session: config.session }),
    credentials: "same-origin",
    key: `checkin|${config.session}`,
    lang: t.lang,
    watch: [],
    mount: panel,
    inline: true,
    back: config.courseURL,
  });
}

let timer = 0;

function wait(): void {
  if (!waiting || !start || !form) return;
  waiting.textContent = t("waiting");
  waiting.classList.add("waiting-now");
  // What the page is about now comes first.
  form.querySelector("header")?.after(waiting);
  const own = start; // "look again" stays for browsers whose socket is blocked
  waitForAdmission(where, (state) => {
    if (state === "authorized" || state === "active" || state === "paused") {
      waiting.classList.remove("waiting-now");
      waiting.classList.add("note-good");
      if (config.plugin) {
        waiting.textContent = t("admitted");
        form.requestSubmit();
        return;
      }
      // A window may be opened by a click only.
      waiting.textContent = t("admitted_window");
      own.classList.add("button-primary");
      own.focus();
      document.title = `✔ ${document.title}`;
      return;
    }
    waiting.textContent = t("refused");
    location.reload();
  });
}

if (form && start) {
  // Waiting for admission goes on here; only the exam itself opens in a window of its own.
  if (config.admission && ["created", "ready", "awaiting"].includes(config.state)) {
    form.removeAttribute("target");
    if (waiting && !config.plugin) form.target = "_blank";
  }
  form.addEventListener("submit", () => {
    if (form.target === "_blank") {
      window.setTimeout(becomeMonitor, 0);
      return;
    }
    // A second press would begin twice; coming back by the browser's back button enables it again.
    sent = true;
    window.setTimeout(() => {
      start.disabled = true;
    }, 0);
  });
  addEventListener("pageshow", (e) => {
    if (!e.persisted) return;
    sent = false;
    location.reload();
  });
  consent?.addEventListener("change", judgeStart);
  tick();
  timer = window.setInterval(tick, 1000);
  if (!config.plugin && config.agreed && (config.state === "active" || config.state === "paused")) {
    becomeMonitor();
  } else if (waiting) {
    void check();
    wait();
  } else {
    start.disabled = true;
    void check();
  }
}
