import { render } from "preact";
import { describe, expect, it } from "vitest";
import type { Progress, State } from "../../src/dashboard/protocol";
import { ProgressWords } from "../../src/dashboard/results";

const words = (p: Partial<Progress>, state?: State): string => {
  const box = document.createElement("div");
  render(<ProgressWords p={{ kind: "pause", stage: "queued", ...p }} state={state} />, box);
  return box.textContent ?? "";
};

describe("what came of a command", () => {
  const problem = "The attempt is over in the learning platform.";

  it("is told with the LMS's reason where it refused a pause, also where the student had seen it", () => {
    for (const stage of ["refused", "seen"] as const) {
      const text = words({ stage, ...(stage === "refused" ? { problem } : {}), lms: { state: "refused", problem } });
      expect(text).toMatch(/^not possible/);
      expect(text.split(problem).length).toBe(2);
      expect(text).toContain("The pause was taken back");
    }
  });

  it("is told with what to do where it refused to let an attempt go on", () => {
    expect(words({ kind: "resume", stage: "refused", problem, lms: { state: "refused", problem } })).toContain(
      "Look at the state of the attempt",
    );
  });

  it("does not take back a flag, nor what only Vigil does", () => {
    expect(words({ kind: "flag", stage: "done", lms: { state: "refused", problem } })).toMatch(
      /^done.*The flag stays in Vigil's report\.$/,
    );
    expect(words({ kind: "pause", stage: "seen", lms: { state: "failed" } })).toMatch(/^seen/);
  });

  it("is kept, for extra time before the attempt begins", () => {
    expect(words({ kind: "extend", lms: { state: "waiting" } }, "ready")).toBe("kept until the attempt begins");
    expect(
      words(
        {
          kind: "extend",
          lms: { state: "waiting", status: "none", problem: "The attempt has not begun in the learning platform." },
        },
        "active",
      ),
    ).toBe("kept until the attempt begins");
    expect(words({ kind: "extend", lms: { state: "waiting" } }, "active")).toBe("not delivered yet · LMS has not answered");
    expect(words({ kind: "pause", lms: { state: "waiting" } }, "ready")).not.toContain("kept");
  });
});
