// The monitor for a page of someone else's: the demo LMS, or any platform that shows quizzes. The page says what it needs
// to know in <script type="application/json" id="vigil-config">:
//
//   {"tokenEndpoint": "…", "assertionURL": "…", "lang": "en", "page": 2, "pages": 3, "attempt": "17", "back": "…",
//    "stamp": "…"}
//
// stamp is what the platform says of this page, signed (docs/assertion.md, page stamp); it may be left out.
// assertionURL answers {"assertion": "…"} to this student; it names the attempt, and no two attempts share one. A status
// of 403, 404 or 410 says that there will be no assertion any more.
import { init, type Monitor } from "../../../moodle-plugin/quizaccess_vigil/amd/src/monitor";
import { Refusal } from "../../../moodle-plugin/quizaccess_vigil/amd/src/token";

interface PageConfig {
  tokenEndpoint: string;
  assertionURL: string;
  lang?: string;
  page?: number | string;
  pages?: number;
  attempt?: number | string;
  back?: string;
  stamp?: string;
}

async function assertion(url: string): Promise<string> {
  const response = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" });
  if (!response.ok) {
    const over = [403, 404, 410].includes(response.status);
    throw new Refusal(over ? "stop" : "retry", over ? "forbidden" : "assertion", "");
  }
  const answer = (await response.json()) as { assertion?: unknown };
  if (typeof answer.assertion !== "string") throw new Error("no assertion");
  return answer.assertion;
}

function start(): Monitor | undefined {
  const source = document.getElementById("vigil-config");
  if (!source) return undefined;
  const config = JSON.parse(source.textContent || "{}") as PageConfig;
  return init({
    tokenEndpoint: config.tokenEndpoint,
    assertion: () => assertion(config.assertionURL),
    key: [config.tokenEndpoint, config.assertionURL, config.attempt ?? ""].join("|"),
    lang: config.lang || document.documentElement.lang,
    page: config.page,
    pages: config.pages,
    mount: document.getElementById("vigil-panel") ?? undefined,
    back: config.back,
    stamp: config.stamp,
  });
}

start();
