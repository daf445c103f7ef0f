import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { awaitRegistration, reach, tryBrowser } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/setup";
import { says } from "./fake/str";

const endpoint = "http://tool.test/api/v1/socket/token";
const asks = (...answers: (number | Error)[]) => {
  const list = [...answers];
  return vi.fn(async () => {
    const next = list.shift();
    if (typeof next !== "number") throw next;
    return new Response(null, { status: next });
  }) as unknown as typeof fetch & ReturnType<typeof vi.fn>;
};

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("the way from this browser to the tool", () => {
  it.each([
    ["is open when a refusal can be read", [401], "ok"],
    ["is broken when the answer is a server's fault", [502], "down"],
    ["is closed to this site's pages when only the answer cannot be read", [new TypeError("CORS"), 200], "origin"],
    ["is not there when nothing answers", [new TypeError("net"), new TypeError("net")], "down"],
  ])("%s", async (_, answers, found) => {
    expect(await reach(endpoint, asks(...(answers as (number | Error)[])))).toBe(found);
  });

  it("is not tried from https to http, which browsers refuse", async () => {
    vi.stubGlobal("location", { protocol: "https:" });
    const ask = asks(401);
    expect(await reach(endpoint, ask)).toBe("mixed");
    expect(ask).not.toHaveBeenCalled();
  });

  it("is tried without credentials, and shown", async () => {
    document.body.innerHTML = '<table><tr><td data-vigil="browser-status"></td><td data-vigil="browser-summary"></td></tr></table>';
    says.never = false;
    says.get = (key) => key;
    const ask = asks(401);
    vi.stubGlobal("fetch", ask);
    await tryBrowser(endpoint);
    expect(ask.mock.calls[0]?.[1]).toMatchObject({ credentials: "omit", body: '{"assertion":""}' });
    expect(document.body.textContent).toBe("health_browser_goodhealth_browser_ok");
  });
});

describe("the end of a registration", () => {
  const inside = {};
  let went: string[];
  let order: string[];
  beforeEach(() => {
    order = [];
    const listen = window.addEventListener.bind(window);
    vi.spyOn(window, "addEventListener").mockImplementation((...a: Parameters<typeof listen>) => {
      order.push(a[0]);
      listen(...a);
    });
    vi.spyOn(document, "querySelector").mockReturnValue({
      contentWindow: inside,
      getAttribute: () => "http://moodle.test/register",
      set src(to: string) { order.push(to); },
    } as unknown as HTMLIFrameElement);
    went = [];
    vi.spyOn(window.location, "assign").mockImplementation((url) => void went.push(String(url)));
    awaitRegistration("http://moodle.test/setup");
  });
  const say = (source: unknown, data: unknown) =>
    window.dispatchEvent(Object.assign(new Event("message"), { source, data }));

  it("is listened for before the frame begins, and believed of the frame alone", () => {
    expect(order).toEqual(["message", "http://moodle.test/register"]);
    say({}, { subject: "org.imsglobal.lti.close" });
    say(inside, { subject: "something.else" });
    say(inside, null);
    expect(went).toEqual([]);
    say(inside, { subject: "org.imsglobal.lti.close" });
    expect(went).toEqual(["http://moodle.test/setup"]);
  });
});
