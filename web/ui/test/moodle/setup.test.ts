import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { awaitRegistration, explore, open, reach, tryBrowser } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/setup";
import { says } from "./fake/str";

const endpoint = "http://tool.test/api/v1/socket/token";
const socketURL = "ws://tool.test/socket";

/** A WebSocket that does what it is told as soon as somebody listens. */
const sockets = (act: (s: { onopen?: () => void; onclose?: (e: { code: number }) => void }) => void) => {
  const made: string[][] = [];
  class Fake {
    onopen?: () => void;
    onclose?: (e: { code: number }) => void;
    constructor(url: string, protocols: string[]) {
      made.push([url, ...protocols]);
      queueMicrotask(() => act(this));
    }
    close() {}
  }
  return Object.assign(Fake as unknown as typeof WebSocket, { made });
};
const opens = () =>
  sockets((s) => {
    s.onopen?.();
    s.onclose?.({ code: 1000 });
  });
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

  it("is asked for what any page may fetch, where the answer cannot be read", async () => {
    const ask = asks(new TypeError("CORS"), 200);
    await reach(endpoint, ask);
    expect(ask.mock.calls[1]).toMatchObject(["http://tool.test/assets/monitor.js", { method: "GET", mode: "no-cors" }]);
  });

  it("is not tried from https to http, which browsers refuse", async () => {
    vi.stubGlobal("location", { protocol: "https:" });
    const ask = asks(401);
    expect(await reach(endpoint, ask)).toBe("mixed");
    expect(ask).not.toHaveBeenCalled();
  });

  it("is tried without credentials, and shown", async () => {
    document.body.innerHTML =
      '<table><tr><td><b data-vigil="browser-good" hidden>OK</b><b data-vigil="browser-bad" hidden>Error</b></td><td data-vigil="browser-summary"></td></tr></table>';
    says.never = false;
    says.get = (key) => key;
    const ask = asks(401);
    vi.stubGlobal("fetch", ask);
    const native = opens();
    vi.stubGlobal("WebSocket", native);
    await tryBrowser(endpoint, socketURL);
    expect(native.made).toEqual([[socketURL, "vigil.v1", "vigil.check"]]);
    expect(ask.mock.calls[0]?.[1]).toMatchObject({ credentials: "omit", body: '{"assertion":""}' });
    expect([...document.querySelectorAll("b")].map((b) => b.hidden)).toEqual([false, true]);
    expect(document.querySelector('[data-vigil="browser-summary"]')?.textContent).toBe("health_browser_ok");
  });
});

describe("a WebSocket that is only tried", () => {
  it("is well when it was opened and closed in order", async () => {
    expect(await open(socketURL, opens())).toBe("ok");
  });

  it.each([
    ["is refused", 1006],
    ["is closed in order without having been open", 1000],
  ])("does not come through when it %s", async (_, code) => {
    expect(
      await open(
        socketURL,
        sockets((s) => s.onclose?.({ code })),
      ),
    ).toBe("socket");
  });

  it("does not come through when it breaks", async () => {
    expect(
      await open(
        socketURL,
        sockets((s) => {
          s.onopen?.();
          s.onclose?.({ code: 1006 });
        }),
      ),
    ).toBe("socket");
  });

  it("does not come through when it cannot even be made, or nothing happens", async () => {
    class Never {
      constructor() {
        throw new DOMException("no", "SecurityError");
      }
    }
    expect(await open(socketURL, Never as unknown as typeof WebSocket)).toBe("socket");
    vi.useFakeTimers();
    const silent = open(
      socketURL,
      sockets(() => {}),
    );
    await vi.advanceTimersByTimeAsync(8000);
    expect(await silent).toBe("socket");
    vi.useRealTimers();
  });

  it("is forbidden by the site's own policy when the browser says so of the tool", async () => {
    const violate = (blockedURI: string) => () =>
      document.dispatchEvent(Object.assign(new Event("securitypolicyviolation"), { blockedURI }));
    vi.stubGlobal("fetch", asks(401, 401));
    vi.stubGlobal(
      "WebSocket",
      sockets((s) => {
        s.onclose?.({ code: 1006 });
        setTimeout(violate("ws://tool.test/socket"));
      }),
    );
    expect(await explore(endpoint, socketURL)).toBe("csp");
    vi.stubGlobal(
      "WebSocket",
      sockets((s) => {
        violate("https://elsewhere.test/x.png")();
        s.onclose?.({ code: 1006 });
      }),
    );
    expect(await explore(endpoint, socketURL)).toBe("socket");
  });

  it("is not tried when the tool is not reached", async () => {
    vi.stubGlobal("fetch", asks(new TypeError("net"), new TypeError("net")));
    const native = opens();
    vi.stubGlobal("WebSocket", native);
    expect(await explore(endpoint, socketURL)).toBe("down");
    expect(native.made).toEqual([]);
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
      set src(to: string) {
        order.push(to);
      },
    } as unknown as HTMLIFrameElement);
    went = [];
    vi.spyOn(window.location, "assign").mockImplementation((url) => void went.push(String(url)));
    awaitRegistration("http://moodle.test/setup");
  });
  const say = (source: unknown, data: unknown) => window.dispatchEvent(Object.assign(new Event("message"), { source, data }));

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
