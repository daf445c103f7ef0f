// Moodle and Vigil agree about every attempt: the orders of events in which they once did not, each seen with a real Moodle,
// real browsers and a real `vigil serve`. The rules are docs/truth.md's. What the tests need is said in docs/moodle.md.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { command, patience, pill, step, until } from "./harness.mjs";
import { answerField, clock, inAttempt } from "./lib/moodle-site.mjs";
import { cannotRun, connectTool, exported, hearEnds, moodleStage } from "./lib/moodle-stage.mjs";

/** A proctor's way to say that the attempt was over already. */
const first = "The student was first: the attempt had been handed in, or its time had run out.";

/** Longer than the two minutes after which time that ran out counts as over. */
const past = 4 * 60_000;

describe("Moodle and Vigil agree about every attempt", { skip: cannotRun(), timeout: 120 * 60_000 }, () => {
  let stage, teacher, assistant;
  let students = 0;

  before(async () => {
    const names = { teacher: "editingteacher", assistant: "teacher" };
    for (let n = 1; n <= 24; n++) names[`s${n}`] = "student";
    stage = await moodleStage({ people: names });
    await connectTool(stage);
    teacher = await stage.site.logIn(`${stage.tag}-teacher`);
    assistant = await stage.site.logIn(`${stage.tag}-assistant`);
  });

  after(async () => {
    await stage?.end();
    assert.deepEqual(stage?.errors ?? [], [], "errors on Vigil's pages");
  });

  /** Closes every window but the proctors' own. */
  async function tidy() {
    for (const context of stage.browser.contexts()) {
      if (context !== teacher.context() && context !== assistant.context()) await context.close().catch(() => {});
    }
    for (const proctor of [teacher, assistant]) {
      for (const page of proctor.context().pages()) if (page !== proctor) await page.close().catch(() => {});
    }
  }

  /** keep: the windows are the next test's, too. */
  function proves(name, f, { keep = false } = {}) {
    it(name, async () => {
      const begin = performance.now();
      try {
        await f();
        console.log(`# ${String(Math.round(performance.now() - begin)).padStart(6)} ms  == ${name}`);
      } catch (e) {
        console.log(`# FAILED ${name}: ${e.stack}`);
        for (const [i, page] of stage.browser
          .contexts()
          .flatMap((c) => c.pages())
          .entries()) {
          console.log(`# page ${i}: ${page.url()} ${await page.title().catch(() => "")}`);
          if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/truth-${i}.png` }).catch(() => {});
        }
        console.log("# log of vigil:\n" + stage.server.log().slice(-3000));
        throw e;
      } finally {
        if (!keep) await tidy();
      }
    });
  }

  // --- People.

  /** A student who has done nothing yet. */
  async function student() {
    const name = `s${++students}`;
    const page = await stage.site.logIn(`${stage.tag}-${name}`);
    return { name: `S${students} Of ${stage.tag}`, id: stage.people[name], page, heard: hearEnds(page) };
  }

  const makeQuiz = (name, settings = {}) => stage.php("make_quiz", stage.course, name, settings, 3);
  const look = (quiz, who) => stage.php("look", quiz.quiz, who.id);
  const rowOf = (dashboard, who) => dashboard.locator('[role="row"]', { hasText: who.name });
  const examOf = (dashboard) => new URL(dashboard.url()).pathname.split("/")[2];

  /** What Vigil's store has of a student. */
  const stored = (dashboard, who) => exported(stage.server, examOf(dashboard), who.id);

  /** Opens a student's details on a dashboard. */
  async function detailOf(dashboard, who) {
    await rowOf(dashboard, who).getByText(who.name).click();
    const detail = dashboard.getByRole("region", { name: "Student", exact: true });
    await detail.getByRole("heading", { name: who.name }).waitFor();
    return detail;
  }

  /** A quiz with a student at work and a proctor before the details. */
  async function desk(name, settings) {
    const quiz = await makeQuiz(name, settings);
    const who = await student();
    await stage.site.attempt(who.page, quiz);
    const dashboard = await stage.site.dashboard(teacher, quiz);
    const row = rowOf(dashboard, who);
    await row.getByText("Online").waitFor();
    return { quiz, who, page: who.page, dashboard, row, detail: await detailOf(dashboard, who) };
  }

  const give = (d, what, fill = async () => {}) => command(d.dashboard, d.detail, what, fill, what);
  const minutes = (n) => async (ask) => ask.getByLabel("Minutes").fill(String(n));

  /** Cron delivers what waits: Moodle's reports of ends. */
  async function report() {
    const { left, out } = await stage.php("adhoc");
    assert.equal(left, 0, `tasks left: ${out}`);
  }

  /** Hands in without leaving the page, so that no browser carries the end to Vigil: Moodle's report alone does. */
  async function handInBeside(d) {
    const { attempts } = await look(d.quiz, d.who);
    await d.page.evaluate(
      async ([to, attempt]) => {
        const body = new URLSearchParams({ attempt, sesskey: window.M.cfg.sesskey, finishattempt: "1", timeup: "0", slots: "" });
        await fetch(to, { method: "POST", body, redirect: "manual" });
      },
      [`${stage.url}/mod/quiz/processattempt.php`, String(attempts.at(-1).id)],
    );
    const then = await look(d.quiz, d.who);
    assert.equal(then.attempts.at(-1).state, "finished", "Moodle has it");
    assert.ok((await stage.php("waiting")) > 0, "the report waits for cron");
    return then.attempts.at(-1);
  }

  async function turnTo(page, n) {
    await page.locator("#mod_quiz-next-nav").click();
    await page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === String(n));
  }

  /** Moodle's end, Vigil's as the student is told it, and after a new page Vigil's as it is kept, are the same. */
  async function agree(d, { end, tolerance = 1 } = {}) {
    const theirs = await stage.php("end_of", d.quiz.quiz, d.who.id);
    if (end !== undefined) assert.ok(Math.abs(theirs - end) <= tolerance, `Moodle ends at ${theirs}, not at ${end}`);
    await until(() => {
      const ours = d.who.heard.end / 1000;
      assert.ok(Math.abs(ours - theirs) <= tolerance, `Moodle ends at ${theirs}, Vigil at ${ours}`);
    });
    await d.page.reload();
    await pill(d.page, "Proctor connected");
    await until(async () => {
      assert.equal(d.who.heard.end, theirs * 1000, "Vigil's end after a new page, in ms");
      assert.equal(Date.parse((await stored(d.dashboard, d.who)).session.end), theirs * 1000, "the end in Vigil's store");
    });
    const left = await clock(d.page);
    const now = Date.now() / 1000;
    assert.ok(Math.abs(theirs - now - left) <= 3, `${left} s on Moodle's clock, ${theirs - now} s by its database`);
    assert.equal(await stage.php("end_of", d.quiz.quiz, d.who.id), theirs, "the end does not move any more");
    return theirs;
  }

  const startOf = async (d) => (await look(d.quiz, d.who)).attempts.at(-1).start;

  // --- Row 1: what the LMS did not do did not happen.

  proves(
    "row 1: the student hands in before the proctor ends the attempt: it counts as submitted, and the proctor reads who was first",
    async () => {
      const d = await desk("First", { timelimit: 600 });
      const attempt = await handInBeside(d);
      await give(d, "End attempt");
      await d.dashboard.getByText(first).first().waitFor();
      await d.row.getByText("Submitted").waitFor();
      await report();
      await until(async () => {
        const { session, commands } = await stored(d.dashboard, d.who);
        assert.equal(session.state, "submitted");
        assert.equal(Date.parse(session.ended), attempt.finish * 1000, "it ended when Moodle says so");
        const end = commands.find((c) => c.command_kind === "terminate");
        assert.deepEqual([end.stage, end.problem, end.lms_state], ["refused", first, "refused"]);
      });
    },
  );

  proves("row 1: a pause of an attempt that is over in Moodle is refused in words, and nobody is paused", async () => {
    const d = await desk("Late pause", { timelimit: 600 });
    await handInBeside(d);
    await give(d, "Pause");
    await d.dashboard.getByText("The attempt is over in the learning platform.").first().waitFor();
    await report();
    await d.row.getByText("Submitted").waitFor();
    const { session } = await stored(d.dashboard, d.who);
    assert.deepEqual([session.state, session.paused_at], ["submitted", null]);
    assert.equal((await look(d.quiz, d.who)).attempts.length, 1);
  });

  proves("row 1: a quarter of an hour given before the start is kept, and the attempt opens with it", async () => {
    const quiz = await makeQuiz("Early", { timelimit: 600 });
    const who = await student();
    await stage.site.toCheckIn(who.page, quiz);
    const dashboard = await stage.site.dashboard(teacher, quiz);
    const d = { quiz, who, page: who.page, dashboard, row: rowOf(dashboard, who), detail: await detailOf(dashboard, who) };
    await give(d, "Extra time", minutes(15));
    await dashboard.getByText("1 kept until the attempt begins").first().waitFor();
    assert.equal((await look(quiz, who)).attempts.length, 0);
    await stage.site.checkIn(who.page);
    await pill(who.page, "Proctor connected");
    await dashboard.getByText("1 confirmed by the LMS").first().waitFor();
    await agree(d, { end: (await startOf(d)) + 600 + 900, tolerance: 0 });
    assert.equal(Number((await look(quiz, who)).override.timelimit), 1500);
  });

  // --- Rows 2 to 4 share two minutes of waiting.

  let evening;

  /**
   * A quiz whose time runs out: one student was given a later end, one went away, and two handed in: one while Vigil was down, of
   * the other Moodle's report waits.
   */
  const timeRunsOut = () => (evening ??= runOut());

  async function runOut() {
    const began = performance.now();
    const [stays, late, waits, gone] = [await student(), await student(), await student(), await student()];
    // What comes before the end takes about as long as this machine's logins.
    const end = Math.floor(Date.now() / 1000 + 60 + (4 * (performance.now() - began)) / 1000);
    const quiz = await makeQuiz("Evening", { timeclose: end });
    for (const who of [stays, late, waits, gone]) await stage.site.attempt(who.page, quiz);
    const dashboard = await stage.site.dashboard(teacher, quiz);
    for (const who of [stays, late, waits, gone]) await rowOf(dashboard, who).getByText("Online").waitFor();
    await step("the teacher extends the quiz for one, who turns the page", async () => {
      assert.equal(stays.heard.end, end * 1000);
      await stage.php("override", quiz.quiz, { userid: stays.id, timeclose: end + 900 });
      await turnTo(stays.page, 1);
      await pill(stays.page, "Proctor connected");
      await until(() => assert.equal(stays.heard.end, (end + 900) * 1000, "the end that Vigil tells"));
    });
    const outage = { from: 0, to: 0 };
    await step("one hands in while Vigil is down", async () => {
      outage.from = performance.now();
      assert.equal(await stage.server.stop(), 0);
      await stage.site.handIn(late.page);
      await late.page.locator("table.quizreviewsummary").waitFor();
      assert.ok((await stage.php("adhoc")).left > 0, "the report is tried again");
      await late.page.context().close();
      await stage.server.again();
      outage.to = performance.now();
    });
    await dashboard.getByText("You are connected").waitFor();
    for (const who of [stays, waits, gone]) await pill(who.page, "Proctor connected");
    // Who goes right after an outage is away because of it: Vigil would ask Moodle for that time, and learn of the end by the answer.
    const over = outage.to + Math.min(outage.to - outage.from, 30_000);
    await until(async () => assert.ok(performance.now() > over, "nobody is still coming back from the outage"));
    await step("one hands in, and cron does not run; one closes the browser", async () => {
      await handInBeside({ quiz, who: waits, page: waits.page });
      await waits.page.context().close();
      await gone.page.context().close();
      assert.ok(Date.now() / 1000 < end, "all of that took too long for this test");
      for (const who of [waits, gone]) await rowOf(dashboard, who).getByText("Offline").waitFor();
    });
    await step("two minutes after the end the dashboard has it, though nobody has asked", async () => {
      for (const who of [waits, gone]) await rowOf(dashboard, who).getByText("Time is over").waitFor({ timeout: past });
    });
    return { stays, late, waits, gone, end, quiz, dashboard };
  }

  proves(
    "row 2: a teacher gives a later end in Moodle: the next page brings it, and the student is watched past the old one",
    async () => {
      const { stays, end, quiz, dashboard } = await timeRunsOut();
      assert.ok(Date.now() / 1000 > end + 110, "the old end is long over");
      const row = rowOf(dashboard, stays);
      await row.getByText("Working").waitFor();
      await row.getByText("Online").waitFor();
      await pill(stays.page, "Proctor connected");
      await turnTo(stays.page, 2);
      await pill(stays.page, "Proctor connected");
      // What our short outage took may have been given back on top.
      const theirs = await stage.php("end_of", quiz.quiz, stays.id);
      assert.ok(theirs >= end + 900);
      await until(() => assert.equal(stays.heard.end, theirs * 1000));
      const { session } = await stored(dashboard, stays);
      assert.deepEqual([session.state, Date.parse(session.end)], ["active", theirs * 1000]);
      assert.equal((await look(quiz, stays)).attempts[0].state, "inprogress");
    },
    { keep: true },
  );

  proves(
    "row 3: a report of the end that comes minutes late still says submitted, and no gap has grown",
    async () => {
      const { late, waits, quiz, dashboard } = await timeRunsOut();
      assert.equal((await stored(dashboard, waits)).session.state, "time_up", "provisional");
      // Vigil has asked Moodle to give our outage back to the other one, and may know by the answer.
      assert.match((await stored(dashboard, late)).session.state, /^(time_up|submitted)$/);
      await report();
      for (const who of [late, waits]) {
        await rowOf(dashboard, who).getByText("Submitted").waitFor();
        const [attempt] = (await look(quiz, who)).attempts;
        assert.ok(Date.now() / 1000 > attempt.finish + 120, "the report is more than two minutes late");
        await until(async () => {
          const { session, gaps, accused } = await stored(dashboard, who);
          assert.deepEqual([session.state, Date.parse(session.ended)], ["submitted", attempt.finish * 1000]);
          for (const g of gaps) assert.ok(g.end && Date.parse(g.end) <= attempt.finish * 1000, `a gap from ${g.start} to ${g.end}`);
          assert.deepEqual(accused, [], "the student was gone because it was over");
        });
      }
    },
    { keep: true },
  );

  proves(
    "row 4: time runs out while nobody reads: dashboard, store and export agree, and nothing is lost after the end",
    async () => {
      const { gone, quiz, dashboard } = await timeRunsOut();
      const end = await stage.php("end_of", quiz.quiz, gone.id);
      await rowOf(dashboard, gone).getByText("Time is over").waitFor({ timeout: past });
      const { session, gaps, accused } = await stored(dashboard, gone);
      assert.equal(session.state, "time_up");
      assert.ok(gaps.length > 0, "the student went away before the end");
      for (const g of gaps)
        assert.ok(
          g.end && Date.parse(g.end) <= end * 1000,
          `a gap from ${g.start} to ${g.end}, the end is ${new Date(end * 1000).toISOString()}`,
        );
      for (const i of accused)
        assert.ok(Date.parse(i.at) <= end * 1000, `an incident after the end: ${i.incident_kind} at ${i.at}`);
      await step("Moodle's cron hands in, and its report decides", async () => {
        await stage.php("scheduled", "\\mod_quiz\\task\\update_overdue_attempts");
        await report();
        await rowOf(dashboard, gone).getByText("Submitted").waitFor();
        const [attempt] = (await look(quiz, gone)).attempts;
        assert.equal(attempt.state, "finished");
        const then = await stored(dashboard, gone);
        assert.deepEqual([then.session.state, then.gaps.filter((g) => !g.end)], ["submitted", []]);
      });
    },
  );

  // --- Row 5.

  proves("row 5: two proctors give back the same lost time at once: Moodle's end moves once", async () => {
    const d = await desk("Twice", { timelimit: 1800 });
    const began = (await startOf(d)) + 1800;
    await step("the student's line is cut for some seconds", async () => {
      await d.page.goto("about:blank");
      await d.row.getByText("Offline").waitFor();
      await d.page.goBack();
      await pill(d.page, "Proctor connected");
    });
    const other = await stage.site.dashboard(assistant, d.quiz);
    const buttons = [];
    for (const detail of [d.detail, await detailOf(other, d.who)]) {
      const button = detail.getByRole("button", { name: "Give lost time" });
      await button.waitFor();
      buttons.push(button);
    }
    await Promise.all(buttons.map((b) => b.evaluate((button) => button.click())));
    await until(async () => {
      const { gaps, commands } = await stored(d.dashboard, d.who);
      assert.ok(
        gaps.every((g) => g.decision === "granted"),
        JSON.stringify(gaps),
      );
      assert.deepEqual(
        commands.filter((c) => c.command_kind === "extend").map((c) => c.lms_state),
        ["accepted"],
        "one command gave it",
      );
    });
    // Time is given to the LMS in whole minutes.
    await agree(d, { end: began + 60, tolerance: 0 });
  });

  // --- Row 6.

  proves("row 6: pages are opened while the attempt is paused: the pause is counted once, and both ends agree", async () => {
    const d = await desk("Pause", { timelimit: 1800 });
    const began = (await startOf(d)) + 1800;
    await turnTo(d.page, 1);
    await give(d, "Pause");
    await d.page.waitForURL(/paused\.php/);
    await d.row.getByText("Paused").waitFor();
    await d.dashboard.getByText("1 confirmed by the LMS").first().waitFor();
    await step("a reload, and a page of the attempt, while it is paused", async () => {
      await d.page.reload();
      await d.page.getByRole("heading", { name: "Your exam is paused" }).waitFor();
      const { attempts } = await look(d.quiz, d.who);
      await d.page.goto(`${stage.url}/mod/quiz/attempt.php?attempt=${attempts[0].id}&cmid=${d.quiz.cmid}`);
      await d.page.waitForURL(/paused\.php/);
      await d.row.getByText("Online").waitFor();
      const { session, now } = await look(d.quiz, d.who);
      await until(async () =>
        assert.ok((await look(d.quiz, d.who)).now > now + 5 && Number(session.pausedat) > 0, "some seconds of pause"),
      );
    });
    await d.detail.getByRole("button", { name: "Resume" }).click();
    await d.page.waitForURL(inAttempt);
    await pill(d.page, "Proctor connected");
    await d.row.getByText("Working").waitFor();
    const { session } = await look(d.quiz, d.who);
    assert.ok(Number(session.returned) >= 5);
    await agree(d, { end: began + Number(session.returned), tolerance: 1 });
  });

  // --- Row 7.

  proves("row 7: two grants within a second, and a page turn between them: each is counted once, and both ends agree", async () => {
    const d = await desk("Grants", { timelimit: 1800 });
    const began = (await startOf(d)) + 1800;
    const other = await stage.site.dashboard(assistant, d.quiz);
    const second = { dashboard: other, detail: await detailOf(other, d.who) };
    const asked = [];
    for (const at of [d, second]) {
      await at.detail.getByRole("group", { name: "Commands" }).getByRole("button", { name: "Extra time", exact: true }).click();
      const ask = at.dashboard.getByRole("dialog");
      await ask.getByLabel("Minutes").fill("5");
      asked.push(ask.getByRole("button", { name: "Extra time", exact: true }));
    }
    await Promise.all([...asked.map((button) => button.evaluate((b) => b.click())), turnTo(d.page, 1)]);
    await until(async () => {
      const { commands } = await stored(d.dashboard, d.who);
      const given = commands.filter((c) => c.command_kind === "extend");
      assert.deepEqual(
        given.map((c) => c.lms_state),
        ["accepted", "accepted"],
      );
      assert.ok(Math.abs(Date.parse(given[0].at) - Date.parse(given[1].at)) < 1000, "within a second");
    });
    await pill(d.page, "Proctor connected");
    await agree(d, { end: began + 600, tolerance: 0 });
    await step("and a third one, once the page with the first two is there", async () => {
      await give(d, "Extra time", minutes(5));
      await until(async () => assert.equal(await stage.php("end_of", d.quiz.quiz, d.who.id), began + 900));
      await agree(d, { end: began + 900, tolerance: 0 });
    });
  });

  // --- Row 11.

  proves("row 11: a slow Moodle at a mass start is nobody's lost connection, and a closed browser is the student's", async () => {
    const quiz = await makeQuiz("Slow", { timelimit: 1800 });
    const all = [];
    for (let n = 0; n < 4; n++) all.push(await student());
    for (const who of all) await stage.site.attempt(who.page, quiz);
    const dashboard = await stage.site.dashboard(teacher, quiz);
    for (const who of all) await rowOf(dashboard, who).getByText("Online").waitFor();
    // What the stamps say of the platform's clock counts from ten pages on.
    for (const n of [1, 2]) {
      for (const who of all) {
        await turnTo(who.page, n);
        await pill(who.page, "Proctor connected");
      }
    }
    const nobody = async () => {
      for (const who of all) {
        const { gaps, accused } = await stored(dashboard, who);
        assert.deepEqual(
          gaps.filter((g) => g.cause !== "lms" && g.cause !== "unclear").map((g) => [g.cause, g.start, g.end]),
          [],
          `gaps of ${who.name}`,
        );
        assert.deepEqual(
          accused.map((i) => i.incident_kind),
          [],
          `incidents of ${who.name}`,
        );
      }
    };
    await step("Moodle is slow to answer: the old pages stay connected meanwhile", async () => {
      const held = stage.php(
        "hold",
        all.map((who) => who.id),
        14,
      );
      await Promise.all(all.map((who) => who.page.reload({ timeout: patience })));
      await held;
      for (const who of all) await pill(who.page, "Proctor connected");
      await nobody();
    });
    await step("its scripts are slow, for the whole class: no incident, and the time is the platform's or unclear", async () => {
      const until14 = Date.now() + 14_000;
      const scripts = /\/(javascript|requirejs|yui_combo|service|service-nologin)\.php/;
      for (const who of all) {
        await who.page.context().route(scripts, async (route) => {
          const wait = until14 - Date.now();
          if (wait > 0) await new Promise((done) => setTimeout(done, wait));
          await route.continue();
        });
      }
      await Promise.all(all.map((who) => who.page.reload({ timeout: patience })));
      for (const who of all) await pill(who.page, "Proctor connected");
      for (const who of all) await who.page.context().unroute(scripts);
      for (const who of all) await rowOf(dashboard, who).getByText("Online").waitFor();
      await until(async () => {
        for (const who of all) {
          const { gaps } = await stored(dashboard, who);
          assert.ok(
            gaps.length > 0 && gaps.every((g) => g.end),
            `${who.name} was away while the scripts came: ${JSON.stringify(gaps)}`,
          );
        }
      });
      await nobody();
      for (const who of all)
        console.log(
          `# ${who.name}:`,
          (await stored(dashboard, who)).gaps
            .map((g) => `${g.cause} ${(Date.parse(g.end) - Date.parse(g.start)) / 1000} s`)
            .join(", "),
        );
    });
    await step("one closes the browser", async () => {
      await all[0].page.context().close();
      await rowOf(dashboard, all[0]).getByText("Offline").waitFor();
      // The window may say goodbye as for a page turn. Then the gap begins as unclear, and is divided when it ends; from "until" on it is
      // the student's.
      await until(async () => {
        const { gaps, accused } = await stored(dashboard, all[0]);
        const gap = gaps.at(-1);
        assert.equal(gap.end, null);
        assert.ok(gap.cause === "student" || (gap.cause === "unclear" && Date.parse(gap.until) < Date.now()), JSON.stringify(gap));
        assert.deepEqual(
          accused.map((i) => i.incident_kind),
          ["connection_lost"],
        );
      });
      for (const who of all.slice(1)) assert.deepEqual((await stored(dashboard, who)).accused, [], `incidents of ${who.name}`);
    });
  });

  // --- Row 18.

  proves(
    "row 18: proctoring is switched off while one is paused and one works: both sessions are closed with that reason, and nobody is accused",
    async () => {
      const d = await desk("Off", { timelimit: 1800 });
      const began = (await startOf(d)) + 1800;
      const worker = await student();
      await stage.site.attempt(worker.page, d.quiz);
      await rowOf(d.dashboard, worker).getByText("Online").waitFor();
      await answerField(d.page).fill("frog");
      await give(d, "Pause");
      await d.page.waitForURL(/paused\.php/);
      await d.row.getByText("Paused").waitFor();
      await step("the teacher switches it off", async () => {
        await teacher.goto(`${stage.url}/course/modedit.php?update=${d.quiz.cmid}&return=1`);
        await teacher.locator("#id_vigil_enabled").waitFor({ state: "attached" });
        await teacher.evaluate(() =>
          document.querySelectorAll(".collapseexpand.collapsed, .collapsemenu.collapsed").forEach((e) => e.click()),
        );
        await teacher.selectOption("#id_vigil_enabled", "0");
        await teacher.click("#id_submitbutton");
        await teacher.waitForURL(/\/mod\/quiz\/view\.php/);
      });
      await step("the paused one goes on with the right clock", async () => {
        await d.page.waitForURL(inAttempt);
        const { session, override, attempts } = await look(d.quiz, d.who);
        assert.equal(attempts[0].answers[0], "frog");
        assert.equal(Number(override.timelimit), 1800 + Number(session.returned), "no parking time is left");
        const end = await stage.php("end_of", d.quiz.quiz, d.who.id);
        assert.equal(end, began + Number(session.returned));
        assert.ok(Math.abs(end - Date.now() / 1000 - (await clock(d.page))) <= 3, "the clock on the page");
        assert.equal((await look(d.quiz, worker)).override, null);
      });
      await report();
      for (const who of [d.who, worker]) {
        const row = rowOf(d.dashboard, who);
        await row.getByText("Unproctored").waitFor();
        await until(async () => {
          const { session, accused, gaps } = await stored(d.dashboard, who);
          assert.deepEqual(
            [session.state, session.reason.toLowerCase().includes("proctoring was switched off")],
            ["stopped", true],
            session.reason,
          );
          assert.deepEqual(accused, [], `incidents of ${who.name}`);
          assert.deepEqual(
            gaps.filter((g) => g.cause === "student" || !g.end),
            [],
            `gaps of ${who.name}`,
          );
        });
      }
      await step("and the one at work turns the page and hands in", async () => {
        await turnTo(worker.page, 1);
        assert.equal(await worker.page.getByRole("region", { name: "Exam proctoring" }).count(), 0);
        await stage.site.handIn(worker.page);
        const { accused } = await stored(d.dashboard, worker);
        assert.deepEqual(accused, []);
      });
    },
  );
});
