import { launch } from "./browser.mjs"; import { readdirSync, readFileSync } from "node:fs";
const b = await launch(); const p = await b.newPage({ viewport: { width: 1900, height: 1000 } });
for (const [out, re, w] of [["wide-light", /^1280-light/, 460], ["wide-dark", /^1280-dark/, 460], ["n-light", /^360-light/, 225], ["n-dark", /^360-dark/, 225], ["zoom", /^320/, 320]]) {
  const f = readdirSync("/tmp/mon").filter(x => re.test(x)).sort();
  await p.setContent(`<body style="margin:4px;background:#888">` + f.map(x => `<img style="width:${w}px;margin:2px;vertical-align:top" src="data:image/png;base64,${readFileSync("/tmp/mon/" + x).toString("base64")}">`).join(""));
  await p.screenshot({ path: `/tmp/mon/_${out}.png`, fullPage: true });
}
await b.close();
