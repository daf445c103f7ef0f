import { afterEach, describe, expect, it } from "vitest";
import { shownText } from "../../src/dashboard/filters";
import { t } from "../../src/dashboard/words";

const lang = t.lang;
afterEach(() => {
  t.lang = lang;
});

describe("how many students are shown", () => {
  it("is told in words that also fit one student, and none", () => {
    const all = [
      [14, 14],
      [3, 14],
      [0, 14],
      [1, 1],
      [0, 1],
    ] as const;
    expect(all.map(([shown, of]) => shownText(shown, of, true))).toEqual([
      "14 students",
      "3 of 14 students",
      "None of 14 students shown",
      "1 student",
      "1 student, not shown",
    ]);
    expect(shownText(0, 1, false)).toBe("1 student of your groups, not shown");
    expect(shownText(2, 3, false)).toBe("2 of 3 students of your groups");
  });
});
