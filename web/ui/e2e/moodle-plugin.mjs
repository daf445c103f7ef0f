// Vigil's plugin in a real Moodle, watched from a real `vigil serve`: an admin connects the two, a teacher has a quiz
// proctored, students take it in all the ways that Moodle knows, a proctor commands, attempts end in all the ways that there
// are, and the tool goes away and comes back. The plugin must be installed there; the Moodle runs on this machine, and what
// the test makes in it, it takes away again.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, freePort, patience, pill, runVigil, startBrowser, startServe, step, until } from "./harness.mjs";
import { answerField, clock, inAttempt, moodleCli, moodleSite } from "./lib/moodle-site.mjs";

const wanted = ["MOODLE_URL", "MOODLE_DIR", "MOODLE_ADMIN", "MOODLE_ADMIN_PASSWORD"];
const missing = wanted.filter((name) => !process.env[name]);
const skip = missing.length > 0 && `needs a Moodle with the plugin: set ${missing.join(", ")} (make e2e-moodle)`;
const url = (process.env.MOODLE_URL ?? "").replace(/\/+$/, "");
const shotsTo = process.env.SHOTS;

describe("the plugin in a real Moodle", { skip, timeout: 180 * 60_000 }, () => {
  /** Everything that the tests share. */
  const errors = [];
  const undo = [];
  let php, browser, site, server, dir, course, people, teacher, tag;
  let students = 0;

  before(async () => {
    php = await moodleCli(process.env.MOODLE_DIR);
    const installed = await php("has_plugin");
    assert.ok(installed.vigil, `quizaccess_vigil is not installed below ${process.env.MOODLE_DIR}`);
    console.log(`# Moodle ${installed.release}, quizaccess_vigil ${installed.vigil}`);
    dir = await mkdtemp(join(tmpdir(), "vigil-e2e-"));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    const port = await freePort();
    const where = { dir, port, adminPort: await freePort() };
    server = await startServe(where);
    server.again = async () => Object.assign(server, await startServe(where));
    undo.push(() => server.stop());
    tag = `v${port}`;
    const names = { teacher: "editingteacher", assistant: "teacher", nobody: "student" };
    for (let n = 1; n <= 24; n++) names[`s${n}`] = "student";
    const made = await php("stage_up", tag, names);
    ({ course, people } = made);
    undo.push(() => php("stage_down", course, Object.values(people), made.typeid, server.tool));
    // A page of Moodle may want things from elsewhere, and there may be no elsewhere.
    browser = await startBrowser({ only: ["localhost", "127.0.0.1", new URL(url).hostname] });
    undo.push(() => browser.close());
    site = moodleSite({ url, browser, errors });
    await connect();
    teacher = await site.logIn(`${tag}-teacher`);
  });

  after(async () => {
    for (const f of undo.reverse()) await f().catch((e) => console.log(`# not cleaned up: ${e.stack}`));
    assert.deepEqual(errors, [], "errors on Vigil's pages");
  });

  /** A student who has done nothing yet. */
  async function student(size) {
    const name = `s${++students}`;
    const page = await site.logIn(`${tag}-${name}`, undefined, size);
    return { name: `S${students} Of ${tag}`, login: `${tag}-${name}`, id: people[name], page };
  }

  const makeQuiz = (name, settings = {}, questions = 3) => php("make_quiz", course, name, settings, questions);
  const rowOf = (dashboard, who) => dashboard.locator('[role="row"]', { hasText: who.name });

  /** Opens a student's details on the dashboard. */
  async function detailOf(dashboard, who) {
    await rowOf(dashboard, who).getByText(who.name).click();
    const detail = dashboard.getByRole("region", { name: "Student", exact: true });
    await detail.getByRole("heading", { name: who.name }).waitFor();
    return detail;
  }

  /** A quiz with a student in it and a proctor before the details. */
  async function desk(name, settings, options = {}) {
    const quiz = await makeQuiz(name, settings, options.questions);
    const who = await student(options.size);
    await site.attempt(who.page, quiz, options);
    const dashboard = await site.dashboard(teacher, quiz);
    const row = rowOf(dashboard, who);
    await row.getByText("Online").waitFor();
    const detail = await detailOf(dashboard, who);
    const give = (what, fill = async () => {}, confirm = what) => command(dashboard, detail, what, fill, confirm);
    const look = () => php("look", quiz.quiz, who.id);
    return { quiz, who, page: who.page, dashboard, row, detail, give, look };
  }

  /** Types an answer and waits until Moodle has it by autosave: the page's own, or what a pause sends. */
  const answers = async (d, n = 0) => (await d.look()).attempts.at(-1).answers[n];

  /** Has the plugin's reports of ends delivered. */
  async function report() {
    const { left, out } = await php("adhoc");
    assert.equal(left, 0, `tasks left: ${out}`);
  }

  /** The window in which a test failed is worth a look. */
  function proves(name, f) {
    it(name, async () => {
      const begin = performance.now();
      try {
        await f();
        console.log(`# ${String(Math.round(performance.now() - begin)).padStart(6)} ms  == ${name}`);
      } catch (e) {
        console.log(`# FAILED ${name}: ${e.stack}`);
        const pages = browser.contexts().flatMap((c) => c.pages());
        for (const [i, page] of pages.entries()) {
          console.log(`# page ${i}: ${page.url()} ${await page.title().catch(() => "")}`);
          if (shotsTo) await page.screenshot({ path: `${shotsTo}/failed-${i}.png` }).catch(() => {});
        }
        console.log("# errors on the pages:", errors);
        console.log("# log of vigil:\n" + server.log().slice(-3000));
        throw e;
      } finally {
        for (const context of browser.contexts()) if (context !== teacher.context()) await context.close().catch(() => {});
        for (const page of teacher.context().pages()) if (page !== teacher) await page.close().catch(() => {});
      }
    });
  }

  async function shot(page, name) {
    if (!shotsTo) return;
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: width === 360 ? 740 : 900 });
      await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
      await page.screenshot({ path: `${shotsTo}/${name}-${width}.png` });
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  }

  // --- 1. The admin.

  async function connect() {
    const admin = await site.logIn(process.env.MOODLE_ADMIN, process.env.MOODLE_ADMIN_PASSWORD);
    const setup = `${url}/mod/quiz/accessrule/vigil/setup.php`;
    await php("forget_tool");
    await step("an admin registers Vigil on the plugin's own page", async () => {
      await admin.goto(setup);
      await admin
        .getByLabel("Invitation")
        .fill(await runVigil("invite", `--public-url=${server.tool}`, `--store=${server.store}`, "--private"));
      await admin.getByRole("button", { name: "Register", exact: true }).click();
      const frame = await (await admin.waitForSelector("#region-main iframe")).contentFrame();
      await until(async () => {
        const anew = frame.locator('#startregform button[data-href$="type=0"]');
        if (await anew.count()) await anew.click();
        assert.ok(frame.url().startsWith(server.tool), `the frame is at ${frame.url()}`);
      });
      await frame.getByRole("button", { name: "Register", exact: true }).click({ timeout: patience });
      await admin.waitForSelector("#region-main iframe", { state: "detached" });
    });
    const tool = admin.locator("tr", { hasText: server.tool });
    await step("activates it", async () => {
      await tool.getByText("Not active").waitFor();
      await tool.getByRole("button", { name: "Activate" }).click();
      await tool.getByText("Proctors quizzes").waitFor();
    });
    await step("and every check is green", async () => {
      await admin.getByText("This browser reaches the tool from pages of this site").waitFor();
      const checks = await admin.locator("tr", { hasText: /^\s*Vigil: / }).all();
      assert.equal(checks.length, 11, "checks");
      for (const row of checks) {
        const cells = await row.locator("td").allInnerTexts();
        assert.match(cells[1].trim(), /^OK$/, cells.join(" | "));
      }
      await shot(admin, "setup");
    });
    await step("in Moodle's own status report, too", async () => {
      await admin.goto(`${url}/report/status/index.php`);
      const rows = await admin.locator("tr", { hasText: "Vigil: " }).all();
      assert.equal(rows.length, 10, "checks");
      for (const row of rows) assert.match((await row.textContent()) ?? "", /OK/);
    });
    await admin.context().close();
  }

  // --- 2. The instructor.

  /** The teacher opens the settings of a quiz, with what is folded in them. */
  async function openSettings(quiz) {
    await teacher.goto(`${url}/course/modedit.php?update=${quiz.cmid}&return=1`);
    await teacher.locator("#id_security a[data-toggle=collapse], #id_security a[data-bs-toggle=collapse]").first().waitFor();
    await teacher.evaluate(() =>
      document.querySelectorAll(".collapseexpand.collapsed, .collapsemenu.collapsed").forEach((e) => e.click()),
    );
    await teacher.locator("#id_vigil_enabled").waitFor();
    const more = teacher.locator("#id_security .moreless-toggler:not(.moreless-less)");
    if (await more.count()) await more.first().click();
  }

  proves("a teacher has a quiz proctored, and wrong settings are refused", async () => {
    const quiz = await makeQuiz("Settings", { vigil_enabled: 0 });
    await site.view(teacher, quiz);
    assert.equal(await teacher.getByText("This quiz is proctored with Vigil").count(), 0);
    const open = () => openSettings(quiz);
    await open();
    await teacher.selectOption("#id_vigil_enabled", "1");
    await teacher.selectOption("#id_vigil_admission", "1");
    await teacher.selectOption("#id_vigil_attention", "0.6");
    await teacher.locator("#id_vigil_retention_signals").fill("0");
    await teacher.click("#id_submitbutton");
    await teacher.getByText("Enter a whole number from 1 to 3650").first().waitFor();
    await shot(teacher, "settings");
    await teacher.locator("#id_vigil_retention_signals").fill("30");
    await teacher.click("#id_submitbutton");
    await teacher.waitForURL(/\/mod\/quiz\/view\.php/);
    await teacher.getByText("This quiz is proctored with Vigil").waitFor();
    await open();
    assert.equal(await teacher.inputValue("#id_vigil_admission"), "1");
    assert.equal(await teacher.inputValue("#id_vigil_attention"), "0.6");
    assert.equal(await teacher.inputValue("#id_vigil_retention_signals"), "30");

    // Admission by a proctor, who is a non-editing teacher here.
    const who = await student();
    const assistant = await site.logIn(`${tag}-assistant`);
    const dashboard = await site.dashboard(assistant, quiz);
    const exam = await dashboard.evaluate(async () => (await fetch(`/api/v1/exams/${location.pathname.split("/")[2]}`)).json());
    assert.deepEqual(
      [exam.managed, exam.policy.admission, exam.policy.attention],
      [true, true, 0.6],
      "before any student has come",
    );
    await site.toCheckIn(who.page, quiz);
    await who.page.locator("#consent").check();
    await who.page.locator("#start:enabled").click();
    await who.page.locator("#waiting").waitFor();
    const detail = await (async () => {
      await rowOf(dashboard, who).getByText("Waiting").waitFor();
      return detailOf(dashboard, who);
    })();
    await detail.getByRole("button", { name: "Admit" }).click();
    await who.page.waitForURL(inAttempt);
    await rowOf(dashboard, who).getByText("Working").waitFor();
  });

  // --- 3. The student.

  proves("a student checks in, turns pages, comes back from a crash and a second browser, and hands in", async () => {
    const quiz = await makeQuiz("Story", { timelimit: 3600 }, 4);
    const who = await student();
    await site.press(who.page, quiz);
    await shot(who.page, "notice");
    await who.page.click("#id_submitbutton");
    await who.page.waitForURL(/\/checkin\//);
    assert.equal((await php("look", quiz.quiz, who.id)).attempts.length, 0, "attempts before the check-in is passed");
    await site.checkIn(who.page);
    await pill(who.page, "Proctor connected");
    await shot(who.page, "attempt");
    const dashboard = await site.dashboard(teacher, quiz);
    const row = rowOf(dashboard, who);
    await row.getByText("Working").waitFor();
    await row.getByText("Online").waitFor();
    await dashboard.evaluate((name) => {
      const seen = [];
      window.seenConnections = seen;
      new MutationObserver(() => {
        const row = [...document.querySelectorAll('[role="row"]')].find((r) => r.textContent.includes(name));
        const now = row?.querySelector(".td-conn")?.textContent ?? "";
        if (now !== seen.at(-1)) seen.push(now);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    }, who.name);
    await step("page turns, with answers", async () => {
      await answerField(who.page).fill("frog");
      for (const next of [1, 2, 1, 2, 3]) {
        const here = Number(new URL(who.page.url()).searchParams.get("page") ?? 0);
        await who.page.locator(next > here ? "#mod_quiz-next-nav" : "#mod_quiz-prev-nav").click();
        await who.page.waitForURL((u) => inAttempt(u) && Number(u.searchParams.get("page") ?? 0) === next);
        await pill(who.page, "Proctor connected");
      }
      await row.getByText("page 4").waitFor();
    });
    const during = await dashboard.evaluate(() => window.seenConnections);
    // A page that takes longer than the grace for page turns is called what it is; nothing else may be called offline.
    const lost = during.filter((c) => c.includes("Offline") && !c.includes("page did not load"));
    assert.deepEqual(lost, [], `page turns were shown as: ${during.join(" | ")}`);

    await step("chat both ways", async () => {
      const detail = await detailOf(dashboard, who);
      await detail.getByRole("tab", { name: /Chat/ }).click();
      await detail.getByLabel(`Message to ${who.name}`).fill("Is everything all right?");
      await detail.getByRole("button", { name: "Send" }).click();
      await who.page.getByRole("button", { name: /1 new message/ }).click();
      await who.page.getByText("Is everything all right?").first().waitFor();
      await who.page.getByLabel("Your message").fill("Yes, thank you.");
      await who.page.getByRole("button", { name: "Send", exact: true }).click();
      await detail.getByText("Yes, thank you.").waitFor();
      await shot(who.page, "chat");
    });

    await step("after a crash the same attempt goes on", async () => {
      await who.page.context().close();
      await row.getByText("Offline").waitFor({ timeout: 60_000 });
      who.page = await site.logIn(who.login);
      await site.attempt(who.page, quiz);
      await row.getByText("Online").waitFor();
    });
    await step("a second browser takes over after its own check-in", async () => {
      const second = await site.logIn(who.login);
      await site.attempt(second, quiz);
      await who.page.getByText("This exam is open elsewhere").first().waitFor();
      await pill(second, "Proctor connected");
      await who.page.context().close();
      who.page = second;
    });
    const found = await php("look", quiz.quiz, who.id);
    assert.deepEqual(
      found.attempts.map((a) => a.attempt),
      [1],
    );
    assert.equal(found.attempts[0].answers[0], "frog");
    await step("hands in, passes by the tool and comes to the review", async () => {
      const passed = who.page.waitForRequest((r) => r.isNavigationRequest() && r.url().startsWith(server.tool));
      await site.handIn(who.page);
      await passed;
      await until(async () => assert.match(who.page.url(), /\/review\.php/));
      await row.getByText("Submitted").waitFor();
    });
    await report();
    const { session } = await php("look", quiz.quiz, who.id);
    assert.equal(session.outcome, "submitted");
    assert.ok(Number(session.endtold) > 0, "the server has reported the end, too");
    assert.ok(Number(session.endsent) > 0, "the browser has carried it");
    await step("a reload of the review does not pass by the tool again", async () => {
      let again = 0;
      who.page.on("request", (r) => r.isNavigationRequest() && r.url().startsWith(server.tool) && again++);
      await who.page.reload();
      await who.page.locator("table.quizreviewsummary").waitFor();
      assert.equal(again, 0);
    });
  });

  proves("a quiz with password and time limit asks for the password once, and its clock starts after the check-in", async () => {
    const quiz = await makeQuiz("Password", { quizpassword: "open sesame", timelimit: 600 });
    const who = await student();
    await site.press(who.page, quiz);
    await site.typePassword(who.page, "wrong");
    await who.page.click("#id_submitbutton");
    await who.page.getByText("The password entered was incorrect").first().waitFor();
    assert.equal((await php("look", quiz.quiz, who.id)).launches, 0, "launches with a wrong password");
    await site.typePassword(who.page, "open sesame");
    await who.page.locator("#id_submitbutton").click();
    await who.page.waitForURL(/\/checkin\//);
    await site.checkIn(who.page);
    await pill(who.page, "Proctor connected");
    assert.ok((await clock(who.page)) > 540, "the clock has just begun");
    await who.page.locator("#mod_quiz-next-nav").click();
    await who.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    await pill(who.page, "Proctor connected");

    await step("the launch page alone starts nothing", async () => {
      const other = await student();
      await site.view(other.page, quiz);
      const key = await other.page.evaluate(() => window.M.cfg.sesskey);
      await other.page.goto(`${url}/mod/quiz/accessrule/vigil/launch.php?cmid=${quiz.cmid}&kind=start&sesskey=${key}`);
      await other.page.getByText("The check-in opens when you start the attempt").first().waitFor();
      assert.equal((await php("look", quiz.quiz, other.id)).attempts.length, 0);
    });
  });

  proves("sequential navigation", async () => {
    const d = await desk("Sequential", { navmethod: "sequential" });
    await answerField(d.page).fill("frog");
    await d.page.locator("#mod_quiz-next-nav").click();
    await d.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    await pill(d.page, "Proctor connected");
    assert.equal(await d.page.locator("#mod_quiz-prev-nav").count(), 0);
    await step("a pause comes back to the page on which it came", async () => {
      await d.give("Pause");
      await d.page.waitForURL(/paused\.php/);
      await d.detail.getByRole("button", { name: "Resume" }).click();
      await d.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    });
    assert.equal(await answers(d), "frog");
  });

  proves("popup security: check-in and attempt are in the popup", async () => {
    const quiz = await makeQuiz("Popup", { browsersecurity: "securewindow" });
    const who = await student();
    await site.press(who.page, quiz);
    const [popup] = await Promise.all([who.page.context().waitForEvent("page"), who.page.click("#id_submitbutton")]);
    // Core shows the form once more in the popup.
    const again = popup.locator("#id_submitbutton");
    await Promise.race([again.waitFor(), popup.waitForURL(/\/checkin\//)]);
    if (await again.count()) await again.click();
    await popup.waitForURL(/\/checkin\//);
    await site.checkIn(popup);
    await pill(popup, "Proctor connected");
    await popup.locator("#mod_quiz-next-nav").click();
    await popup.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    await pill(popup, "Proctor connected");
    const found = await php("look", quiz.quiz, who.id);
    assert.deepEqual(
      found.attempts.map((a) => [a.attempt, a.state]),
      [[1, "inprogress"]],
    );
  });

  proves("beside Safe Exam Browser's rule", async () => {
    const quiz = await makeQuiz("SEB", {
      seb_requiresafeexambrowser: 4,
      seb_allowedbrowserexamkeys: "a".repeat(64),
      seb_showsebdownloadlink: 1,
    });
    const who = await student();
    await site.view(who.page, quiz);
    await who.page.getByText("proctored with Vigil").first().waitFor();
    assert.equal(await who.page.locator(".quizstartbuttondiv button").count(), 0, "an ordinary browser is kept out by SEB's rule");
    // Safe Exam Browser proves itself by a hash over each address.
    const seb = await site.logIn(who.login);
    const { createHash } = await import("node:crypto");
    await seb.context().route(
      (u) => u.href.startsWith(url),
      (route) => {
        const request = route.request();
        const hash = createHash("sha256")
          .update(request.url().split("#")[0] + "a".repeat(64))
          .digest("hex");
        return route.continue({
          headers: { ...request.headers(), "user-agent": "Mozilla/5.0 SEB/3.7", "x-safeexambrowser-requesthash": hash },
        });
      },
    );
    await site.attempt(seb, quiz);
    await seb.locator("#mod_quiz-next-nav").click();
    await seb.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    await pill(seb, "Proctor connected");
  });

  proves("a teacher's preview is not proctored", async () => {
    const quiz = await makeQuiz("Preview", { timelimit: 600 });
    await site.press(teacher, quiz);
    await teacher.click("#id_submitbutton");
    await teacher.waitForURL(inAttempt);
    assert.equal(await teacher.getByRole("region", { name: "Exam proctoring" }).count(), 0);
    await teacher.goto(`${url}/mod/quiz/view.php?id=${quiz.cmid}`);
  });

  // --- 4. Commands.

  proves("pause: answers are kept, none is taken, cron does not hand in, the clock stands", async () => {
    const d = await desk("Pause", { timelimit: 600 });
    await answerField(d.page).fill("frog");
    const before = await clock(d.page);
    await d.give("Pause", async (ask) => ask.getByLabel(/Reason in words/).fill("We sort something out."));
    await d.page.waitForURL(/paused\.php/);
    await d.page.getByText("We sort something out.").first().waitFor();
    await d.row.getByText("Paused").waitFor();
    await d.page.getByRole("heading", { name: "Your exam is paused" }).waitFor();
    await shot(d.page, "paused");
    assert.equal(await answers(d), "frog", "what was typed before the pause");

    await step("no page of the attempt opens", async () => {
      const [{ id }] = (await d.look()).attempts;
      for (const path of [`attempt.php?attempt=${id}&cmid=${d.quiz.cmid}`, `summary.php?attempt=${id}&cmid=${d.quiz.cmid}`]) {
        const page = await d.page.context().newPage();
        await page.goto(`${url}/mod/quiz/${path}`);
        assert.match(page.url(), /paused\.php/, path);
        await page.close();
      }
    });
    await step("no answer is taken after ten seconds of grace", async () => {
      await until(async () => {
        const { session, now } = await d.look();
        assert.ok(now > Number(session.pausedat) + 11);
      });
      await save(d, "toad", "toad is refused");
      assert.equal(await answers(d), "frog");
    });
    await step("cron does not hand it in", async () => {
      const [{ id }] = (await d.look()).attempts;
      await php("age", id, 3 * 3600);
      await php("scheduled", "\\mod_quiz\\task\\update_overdue_attempts");
      assert.equal((await d.look()).attempts[0].state, "inprogress");
      await php("age", id, -3 * 3600);
    });
    await step("resume gives the time back", async () => {
      await d.detail.getByRole("button", { name: "Resume" }).click();
      await d.page.waitForURL(inAttempt);
      await pill(d.page, "Proctor connected");
      await d.row.getByText("Working").waitFor();
    });
    const later = await clock(d.page);
    assert.ok(later <= before + 1 && later > before - 15, `the clock stood at ${before} s before the pause, ${later} s after it`);
    assert.equal(await answerField(d.page).inputValue(), "frog");
    const { session, override } = await d.look();
    assert.equal(Number(override.timelimit), 600 + Number(session.returned), "the limit is the old one and the pause");
    await step("the override goes when the attempt has ended", async () => {
      await site.handIn(d.page);
      await report();
      assert.equal((await d.look()).override, null);
    });
  });

  proves("proctoring is switched off while one student works and one is paused: both go on, and nothing is lost", async () => {
    const d = await desk("Off", { timelimit: 1800 });
    await answerField(d.page).fill("frog");
    const before = await clock(d.page);
    await d.give("Pause");
    await d.page.waitForURL(/paused\.php/);
    const worker = await student();
    await site.attempt(worker.page, d.quiz);
    await answerField(worker.page).fill("newt");
    await step("Moodle's own list has a way out of the pause", async () => {
      await teacher.goto(`${url}/mod/quiz/accessrule/vigil/attempts.php?cmid=${d.quiz.cmid}`);
      await teacher.getByRole("button", { name: "Let it go on" }).waitFor();
      assert.equal(await teacher.getByRole("button", { name: "Let it go on" }).count(), 1, "of the paused one only");
      await shot(teacher, "paused-list");
    });
    await step("the settings say how many work", async () => {
      await openSettings(d.quiz);
      const notice = teacher.getByText("2 students are working in proctored attempts now").first();
      await notice.waitFor();
      await notice.scrollIntoViewIfNeeded();
      await shot(teacher, "switching-off");
      await teacher.selectOption("#id_vigil_enabled", "0");
      await teacher.click("#id_submitbutton");
      await teacher.waitForURL(/\/mod\/quiz\/view\.php/);
    });
    await step("the paused one is back in the attempt, with the time and the answers", async () => {
      await d.page.waitForURL(inAttempt);
      const later = await clock(d.page);
      assert.ok(later <= before + 1 && later > before - 60, `${before} s before the pause, ${later} s after it`);
      assert.equal(await answerField(d.page).inputValue(), "frog");
      const { session, override } = await d.look();
      assert.deepEqual([session.state, Number(session.pausedat)], ["off", 0]);
      assert.equal(Number(override.timelimit), 1800 + Number(session.returned), "no parking time is left");
    });
    await step("Vigil is told, and nobody is watched", async () => {
      await report();
      await d.page.reload();
      await answerField(d.page).waitFor();
      assert.equal(await d.page.getByRole("region", { name: "Exam proctoring" }).count(), 0);
    });
    await step("the one at work turns the page and hands in", async () => {
      await worker.page.getByRole("button", { name: "Next page" }).click();
      await worker.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
      assert.equal(await worker.page.getByRole("region", { name: "Exam proctoring" }).count(), 0);
      await site.handIn(worker.page);
      const { attempts, session } = await php("look", d.quiz.quiz, worker.id);
      assert.deepEqual([attempts[0].answers[0], session.outcome], ["newt", "submitted"]);
    });
    await step("switched on again, the other checks in again and keeps the time", async () => {
      await openSettings(d.quiz);
      await teacher.selectOption("#id_vigil_enabled", "1");
      await teacher.click("#id_submitbutton");
      await teacher.waitForURL(/\/mod\/quiz\/view\.php/);
      const { override } = await d.look();
      await site.attempt(d.page, d.quiz);
      assert.deepEqual((await d.look()).override, override);
      await site.handIn(d.page);
      await report();
      assert.equal((await d.look()).override, null);
    });
  });

  proves("a pause in a quiz without any end, and one while the student is away", async () => {
    const d = await desk("Endless");
    await d.page.goto(`${url}/my/`);
    await d.give("Pause");
    await d.dashboard.getByText("1 confirmed by the LMS").first().waitFor();
    await site.view(d.page, d.quiz);
    await d.page.getByText("A proctor has paused your attempt").first().waitFor();
    assert.equal((await d.look()).override, null, "no override where there is no time");
    await d.page.getByRole("link", { name: "Wait for it to go on" }).click();
    await d.page.waitForURL(/paused\.php/);
    await d.detail.getByRole("button", { name: "Resume" }).click();
    await d.page.waitForURL(inAttempt);
    await pill(d.page, "Proctor connected");
  });

  proves("extra time moves the running clock, is added to overrides of a group and a teacher, and goes at the end", async () => {
    const quiz = await makeQuiz("Extra", { timelimit: 600 });
    const who = await student();
    const grouped = await php("group", course, who.id);
    await php("override", quiz.quiz, { groupid: grouped, timelimit: 900 });
    await site.attempt(who.page, quiz);
    const d = { quiz, who, page: who.page, look: () => php("look", quiz.quiz, who.id) };
    d.dashboard = await site.dashboard(teacher, quiz);
    d.detail = await detailOf(d.dashboard, who);
    const start = await clock(who.page);
    assert.ok(start > 840 && start <= 900, `the group's limit counts: ${start}`);
    const at = who.page.url();
    const extend = async (minutes) =>
      command(d.dashboard, d.detail, "Extra time", async (ask) => ask.getByLabel("Minutes").fill(String(minutes)), "Extra time");
    const gained = async (seconds, from) =>
      until(async () => {
        const now = await clock(who.page);
        assert.ok(now > from + seconds - 60 && now <= from + seconds + 1, `${now} s on the clock, ${from} s before`);
      });
    await step("on the running clock, without a reload", async () => {
      await extend(5);
      await gained(300, start);
      assert.equal(who.page.url(), at);
      assert.equal(Number((await d.look()).override.timelimit), 1200);
    });
    await step("a teacher changes the override meanwhile: it counts, and what comes later is added to it", async () => {
      const { override } = await d.look();
      await php("override", quiz.quiz, { id: Number(override.id), userid: who.id, timelimit: 2400, attempts: 7 });
      await extend(5);
      await until(async () => assert.equal(Number((await d.look()).override.timelimit), 2700));
      await gained(1800, start);
      assert.equal(Number((await d.look()).override.attempts), 7);
    });
    await step("one loop moves the clock", async () => {
      const ticks = await who.page.evaluate(async () => {
        const { timer } = window.M.mod_quiz;
        const real = timer.update;
        let n = 0;
        timer.update = function (...a) {
          n++;
          return real.apply(this, a);
        };
        await new Promise((r) => setTimeout(r, 3000));
        timer.update = real;
        return n;
      });
      assert.ok(ticks <= 31, `${ticks} ticks in 3 s`);
    });
    await site.handIn(who.page);
    await report();
    const { override } = await d.look();
    assert.equal(Number(override.timelimit), 2400, "the teacher's override is there again");
    assert.equal(Number(override.attempts), 7);
  });

  proves("extra time before the end of the quiz itself: close and limit move together, and expiry posts once", async () => {
    const now = Math.floor(Date.now() / 1000);
    const d = await desk("Close", { timelimit: 600, timeclose: now + 240 });
    const start = await clock(d.page);
    assert.ok(start <= 240, `the close counts: ${start}`);
    await d.give("Extra time", async (ask) => ask.getByLabel("Minutes").fill("10"));
    await until(async () => {
      const time = await clock(d.page);
      assert.ok(time > start + 540 && time <= start + 601, `${time} s on the clock, ${start} s before`);
    });
    const { override } = await d.look();
    assert.equal(Number(override.timeclose), now + 840);
    assert.equal(Number(override.timelimit), 1200);
    await step("the time is up: the page posts once", async () => {
      await answerField(d.page).fill("frog");
      let posts = 0;
      d.page.on("request", (r) => r.method() === "POST" && /processattempt\.php/.test(r.url()) && posts++);
      const [{ id }] = (await d.look()).attempts;
      // The attempt began earlier than the page knows: what is left on its clock is what is left of the attempt.
      await php("expire", id, 5);
      await d.page.evaluate(() => {
        const { timer } = window.M.mod_quiz;
        clearTimeout(timer.timeoutid);
        timer.endtime = Date.now() + 6000;
        timer.update();
      });
      await d.page.waitForURL(/\/review\.php/);
      assert.equal(posts, 1);
      await d.row.getByText("Submitted").waitFor();
      const [attempt] = (await d.look()).attempts;
      assert.equal(attempt.state, "finished");
      assert.equal(attempt.answers[0], "frog");
    });
  });

  proves("terminate: answers are kept, no late save takes it back, an instructor reactivates, and it goes on", async () => {
    const d = await desk("Terminate", { timelimit: 600 });
    await answerField(d.page).fill("frog");
    await d.page.locator("#mod_quiz-next-nav").click();
    await d.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    await pill(d.page, "Proctor connected");
    const kept = await form(d);
    await step("the attempt is closed in Moodle, and the student is told", async () => {
      await d.give("End attempt", async (ask) => ask.getByLabel(/Reason in words/).fill("Left the room."));
      await d.row.getByText("Ended").waitFor();
      await d.page.getByText("Your attempt was ended").first().waitFor();
      await d.page.getByText("Left the room.").first().waitFor();
    });
    await shot(d.page, "terminated");
    const ended = await d.look();
    assert.equal(ended.attempts[0].state, "finished");
    assert.equal(ended.attempts[0].answers[0], "frog");
    await step("a late post and a late autosave change nothing", async () => {
      for (const path of ["processattempt.php", "autosave.ajax.php"]) {
        await post(d, path, kept);
        const after = await d.look();
        assert.deepEqual(after.attempts, ended.attempts, path);
      }
    });
    await step("the quiz does not let the student on with it", async () => {
      await d.page.goto(`${url}/mod/quiz/attempt.php?attempt=${ended.attempts[0].id}&cmid=${d.quiz.cmid}`);
      await until(async () => assert.match(d.page.url(), /review\.php|view\.php/));
    });
    assert.equal(await php("logged", course, "\\quizaccess_vigil\\event\\attempt_terminated"), 1);

    await step("the instructor takes the end back, and resumes", async () => {
      await report();
      await d.give("Reopen attempt");
      await d.row.getByText("Paused").waitFor();
      await d.detail.getByRole("button", { name: "Resume" }).click();
      await d.row.getByText("Working").waitFor();
      await until(async () => assert.equal((await d.look()).attempts[0].state, "inprogress"));
    });
    await step("the student goes on with the same attempt and its answers", async () => {
      await site.view(d.page, d.quiz);
      await d.page.getByRole("button", { name: "Continue your attempt" }).click();
      await Promise.race([d.page.waitForURL(inAttempt), d.page.locator("#id_submitbutton").waitFor()]);
      if (!inAttempt(new URL(d.page.url()))) {
        await d.page.click("#id_submitbutton");
        await d.page.waitForURL(/\/checkin\//);
        await site.checkIn(d.page);
      }
      await pill(d.page, "Proctor connected");
      await d.page.goto(`${url}/mod/quiz/attempt.php?attempt=${ended.attempts[0].id}&cmid=${d.quiz.cmid}`);
      await pill(d.page, "Proctor connected");
      assert.equal(await answerField(d.page).inputValue(), "frog");
      assert.ok((await clock(d.page)) > 480, "the time since the end was given back");
      await answerField(d.page).fill("toad");
      await site.handIn(d.page);
      await d.row.getByText("Submitted").waitFor();
      const { attempts } = await d.look();
      assert.equal(attempts.length, 1);
      assert.equal(attempts[0].answers[0], "toad");
      assert.equal(attempts[0].state, "finished");
      await report();
    });
  });

  proves("a flag is logged and kept", async () => {
    const d = await desk("Flag");
    await d.give("Flag", async (ask) => {
      await ask.getByLabel("Severity").selectOption("0.6");
      await ask.getByLabel(/Reason in words/).fill("Talked to somebody.");
    });
    await d.dashboard.getByText("1 confirmed by the LMS").first().waitFor();
    const { incidents, attempts } = await d.look();
    assert.deepEqual(
      incidents.map((i) => [i.action, Number(i.severity), i.message]),
      [["flag", 0.6, "Talked to somebody."]],
    );
    assert.equal(attempts[0].state, "inprogress");
    assert.equal(await php("logged", course, "\\quizaccess_vigil\\event\\incident_flagged"), 1);
  });

  // --- 5. Ends.

  proves("time up by cron: handed in with the last autosave, and the tool hears of it from the server", async () => {
    const d = await desk("Cron", { timelimit: 600 });
    await answerField(d.page).fill("frog");
    await d.page.locator("#mod_quiz-next-nav").click();
    await d.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
    await d.page.context().close();
    const [{ id }] = (await d.look()).attempts;
    await php("age", id, 3600);
    await php("scheduled", "\\mod_quiz\\task\\update_overdue_attempts");
    assert.equal((await d.look()).attempts[0].state, "finished");
    assert.equal(await answers(d), "frog");
    await report();
    await d.row.getByText("Submitted").waitFor();
  });

  proves("abandoned by cron", async () => {
    const d = await desk("Abandon", { timelimit: 600, overduehandling: "autoabandon" });
    await d.page.context().close();
    const [{ id }] = (await d.look()).attempts;
    await php("age", id, 3600);
    await php("scheduled", "\\mod_quiz\\task\\update_overdue_attempts");
    const found = await d.look();
    assert.equal(found.attempts[0].state, "abandoned");
    assert.equal(found.session.outcome, "abandoned");
    await report();
    await d.row.getByText("Submitted").waitFor();
  });

  proves("overdue: nothing ends until the grace is over", async () => {
    const d = await desk("Overdue", { timelimit: 600, overduehandling: "graceperiod", graceperiod: 86400 });
    const [{ id }] = (await d.look()).attempts;
    await php("age", id, 660);
    await php("scheduled", "\\mod_quiz\\task\\update_overdue_attempts");
    const found = await d.look();
    assert.equal(found.attempts[0].state, "overdue");
    assert.equal(found.session.state, "open");
    assert.equal(await php("waiting"), 0);
  });

  proves("a deleted attempt, after which the number begins anew", async () => {
    const d = await desk("Delete", { timelimit: 600 });
    const [{ id }] = (await d.look()).attempts;
    await d.give("End attempt");
    await d.row.getByText("Ended").waitFor();
    await report();
    await php("delete_attempt", d.quiz.quiz, id);
    await report();
    assert.equal((await d.look()).session.outcome, "deleted");
    await step("the student begins again with the same number", async () => {
      await site.attempt(d.page, d.quiz);
      const found = await d.look();
      assert.deepEqual(
        found.attempts.map((a) => a.attempt),
        [1],
      );
      assert.equal(found.session.state, "open");
      await rowOf(d.dashboard, d.who).getByText("Working").waitFor();
    });
  });

  proves("an unenrolled student", async () => {
    const d = await desk("Unenrol");
    await php("unenrol", course, d.who.id);
    await report();
    await d.row.getByText("Submitted").waitFor();
    assert.equal((await d.look()).attempts[0].state, "inprogress", "Moodle keeps the attempt");
    await step("enrolled again, the attempt goes on after a new check-in", async () => {
      await php("enrol", course, d.who.id, "student");
      await site.attempt(d.page, d.quiz);
      assert.deepEqual(
        (await d.look()).attempts.map((a) => a.attempt),
        [1],
      );
    });
  });

  proves("a deleted quiz", async () => {
    const d = await desk("Gone");
    await php("delete_quiz", d.quiz.cmid);
    assert.equal((await d.look()).session.state, "open", "no hook tells of it");
    await php("scheduled", "\\quizaccess_vigil\\task\\cleanup");
    assert.equal((await d.look()).session.outcome, "deleted");
    await report();
    await d.row.getByText("Submitted").waitFor();
    await php("scheduled", "\\quizaccess_vigil\\task\\cleanup");
    assert.equal((await d.look()).session, null, "nothing is left of it");
  });

  proves("a course reset ends running and handed-in attempts", async () => {
    const d = await desk("Reset");
    const other = await student();
    await site.attempt(other.page, d.quiz);
    await site.handIn(other.page);
    await report();
    await php("reset_course", course);
    await php("scheduled", "\\quizaccess_vigil\\task\\cleanup");
    assert.equal((await d.look()).session.outcome, "deleted");
    assert.equal((await php("look", d.quiz.quiz, other.id)).session.outcome, "deleted");
    await report();
    await d.row.getByText("Submitted").waitFor();
    await step("the same number begins anew", async () => {
      await site.attempt(other.page, d.quiz);
      assert.deepEqual(
        (await php("look", d.quiz.quiz, other.id)).attempts.map((a) => a.attempt),
        [1],
      );
    });
  });

  // --- 7. The tool is down.

  proves("the tool is down at the start, then during the attempt", async () => {
    const quiz = await makeQuiz("Down", { timelimit: 600 });
    const who = await student();
    const look = () => php("look", quiz.quiz, who.id);
    assert.equal(await server.stop(), 0);
    await step("at the start: a clear message, and nothing is half-started", async () => {
      await site.press(who.page, quiz);
      await who.page.click("#id_submitbutton");
      await who.page.getByText("The proctoring tool does not answer at the moment").first().waitFor();
      await shot(who.page, "down");
      const found = await look();
      assert.deepEqual([found.attempts.length, found.session, found.launches], [0, null, 0]);
      await who.page
        .getByRole("button", { name: "Continue" })
        .or(who.page.getByRole("link", { name: "Continue" }))
        .first()
        .click();
      await who.page.waitForURL(/\/mod\/quiz\/view\.php/);
    });
    await server.again();
    await site.attempt(who.page, quiz);
    const dashboard = await site.dashboard(teacher, quiz);
    const row = rowOf(dashboard, who);
    await row.getByText("Online").waitFor();
    assert.equal(await server.stop(), 0);
    await step("during the attempt: the pill says so, the attempt goes on", async () => {
      await pill(who.page, /Offline since|Reconnecting/);
      await pill(who.page, /Offline since/);
      await shot(who.page, "offline");
      await answerField(who.page).fill("frog");
      await answerField(who.page).selectText();
      await who.page.keyboard.press("Control+c");
      await who.page.locator("#mod_quiz-next-nav").click();
      await who.page.waitForURL((u) => inAttempt(u) && u.searchParams.get("page") === "1");
      await answerField(who.page).fill("toad");
      await answerField(who.page).selectText();
      await who.page.keyboard.press("Control+c");
    });
    await server.again();
    await step("and back: the signals of the outage arrive, once each", async () => {
      await pill(who.page, "Proctor connected");
      await dashboard.getByText("You are connected").waitFor();
      await row.getByText("Online").waitFor();
      await until(async () => {
        const copies = await dashboard.evaluate(async () => {
          const exam = location.pathname.split("/")[2];
          const session = document.querySelector("[data-session]").getAttribute("data-session");
          const answer = await (await fetch(`/api/v1/exams/${exam}/sessions/${session}/timeline`)).json();
          return answer.entries.filter((e) => e.type === "signal" && e.kind === "copy").length;
        });
        assert.equal(copies, 2);
      });
    });
    await step("the end of an attempt waits until the tool is there", async () => {
      assert.equal(await server.stop(), 0);
      await site.handIn(who.page);
      await who.page.locator("table.quizreviewsummary").waitFor();
      const first = await php("adhoc");
      assert.ok(first.left > 0, "the report is tried again");
      await server.again();
      await report();
      await dashboard.getByText("You are connected").waitFor();
      await row.getByText("Submitted").waitFor();
    });
  });

  /** The fields that the student's page would post. */
  const form = (d) =>
    d.page.evaluate(() => [...new FormData(document.querySelector("form#responseform"))].filter(([, v]) => typeof v === "string"));

  /** Posts from the student's browser, beside the page. */
  const post = (d, path, fields) =>
    d.page.evaluate(
      async ([to, all]) => {
        const answer = await fetch(to, { method: "POST", body: new URLSearchParams(all) });
        return { url: answer.url, text: (await answer.text()).slice(0, 500) };
      },
      [`${url}/mod/quiz/${path}`, fields],
    );

  /** Tries to have an answer taken while the attempt is paused: by autosave and by a page turn. */
  async function save(d, value) {
    const { attempts } = await d.look();
    const [{ id }] = attempts;
    const fields = await php("fields", id, value);
    const key = await d.page.evaluate(() => window.M.cfg.sesskey);
    for (const path of ["autosave.ajax.php", "processattempt.php"]) {
      const answer = await post(d, path, [...fields, ["sesskey", key]]);
      if (path === "autosave.ajax.php") assert.match(answer.text, /errorpaused/);
      else assert.match(answer.url, /paused\.php/);
    }
    assert.deepEqual((await d.look()).attempts, attempts);
  }
});
