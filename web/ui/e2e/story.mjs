// The whole story of the demo in real browsers: a student takes a proctored quiz, the instructor watches it live.
// Every step waits generously and prints how long it took. STORE says where the tool keeps its state.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import {
  command,
  freePort,
  patience,
  pill,
  stage,
  startBrowser,
  startDemo,
  startProxy,
  startStore,
  step,
  until,
  watchErrors,
} from "./harness.mjs";

const studentA = "Amara Okafor";
const studentB = "Budi Santoso";

test("a student is launched, watched, talked to, paused, extended and ended", { timeout: 15 * 60_000 }, async () => {
  await stage(async ({ dir, cleanup }) => {
    const port = await freePort();
    const lmsPort = await freePort();
    const store = await step(`the store (${process.env.STORE || "sqlite"}) is there`, startStore);
    cleanup(() => store.stop());
    let demo = await startDemo({ dir, port, lmsPort, store });
    cleanup(() => demo.stop());
    const proxy = await startProxy(port);
    cleanup(() => proxy.stop());

    // Two people at two computers. The student's way to the tool leads through the proxy; the LMS is reached directly.
    const near = await startBrowser({ route: { from: `localhost:${port}`, to: `127.0.0.1:${proxy.port}` } });
    cleanup(() => near.close());
    const far = await startBrowser();
    cleanup(() => far.close());
    const errors = [];
    let cut = false;
    const ofTheCut = (text) => cut && /WebSocket connection|Failed to load resource|net::ERR_/.test(text);

    try {
      // --- The instructor opens the dashboard before anyone is there.
      const proctor = await signIn(far, demo, "staff", 0);
      const dashboard = await step("the instructor opens the dashboard", async () => {
        const [page] = await Promise.all([
          proctor.context().waitForEvent("page"),
          proctor.getByRole("button", { name: "Live proctoring" }).click(),
        ]);
        watchErrors(page, errors, "dashboard");
        await page.getByText("No student has come yet").waitFor({ timeout: patience });
        await page.getByText("You are connected").waitFor({ timeout: patience });
        return page;
      });

      // --- The student: launch, check-in, return.
      const student = await signIn(near, demo, "students", 0);
      watchErrors(student, errors, "student", ofTheCut);
      await step("Attempt quiz leads to the check-in", async () => {
        await student.getByRole("link", { name: "Open the quiz" }).click();
        await student.getByRole("button", { name: "Attempt quiz" }).click();
        await student.locator("#checkin-form").waitFor({ timeout: patience });
      });
      await step("the notice says what is kept, and an accessibility checker objects to nothing", async () => {
        await student.locator("#notice-more > summary").click();
        await student.getByRole("heading", { name: "Who can read it" }).waitFor({ timeout: patience });
        assert.match(
          (await student.locator("#notice-more").textContent()) ?? "",
          /90 days[\s\S]*90 days[\s\S]*400 days[\s\S]*400 days/,
        );
        await student.evaluate(await readFile(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8"));
        const found = await student.evaluate(() =>
          globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] }),
        );
        assert.deepEqual(
          found.violations.map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 120)}`),
          [],
        );
      });
      const row = dashboard.locator('[role="row"]', { hasText: studentA });
      await step("the dashboard shows the student at check-in", () => row.getByText("At check-in").waitFor({ timeout: patience }));
      await step("consent and system check lead back into the quiz", async () => {
        await student.locator("#consent").check();
        const start = student.locator("#start:enabled");
        await start.waitFor({ timeout: patience });
        await start.click();
        await student.waitForURL(/\/mod\/quiz\/attempt\.php/, { timeout: patience });
      });
      await step("the dashboard shows the student working and online", async () => {
        await row.getByText("Working").waitFor({ timeout: patience });
        await row.getByText("Online").waitFor({ timeout: patience });
      });
      await pill(student, "Proctor connected");

      // --- Page turns are no disconnections.
      await dashboard.evaluate((name) => {
        const seen = [];
        window.seenConnections = seen;
        new MutationObserver(() => {
          const row = [...document.querySelectorAll('[role="row"]')].find((r) => r.textContent.includes(name));
          const now = row?.querySelector(".td-conn")?.textContent ?? "";
          if (now !== seen.at(-1)) seen.push(now);
        }).observe(document.body, { subtree: true, childList: true, characterData: true });
      }, studentA);
      await step("six page turns, with answers", async () => {
        await student.getByLabel("The mitochondria").check();
        for (const next of [2, 3, 2, 1, 2, 3]) {
          const forward = student.getByRole("button", { name: "Next page" });
          const back = student.getByRole("button", { name: "Previous page" });
          const here = Number(new URL(student.url()).searchParams.get("page") ?? 0) + 1;
          await (next > here ? forward : back).click();
          await student.waitForURL((u) => Number(u.searchParams.get("page") ?? 0) + 1 === next, { timeout: patience });
          await pill(student, "Proctor connected");
        }
        await row.getByText("page 3").waitFor({ timeout: patience });
      });
      const during = await dashboard.evaluate(() => window.seenConnections);
      assert.ok(!during.some((c) => c.includes("Offline")), `page turns were shown as: ${during.join(" | ")}`);

      // --- A hidden tab. Playwright's Chromium keeps every page visible, so the page is told what a browser would tell it.
      await step("a tab hidden for six seconds is an incident on the dashboard", async () => {
        await hide(student, 6_000);
        await row.getByText("Page was hidden").waitFor({ timeout: patience });
      });

      // --- The connection is cut for ten seconds.
      await student.getByRole("button", { name: "Previous page" }).click();
      await student.waitForURL((u) => u.searchParams.get("page") === "1", { timeout: patience });
      await pill(student, "Proctor connected");
      await step("a cut connection is told (as unsteady at once)", async () => {
        cut = true;
        proxy.cut();
        await row
          .getByText(/Unsteady|Offline/)
          .first()
          .waitFor({ timeout: patience });
      });
      const cutAt = performance.now();
      for (let i = 0; i < 3; i++) await copyQuestion(student);
      await step("and as offline, with the cause", async () => {
        await row.getByText("Offline").waitFor({ timeout: patience });
        await row.getByText("the student's own link").waitFor({ timeout: patience });
      });
      await pill(student, /Offline since|Reconnecting/);
      await new Promise((r) => setTimeout(r, Math.max(0, 10_000 - (performance.now() - cutAt)))); // the cut lasts ten seconds
      const mended = Date.now();
      proxy.mend();
      await step("after ten seconds the student is back", async () => {
        await row.getByText("Online").waitFor({ timeout: patience });
        await pill(student, "Proctor connected");
        cut = false;
      });
      const story = await timelineOf(dashboard, studentA);
      await step("the signals of the cut are there once each", () =>
        until(async () => {
          const entries = await story();
          const copies = entries.filter((e) => e.type === "signal" && e.kind === "copy");
          assert.equal(copies.length, 3, "copies stored");
          assert.equal(new Set(copies.map((e) => e.id)).size, 3, "distinct copies");
          for (const c of copies) assert.ok(c.at < mended && c.recv >= mended, "happened during the cut, came after it");
          const gaps = entries.filter((e) => e.type === "gap");
          assert.equal(gaps.length, 1, "one gap");
          assert.equal(gaps[0].cause, "student");
          assert.ok(gaps[0].end - gaps[0].at >= 9_000, `the gap lasts ${gaps[0].end - gaps[0].at} ms`);
        }),
      );

      // --- Chat both ways.
      await row.getByText(studentA).click();
      const detail = dashboard.getByRole("region", { name: "Student", exact: true });
      await detail.getByRole("tab", { name: /Chat/ }).click();
      await step("the proctor's message reaches the student", async () => {
        await detail.getByLabel(`Message to ${studentA}`).fill("Is everything all right with you?");
        await detail.getByRole("button", { name: "Send" }).click();
        await student.getByRole("button", { name: /1 new message/ }).waitFor({ timeout: patience });
      });
      await step("the student's answer reaches the proctor", async () => {
        await student.getByRole("button", { name: /1 new message/ }).click();
        await student.getByText("Is everything all right with you?").first().waitFor({ timeout: patience });
        await student.getByLabel("Your message").fill("Yes, my network was gone.");
        await student.getByRole("button", { name: "Send", exact: true }).click();
        await detail.getByText("Yes, my network was gone.").waitFor({ timeout: patience });
      });
      await step("a raised hand is seen", async () => {
        await student.getByRole("button", { name: "Raise hand" }).click();
        await row.getByText("Raised hand").waitFor({ timeout: patience });
        await detail.getByRole("button", { name: "Lower the hand" }).click();
        await row.getByText("Raised hand").waitFor({ state: "detached", timeout: patience });
      });
      await student.getByRole("button", { name: "Close", exact: true }).click();

      // --- A warning must be acknowledged.
      await step("a warning covers the page until it is understood", async () => {
        await command(
          dashboard,
          detail,
          "Warn",
          async (ask) => ask.getByLabel("Warning").fill("Please stay on this page."),
          "Send",
        );
        await student.getByRole("button", { name: "I understand" }).click({ timeout: patience });
        await detail.getByRole("tab", { name: "Story" }).click();
        await detail.getByText(/seen/).first().waitFor({ timeout: patience });
      });

      // --- Pause and resume.
      const before = await clock(student);
      let ran = -performance.now(); // how long the clock may have run from here on
      await step("a pause stops the quiz", async () => {
        await command(
          dashboard,
          detail,
          "Pause",
          async (ask) => ask.getByLabel(/Reason in words/).fill("We sort something out."),
          "Pause",
        );
        await student.getByText("We sort something out.").first().waitFor({ timeout: patience });
        await student.waitForURL(/paused/, { timeout: patience });
        await row.getByText("Paused").waitFor({ timeout: patience });
      });
      await step("the LMS confirms the pause", () =>
        dashboard.getByText("1 confirmed by the LMS").first().waitFor({ timeout: patience }),
      );
      ran += performance.now();
      await new Promise((r) => setTimeout(r, 5_000)); // time that must not count
      ran -= performance.now();
      await step("resuming goes on", async () => {
        await detail.getByRole("button", { name: "Resume" }).click();
        await student.waitForURL(/attempt\.php/, { timeout: patience });
        await row.getByText("Working").waitFor({ timeout: patience });
        await pill(student, "Proctor connected");
      });
      const resumed = await clock(student);
      ran += performance.now();
      const least = before - ran / 1000 - 2; // both are cut to whole seconds
      assert.ok(
        resumed >= least && resumed <= before + 1,
        `the clock stood at ${before} s before the pause, ${resumed} s after it, not ${least}`,
      );

      // --- Extra time on the running clock.
      await step("extra time moves the running clock without a reload", async () => {
        const url = student.url();
        await command(dashboard, detail, "Extra time", async (ask) => ask.getByLabel("Minutes").fill("5"), "Extra time");
        await until(async () => {
          const now = await clock(student);
          assert.ok(now > resumed + 240 && now <= resumed + 301, `the clock shows ${now} s, ${resumed} s before`);
        });
        assert.equal(student.url(), url);
      });

      // --- The end in order.
      await step("the student hands in and the dashboard shows it", async () => {
        await student.getByRole("button", { name: "Finish attempt…" }).first().click();
        await student.waitForURL(/summary/, { timeout: patience });
        await student.getByRole("button", { name: /Submit/ }).click();
        await student.waitForURL(/review/, { timeout: patience });
        await row.getByText("Submitted").waitFor({ timeout: patience });
      });

      // --- A second student, who is ended by the proctor.
      const second = await signIn(far, demo, "students", 1);
      watchErrors(second, errors, "second student");
      const rowB = dashboard.locator('[role="row"]', { hasText: studentB });
      await step("a second student begins", async () => {
        await second.getByRole("link", { name: "Open the quiz" }).click();
        await second.getByRole("button", { name: "Attempt quiz" }).click();
        await second.locator("#consent").check({ timeout: patience });
        await second.locator("#start:enabled").click({ timeout: patience });
        await second.waitForURL(/attempt\.php/, { timeout: patience });
        await rowB.getByText("Online").waitFor({ timeout: patience });
      });
      await rowB.getByText(studentB).click();
      await step("the proctor ends the attempt; the LMS closes it", async () => {
        await command(dashboard, detail, "End attempt", async () => {}, "End attempt");
        await rowB.getByText("Ended").waitFor({ timeout: patience });
        await second.waitForURL(/review/, { timeout: patience });
      });
      await step("the terminated attempt cannot be launched again", async () => {
        await second.goto(`${demo.lms}/course`);
        await second.getByRole("link", { name: "Open the quiz" }).click();
        assert.equal(await second.getByRole("button", { name: "Continue" }).count(), 0);
      });

      // --- A fuller class.
      await step("ten simulated students join", async () => {
        await proctor.goto(demo.lms + "/");
        await proctor.getByRole("button", { name: "Add ten simulated students" }).click();
        await until(async () => {
          const all = await dashboard.getByRole("button", { name: /^All/ }).textContent();
          assert.match(all ?? "", /12/);
        });
        await until(async () => assert.ok((await dashboard.locator('[role="row"]', { hasText: "Online" }).count()) >= 10));
      });

      // --- The report.
      await step("the report lists everyone", async () => {
        const report = await dashboard.context().newPage();
        watchErrors(report, errors, "report");
        await report.goto(dashboard.url() + "/report");
        await report.getByRole("link", { name: studentA }).waitFor({ timeout: patience });
        await report.getByRole("link", { name: studentA }).click();
        await report.getByText("Pause").first().waitFor({ timeout: patience });
        await report.close();
      });

      // --- A restart keeps everything.
      const told = await story();
      cut = true;
      assert.equal(await demo.stop(), 0, "exit code of the demo");
      demo = await startDemo({ dir, port, lmsPort, store });
      await step("after a restart the dashboard comes back by itself, with everyone", async () => {
        await dashboard.getByText("You are connected").waitFor({ timeout: patience });
        await row.getByText("Submitted").waitFor({ timeout: patience });
        await rowB.getByText("Ended").waitFor({ timeout: patience });
        assert.deepEqual(await story(), told, "the student's timeline");
      });
      assert.equal((await readdir(dir)).includes("vigil.db"), store.kind === "sqlite", "a database file in the folder");
      assert.deepEqual(
        errors.filter((e) => !ofTheCut(e)),
        [],
        "errors on the pages",
      );
    } catch (e) {
      for (const context of far.contexts()) await shots(context, "far");
      for (const context of near.contexts()) await shots(context, "near");
      console.log("# errors on the pages:", errors);
      console.log("# log of the demo:\n" + demo.log().slice(-6000));
      throw e;
    }
  });
});

/** Screens of a failure, where VIGIL_SHOTS says. */
async function shots(context, name) {
  if (!process.env.SHOTS) return;
  for (const [i, page] of context.pages().entries()) {
    await page
      .screenshot({ path: `${process.env.SHOTS}/${name}-${i}-${Math.round(performance.now())}.png`, fullPage: true })
      .catch(() => {});
  }
}

/** A page of the demo LMS on which someone is signed in: the n-th of the students or the staff. */
async function signIn(browser, demo, group, n) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB" });
  const page = await context.newPage();
  await page.goto(demo.lms + "/");
  await page.locator(`section[aria-labelledby=${group}] button.person`).nth(n).click();
  await page.waitForURL(/course/, { timeout: patience });
  return page;
}

/** Seconds on the quiz's own clock. */
async function clock(page) {
  const text = (await page.locator("#clock").textContent({ timeout: patience })) ?? "";
  return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

async function hide(page, ms) {
  await page.evaluate(async (wait) => {
    const say = (state) => {
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
      Object.defineProperty(document, "hidden", { configurable: true, get: () => state === "hidden" });
      document.dispatchEvent(new Event("visibilitychange"));
    };
    say("hidden");
    await new Promise((r) => setTimeout(r, wait));
    say("visible");
  }, ms);
}

/** Copies the text of a question, as a person does. */
async function copyQuestion(page) {
  await page.locator("form#responseform legend, form#responseform label").first().click({ clickCount: 3 });
  await page.keyboard.press("Control+c");
}

/** Reads a student's timeline through the dashboard's own API. */
async function timelineOf(dashboard, name) {
  const exam = new URL(dashboard.url()).pathname.split("/")[2];
  const session = await dashboard.evaluate(
    async ([exam, name]) => {
      const html = await (await fetch(`/dashboard/${exam}/report`)).text();
      const page = new DOMParser().parseFromString(html, "text/html");
      const link = [...page.querySelectorAll("a")].find((a) => a.textContent === name);
      return link?.getAttribute("href")?.split("/").pop();
    },
    [exam, name],
  );
  assert.ok(session, `the report links to ${name}`);
  return () =>
    dashboard.evaluate(
      async ([exam, session]) => {
        const answer = await fetch(`/api/v1/exams/${exam}/sessions/${session}/timeline`);
        return (await answer.json()).entries;
      },
      [exam, session],
    );
}
