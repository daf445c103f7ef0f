// Silence is a signal, in real browsers: whoever leaves the quiz is lost, whichever way they leave it, and whoever only tests the
// way is nobody's connection.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { freePort, patience, pill, stage, startBrowser, startDemo, step, until } from "../harness.mjs";

const names = ["Amara Okafor", "Budi Santoso", "Daniel Kowalski"];

const signIn = async (browser, demo, name, options = {}) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  await page.goto(demo.lms + "/");
  await page.getByRole("button", { name }).first().click();
  await page.waitForURL(/course/);
  return page;
};

const checkIn = async (page) => {
  await page.getByRole("link", { name: "Open the quiz" }).click();
  await page
    .getByRole("button", { name: /Attempt quiz|Re-attempt|Continue/ })
    .first()
    .click();
  await page.locator("#checkin-form").waitFor({ timeout: patience });
};

/** The system check is over, whatever it found. */
const checked = (page) => page.locator('#check [data-check="socket"]:not([data-result="wait"])').waitFor({ timeout: patience });

const begin = async (page) => {
  await page.locator("#consent").check();
  await page.locator("#start:enabled").click({ timeout: patience });
  await page.waitForURL(/\/mod\/quiz\/attempt\.php/, { timeout: patience });
  await pill(page, "Proctor connected");
};

/** What the student's timeline holds, through the dashboard's own API. */
const timeline = (dashboard, name) =>
  dashboard.evaluate(
    async ([exam, name]) => {
      const html = await (await fetch(`/dashboard/${exam}/report`)).text();
      const page = new DOMParser().parseFromString(html, "text/html");
      const session = [...page.querySelectorAll("a")]
        .find((a) => a.textContent === name)
        ?.getAttribute("href")
        ?.split("/")
        .pop();
      return (await (await fetch(`/api/v1/exams/${exam}/sessions/${session}/timeline`)).json()).entries;
    },
    [new URL(dashboard.url()).pathname.split("/")[2], name],
  );

const kinds = (entries) => entries.map((e) => e.kind ?? e.type).filter(Boolean);

// Each has a demo of its own, and mostly waits.
describe("who reports nothing", { concurrency: true }, () => {
  test("the quiz page's hello is the connection, and a check-in beside it is not", { timeout: 10 * 60_000 }, async () => {
    await stage(async ({ dir, cleanup }) => {
      const demo = await startDemo({ dir, port: await freePort(), lmsPort: await freePort() });
      cleanup(() => demo.stop());
      const browser = await startBrowser();
      cleanup(() => browser.close());

      const teacher = await signIn(browser, demo, "Ingrid Solberg");
      const [dashboard] = await Promise.all([
        teacher.context().waitForEvent("page"),
        teacher.getByRole("button", { name: "Live proctoring" }).click(),
      ]);
      await dashboard.getByText("You are connected").waitFor({ timeout: patience });
      const row = (name) => dashboard.locator('[role="row"]', { hasText: name }).first();

      const pages = [];
      for (const name of names) {
        const page = await signIn(browser, demo, name);
        await checkIn(page);
        await begin(page);
        pages.push(page);
      }
      const [back, directly, stays] = pages;

      await step("one goes Back onto the check-in and then elsewhere, one leaves directly", async () => {
        await back.goBack();
        await back.locator("#checkin-form").waitFor({ timeout: patience });
        await checked(back);
        await back.goto("about:blank");
        await directly.goto("about:blank");
      });
      await step("one has a second check-in in another tab, and goes on working", async () => {
        const tab = await stays.context().newPage();
        await tab.goto(demo.lms + "/course");
        await checkIn(tab);
        await checked(tab);
        await tab.close();
      });
      await step("both who left are lost", async () => {
        for (const name of names.slice(0, 2))
          await row(name)
            .getByText(/^(Lost|Offline)/)
            .first()
            .waitFor({ timeout: patience });
      });
      await step("the one with two check-ins is not", async () => {
        await row(names[2]).getByText("Online").waitFor({ timeout: patience });
        const found = kinds(await timeline(dashboard, names[2]));
        assert.ok(!found.includes("second_session"), `two tabs of one browser: ${found}`);
        assert.ok(!found.includes("gap"), `nothing was lost: ${found}`);
      });
      await step("a minute later both have a gap and connection_lost", async () => {
        for (const name of names.slice(0, 2)) {
          const end = performance.now() + 100_000;
          let found = [];
          while (performance.now() < end && !(found.includes("connection_lost") && found.includes("gap"))) {
            await new Promise((r) => setTimeout(r, 2000));
            found = kinds(await timeline(dashboard, name));
          }
          assert.ok(found.includes("gap") && found.includes("connection_lost"), `${name}: ${found}`);
        }
      });
      await step("another browser's check-in is a second device, and does not take the attempt over", async () => {
        const other = await signIn(browser, demo, names[2]);
        await checkIn(other);
        await checked(other);
        await until(async () => assert.ok(kinds(await timeline(dashboard, names[2])).includes("second_session")));
        await row(names[2]).getByText("Online").waitFor({ timeout: patience });
        await pill(stays, "Proctor connected");
      });
    });
  });

  /** Runs before every script of the quiz page: what a student's extension may do to the monitor's socket. */
  const tamper = (how) => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
      const frames = [JSON.parse(String(text))].flat();
      const passed = frames
        .filter((f) => f.t !== "signal" && (how !== "mute" || f.t === "hello" || f.t === "time"))
        .map((f) => (f.t === "hello" && how === "signals" ? { ...f, next: 1 } : f));
      if (passed.length > 0) send.call(this, JSON.stringify(passed));
    };
  };

  test("a monitor that keeps its socket and reports nothing is seen", { timeout: 10 * 60_000 }, async () => {
    await stage(async ({ dir, cleanup }) => {
      const demo = await startDemo({
        dir,
        port: await freePort(),
        lmsPort: await freePort(),
        args: ["--ping-every=1s", "--alive-every=4s"],
      });
      cleanup(() => demo.stop());
      const browser = await startBrowser();
      cleanup(() => browser.close());
      const teacher = await signIn(browser, demo, "Ingrid Solberg");
      const [dashboard] = await Promise.all([
        teacher.context().waitForEvent("page"),
        teacher.getByRole("button", { name: "Live proctoring" }).click(),
      ]);
      await dashboard.getByText("You are connected").waitFor({ timeout: patience });
      const silences = async (name) =>
        (await timeline(dashboard, name))
          .filter((e) => e.kind === "monitor_silent")
          .map((e) => `${e.severity ?? 0} ${e.data?.why ?? ""}`.trim());
      const open = async (name) => {
        await dashboard.locator('[role="row"]', { hasText: name }).first().getByText(name).first().click();
        const detail = dashboard.getByRole("region", { name: "Student", exact: true });
        await detail.getByText(name).first().waitFor({ timeout: patience });
        return detail;
      };
      const pages = {};
      for (const [name, how] of [
        [names[0], "mute"],
        [names[1], "signals"],
        [names[2], ""],
      ]) {
        const context = await browser.newContext();
        const page = await context.newPage();
        if (how) await page.addInitScript(`if (location.port === "${new URL(demo.lms).port}") (${tamper})(${JSON.stringify(how)})`);
        await page.goto(demo.lms + "/");
        await page.getByRole("button", { name }).first().click();
        await page.waitForURL(/course/);
        await checkIn(page);
        await begin(page);
        pages[name] = page;
      }
      await step("the muted one is silent, a note first and then an incident", async () => {
        await until(async () => assert.deepEqual(await silences(names[0]), ["0", "0.6 silent"]));
        await (await open(names[0])).getByText(/Silent since/).waitFor({ timeout: patience });
      });
      await step("the one without signals contradicts itself", async () => {
        await pages[names[1]].evaluate(() => document.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true })));
        await until(async () =>
          assert.ok(
            (await silences(names[1])).some((s) => /0\.6 (numbers|next)/.test(s)),
            String(await silences(names[1])),
          ),
        );
        await (await open(names[1])).getByText(/Contradicts itself since/).waitFor({ timeout: patience });
        if (process.env.LOOK) await dashboard.screenshot({ path: `${process.env.LOOK}/altered.png` });
      });
      await step("the honest one answers, also while hidden and over page turns", async () => {
        const page = pages[names[2]];
        const other = await page.context().newPage(); // in front of it
        await new Promise((r) => setTimeout(r, 20_000));
        await other.close();
        for (let n = 0; n < 3; n++) {
          await page.reload();
          await pill(page, "Proctor connected");
          await new Promise((r) => setTimeout(r, 3000));
        }
        assert.deepEqual(await silences(names[2]), []);
        await (await open(names[2]))
          .locator("dt", { hasText: "Monitor" })
          .locator("..")
          .getByText("Answers")
          .waitFor({ timeout: patience });
        if (process.env.LOOK) {
          await dashboard.screenshot({ path: `${process.env.LOOK}/answers.png` });
          await dashboard.setViewportSize({ width: 360, height: 800 });
          await dashboard.emulateMedia({ colorScheme: "dark" });
          await dashboard.screenshot({ path: `${process.env.LOOK}/answers-360.png` });
          await dashboard.goto(dashboard.url().replace(/\/?$/, "/report"));
          await dashboard.setViewportSize({ width: 1280, height: 800 });
          await dashboard.screenshot({ path: `${process.env.LOOK}/report.png` });
        }
      });
    });
  });
});
