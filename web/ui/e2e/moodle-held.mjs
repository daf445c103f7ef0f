// A student who keeps Vigil from the quiz page, at a quiz that holds such attempts, beside an honest one: with a real Moodle, real
// browsers and a real `vigil serve`. What the test needs is said in docs/moodle.md. Minutes pass in Moodle's database.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { patience, pill, step } from "./harness.mjs";
import { answerField, clock, inAttempt } from "./lib/moodle-site.mjs";
import { cannotRun, connectTool, exported, moodleStage } from "./lib/moodle-stage.mjs";

/** The waiting page. */
const waits = (u) => u.pathname.endsWith("/vigil/paused.php");

/** What a student's browser may do to the monitor: gives back how that is ended. */
const blocks = {
  // An extension that takes the monitor's module out of Moodle's scripts.
  script: async (context) => {
    await context.addInitScript(() => {
      if (localStorage.getItem("lets-vigil-in")) return;
      let define;
      Object.defineProperty(window, "define", {
        get: () => define,
        set: (f) => {
          define = Object.assign((name, ...rest) => (name === "quizaccess_vigil/proctor" ? undefined : f(name, ...rest)), f);
        },
      });
    });
    await context.route(/quizaccess_vigil\/proctor/, (route) => route.abort());
    return async (page) => {
      await page.evaluate(() => localStorage.setItem("lets-vigil-in", "1"));
      await context.unrouteAll();
    };
  },
  // A filter that lets nothing through to Vigil.
  origin: async (context, tool) => {
    let open = false;
    const ours = new URL(tool).host;
    await context.routeWebSocket(
      (u) => u.host === ours,
      (socket) => (open ? socket.connectToServer() : socket.close()),
    );
    await context.route(
      (u) => u.host === ours && u.pathname.startsWith("/api/"),
      (route) => (open ? route.continue() : route.abort()),
    );
    return () => {
      open = true;
    };
  },
};

describe("What follows where nobody watches a quiz page", { skip: cannotRun(), timeout: 60 * 60_000 }, () => {
  let stage, teacher;
  const cap = 3; // minutes
  const limit = 1800;
  const slowPage = 121_000; // vigil.SlowPage, and a moment, in ms

  before(async () => {
    stage = await moodleStage({
      people: { teacher: "editingteacher", script: "student", origin: "student", honest: "student", noted: "student" },
    });
    await connectTool(stage);
    teacher = await stage.site.logIn(`${stage.tag}-teacher`);
  });

  after(async () => {
    await stage?.end();
    const blocked = /Script error for "quizaccess_vigil\/proctor"/;
    assert.deepEqual(
      (stage?.errors ?? []).filter((e) => !blocked.test(e)),
      [],
      "errors on Vigil's pages",
    );
  });

  /** A student in an attempt, whose browser blocks Vigil from then on. */
  async function enter(quiz, name, block) {
    const page = await stage.site.logIn(`${stage.tag}-${name}`);
    await stage.site.toCheckIn(page, quiz);
    const unblock = await block?.(page.context(), stage.server.tool);
    await stage.site.checkIn(page);
    return { name: `${name[0].toUpperCase()}${name.slice(1)} Of ${stage.tag}`, id: stage.people[name], page, unblock };
  }

  /** Answers and turns the page. */
  async function turn(who, answer) {
    const before = who.page.url();
    await answerField(who.page).fill(answer);
    await who.page.locator("#mod_quiz-next-nav").click();
    await who.page.waitForURL((u) => waits(u) || (inAttempt(u) && u.href !== before), { waitUntil: "load" });
  }

  it("note and ask hold nobody, and only ask tells the student", async () => {
    const quiz = await stage.php("make_quiz", stage.course, "Noted", { timelimit: limit, vigil_unwatched: "note" }, 6);
    const who = await enter(quiz, "noted", blocks.script);
    const dashboard = await stage.site.dashboard(teacher, quiz);
    const row = dashboard.locator('[role="row"]', { hasText: who.name });
    await row.getByText("Not watched").first().waitFor({ timeout: patience });
    const told = who.page.getByText("Vigil does not watch this quiz at the moment");
    for (const [policy, answers] of [
      ["note", ["a", "b"]],
      ["ask", ["c", "d"]],
    ]) {
      await stage.php("set_unwatched", quiz.quiz, policy);
      for (const answer of answers) {
        await stage.php("let_pass", Number((await stage.php("look", quiz.quiz, who.id)).session.id), 300);
        await turn(who, answer);
        assert.ok(inAttempt(new URL(who.page.url())), `${policy}: ${who.page.url()}`);
        assert.equal(await told.count(), policy === "ask" ? 1 : 0, policy);
      }
    }
    const { session, attempts } = await stage.php("look", quiz.quiz, who.id);
    assert.deepEqual([Number(session.unwatchedat) > 0, session.pausecause, Number(session.pausedat)], [true, null, 0]);
    assert.deepEqual(attempts[0].answers.slice(0, 4), ["a", "b", "c", "d"]);
    await dashboard.close();
    await who.page.context().close();
  });

  it("blocking Vigil holds the attempt with its answers, until it is watched or a proctor lets it go on, and buys no time", async () => {
    const quiz = await stage.php(
      "make_quiz",
      stage.course,
      "Held",
      { timelimit: limit, vigil_unwatched: "hold", vigil_hold_cap: cap },
      6,
    );
    const [script, origin, honest] = [
      await enter(quiz, "script", blocks.script),
      await enter(quiz, "origin", blocks.origin),
      await enter(quiz, "honest"),
    ];
    const all = [script, origin, honest];
    const dashboard = await stage.site.dashboard(teacher, quiz);
    const rowOf = (who) => dashboard.locator('[role="row"]', { hasText: who.name });
    const look = (who) => stage.php("look", quiz.quiz, who.id);
    const stored = (who) => exported(stage.server, new URL(dashboard.url()).pathname.split("/")[2], who.id);
    await pill(honest.page, "Proctor connected");

    const pass = async (who, seconds) => stage.php("let_pass", Number((await look(who)).session.id), seconds);
    const held = async (who) => (await look(who)).session.pausecause === "unwatched";

    await step("the dashboard shows who is not watched", async () => {
      for (const who of [script, origin]) await rowOf(who).getByText("Not watched").first().waitFor({ timeout: patience });
      await rowOf(honest).getByText("Online").waitFor();
    });
    await step("on the first look nobody is held, but it is noted", async () => {
      const before = await stage.php("logged", stage.course, "\\quizaccess_vigil\\event\\attempt_unwatched");
      for (const who of all) {
        // The honest page keeps its own time, for receipts are signed by Vigil's clock.
        if (who !== honest) await pass(who, 100);
        await turn(who, "frog");
        assert.ok(inAttempt(new URL(who.page.url())), who.page.url());
      }
      for (const who of [script, origin]) {
        assert.notEqual(Number((await look(who)).session.unwatchedat), 0, who.name);
        await who.page.getByText("Vigil does not watch this quiz at the moment").waitFor();
      }
      assert.equal(Number((await look(honest)).session.unwatchedat), 0);
      assert.equal((await stage.php("logged", stage.course, "\\quizaccess_vigil\\event\\attempt_unwatched")) - before, 2);
    });
    await step("on the second they are, and the answers are kept", async () => {
      for (const who of [script, origin]) {
        await pass(who, 300);
        await turn(who, "toad");
        assert.ok(waits(new URL(who.page.url())), who.page.url());
        await who.page.getByText("Your answers are saved.").first().waitFor();
        assert.ok(await held(who));
        assert.deepEqual((await look(who)).attempts[0].answers.slice(0, 2), ["frog", "toad"]);
      }
      await turn(honest, "toad");
      assert.ok(inAttempt(new URL(honest.page.url())));
    });
    await step("proctors see that, and why, though no browser told", async () => {
      const { left, out } = await stage.php("adhoc");
      assert.equal(left, 0, out);
      for (const who of [script, origin]) {
        await rowOf(who).getByText("Paused").waitFor();
        const { session } = await stored(who);
        assert.deepEqual([session.state, /nobody watches/.test(session.reason)], ["paused", true], session.reason);
      }
      await rowOf(honest).getByText("Working").waitFor();
    });
    await step("ten minutes later one lets Vigil in, and goes on", async () => {
      for (const who of [script, origin]) await pass(who, 600);
      // Vigil's own time does not pass so quickly, and whose page connects within two minutes had a slow page.
      const since = Date.parse((await stored(script)).session.unwatched);
      await new Promise((r) => setTimeout(r, since + slowPage - Date.now()));
      await script.unblock(script.page);
      await script.page.getByText("Try again", { exact: true }).click();
      await script.page.waitForURL(inAttempt, { timeout: patience });
      await pill(script.page, "Proctor connected");
    });
    await step("a proctor lets the other go on, who is still blocked", async () => {
      assert.ok(await held(origin));
      await rowOf(origin).getByText(origin.name).click();
      const detail = dashboard.getByRole("region", { name: "Student", exact: true });
      await detail.getByRole("heading", { name: origin.name }).waitFor();
      await detail.getByRole("button", { name: "Resume" }).click();
      await rowOf(origin).getByText("Working").waitFor();
      await origin.page.waitForURL(inAttempt, { timeout: patience });
    });
    await step("of the wait no more is given back than the quiz allows", async () => {
      for (const who of [script, origin]) {
        const { session, override } = await look(who);
        assert.deepEqual(
          [Number(session.returned), Number(session.heldseconds), Number(override.timelimit)],
          [60 * cap, 60 * cap, limit + 60 * cap],
          who.name,
        );
        const end = await stage.php("end_of", quiz.quiz, who.id);
        assert.ok(Math.abs(end - Date.now() / 1000 - (await clock(who.page))) <= 3, "the clock on the page");
      }
    });
    await step("all hand in; the record says what was not watched", async () => {
      for (const who of all) await stage.site.handIn(who.page);
      await stage.php("adhoc");
      for (const who of all) {
        const { session, accused } = await stored(who);
        assert.equal(session.state, "submitted", who.name);
        assert.deepEqual(
          accused.some((i) => i.incident_kind === "not_watched"),
          who !== honest,
          `${who.name}: ${JSON.stringify(accused)}`,
        );
      }
      const { session, override } = await look(honest);
      assert.deepEqual(
        [Number(session.heldseconds), Number(session.returned), override],
        [0, 0, null],
        "the honest one was never held",
      );
    });
  });
});
