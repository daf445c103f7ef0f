import { describe, expect, it } from "vitest";
import { pickLang, translator } from "../src/i18n/index";

describe("pickLang", () => {
  it.each([
    [["id-ID", "en"], "id"],
    [["in"], "id"],
    [["fr", "id"], "id"],
    [["fr", "de"], "en"],
    [["", null, undefined], "en"],
    [["EN_us"], "en"],
  ])("of %j is %s", (wanted, want) => {
    expect(pickLang(...wanted)).toBe(want);
  });
});

describe("translator", () => {
  const words = {
    en: { hello: "Hello, {name}", left: { one: "{n} minute left", other: "{n} minutes left" } },
    id: { hello: "Halo, {name}", left: { other: "{n} menit lagi" } },
  };

  it("fills in parameters and chooses the plural", () => {
    const t = translator(words, "en");
    expect(t("hello", { name: "Ayu" })).toBe("Hello, Ayu");
    expect(t("left", { n: 1 })).toBe("1 minute left");
    expect(t("left", { n: 2000 })).toBe("2,000 minutes left");
  });

  it("uses a language's only plural form and its number format", () => {
    const t = translator(words, "id");
    expect(t("left", { n: 1 })).toBe("1 menit lagi");
    expect(t("left", { n: 2000 })).toBe("2.000 menit lagi");
  });

  it("leaves a placeholder alone that has no value", () => {
    expect(translator(words, "en")("hello")).toBe("Hello, {name}");
  });
});
