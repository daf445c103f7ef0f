// Takes the README's pictures from the demo: the dashboard with a class at work, and a student's quiz page.
//   make screenshots
// Run it again after a change of these screens; look at what it made before you commit it.
import { mkdir } from "node:fs/promises";
import { freePort, patience, pill, stage, startBrowser, startDemo, step } from "../e2e/harness.mjs";

const to = new URL("../../../docs/pictures/", import.meta.url).pathname;
const settled = { animations: /** @type {const} */ ("disabled") };

await mkdir(to, { recursive: true });
await stage(async ({ dir, after }) => {
  const demo = await startDemo({ dir, port: await freePort(), lmsPort: await freePort() });
  after(() => demo.stop());
  const browser = await startBrowser();
  after(() => browser.close());

  const signIn = async (name) => {
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 720 } })).newPage();
    await page.goto(demo.lms + "/");
    await page.getByRole("button", { name }).first().click();
    await page.waitForURL(/course/, { timeout: patience });
    return page;
  };

  await step("a class at work", async () => {
    const page = await browser.newPage();
    await page.goto(demo.lms + "/");
    for (const ten of [1, 2]) {
      await page.locator('form[action="/simulate"] button').click();
      for (;;) {
        // until these ten are on their way
        const s = await page.evaluate(async () => (await fetch("/simulate")).json());
        if (s.error) throw new Error(s.error);
        if (!s.running) break;
        await new Promise((r) => setTimeout(r, 200));
      }
      await page.goto(demo.lms + "/");
      console.log(`#   ${ten * 10} students`);
    }
  });

  const student = await signIn("Amara Okafor");
  await step("the check-in", async () => {
    await student.getByRole("link", { name: "Open the quiz" }).click();
    await student
      .getByRole("button", { name: /Attempt quiz|Re-attempt|Continue/ })
      .first()
      .click();
    await student.locator("#checkin-form").waitFor({ timeout: patience });
    await student.locator("#consent").check();
    await student.locator("#start:enabled").waitFor({ timeout: patience });
  });
  await step("student.png", async () => {
    await student.locator("#start:enabled").click({ timeout: patience });
    await student.waitForURL(/\/mod\/quiz\/attempt\.php/, { timeout: patience });
    await pill(student, "Proctor connected");
    await student.screenshot({ path: to + "student.png", ...settled });
  });
  await step("overview.png", async () => {
    const staff = await signIn("Ingrid Solberg");
    const [page] = await Promise.all([
      staff.context().waitForEvent("page"),
      staff.getByRole("button", { name: "Live proctoring" }).click(),
    ]);
    await page.setViewportSize({ width: 1280, height: 860 });
    const row = page.locator('[role="row"]', { hasText: "Amara Okafor" }).first();
    await row.getByText("Amara Okafor").first().click({ timeout: patience });
    await page.getByRole("region", { name: "Student", exact: true }).waitFor({ timeout: patience });
    await page.screenshot({ path: to + "overview.png", ...settled });
  });
});
console.log(`made in ${to}`);
