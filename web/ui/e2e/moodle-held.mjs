// A student who keeps Vigil from the quiz page, at a quiz that holds such attempts, beside an honest one: with a real Moodle, real
// browsers and a real `vigil serve`. What the test needs is said in docs/moodle.md. Minutes pass in Moodle's database.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { command, patience, pill, step, until } from "./harness.mjs";
import { answerField, clock, inAttempt } from "./lib/moodle-site.mjs";
import { cannotRun, connectTool, exported, moodleStage } from "./lib/moodle-stage.mjs";

/** The waiting page. */
const waits = (u) => u.pathname.endsWith("/vigil/paused.php");

/** What a student's browser may do to the monitor: gives back how that is ended. */
const blocks = {
  // Moodle has all modules in one file, of which the monitor's is cut out; what asks for it alone gets nothing.
  script: async (context) => {
    await context.route(/\/requirejs\.php\/.*\/first\.js/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replaceAll('"quizaccess_vigil/proctor"', '"blocked/proctor"') });
    });
    await context.route(/quizaccess_vigil\/proctor/, (route) => route.abort());
    return () => context.unrouteAll();
  },
  // A filter that lets nothing through to Vigil.
  origin: async (context, tool) => {
    let open = false;
    const ours = new URL(tool).host;
    await context.routeWebSocket((u) => u.host === ours, (socket) => (open ? socket.connectToServer() : socket.close()));
    await context.route((u) => u.host === ours && u.pathname.startsWith("/api/"), (route) => (open ? route.continue() : route.abort()));
    return () => {
      open = true;
    };
  },
};

describe("A quiz that holds attempts that nobody watches", { skip: cannotRun(), timeout: 20 * 60_000 }, () => {
  let stage, teacher;
  const cap = 3; // minutes
  const limit = 1800;

  before(async () => {
    stage = await moodleStage({ people: { teacher: "editingteacher", script: "student", origin: "student", honest: "student" } });
    await connectTool(stage);
    teacher = await stage.site.logIn(`${stage.tag}-teacher`);
  });

  after(async () => {
    await stage?.end();
    assert.deepEqual(stage?.errors ?? [], [], "errors on Vigil's pages");
  });

  it("blocking Vigil holds the attempt with its answers, until it is watched or a proctor lets it go on, and buys no time", async () => {
    const quiz = await stage.php("make_quiz", stage.course, "Held", { timelimit: limit, vigil_unwatched: "hold", vigil_hold_cap: cap }, 6);
    const enter = async (name) => {
      const page = await stage.site.logIn(`${stage.tag}-${name}`);
      await stage.site.toCheckIn(page, quiz);
      const unblock = await blocks[name]?.(page.context(), stage.server.tool);
      await stage.site.checkIn(page);
      return { name: `${name[0].toUpperCase()}${name.slice(1)} Of ${stage.tag}`, id: stage.people[name], page, unblock };
    };
    const [script, origin, honest] = [await enter("script"), await enter("origin"), await enter("honest")];
    const all = [script, origin, honest];
    const dashboard = await stage.site.dashboard(teacher, quiz);
    const rowOf = (who) => dashboard.locator('[role="row"]', { hasText: who.name });
    const look = (who) => stage.php("look", quiz.quiz, who.id);
    const stored = (who) => exported(stage.server, new URL(dashboard.url()).pathname.split("/")[2], who.id);
    await pill(honest.page, "Proctor connected");

    const pass = async (seconds) => {
      for (const who of all) await stage.php("let_pass", Number((await look(who)).session.id), seconds);
    };
    /** Answers and turns the page. */
    const turn = async (who, answer) => {
      await answerField(who.page).fill(answer);
      await who.page.locator("#mod_quiz-next-nav").click();
      await who.page.waitForURL((u) => waits(u) || inAttempt(u), { waitUntil: "load" });
    };
    const held = async (who) => (await look(who)).session.pausecause === "unwatched";

    await step("the dashboard shows who is not watched", async () => {
      for (const who of [script, origin]) await rowOf(who).getByText("Not watched").first().waitFor({ timeout: patience });
      await rowOf(honest).getByText("Online").waitFor();
    });
    await step("on the first look nobody is held, but it is noted", async () => {
      for (const who of all) {
        const first = new URL(who.page.url()).searchParams.get("page");
        // The honest page keeps its own time, for receipts are signed by Vigil's clock.
        if (who !== honest) await stage.php("let_pass", Number((await look(who)).session.id), 100);
        await turn(who, "frog");
        assert.ok(inAttempt(new URL(who.page.url())) && new URL(who.page.url()).searchParams.get("page") !== first, who.page.url());
      }
      for (const who of [script, origin]) {
        assert.notEqual(Number((await look(who)).session.unwatchedat), 0, who.name);
        await who.page.getByText("Vigil does not watch this quiz at the moment").waitFor();
      }
      assert.equal(Number((await look(honest)).session.unwatchedat), 0);
      assert.equal(await stage.php("logged", stage.course, "\\quizaccess_vigil\\event\\attempt_unwatched"), 2);
    });
    await step("on the second they are, and the answers are kept", async () => {
      for (const who of [script, origin]) {
        await stage.php("let_pass", Number((await look(who)).session.id), 300);
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
      for (const who of [script, origin]) await stage.php("let_pass", Number((await look(who)).session.id), 600);
      await script.unblock();
      await script.page.getByText("Try again", { exact: true }).click();
      await script.page.waitForURL(inAttempt, { timeout: patience });
      await pill(script.page, "Proctor connected");
    });
    await step("a proctor lets the other go on, who is still blocked", async () => {
      assert.ok(await held(origin));
      await rowOf(origin).getByText(origin.name).click();
      const detail = dashboard.getByRole("region", { name: "Student", exact: true });
      await detail.getByRole("heading", { name: origin.name }).waitFor();
      await command(dashboard, detail, "Resume", async () => {}, "Resume");
      await rowOf(origin).getByText("Working").waitFor();
      await origin.page.waitForURL(inAttempt, { timeout: patience });
    });
    await step("of the wait no more is given back than the quiz allows", async () => {
      for (const who of [script, origin]) {
        const { session, override } = await look(who);
        assert.deepEqual([Number(session.returned), Number(session.heldseconds), Number(override.timelimit)], [60 * cap, 60 * cap, limit + 60 * cap], who.name);
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
        assert.deepEqual(accused.some((i) => i.incident_kind === "unwatched"), who !== honest, `${who.name}: ${JSON.stringify(accused)}`);
      }
      const { session, override } = await look(honest);
      assert.deepEqual([Number(session.heldseconds), Number(session.returned), override], [0, 0, null], "the honest one was never held");
    });
  });
});
