// Vigil in a real Moodle without our plugin: an admin registers it by an invitation, a teacher adds the activity, both
// kinds of people launch it, inside Moodle's page and in a window of its own. The Moodle is anybody's: its URL and logins
// come from the environment, people speak English there, and what the test adds it takes away again.
//
// `vigil serve` runs on this machine, so the Moodle must run here too and its HTTP security settings must let it call
// this machine on any port (see docs/moodle.md): it fetches our keys when content is selected and people are listed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, patience, runVigil, stage, startBrowser, startServe, step, until, watchErrors } from "./harness.mjs";
import { enter } from "./lib/moodle-site.mjs";

const wanted = [
  "MOODLE_URL",
  "MOODLE_ADMIN",
  "MOODLE_ADMIN_PASSWORD",
  "MOODLE_TEACHER",
  "MOODLE_TEACHER_PASSWORD",
  "MOODLE_STUDENT",
  "MOODLE_STUDENT_PASSWORD",
  "MOODLE_COURSE",
];
const missing = wanted.filter((name) => !process.env[name]);
const skip = missing.length > 0 && `needs a Moodle: set ${missing.join(", ")} (make e2e-moodle)`;
const moodle = (process.env.MOODLE_URL ?? "").replace(/\/+$/, "");
const course = process.env.MOODLE_COURSE;

test("a real Moodle registers, launches and picks content", { skip, timeout: 20 * 60_000 }, async () => {
  await stage(async ({ dir, cleanup }) => {
    const port = await freePort();
    const server = await startServe({ dir, port, adminPort: await freePort() });
    cleanup(() => server.stop());
    const browser = await startBrowser();
    cleanup(() => browser.close());
    const errors = [];
    const name = `Vigil test ${port}`;
    const invite = (...more) => runVigil("invite", `--public-url=${server.tool}`, `--store=${server.store}`, ...more);

    try {
      // --- Registration.
      const admin = await logIn(browser, "ADMIN", errors);
      await step("an invitation that is not known is refused in Moodle's frame", async () => {
        const frame = await openRegistration(admin, server.tool, `${server.tool}/lti/register/unknown`);
        await frame.getByText("Vigil does not know this invitation").waitFor({ timeout: patience });
      });
      const type = await step("the invitation registers Vigil in Moodle's frame", async () => {
        const frame = await openRegistration(admin, server.tool, await invite("--private"));
        await frame.getByRole("button", { name: "Register", exact: true }).click({ timeout: patience });
        await admin.waitForSelector(registration, { state: "detached", timeout: patience });
        const [, platform, more] = (await runVigil("platform", "list", `--store=${server.store}`)).split("\n");
        assert.equal(more, undefined, "a second platform");
        assert.match(platform, /\bactive\b/);
        return platform.trim().split(/\s+/).at(-1); // Moodle's deployment id is the number of the tool
      });
      cleanup(() => moodlePost(admin, "/mod/lti/typessettings.php", { action: "delete", id: type }));
      await step("the admin activates it", async () => {
        const card = admin.locator(`.tool-card[data-type-id="${type}"]`);
        await card.locator("a.activate").click({ timeout: patience });
        await card.locator("a.activate").waitFor({ state: "detached", timeout: patience });
      });

      // --- The teacher adds the activity and opens it.
      const teacher = await logIn(browser, "TEACHER", errors);
      const cmid = await step("the teacher adds the activity", async () => {
        await newActivity(teacher, type);
        await teacher.fill("#id_name", name);
        return save(teacher);
      });
      cleanup(() => moodlePost(teacher, "/course/mod.php", { delete: cmid, confirm: 1 }));
      const frame = await step("in Moodle's page it is the dashboard, connected", async () => {
        const frame = await embedded(teacher, cmid);
        await frame.getByRole("heading", { name }).waitFor({ timeout: patience });
        await connected(frame);
        return frame;
      });
      const dashboard = new URL(frame.url()).pathname;
      assert.match(dashboard, /^\/dashboard\//);
      await step("its cookies are partitioned", async () => {
        // A Moodle on the same host has cookies there, too: ports do not count.
        const cookies = (await teacher.context().cookies(server.tool)).filter((c) => !/^moodle/i.test(c.name));
        assert.deepEqual(cookies.map((c) => c.name).sort(), ["vigil-lti", "vigil-visit"]);
        for (const c of cookies) assert.ok(c.partitionKey, `${c.name} has no partition`);
      });
      await step("it opens in its own window and stays there after a reload", async () => {
        const [window] = await Promise.all([
          teacher.context().waitForEvent("page"),
          frame.getByRole("button", { name: "Open in its own window" }).click(),
        ]);
        await connected(window);
        assert.equal(new URL(window.url()).pathname, dashboard);
        await window.reload();
        await connected(window);
        await window.close();
      });
      await step("Moodle says who is enrolled", async () => {
        const members = await frame.evaluate(async (exam) => {
          const answer = await fetch(`/api/v1/exams/${exam}/members`);
          return { status: answer.status, body: await answer.json() };
        }, dashboard.split("/").pop());
        assert.equal(members.status, 200, JSON.stringify(members.body));
        assert.ok(members.body.members.length > 0, "nobody is enrolled");
      });
      await step("launched in a new window it is the same dashboard", async () => {
        const window = await launchWindow(teacher, cmid);
        await connected(window);
        assert.equal(new URL(window.url()).pathname, dashboard);
        await window.close();
      });

      // --- The student.
      const student = await logIn(browser, "STUDENT", errors);
      await step("the student sees the own status, in Moodle's page and in a window", async () => {
        const window = await launchWindow(student, cmid);
        await window.getByText("You have not started an attempt yet").waitFor({ timeout: patience });
        await window.close();
        const status = await embedded(student, cmid);
        await status.getByText("You have not started an attempt yet").waitFor({ timeout: patience });
        assert.equal(new URL(status.url()).pathname, dashboard.replace("dashboard", "status"));
        await status.getByRole("link", { name: "Back to your course" }).click();
        await student.waitForURL(/\/course\/view\.php/, { timeout: patience });
      });

      // --- Deep linking.
      const second = await step("a new exam is made by selecting content", async () => {
        await newActivity(teacher, type);
        await select(teacher, async (picker) => {
          await picker.getByLabel("Name").fill(`${name}, second exam`);
          await picker.getByRole("button", { name: "Make and add it" }).click();
        });
        assert.equal(await teacher.inputValue("#id_name"), `${name}, second exam`);
        return save(teacher);
      });
      cleanup(() => moodlePost(teacher, "/course/mod.php", { delete: second, confirm: 1 }));
      const third = await step("an exam that exists is picked for another activity", async () => {
        await newActivity(teacher, type);
        await select(teacher, async (picker) => {
          await picker.getByLabel(name, { exact: false }).last().check();
          await picker.getByRole("button", { name: "Add this exam" }).click();
        });
        assert.equal(await teacher.inputValue("#id_name"), name);
        return save(teacher);
      });
      cleanup(() => moodlePost(teacher, "/course/mod.php", { delete: third, confirm: 1 }));
      await step("both open what was picked", async () => {
        const made = await embedded(teacher, second);
        await made.getByRole("heading", { name: `${name}, second exam` }).waitFor({ timeout: patience });
        assert.notEqual(new URL(made.url()).pathname, dashboard);
        const picked = await embedded(teacher, third);
        await connected(picked);
        assert.equal(new URL(picked.url()).pathname, dashboard);
      });
      assert.deepEqual(errors, [], "errors on Vigil's pages");
    } catch (e) {
      await shots(browser);
      console.log("# errors on the pages:", errors);
      console.log("# log of vigil:\n" + server.log().slice(-4000));
      throw e;
    }
  });
});

const registration = 'iframe[src^="startltiadvregistration.php"]';

/** A page of Moodle on which someone is logged in. Errors of Vigil's own pages are gathered. */
async function logIn(browser, who, errors) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB" });
  // Moodle's own pages may complain; a page that Vigil refuses on purpose makes its answer's status an error, too.
  context.on("page", (page) =>
    watchErrors(page, errors, who.toLowerCase(), (text) => /Failed to load resource/.test(text) || !/localhost|vigil/i.test(text)),
  );
  context.setDefaultTimeout(patience);
  return enter(context, moodle, process.env[`MOODLE_${who}`], process.env[`MOODLE_${who}_PASSWORD`]);
}

async function manageTools(admin) {
  await admin.goto(`${moodle}/mod/lti/toolconfigure.php`);
  await admin.waitForSelector("#tool-list-container:not(.loading)");
}

/** Pastes a registration link and returns the frame in which the tool's page opens. */
async function openRegistration(admin, tool, link) {
  await manageTools(admin);
  await admin.fill("#tool-url", link);
  await admin.click("#tool-create-button");
  const frame = await (await admin.waitForSelector(registration, { state: "attached" })).contentFrame();
  await until(async () => {
    // Moodle asks first whether to update, if it has a tool of the same host.
    const anew = frame.locator('#startregform button[data-href$="type=0"]');
    if (await anew.count()) await anew.click();
    assert.ok(frame.url().startsWith(tool), `the frame is at ${frame.url()}`);
  });
  return frame;
}

async function newActivity(teacher, type) {
  await teacher.goto(`${moodle}/course/modedit.php?add=lti&type=&course=${course}&section=1&return=0&typeid=${type}`);
  await teacher.waitForSelector("#id_name");
}

/** Presses "Select content", lets choose act in the picker, and waits until Moodle has taken the answer. */
async function select(teacher, choose) {
  await teacher.click("#id_selectcontent");
  const element = await teacher.waitForSelector(".modal.show iframe", { state: "attached" });
  const frame = await element.contentFrame();
  await frame.getByRole("heading", { name: "Add a Vigil activity" }).waitFor({ timeout: patience });
  await choose(frame);
  await element.waitForElementState("hidden", { timeout: patience }).catch(() => {}); // or gone at once
  await until(async () => assert.notEqual(await teacher.inputValue("#id_name"), "", "the activity's name, filled by Moodle"));
}

/** Saves the activity's form and returns the number of its course module. */
async function save(teacher) {
  await teacher.click("#id_submitbutton"); // Save and display
  await teacher.waitForURL(/\/mod\/lti\/view\.php\?id=\d+/, { waitUntil: "commit" });
  return new URL(teacher.url()).searchParams.get("id");
}

/** Opens the activity in Moodle's page and returns the tool's frame. */
async function embedded(who, cmid) {
  await who.goto(`${moodle}/mod/lti/view.php?id=${cmid}`);
  const frame = await (await who.waitForSelector("#contentframe", { state: "attached" })).contentFrame();
  await until(async () => assert.match(frame.url(), /\/(dashboard|status)\//));
  return frame;
}

/** Launches the activity as Moodle does with the launch container "New window". */
async function launchWindow(who, cmid) {
  const link = `${moodle}/mod/lti/launch.php?id=${cmid}`;
  const [page] = await Promise.all([who.context().waitForEvent("page"), who.evaluate((url) => void window.open(url), link)]);
  page.setDefaultTimeout(patience);
  await page.waitForURL(/\/(dashboard|status)\//);
  return page;
}

function connected(page) {
  return page.getByText("You are connected").waitFor({ timeout: patience });
}

/** Asks Moodle for a page that changes something, with its session key. */
async function moodlePost(page, path, params) {
  await page.goto(`${moodle}/my/`);
  const sesskey = await page.evaluate(() => window.M.cfg.sesskey);
  await page.goto(`${moodle}${path}?${new URLSearchParams({ ...params, sesskey })}`);
}

/** Screens of a failure, where SHOTS says. */
async function shots(browser) {
  if (!process.env.SHOTS) return;
  const pages = browser.contexts().flatMap((c) => c.pages());
  for (const [i, page] of pages.entries()) await page.screenshot({ path: `${process.env.SHOTS}/moodle-${i}.png` }).catch(() => {});
}
