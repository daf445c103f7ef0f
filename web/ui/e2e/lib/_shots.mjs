import { launch } from "./browser.mjs";
import { FakeVigil, until } from "./fake-vigil.mjs";
const b = await launch();
for (const [name, opt, look] of [["1280-light", { viewport: { width: 1280, height: 800 }, colorScheme: "light" }, {}], ["1280-dark", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" }, {}],
  ["360-light", { viewport: { width: 360, height: 740 }, colorScheme: "light" }, {lang:"id"}], ["360-dark-rtl", { viewport: { width: 360, height: 740 }, colorScheme: "dark" }, {dir:"rtl"}], ["320-zoom", { viewport: { width: 320, height: 256 }, colorScheme: "light" }, {}]]) {
  const v = await new FakeVigil().start(); v.look = look;
  const p = await (await b.newContext(opt)).newPage();
  p.on("pageerror", e => console.log("ERR", e));
  await p.goto(v.url + "/quiz");
  await until("hello", () => v.of("hello").length);
  const shot = n => p.screenshot({ path: `/tmp/mon/${name}-${n}.png` });
  await p.waitForTimeout(300); await shot("1pill");
  v.last.send({ t: "chat", id: "chat00001", from: "proctor", name: "Ms Sari", text: "Good morning. Write here if you need anything.", at: Date.now() - 60000 });
  v.last.send({ t: "command", id: "cmd000001", kind: "message", by: "Ms Sari", text: "Ten minutes left for page one. Please check that you have answered every question.", at: Date.now() });
  v.last.send({ t: "command", id: "cmd000002", kind: "extend", by: "Ms Sari", seconds: 600, at: Date.now() });
  v.last.send({ t: "time", now: Date.now(), end: Date.now() + 3600000 });
  await p.waitForTimeout(700); await shot("2cards");
  await p.locator(".pill").click(); await p.locator("textarea#vigil-text").fill("May I use scrap paper?"); await p.keyboard.press("Enter");
  await p.waitForTimeout(300); await shot("3drawer");
  for (const x of await p.getByRole("button", { name: /^(OK|Oke)$/ }).all()) await p.getByRole("button", { name: /^(OK|Oke)$/ }).first().click();
  await shot("4drawer-only");
  v.last.send({ t: "command", id: "cmd000003", kind: "warn", text: "Please keep your eyes on your own screen.", at: Date.now() });
  await p.waitForTimeout(200); await shot("5warn");
  await p.getByRole("button", { name: /understand|mengerti/ }).click();
  v.last.send({ t: "command", id: "cmd000004", kind: "pause", text: "Fire drill", at: Date.now() });
  v.last.send({ t: "time", now: Date.now(), end: Date.now() + 3600000, left: 754000 });
  v.last.send({ t: "state", state: "paused", version: 4, reason: "Fire drill", at: Date.now() });
  await p.waitForTimeout(300); await shot("6paused");
  v.last.send({ t: "state", state: "active", version: 5, at: Date.now() });
  await p.waitForTimeout(300); await shot("7resumed");
  v.down = true; v.refuse = { status: 503, duty: "retry", code: "unavailable" };
  v.last.destroy(); await p.waitForTimeout(6500); await shot("8offline");
  await p.close(); await v.stop();
}
await b.close();
