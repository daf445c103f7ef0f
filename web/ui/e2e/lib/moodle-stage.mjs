// What tests with the plugin need of a Moodle: a running `vigil serve` that an admin has connected, a course with people, and
// what both sides know of an attempt.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, patience, runVigil, startBrowser, startServe, until } from "../harness.mjs";
import { moodleCli, moodleSite } from "./moodle-site.mjs";

const wanted = ["MOODLE_URL", "MOODLE_DIR", "MOODLE_ADMIN", "MOODLE_ADMIN_PASSWORD"];

/** Why such tests cannot be run here, or false. */
export function cannotRun() {
  const missing = wanted.filter((name) => !process.env[name]);
  if (missing.length) return `needs a Moodle with the plugin: set ${missing.join(", ")} (make e2e-moodle)`;
  return spawnSync("php", ["-v"]).error ? "needs php, which acts as the Moodle's cron (make e2e-moodle)" : false;
}

/** Sets everything up. end takes it away again. slows is for startBrowser. */
export async function moodleStage({ people: names, slows = false }) {
  const url = (process.env.MOODLE_URL ?? "").replace(/\/+$/, "");
  const errors = [];
  const undo = [];
  const end = async () => {
    for (const f of undo.reverse()) await f().catch((e) => console.log(`# not cleaned up: ${e.stack}`));
  };
  try {
    const php = await moodleCli(process.env.MOODLE_DIR);
    const installed = await php("has_plugin");
    assert.ok(installed.vigil, `quizaccess_vigil is not installed below ${process.env.MOODLE_DIR}`);
    console.log(`# Moodle ${installed.release}, quizaccess_vigil ${installed.vigil}`);
    const dir = await mkdtemp(join(tmpdir(), "vigil-e2e-"));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    const port = await freePort();
    const where = { dir, port, adminPort: await freePort() };
    const server = await startServe(where);
    server.again = async () => Object.assign(server, await startServe(where));
    undo.push(() => server.stop());
    const tag = `v${port}`;
    const { course, people, typeid } = await php("stage_up", tag, names);
    undo.push(() => php("stage_down", course, Object.values(people), typeid, server.tool));
    // A page of Moodle may want things from elsewhere, and there may be no elsewhere.
    const browser = await startBrowser({ only: ["localhost", "127.0.0.1", new URL(url).hostname], slows });
    undo.push(() => browser.close());
    const site = moodleSite({ url, browser, errors });
    return { url, php, dir, server, tag, course, people, browser, site, errors, end };
  } catch (e) {
    await end();
    throw e;
  }
}

/** An admin registers Vigil on the plugin's own page, and activates it. */
export async function connectTool({ site, url, server, php }) {
  const admin = await site.logIn(process.env.MOODLE_ADMIN, process.env.MOODLE_ADMIN_PASSWORD);
  await php("forget_tool");
  await admin.goto(`${url}/mod/quiz/accessrule/vigil/setup.php`);
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
  const tool = admin.locator("tr", { hasText: server.tool });
  await tool.getByRole("button", { name: "Activate" }).click();
  await tool.getByText("Proctors quizzes").waitFor();
  await admin.context().close();
}

/** Notes what Vigil tells the pages of a window about the end of the attempt. Before the first page. */
export function hearEnds(page) {
  const heard = { end: undefined, state: undefined };
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      const value = JSON.parse(String(payload));
      for (const frame of Array.isArray(value) ? value : [value]) {
        if (frame.t === "welcome" || frame.t === "time") heard.end = frame.end ?? heard.end;
        if (frame.state) heard.state = frame.state;
      }
    }),
  );
  return heard;
}

/** All that Vigil's store has of one student at an exam, as `vigil export` gives it. */
export async function exported(server, exam, user) {
  const rows = (await runVigil("export", "exam", exam, `--store=${server.store}`)).split("\n").map((line) => JSON.parse(line));
  const session = rows.filter((r) => r.kind === "session" && r.user_id === String(user)).at(-1);
  assert.ok(session, `no session of user ${user} in the export`);
  const of = (kind) => rows.filter((r) => r.kind === kind && r.session_id === session.id);
  return {
    session,
    gaps: of("gap").filter((g) => g.end === null || g.end > g.start), // of others nothing was left when the end became known
    commands: of("command"),
    signals: of("signal"),
    // What is held against the student.
    accused: of("incident").filter((i) => i.review !== "cleared"),
  };
}
