// A Moodle on this machine: its people in browsers, and what only its command line can do.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { patience, pill } from "../harness.mjs";

const script = fileURLToPath(new URL("./moodle.php", import.meta.url));

/** Runs functions of moodle.php in the Moodle below dir. They run one after the other. */
export async function moodleCli(dir) {
  // What is run as another user than the web server's would leave files that the web server cannot write.
  const config = await readFile(`${dir}/config.php`, "utf8");
  const data = /\$CFG->dataroot\s*=\s*['"]([^'"]+)['"]/.exec(config)?.[1];
  assert.ok(data, `no dataroot in ${dir}/config.php`);
  const { uid, gid } = await stat(data);
  const owner = process.getuid?.() === 0 ? { uid, gid } : {};
  let last = Promise.resolve();
  const run = async (name, args) => {
    const child = spawn("php", ["-d", "memory_limit=512M", "-d", "max_input_vars=5000", script, dir], { cwd: dir, ...owner });
    let out = "";
    child.stdout.on("data", (b) => (out += b));
    child.stderr.on("data", (b) => (out += b));
    child.stdin.end(JSON.stringify({ name, args }));
    const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
    const answer = out.lastIndexOf("\n@@");
    if (code !== 0 || answer < 0) throw new Error(`moodle.php ${name} ended with ${code}:\n${out.slice(-4000)}`);
    return JSON.parse(out.slice(answer + 3).split("\n", 1)[0]).result;
  };
  return (name, ...args) => {
    const next = last.then(() => run(name, args));
    last = next.catch(() => {});
    return next;
  };
}

/** Waits until Moodle's scripts have run. */
const idle = (page) => page.waitForFunction(() => document.readyState === "complete" && window.M.util.pending_js.length === 0);

/** Logs someone in at the Moodle of that URL, in a new page of the window. */
export async function enter(context, url, name, password) {
  const page = await context.newPage();
  // Moodle comes back to this form, too, where an answer to its scripts has put another session's cookie over that of the login.
  const again = (u) => u.searchParams.has("loginredirect");
  for (let tries = 1; ; tries++) {
    await page.goto(`${url}/login/index.php`);
    await idle(page);
    // At some time, and they do not tell when, the scripts put an empty field in the place of the password's: fill in and press at once.
    await page.locator("#loginbtn").evaluate(
      (button, [name, password]) => {
        const { form } = /** @type {HTMLButtonElement} */ (button);
        form.elements.namedItem("username").value = name;
        form.elements.namedItem("password").value = password;
        button.click();
      },
      [name, password],
    );
    await page.waitForURL((u) => !u.pathname.includes("/login/") || again(u), { waitUntil: "commit" });
    if (!again(new URL(page.url()))) break;
    assert.ok(tries < 5, `${name} cannot log in`);
  }
  // For two minutes Chromium sends a fresh cookie without SameSite on cross-site posts, too. Real visits last longer.
  const cookies = await context.cookies(url);
  await context.addCookies(cookies.filter((c) => c.sameSite !== "None").map((c) => ({ ...c, sameSite: "Lax" })));
  return page;
}

/**
 * The people and pages of one Moodle.
 *
 * @param {{ url: string, browser: import("playwright-core").Browser, errors: string[] }} options
 */
export function moodleSite({ url, browser, errors }) {
  /**
   * A browser window of its own in which someone is logged in. prepare is done before its first page; the other options are
   * Playwright's for a window.
   */
  async function logIn(name, password = name, size = { width: 1280, height: 900 }, { prepare, ...options } = {}) {
    const context = await browser.newContext({ viewport: size, locale: "en-GB", ...options });
    context.setDefaultTimeout(patience);
    await prepare?.(context);
    context.on("page", (page) => {
      // Moodle's own pages may complain.
      page.on("pageerror", (e) => {
        if (/vigil/i.test(e.stack ?? "")) errors.push(`${name}: ${e.stack}`);
      });
      page.on("console", (m) => {
        if (
          m.type() === "error" &&
          /vigil/i.test(m.text()) &&
          !/Failed to load resource|net::ERR_|WebSocket connection/.test(m.text())
        ) {
          errors.push(`${name}: ${m.text()}`);
        }
      });
    });
    return enter(context, url, name, password);
  }

  const view = (page, quiz) => page.goto(`${url}/mod/quiz/view.php?id=${quiz.cmid}`);

  /** Opens the quiz and presses its button; leaves the student before the form that comes next. */
  async function press(page, quiz) {
    await view(page, quiz);
    // Before Moodle's scripts have run, the button leads to a page with the same form, and not into a popup where one is asked for.
    await idle(page);
    await page.locator(".quizattempt button, .quizstartbuttondiv button").first().click();
    await page.locator("#id_submitbutton").waitFor();
  }

  /** From the quiz page to the check-in. */
  async function toCheckIn(page, quiz, { password } = {}) {
    await press(page, quiz);
    await page.getByText("You are now taken to a short check-in").first().waitFor();
    if (password) await typePassword(page, password);
    await page.click("#id_submitbutton");
    await page.waitForURL(/\/checkin\//);
  }

  async function typePassword(page, password) {
    // The field shows itself only after a click on what stands in its place.
    const shown = page.locator('[data-passwordunmask="edit"]').first();
    if (await shown.count()) await shown.click();
    await page.locator("#id_quizpassword").fill(password);
  }

  /** From the check-in into the attempt. */
  async function checkIn(page) {
    const consent = page.locator("#consent:not([type=hidden])");
    await page.locator("#checkin-form").waitFor();
    if (await consent.count()) await consent.check(); // or was given before
    await page.locator("#start:enabled").click();
    await page.waitForURL(inAttempt);
  }

  /** From the quiz page into the attempt, monitored. */
  async function attempt(page, quiz, options) {
    await toCheckIn(page, quiz, options);
    await checkIn(page);
    await pill(page, "Proctor connected");
  }

  /** Shows the quiz's navigation: a narrow window closes the drawer that it is in, and so may the one before. */
  async function openNavigation(page) {
    if (!(await page.locator("#mod_quiz_navblock .endtestlink").isVisible()))
      await page.locator(".drawer-right-toggle button").click();
  }

  /** From a question's page to the review. */
  async function handIn(page) {
    await openNavigation(page);
    await page.locator("#mod_quiz_navblock .endtestlink").click();
    await page.waitForURL(/\/summary\.php/);
    await idle(page); // else nothing asks whether it is meant
    await page.getByRole("button", { name: "Submit all and finish" }).click();
    await page.locator('.modal [data-action="save"]').click();
    await page.waitForURL(/\/review\.php/);
  }

  /** The live dashboard of a quiz, opened by its button. */
  async function dashboard(teacher, quiz) {
    await view(teacher, quiz);
    const [page] = await Promise.all([
      teacher.context().waitForEvent("page"),
      teacher.getByRole("link", { name: "Live proctoring" }).click(),
    ]);
    await page.getByText("You are connected").waitFor();
    return page;
  }

  return { url, logIn, view, press, toCheckIn, checkIn, attempt, openNavigation, handIn, dashboard, typePassword };
}

/** The page of a question; startattempt.php is another. */
export const inAttempt = (u) => /\/mod\/quiz\/attempt\.php$/.test(u.pathname);

/** The field of a question's answer. */
export const answerField = (page) => page.locator("form#responseform input[type=text][name$=_answer]");

/** Seconds on Moodle's clock. */
export async function clock(page) {
  const text = (await page.locator("#quiz-time-left").textContent()) ?? "";
  assert.match(text, /^\d+:\d\d:\d\d$/, "the clock");
  return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}
