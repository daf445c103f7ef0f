// The student's monitor alone, in a real browser, against a stand-in for LMS and server.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { launch } from "./lib/browser.mjs";
import { FakeVigil, until } from "./lib/fake-vigil.mjs";

let browser;
let context;
let page;
let vigil;
let errors;

before(async () => (browser = await launch()));
after(() => browser.close());
beforeEach(async () => {
  vigil = await new FakeVigil().start();
  context = await browser.newContext();
  page = await context.newPage();
  errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
});
afterEach(async () => {
  await context.close();
  await vigil.stop();
  assert.deepEqual(errors, []);
});

const open = async (url = "/quiz", tab = page) => {
  const count = vigil.of("hello").length;
  await tab.goto(vigil.url + url);
  await until("hello", () => vigil.of("hello").length > count);
  await connected(tab);
};
const connected = (tab = page) => tab.locator(".pill[data-kind=connected]").waitFor();
const events = (name) => page.evaluate((n) => globalThis.events.filter((e) => e[0] === n).map((e) => e[1]), name);
const seen = (id) => until("seen " + id, () => vigil.of("seen").some((frame) => frame.id === id));
const command = (frame) => vigil.last.send({ t: "command", by: "Ms Sari", at: Date.now(), ...frame });
const setVisible = (visible) =>
  page.evaluate((is) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (is ? "visible" : "hidden") });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visible);

test("page turns keep the stream, the numbers and the token, and say goodbye", async () => {
  await open();
  await page.click("#next");
  await until("second page", () => vigil.of("hello").length === 2);
  await connected();
  await page.click("#next");
  await until("third page", () => vigil.of("hello").length === 3);
  await until("page turns stored", () => vigil.signals("page_turned").length === 2);
  assert.equal(new Set(vigil.of("hello").map((frame) => frame.stream)).size, 1);
  assert.deepEqual(
    vigil.of("hello").map((frame) => frame.page),
    [1, 2, 3],
  );
  assert.deepEqual(
    vigil.of("bye").map((frame) => frame.reason),
    ["navigating", "navigating"],
  );
  assert.equal(vigil.tokens, 1);
  const seqs = vigil
    .signals()
    .map((signal) => signal.seq)
    .sort((a, b) => a - b);
  assert.deepEqual(
    seqs,
    seqs.map((_, i) => i + 1),
  );
  assert.deepEqual(vigil.signals("hidden"), []);
  assert.deepEqual(vigil.signals("blur"), []);
});

test("what happened while the connection was cut arrives once, with its own time", async () => {
  await open();
  vigil.down = true;
  vigil.refuse = { status: 503, duty: "retry", code: "unavailable" };
  vigil.last.destroy();
  await page.locator(".pill[data-kind=reconnecting]").waitFor();
  const began = Date.now();
  await setVisible(false);
  await page.waitForTimeout(600);
  await setVisible(true);
  await page.evaluate(() => {
    const box = document.querySelector("textarea");
    box.value = "tide";
    box.select();
    document.execCommand("copy");
  });
  const cut = Date.now();
  await page.locator(".pill[data-kind=offline]").waitFor({ timeout: 10000 });
  vigil.down = false;
  vigil.refuse = null;
  await until("signals", () => vigil.signals("hidden").length === 1 && vigil.signals("copy").length === 1);
  const [hidden] = vigil.signals("hidden");
  assert.ok(hidden.at >= began && hidden.at <= cut, "the time is the student's");
  assert.ok(hidden.dur >= 600 && hidden.dur < 3000, `duration is ${hidden.dur}`);
  assert.deepEqual(vigil.signals("copy")[0].data, { length: 4 });
  assert.equal(vigil.repeats, 0);
  await connected();
});

test("a page that dies before the answer sends the same again, to the letter", async () => {
  vigil.acknowledge = false;
  await open();
  await page.evaluate(() => document.querySelector("textarea").dispatchEvent(new Event("contextmenu", { bubbles: true })));
  await until("sent", () => vigil.signals("context_menu").length === 1);
  const before = new Map(vigil.stored);
  await page.close({ runBeforeUnload: false });
  page = await context.newPage();
  vigil.acknowledge = true;
  await open();
  await until("sent again", () => vigil.repeats >= before.size);
  for (const [key, text] of before) assert.equal(vigil.stored.get(key), text);
  assert.equal(new Set(vigil.of("hello").map((frame) => frame.stream)).size, 1);
  const sent = vigil.of("signal").filter((frame) => frame.kind === "context_menu");
  assert.equal(sent.length, 2);
  const { connection: a, ...first } = sent[0];
  const { connection: b, ...again } = sent[1];
  assert.notEqual(a, b);
  assert.deepEqual(again, first);
});

test("a second tab takes over, and the first comes back only when it is asked to", async () => {
  await page.clock.install();
  await open();
  const first = vigil.last;
  const other = await context.newPage();
  await open("/quiz?page=2", other);
  first.close(4001, "superseded");
  await page.getByRole("alertdialog", { name: "This exam is open elsewhere" }).waitFor();
  const count = vigil.peers.length;
  await page.clock.runFor(10_000); // the first try to come back is half a second later at most
  assert.equal(vigil.peers.length, count);
  await page.getByRole("button", { name: "Go on here" }).click();
  await until("back", () => vigil.peers.length === count + 1);
  await connected();
  assert.equal(vigil.peers.length, count + 1, "it has not come back by itself before");
  assert.equal(await page.getByRole("alertdialog").count(), 0);
  const keys = vigil.of("signal").map((frame) => frame.seq + frame.kind);
  assert.equal(new Set(keys).size, new Set(vigil.of("signal").map((frame) => frame.seq)).size, "no number has two meanings");
});

test("messages, a warning and extra time are shown, and seen when the student says so", async () => {
  await open();
  command({ id: "command01", kind: "message", text: "Ten minutes left" });
  await page.getByText("Ten minutes left").first().waitFor();
  assert.equal(vigil.of("seen").length, 0);
  await page.getByRole("button", { name: "OK" }).click();
  await seen("command01");

  await page.locator("textarea[name=answer]").focus();
  command({ id: "command02", kind: "warn", text: "Eyes on your screen" });
  const warning = page.getByRole("alertdialog", { name: "Warning from Ms Sari" });
  await warning.waitFor();
  await page.keyboard.type("still typing \n");
  assert.ok(await warning.isVisible(), "typing does not answer it");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.ok(await warning.isVisible(), "nor does Escape");
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press("Tab");
    assert.equal(
      await page.evaluate(() => document.activeElement.matches("textarea, #next, iframe")),
      false,
      "the page is out of reach",
    );
  }
  await page.getByRole("button", { name: "I understand" }).click();
  await seen("command02");
  assert.equal(await page.evaluate(() => document.activeElement.name), "answer", "the focus is where it was");

  const end = Date.now() + 3600000;
  command({ id: "command03", kind: "extend", seconds: 600 });
  vigil.last.send({ t: "time", now: Date.now(), end });
  await page.locator(".card", { hasText: "10 min added by Ms Sari." }).waitFor();
  assert.equal((await events("time")).at(-1).end, end);
});

test("a pause covers the page and has the conversation; going on and an end are told to the page", async () => {
  await open();
  command({ id: "command01", kind: "pause", text: "Fire drill" });
  vigil.last.send({ t: "state", state: "paused", version: 4, reason: "Fire drill", at: Date.now() });
  const pause = page.getByRole("dialog", { name: "Your exam is paused" });
  await pause.getByText("Reason: Fire drill").waitFor();
  await seen("command01");
  await pause.getByRole("textbox").fill("I need water");
  await page.keyboard.press("Enter");
  await until("chat", () => vigil.of("chat").some((frame) => frame.text === "I need water"));
  command({ id: "command03", kind: "resume" });
  vigil.last.send({ t: "state", state: "active", version: 5, at: Date.now() });
  await page.getByText("You are back in.").waitFor();
  await seen("command03");
  await pause.waitFor({ state: "hidden" });
  vigil.last.send({ t: "state", state: "paused", version: 4, at: Date.now() });
  command({ id: "command02", kind: "terminate" });
  vigil.last.send({ t: "state", state: "terminated", version: 6, reason: "Identity", at: Date.now() });
  await page.getByRole("alertdialog", { name: "Your attempt was ended" }).waitFor();
  await seen("command02");
  vigil.last.close(4000, "ended");
  await page.locator(".pill[data-kind=ended]").waitFor();
  assert.equal((await events("paused")).length, 1);
  assert.equal((await events("resumed")).length, 1);
  assert.deepEqual(await events("terminated"), [{ reason: "Identity" }]);
});

test("time that is over by Vigil's clock stops nobody, and neither does proctoring that is switched off", async () => {
  await page.clock.install();
  await open();
  vigil.last.send({ t: "state", state: "time_up", version: 4, reason: "deadline", at: Date.now() });
  await page.locator(".pill[data-kind=timeup]").waitFor();
  await page.fill("textarea[name=answer]", "works");
  await page.locator("textarea[name=answer]").press("Control+A");
  await page.locator("textarea[name=answer]").press("Control+C");
  await until("copy", () => vigil.signals("copy").length === 1);
  vigil.last.send({ t: "state", state: "stopped", version: 5, at: Date.now() });
  vigil.last.close(4000, "ended");
  await page.locator(".card", { hasText: "You can go on working" }).waitFor();
  await page.locator(".pill[data-kind=off]").waitFor();
  await page.fill("textarea[name=answer]", "works on");
  assert.equal(await page.getByRole("alertdialog").count(), 0);
  assert.equal((await events("terminated")).length, 0);
  const count = vigil.peers.length;
  await page.getByRole("button", { name: "OK" }).click();
  await page.clock.runFor(10_000); // the first try to come back is half a second later at most
  await page.evaluate(() => fetch(location.href)); // a connection that was begun before has come by now
  assert.equal(vigil.peers.length, count, "it does not come back");
});

test("the conversation survives a cut and a page turn", async () => {
  await open();
  vigil.acknowledge = false;
  await page.locator(".pill").click();
  await page.locator("#vigil-text").fill("Is my hand seen?");
  await page.keyboard.press("Enter");
  await page.getByText("Sending…").waitFor();
  await page.getByRole("button", { name: "Raise hand" }).click();
  await until("sent", () => vigil.of("chat").length === 1 && vigil.signals("hand_raised").length === 1);
  vigil.acknowledge = true;
  await page.locator("textarea[name=answer]").evaluate(() => document.querySelector("form").submit());
  await until("sent again", () => vigil.of("chat").length === 2);
  assert.equal(vigil.of("chat")[0].id, vigil.of("chat")[1].id);
  await connected();
  await page.locator(".pill").click();
  await page.getByRole("button", { name: "Lower hand" }).waitFor();
  assert.equal(vigil.signals("hand_raised").length, 1);
  await page.getByText("Is my hand seen?").waitFor();
  // A proctor lowers it.
  vigil.last.send({ t: "hand" });
  await page.getByRole("button", { name: "Raise hand" }).waitFor();
  // One that was raised again since, and that the server has not acknowledged, stays up.
  vigil.acknowledge = false;
  await page.getByRole("button", { name: "Raise hand" }).click();
  await until("sent", () => vigil.signals("hand_raised").length === 2);
  vigil.last.send({ t: "hand" });
  vigil.last.send({ t: "chat", id: "after-the-hand", from: "proctor", text: "One moment.", at: Date.now() });
  await page.getByText("One moment.").waitFor();
  await page.getByRole("button", { name: "Lower hand" }).waitFor();
});

test("a refusal by the token endpoint is told and final; the page works on", async () => {
  vigil.refuse = { status: 403, duty: "stop", code: "forbidden", detail: "This attempt is over." };
  await page.goto(vigil.url + "/quiz");
  await page.locator(".pill[data-kind=stopped]").waitFor();
  await page.fill("textarea[name=answer]", "works");
  assert.equal(vigil.peers.length, 0);
});

test("a paste into an editor's frame is noticed, by its length alone", async () => {
  await open();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.evaluate(() => navigator.clipboard.writeText("abc"));
  await page.frameLocator("#editor").locator("body").click();
  await page.keyboard.press("Control+V");
  await until("paste", () => vigil.signals("paste").length === 1);
  assert.deepEqual(vigil.signals("paste")[0].data, { length: 3 });
  assert.deepEqual(vigil.signals("blur"), []);
});

test("the panel fits 320 CSS pixels (400 % zoom), and its styles and the page's do not mix", async () => {
  await page.setViewportSize({ width: 320, height: 256 });
  await open();
  command({ id: "command01", kind: "message", text: "x".repeat(300) });
  await page.locator(".pill").click();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= 320), true);
  const box = await page.locator(".drawer").boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 320 && box.y >= 0, JSON.stringify(box));
  assert.equal(await page.locator(".pill").evaluate((pill) => getComputedStyle(pill).textTransform), "none");
});
