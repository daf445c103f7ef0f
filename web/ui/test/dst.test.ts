// Times on both sides of the end of summer time, in a zone that has one.
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { fullTime, timeText, zoneText } from "../src/dashboard/format";
import { words } from "../../../moodle-plugin/quizaccess_vigil/amd/src/strings";

// The types of these tests are a browser's.
const { env } = (globalThis as unknown as { process: { env: Record<string, string | undefined> } }).process;
const before = env.TZ;
const summer = Date.UTC(2026, 9, 25, 0, 30); // 02:30 in summer time
const winter = Date.UTC(2026, 9, 25, 1, 30); // 02:30 again
const june = Date.UTC(2026, 5, 1, 8, 0);
beforeAll(() => {
  env.TZ = "Europe/Berlin";
});
afterAll(() => {
  env.TZ = before;
});

describe("a time", () => {
  it("has the offset of its own moment, which is said where it is another than now's", () => {
    expect(new Date(june).getHours()).toBe(10); // else the zone is not the one of this test
    expect(timeText(summer, winter, "en")).toBe("02:30:00 GMT+2");
    expect(timeText(winter, winter, "en")).toBe("02:30:00");
    expect(timeText(winter, summer, "en", false)).toBe("02:30 GMT+1");
    expect(timeText(june, winter, "en", false)).toContain("10:00 GMT+2");
    expect(fullTime(june, "en")).toContain("2026, 10:00 GMT+2");
    expect([zoneText(june, "en"), zoneText(winter, "en")]).toEqual(["GMT+2", "GMT+1"]);
  });

  it("of the student's panel does so, too", () => {
    vi.useFakeTimers({ now: summer });
    expect(words("en").hour(summer)).not.toMatch(/GMT|CES?T/);
    expect(words("en").hour(winter)).toMatch(/GMT\+1|CET/);
    vi.useRealTimers();
  });
});

describe("the timeline's page", () => {
  beforeEach(() => vi.resetModules());
  const show = async (moments: number[], more: object = {}) => {
    const entries = moments.map((at) => ({
      type: "signal",
      at,
      recv: at + 5000,
      stream: "s",
      seq: at,
      kind: "hidden",
      severity: 0.1,
      ...more,
    }));
    document.body.innerHTML = `<script type="application/json" id="vigil-config">${JSON.stringify({ api: "/api", entries })}</script>
      <div class="table-wrap"><table id="timeline"><thead><tr><th>Time</th></tr></thead><tbody>${entries
        .map(() => "<tr data-type='signal'><td>00:30:00</td><td><time>00:30:00</time></td><td></td></tr>")
        .join("")}</tbody></table></div>`;
    await import("../src/pages/timeline");
    return [...document.querySelectorAll("#timeline tbody tr")].map((row) =>
      [...row.querySelectorAll("td")].slice(0, 2).map((c) => c.textContent),
    );
  };
  const note = () => document.querySelector("p.small.muted")?.textContent;

  it("names the offset that held at the exam, not today's", async () => {
    vi.useFakeTimers({ now: winter, toFake: ["Date"] });
    expect(await show([june])).toEqual([["Jun 1, 2026 10:00:05", "10:00:00"]]);
    expect(note()).toBe("Times are in your time zone (GMT+2).");
    vi.useRealTimers();
  });

  it("tells the two hours apart on the night at which summer time ends", async () => {
    expect(await show([summer, summer + 60_000, winter])).toEqual([
      ["Oct 25, 2026 02:30:05 GMT+2", "02:30:00 GMT+2"],
      ["02:31:05", "02:31:00 GMT+2"],
      ["02:30:05 GMT+1", "02:30:00 GMT+1"],
    ]);
    expect(note()).toContain("each with the offset from GMT that held then");
  });

  it("shows the year of a clock that cannot be right", async () => {
    expect((await show([Date.UTC(2003, 0, 1)], { recv: june, impossible: true }))[0]?.[1]).toBe("Jan 1, 2003, 01:00 GMT+1");
  });
});
