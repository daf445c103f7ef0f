// Takes pictures of the pages as the fake server fills them, to be looked at: node dev/look.mjs OUT [name…]
import { mkdir } from "node:fs/promises";
import { chromium } from "playwright-core";
import { FakeVigil } from "../e2e/lib/fake-vigil.mjs";
import { start } from "./fake-server.mjs";

const [out = "look", ...only] = process.argv.slice(2);
const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const server = await start({ students: 14 });
const quiz = await new FakeVigil().start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
await mkdir(out, { recursive: true });
const sizes = { wide: { width: 1280, height: 860 }, phone: { width: 360, height: 740 } };

const openFirst = async (page) => {
  await page.locator("[data-session] .name").first().click();
  await page.waitForTimeout(900);
};
const openState = (state) => async (page) => {
  await page.locator(`[data-session][data-state=${state}] .name`).first().click();
  await page.waitForTimeout(900);
};
/** The student's panel in a quiz page, where the session comes to a state. */
const studentIn =
  (frames, { close = 0, open = true } = {}) =>
  async (page) => {
    await page.locator(".pill[data-kind=connected]").waitFor();
    for (const f of frames) quiz.last.send({ at: Date.now(), ...f });
    if (close) quiz.last.close(close);
    await page.waitForTimeout(400);
    if (open) await page.locator(".pill").click();
    await page.waitForTimeout(300);
  };
const paused = [
  { t: "command", id: "look-cmd1", kind: "pause" },
  { t: "state", state: "paused", version: 4, reason: "Fire drill" },
];
const shots = {
  list: ["/dashboard"],
  many: ["/dashboard?students=2000"],
  panel: ["/dashboard", openFirst],
  chat: [
    "/dashboard",
    async (page) => {
      await openFirst(page);
      await page.locator("#tab-chat").click();
      await page.waitForTimeout(500);
    },
  ],
  bulk: [
    "/dashboard",
    async (page) => {
      for (const i of [0, 1, 2, 3]) await page.locator("[data-session] input").nth(i).check();
      await page.waitForTimeout(200);
    },
  ],
  ask: [
    "/dashboard",
    async (page) => {
      for (const i of [0, 1, 2, 3, 4, 5]) await page.locator("[data-session] input").nth(i).check();
      await page.getByRole("button", { name: /End attempt|Akhiri/ }).click();
      await page.waitForTimeout(300);
    },
  ],
  results: [
    "/dashboard",
    async (page) => {
      await page.locator("[role=columnheader] input").check();
      await page
        .locator(".bulk")
        .getByRole("button", { name: /Extra time|Tambah waktu/ })
        .click();
      await page
        .getByRole("dialog")
        .getByRole("button", { name: /Extra time|Tambah waktu/ })
        .last()
        .click();
      await page.waitForTimeout(2500);
      await page
        .getByRole("button", { name: /Details|Rincian/ })
        .first()
        .click();
      await page.waitForTimeout(300);
    },
  ],
  refused: [
    "/dashboard",
    async (page) => {
      await page.locator("[role=columnheader] input").check();
      await page
        .locator(".bulk")
        .getByRole("button", { name: /^(Pause|Jeda)/ })
        .click();
      await page
        .getByRole("dialog")
        .getByRole("button", { name: /^(Pause|Jeda)/ })
        .last()
        .click();
      await page.waitForTimeout(2500);
      await page
        .getByRole("button", { name: /Details|Rincian/ })
        .first()
        .click();
      await page.waitForTimeout(300);
    },
  ],
  timeup: ["/dashboard", openState("time_up")],
  stopped: ["/dashboard", openState("stopped")],
  kept: ["/dashboard", openState("created")],
  gaps: [
    "/dashboard",
    async (page) => {
      await openFirst(page);
      await page.getByLabel(/Incidents only|Hanya insiden/).check();
      await page.locator(".entry-gap").last().scrollIntoViewIfNeeded();
      await page.waitForTimeout(200);
    },
  ],
  gapsid: [
    "/dashboard?lang=id",
    async (page) => {
      await openState("time_up")(page);
      await page.getByLabel(/Incidents only|Hanya insiden/).check();
      await page.locator(".entry-gap").last().scrollIntoViewIfNeeded();
      await page.waitForTimeout(200);
    },
  ],
  groups: ["/dashboard?groups=3"],
  grouppanel: ["/dashboard?groups=300", openFirst],
  choose: [
    "/dashboard?groups=300&students=2000&lang=id",
    async (page) => {
      await page.locator(".group-button").click();
      for (const i of [2, 4]) await page.locator(".group-list input").nth(i).check();
      await page.locator("dialog input[type=search]").fill("monday");
      await page.waitForTimeout(500);
    },
  ],
  chosen: [
    "/dashboard?groups=300&students=2000",
    async (page) => {
      await page.locator(".group-button").click();
      for (const i of [2, 4]) await page.locator(".group-list input").nth(i).check();
      await page.keyboard.press("Escape");
      await page.waitForTimeout(1400);
    },
  ],
  limited: [
    "/dashboard?groups=3&rights=watch,talk&see=g1,g2",
    async (page) => {
      for (const i of [0, 1, 2]) await page.locator("[data-session] input").nth(i).check();
    },
  ],
  readonly: [
    "/dashboard?groups=3&rights=watch",
    async (page) => {
      await openFirst(page);
      await page.locator("#tab-chat").click();
      await page.waitForTimeout(500);
    },
  ],
  rightslost: [
    "/dashboard?groups=3",
    async (page) => {
      server.grant({ rights: ["watch", "talk", "review"], see: ["g1"] });
      await page.waitForTimeout(1200);
    },
  ],
  nowatch: [
    "/dashboard?groups=3",
    async (page) => {
      server.grant({ rights: [] });
      await page.waitForTimeout(600);
    },
  ],
  timeline: ["/timeline"],
  timelinelimited: ["/timeline?rights=watch"],
  reportlimited: ["/report?rights=watch"],
  quiztimeup: [`${quiz.url}/quiz`, studentIn([{ t: "state", state: "time_up", version: 4 }])],
  quizstopped: [`${quiz.url}/quiz`, studentIn([{ t: "state", state: "stopped", version: 4 }], { close: 4000, open: false })],
  quizstoppedopen: [`${quiz.url}/quiz?lang=id`, studentIn([{ t: "state", state: "stopped", version: 4 }], { close: 4000 })],
  quizunpaused: [
    `${quiz.url}/quiz`,
    studentIn([...paused, { t: "state", state: "active", version: 5, reason: "x" }], { open: false }),
  ],
  quizagain: [
    `${quiz.url}/quiz`,
    studentIn(
      [
        ...paused,
        { t: "command", id: "look-cmd2", kind: "resume" },
        { t: "state", state: "active", version: 5 },
        { t: "state", state: "paused", version: 6, reason: "x" },
      ],
      { open: false },
    ),
  ],
  menu: [
    "/dashboard",
    async (page) => {
      await page.locator(".menu > button").click();
      await page.waitForTimeout(200);
    },
  ],
  indonesian: ["/dashboard?lang=id", openFirst],
  rtl: [
    "/dashboard",
    async (page) => {
      await page.evaluate(() => {
        document.documentElement.dir = "rtl";
      });
      await openFirst(page);
    },
  ],
  zoom: [
    "/dashboard",
    async (page) => {
      await page.setViewportSize({ width: 320, height: 256 });
      await page.evaluate(() => scrollTo(0, 420));
      await page.waitForTimeout(300);
    },
  ],
  empty: ["/dashboard?empty=1"],
  expired: ["/dashboard?fail=expired"],
  slow: ["/dashboard?fail=slow&framed=1"],
  stale: [
    "/dashboard",
    async (page) => {
      server.behave.refuse = true;
      for (const ws of server.sockets) ws.terminate();
      await page.waitForTimeout(6000);
      server.behave.refuse = false;
    },
  ],
  checkin: [
    "/checkin",
    async (page) => {
      await page.waitForTimeout(2500);
    },
  ],
  checkinfail: [
    "/checkin?socket=fail&lang=id",
    async (page) => {
      await page.waitForTimeout(12500);
    },
  ],
  waiting: [
    "/checkin?admission=1",
    async (page) => {
      await page.waitForTimeout(2000);
    },
  ],
};
for (const [name, [path, act]] of Object.entries(shots)) {
  if (only.length > 0 && !only.includes(name)) continue;
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ["light", "dark"]) {
      server.exams.clear(); // each picture has students of its own
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
      const page = await context.newPage();
      page.on("console", (m) => ["error", "warning"].includes(m.type()) && console.log(`${name}: ${m.text()}`));
      page.on("pageerror", (err) => console.log(`${name}: ${err.stack}`));
      await page.goto(new URL(path, server.url).href);
      await page.waitForTimeout(1400);
      try {
        await act?.(page);
      } catch (err) {
        console.log(`${name} ${size}: ${String(err).split("\n")[0]}`);
      }
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) console.log(`${name} ${size}: ${wide} px too wide`);
      await page.screenshot({ path: `${out}/${name}-${size}-${colorScheme}.png` });
      await context.close();
    }
  }
}
await browser.close();
await server.close();
await quiz.stop();
