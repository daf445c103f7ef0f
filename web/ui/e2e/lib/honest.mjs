// What honest students do in an hour, and how a test remembers it: see moodle-honest.mjs.
import assert from "node:assert/strict";
import { startLine } from "./line.mjs";
import { answerField, inAttempt } from "./moodle-site.mjs";

/** The waiting page of an attempt that is held or paused. */
export const waits = (u) => u.pathname.endsWith("/vigil/paused.php");
const inQuiz = (u) => inAttempt(u) || waits(u);
const next = "#mod_quiz-next-nav";

/** How long anything may take: the machine may be busy, and a test that gives up is no student. */
const patience = 300_000;

/** The same numbers for the same seed (mulberry32). */
export function dice(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Playwright has every page believe that it is in front. This says whether it goes on so. */
async function believes(page, enabled) {
  const client = page._connection.toImpl(page).delegate._mainFrameSession._client;
  await client.send("Emulation.setFocusEmulationEnabled", { enabled });
}

/** Where the browser keeps nothing for a page but cookies. */
const noStorage = () => {
  const refuse = () => {
    throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
  };
  Storage.prototype.setItem = refuse;
  Object.defineProperty(window, "indexedDB", { get: () => ({ open: refuse }) });
};

/**
 * One student. random is dice; scale shortens absences where the whole is short.
 */
export class Honest {
  constructor({ name, role, id, seed, end, scale }) {
    Object.assign(this, { name, role, id, end, scale, random: dice(seed) });
    /** What the student did that may be told of: kind, from, until. */
    this.spells = [];
    /** Answers that were sent: when, and what answered. */
    this.posts = [];
    this.did = {};
    this.problems = [];
    this.rounds = 0;
    this.questions = 0;
  }

  count(what) {
    this.did[what] = (this.did[what] ?? 0) + 1;
  }

  /** Whether something is done this time; the first time it always is. */
  now(chance) {
    return this.random() < chance || this.rounds === 1;
  }

  between(least, most) {
    return least + this.random() * (most - least);
  }

  /** Seconds in which somebody reads and thinks. */
  async wait(least, most = least) {
    const s = Math.min(this.between(least, most), Math.max(0, (this.end - Date.now()) / 1000));
    await new Promise((r) => setTimeout(r, 1000 * s));
  }

  /** Does what may be told of. */
  async spell(kind, f) {
    const spell = { kind, from: Date.now(), until: Infinity };
    this.spells.push(spell);
    this.count(kind);
    try {
      await f();
    } finally {
      spell.until = Date.now();
    }
  }

  get over() {
    return Date.now() >= this.end;
  }

  /** From the login into the attempt. */
  async enter(site, login, quiz) {
    Object.assign(this, { site, quiz });
    const { options = {}, prepare } = (await roles[this.role].window?.(this)) ?? {};
    this.page = await site.logIn(login, login, undefined, { ...options, prepare });
    this.page.context().on("request", (r) => {
      if (r.method() === "POST" && /\/mod\/quiz\/(processattempt|autosave\.ajax)\.php/.test(r.url())) this.posts.push(Date.now());
    });
    this.page.context().setDefaultTimeout(patience);
    await site.attempt(this.page, quiz);
    this.cdp = await this.page.context().newCDPSession(this.page);
    await roles[this.role].ready?.(this);
  }

  /** Where the page is, once it has come. A page that waits is a hold. */
  async arrived(before) {
    await this.page.waitForURL((u) => inQuiz(u) && u.href !== before, { waitUntil: "load", timeout: patience });
    while (waits(new URL(this.page.url()))) {
      this.problems.push(`held at ${new Date().toISOString()}`);
      await this.page.waitForURL(inAttempt, { timeout: 2 * patience });
    }
  }

  async onLast() {
    return (await this.page.locator(next).getAttribute("value"))?.startsWith("Finish") ?? true;
  }

  /** Answers, and goes on to the next question; from the last one to the first. */
  async turn() {
    const before = this.page.url();
    const field = answerField(this.page);
    if (await field.count()) await field.fill(`frog ${this.rounds}`);
    if (await this.onLast()) {
      await this.site.openNavigation(this.page);
      await this.page.locator("#quiznavbutton1").click();
    } else await this.page.locator(next).click();
    await this.arrived(before);
    this.count("turns");
  }

  /** Moves the focus by keyboard alone. */
  async tabTo(selector) {
    for (let n = 0; n < 250; n++) {
      await this.page.keyboard.press("Tab");
      if (await this.page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) return;
    }
    assert.fail(`${selector} is not reached by keyboard`);
  }

  /** Opens the quiz's navigation so. */
  async openNavigation() {
    if (await this.page.locator("#mod_quiz_navblock .endtestlink").isVisible()) return;
    await this.tabTo(".drawer-right-toggle button");
    await this.page.keyboard.press("Enter");
    await this.page.locator("#mod_quiz_navblock .endtestlink").waitFor();
  }

  async handIn() {
    if (this.handedIn) return;
    this.handedIn = true;
    await (roles[this.role].handIn ?? ((s) => s.site.handIn(s.page)))(this);
    this.ended = Date.now();
  }

  /** The hour. */
  async work() {
    const { quirk, turn } = roles[this.role];
    for (;;) {
      this.rounds++;
      await this.wait(5, Math.max(10, 120 * this.scale));
      if (this.over) break;
      await quirk?.(this);
      if (this.over || this.handedIn) break;
      await (turn ?? ((s) => s.turn()))(this);
    }
    await this.handIn();
  }
}

/** Seconds of an absence. */
const length = (s, least, most) => s.between(least, most) * (s.scale < 1 ? Math.max(s.scale, 0.2) : 1);

/**
 * Who they are: window is what their browser needs, ready what is done in the attempt, quirk what they do before they turn a page, turn
 * and handIn how they do that if not by mouse.
 */
export const roles = {
  plain: {},
  back: {
    quirk: async (s) => {
      if (s.rounds < 2 || s.random() > 0.5) return;
      const at = s.page.url();
      s.count("back");
      await s.page.goBack();
      await s.arrived("");
      await s.wait(2, 30);
      if (s.random() < 0.5) return; // and goes on from there
      s.count("forward");
      await s.page.goForward();
      await s.page.waitForURL(at, { waitUntil: "load" });
      await s.wait(1, 20);
    },
  },
  reload: {
    quirk: async (s) => {
      if (!s.now(0.5)) return;
      for (let n = Math.ceil(3 * s.random()); n > 0; n--) {
        s.count("reloads");
        await s.page.reload();
        await s.wait(1, 15);
      }
    },
  },
  offline: {
    window: async (s) => {
      s.line = await startLine();
      return { options: { proxy: s.line.proxy } };
    },
    quirk: async (s) => {
      if (!s.now(0.4)) return;
      const off = s.random() < 0.5;
      await s.spell("offline", async () => {
        if (off) {
          s.line.cut();
          await s.page.context().setOffline(true);
        } else s.line.stand();
        await s.wait(20, 40);
        s.line.mend();
        if (off) await s.page.context().setOffline(false);
      });
      await s.wait(0, 20);
    },
  },
  hidden: {
    quirk: async (s) => {
      if (!s.now(0.25)) return;
      // A tab that the page itself opens in front of it hides it without a word in a headless Chromium.
      const [other] = await Promise.all([
        s.page.context().waitForEvent("page"),
        s.page.evaluate(() => void window.open("about:blank")),
      ]);
      await s.page.bringToFront();
      await believes(s.page, false);
      await s.spell("hidden", async () => {
        await other.bringToFront();
        await s.wait(length(s, 100, 420));
        assert.equal(await s.page.evaluate(() => document.visibilityState), "hidden");
        await other.close();
      });
      await believes(s.page, true);
      await s.wait(0, 30);
    },
  },
  slow: {
    ready: (s) =>
      s.cdp.send("Network.emulateNetworkConditions", {
        offline: false,
        latency: 600,
        downloadThroughput: 60_000,
        uploadThroughput: 30_000,
      }),
  },
  sleeps: {
    window: async (s) => {
      s.line = await startLine();
      return { options: { proxy: s.line.proxy } };
    },
    quirk: async (s) => {
      if (!s.now(0.3)) return;
      await s.spell("asleep", async () => {
        await believes(s.page, false);
        // As the lid is closed: the page is told, then nothing runs and nothing gets through.
        await s.cdp.send("Page.setWebLifecycleState", { state: "frozen" });
        s.line.stand();
        await s.wait(length(s, 100, 420));
        s.line.mend();
        await s.cdp.send("Page.setWebLifecycleState", { state: "active" });
        await believes(s.page, true); // it is shown again
      });
      await s.wait(0, 25);
    },
  },
  storageless: {
    window: () => ({ prepare: (context) => context.addInitScript(noStorage) }),
  },
  keyboard: {
    turn: async (s) => {
      const before = s.page.url();
      if (await answerField(s.page).count()) {
        await s.tabTo("form#responseform input[type=text][name$=_answer]");
        await s.page.keyboard.press("Control+A");
        await s.page.keyboard.type(`frog ${s.rounds}`, { delay: 40 });
      }
      const last = await s.onLast();
      if (last) await s.openNavigation();
      await s.tabTo(last ? "#quiznavbutton1" : next);
      await s.page.keyboard.press("Enter");
      await s.arrived(before);
      s.count("turns");
    },
    handIn: async (s) => {
      await s.openNavigation();
      await s.tabTo("#mod_quiz_navblock .endtestlink");
      await s.page.keyboard.press("Enter");
      await s.page.waitForURL(/\/summary\.php/, { waitUntil: "load" });
      await s.page.waitForFunction(() => document.readyState === "complete" && window.M.util.pending_js.length === 0);
      await s.tabTo("form[action*='processattempt'] button, #frm-finishattempt button");
      await s.page.keyboard.press("Enter");
      await s.page.locator('.modal [data-action="save"]').waitFor();
      await s.tabTo('.modal [data-action="save"]');
      await s.page.keyboard.press("Enter");
      await s.page.waitForURL(/\/review\.php/);
    },
  },
  early: {
    quirk: async (s) => {
      s.begin ??= Date.now();
      if (Date.now() < s.begin + 0.4 * (s.end - s.begin)) return;
      await s.handIn();
      for (let n = 0; n < 4 && !s.over; n++) {
        await s.wait(5, 120 * s.scale);
        await s.site.view(s.page, s.quiz);
        await s.wait(2, 20);
        await s.page
          .getByRole("link", { name: /^Review/ })
          .first()
          .click();
        await s.page.waitForURL(/\/review\.php/);
        s.count("reviews");
      }
    },
  },
};

/** What of Vigil's record goes beyond what a student did: incidents, and absences that are laid at their door. */
export function beyond(student, { accused, gaps }) {
  const allowed = {
    offline: ["connection_lost", "gap"],
    hidden: ["hidden", "blur"],
    asleep: ["hidden", "blur", "connection_lost", "gap"],
  };
  const slack = 30_000; // an absence is noticed later than it begins, and ends when the page answers
  const fits = (kind, from, until) =>
    student.spells.some((s) => allowed[s.kind].includes(kind) && from >= s.from - 10_000 && until <= s.until + slack);
  const found = [];
  for (const i of accused) {
    const at = Date.parse(i.at);
    if (!fits(i.incident_kind, at - (i.duration_ms ?? 0), at)) found.push(i); // its time is when Vigil heard of it
  }
  for (const g of gaps) {
    if (g.cause === "student" && !fits("gap", Date.parse(g.start), g.end ? Date.parse(g.end) : Date.now())) found.push(g);
  }
  return found;
}
