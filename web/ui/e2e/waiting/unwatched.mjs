// A student whose network or hand keeps the monitor out of the quiz page, in real browsers: the page says so without a script,
// the attempt is shown as running and not watched, and the record says so for good.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, patience, stage, startBrowser, startDemo, startStore, step, until } from "../harness.mjs";

const name = "Amara Okafor";
const line = "Not connected to proctoring";

async function signIn(browser, demo, who) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(demo.lms);
  await page.getByRole("button", { name: who }).first().click();
  await page.waitForURL(/course/, { timeout: patience });
  return page;
}

async function begin(page) {
  await page.getByRole("link", { name: "Open the quiz" }).click();
  await page.getByRole("button", { name: "Attempt quiz" }).click();
  await page.locator("#checkin-form").waitFor({ timeout: patience });
  await page.locator("#consent").check();
  await page.locator("#start:enabled").click({ timeout: patience });
  await page.waitForURL(/\/mod\/quiz\/attempt\.php/, { timeout: patience });
}

for (const how of ["the monitor's script is blocked", "the network lets no WebSocket through"]) {
  test(`a student is not watched: ${how}`, { timeout: 10 * 60_000 }, async () => {
    await stage(async ({ dir, cleanup }) => {
      const store = await startStore();
      cleanup(() => store.stop());
      const demo = await startDemo({ dir, port: await freePort(), lmsPort: await freePort(), store });
      cleanup(() => demo.stop());
      const browser = await startBrowser();
      cleanup(() => browser.close());

      const proctor = await signIn(browser, demo, "Ingrid Solberg");
      const [dashboard] = await Promise.all([
        proctor.context().waitForEvent("page"),
        proctor.getByRole("button", { name: "Live proctoring" }).click(),
      ]);
      await dashboard.getByText("You are connected").waitFor({ timeout: patience });

      const honest = await signIn(browser, demo, "Budi Santoso");
      await begin(honest);
      await step("an honest student's page says nothing of it once it is connected", async () => {
        await honest.getByText("Proctor connected").first().waitFor({ timeout: patience });
        assert.equal(await honest.getByText(line).count(), 0);
      });

      const student = await signIn(browser, demo, name);
      if (how.includes("script")) await student.context().route("**/assets/monitor.js*", (r) => r.abort("blockedbyclient"));
      else {
        // The check-in gets through, by whatever network; the quiz page does not.
        await student
          .context()
          .routeWebSocket(/\/socket$/, (ws) => (student.url().includes("/mod/quiz/") ? ws.close() : ws.connectToServer()));
      }
      await begin(student);
      const row = dashboard.locator('[role="row"]', { hasText: name });
      await step("the page says that it is not connected", () => student.getByText(line).waitFor({ timeout: patience }));
      await step("the dashboard shows the attempt as running", () => row.getByText("Working").waitFor({ timeout: patience }));
      await step("and half a minute later as not watched, which asks for attention", async () => {
        await row.getByText(/Not watched \d/).waitFor({ timeout: 90_000 });
        await row.getByText("Not watched", { exact: true }).first().waitFor({ timeout: patience });
        await dashboard.getByRole("button", { name: /^Not watched 1$/ }).click();
        await dashboard.getByText("Budi Santoso").waitFor({ state: "hidden", timeout: patience });
        await row.waitFor({ timeout: patience });
      });
      if (process.env.LOOK) {
        for (const [width, scheme] of [
          [1280, "light"],
          [1280, "dark"],
          [360, "light"],
          [360, "dark"],
        ]) {
          await dashboard.emulateMedia({ colorScheme: scheme });
          await student.emulateMedia({ colorScheme: scheme });
          await dashboard.setViewportSize({ width, height: 800 });
          await student.setViewportSize({ width, height: 800 });
          await dashboard.screenshot({ path: `${process.env.LOOK}/dash-${width}-${scheme}.png` });
          await student.screenshot({ path: `${process.env.LOOK}/page-${width}-${scheme}.png` });
        }
        await dashboard.setViewportSize({ width: 1280, height: 800 });
        await student.setViewportSize({ width: 1280, height: 800 });
      }
      await step("the student hands in", async () => {
        await student.getByRole("button", { name: "Finish attempt…" }).first().click();
        await student.waitForURL(/summary/, { timeout: patience });
        await student.getByText(line).waitFor({ timeout: patience });
        await student.getByRole("button", { name: /Submit/ }).click();
        await student.waitForURL(/review/, { timeout: patience });
      });
      await step("the dashboard says that it was handed in, and that nobody watched", async () => {
        await dashboard.getByRole("button", { name: /^All / }).click();
        await row.getByText("Submitted").waitFor({ timeout: patience });
        await row.getByText(/^Was not watched/).waitFor({ timeout: patience });
        assert.equal(await row.getByText("Never began").count(), 0);
      });
      const report = await dashboard.getByRole("link", { name: "Report" }).getAttribute("href");
      await step("report and CSV say it for good", async () => {
        const csv = await until(async () => {
          const text = await dashboard.evaluate(async (href) => (await fetch(href + "?format=csv")).text(), report);
          const [head, ...rows] = text
            .replace(/^\uFEFF/, "")
            .trim()
            .split("\r\n")
            .join("\n")
            .split("\n")
            .map((l) => l.split(","));
          const found = rows.find((r) => r[0] === name);
          const cells = Object.fromEntries(head.map((h, i) => [h, found?.[i]]));
          assert.equal(cells.open_incidents, "1", `the incident in ${JSON.stringify(cells)}`);
          return cells;
        });
        assert.equal(csv.state, "submitted");
        assert.match(csv.started, /^20/);
        assert.match(csv.opened, /^20/);
        assert.equal(csv.watched_minutes, "0.0");
        assert.ok(Number(csv.not_watched_seconds) >= 30, `got ${csv.not_watched_seconds} s`);
        const html = await dashboard.evaluate(async (href) => (await fetch(href)).text(), report);
        assert.match(html, /watched 0 s of/);
        assert.match(html, /not watched for/);
        assert.doesNotMatch(html, /not begun/);
        if (process.env.LOOK) {
          await dashboard.goto(new URL(report, dashboard.url()).href);
          for (const [width, scheme] of [
            [1280, "light"],
            [360, "dark"],
          ]) {
            await dashboard.emulateMedia({ colorScheme: scheme });
            await dashboard.setViewportSize({ width, height: 800 });
            await dashboard.screenshot({ path: `${process.env.LOOK}/report-${width}-${scheme}.png` });
          }
        }
      });
    });
  });
}
