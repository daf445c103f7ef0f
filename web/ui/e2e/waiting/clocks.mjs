// What the clocks of a computer may do while a student works: set forward and back, with the tab hidden and without, and asleep. Lengths are what truly
// passed, and nobody is blamed for a clock. Everybody is watched at once, so that it takes seconds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, patience, pill, stage, startBrowser, startDemo, step, until, watchErrors } from "../harness.mjs";

const minute = 60_000;

/** Lets the computer's clock be set, and the page's own one miss what the computer slept, which the server does not miss. */
const skew = () => {
  const Real = Date;
  const steady = performance.now.bind(performance);
  let set = Number(sessionStorage.getItem("set") ?? 0);
  let slept = 0;
  globalThis.Date = class extends Real {
    constructor(...args) {
      super(...(args.length > 0 ? args : [Real.now() + set]));
    }
    static now() {
      return Real.now() + set;
    }
  };
  performance.now = () => steady() - slept;
  globalThis.setClock = (ms) => {
    set += ms;
    sessionStorage.setItem("set", String(set));
  };
  globalThis.sleepFor = (ms) => {
    slept += ms;
  };
};

test("a computer's clock makes no absence, and no absence is lost to it", { timeout: 10 * minute }, async () => {
  await stage(async ({ dir, cleanup }) => {
    const demo = await startDemo({ dir, port: await freePort(), lmsPort: await freePort() });
    cleanup(() => demo.stop());
    const browser = await startBrowser();
    cleanup(() => browser.close());
    const errors = [];

    const signIn = async (group, n) => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB" });
      await context.addInitScript(skew);
      const page = await context.newPage();
      await page.goto(demo.lms + "/");
      await page.locator(`section[aria-labelledby=${group}] button.person`).nth(n).click();
      await page.waitForURL(/course/, { timeout: patience });
      return page;
    };
    const student = async (n) => {
      const page = await signIn("students", n);
      watchErrors(page, errors, `student ${n}`);
      await page.getByRole("link", { name: "Open the quiz" }).click();
      await page.getByRole("button", { name: "Attempt quiz" }).click();
      await page.locator("#checkin-form").waitFor({ timeout: patience });
      await page.locator("#consent").check();
      const start = page.locator("#start:enabled");
      await start.waitFor({ timeout: patience });
      await start.click();
      await page.waitForURL(/\/mod\/quiz\/attempt\.php/, { timeout: patience });
      await pill(page, "Proctor connected");
      return page;
    };

    const proctor = await signIn("staff", 0);
    const [dashboard] = await Promise.all([
      proctor.context().waitForEvent("page"),
      proctor.getByRole("button", { name: "Live proctoring" }).click(),
    ]);
    await dashboard.getByText("You are connected").waitFor({ timeout: patience });

    const [forward, decades, asleep] = await step("three students work", () => Promise.all([0, 1, 2].map(student)));
    await new Promise((r) => setTimeout(r, 1500)); // each page knows the server's time

    await step("their clocks are set while they are away, and while they are not", async () => {
      await Promise.all([forward, decades, asleep].map((p) => show(p, "hidden")));
      await new Promise((r) => setTimeout(r, 2000));
      await forward.evaluate((ms) => globalThis.setClock(ms), 20 * minute);
      await decades.evaluate((ms) => globalThis.setClock(ms), -30 * 365 * 24 * 60 * minute);
      await asleep.evaluate((ms) => globalThis.sleepFor(ms), 6000);
      await new Promise((r) => setTimeout(r, 2000));
      await Promise.all([forward, decades].map((p) => show(p, "visible")));
      await new Promise((r) => setTimeout(r, 4000));
      await show(asleep, "visible");
      await forward.evaluate((ms) => globalThis.setClock(ms), 20 * minute); // once more, with the student there
      await forward.mouse.move(200, 200);
      await forward.keyboard.press("Tab");
    });
    await step("the one whose clock is 30 years behind raises a hand", async () => {
      await decades.locator(".pill").click();
      await decades.getByRole("button", { name: "Raise hand" }).click();
    });

    const sessions = await dashboard.evaluate(async () => {
      const exam = location.pathname.split("/")[2];
      const html = await (await fetch(`/dashboard/${exam}/report`)).text();
      const links = [...new DOMParser().parseFromString(html, "text/html").querySelectorAll("a[href*='/sessions/']")];
      return links.map((a) => ({ name: a.textContent, exam, id: a.getAttribute("href")?.split("/").pop() }));
    });
    assert.equal(sessions.length, 3, "students in the report");
    const entries = (session) =>
      dashboard.evaluate(
        async ({ exam, id }) => (await (await fetch(`/api/v1/exams/${exam}/sessions/${id}/timeline`)).json()).entries,
        session,
      );
    const idOf = async (page) =>
      page.evaluate(() =>
        Object.entries(sessionStorage)
          .find(([k]) => k.endsWith(":of"))?.[1]
          .replaceAll('"', ""),
      );
    const lasting = async (page) => {
      const id = await idOf(page);
      const all = await entries(sessions.find((s) => s.id === id));
      return {
        all,
        long: all.filter((e) => e.type === "signal" && ["hidden", "blur", "idle"].includes(e.kind) && (e.dur ?? 0) > 1000),
      };
    };
    for (const [name, page] of Object.entries({ forward, decades })) {
      await step(`${name}: hidden for what truly passed, and no incident`, () =>
        until(async () => {
          const { all, long } = await lasting(page);
          assert.equal(long.length, 1, JSON.stringify(long));
          assert.ok(long[0].kind === "hidden" && long[0].dur > 3500 && long[0].dur < 7000, JSON.stringify(long));
          assert.equal(long[0].data?.asleep, undefined);
          assert.deepEqual(
            all.filter((e) => e.incident || e.kind === "signal_refused"),
            [],
          );
        }),
      );
    }
    await step("asleep: the server's count, and how long the computer slept", () =>
      until(async () => {
        const { all, long } = await lasting(asleep);
        assert.equal(long.length, 1, JSON.stringify(long));
        assert.ok(long[0].dur > 7500 && long[0].dur < 12_000 && Math.abs(long[0].data?.asleep - 6000) < 1500, JSON.stringify(long));
        assert.deepEqual(
          all.filter((e) => e.incident),
          [],
        );
      }),
    );
    await step("the hand of a computer that is 30 years behind arrives, and its time is marked", () =>
      until(async () => {
        const { all } = await lasting(decades);
        const hand = all.find((e) => e.kind === "hand_raised");
        assert.ok(hand?.impossible, JSON.stringify(hand));
      }),
    );
    assert.deepEqual(errors, [], "errors on the pages");
  });
});

async function show(page, state) {
  await page.evaluate((is) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => is });
    Object.defineProperty(document, "hidden", { configurable: true, get: () => is === "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}
