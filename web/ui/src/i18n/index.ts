// Words on the tool's pages, in English and Indonesian. A page makes its dictionary once:
//
//   const t = translator({ en: { hello: "Hello, {name}" }, id: { hello: "Halo, {name}" } }, pageLang());
//   t("hello", { name: "Ayu" });
//
// A key that a language lacks falls back to English; the type checker asks that every language has every key.

/** Languages that every page speaks. */
export const languages = ["en", "id"] as const;
export type Lang = (typeof languages)[number];

export type Params = Record<string, string | number>;

/** Words of one language. A value with "one" and "other" is chosen by the parameter n. */
export type Words<K extends string> = Record<K, string | { one?: string; other: string }>;
export type Dictionary<K extends string> = Record<Lang, Words<K>>;

export interface Translate<K extends string> {
  (key: K, params?: Params): string;
  lang: Lang;
}

/** The first of our languages that a list of BCP 47 tags asks for; English if none. */
export function pickLang(...wanted: (string | null | undefined)[]): Lang {
  for (const tag of wanted) {
    const primary = (tag ?? "").toLowerCase().split(/[-_]/)[0];
    // "in" is what old Java systems, and so some LMSs, call Indonesian.
    if (primary === "in") return "id";
    for (const lang of languages) if (lang === primary) return lang;
  }
  return "en";
}

/** The language that the server chose for this page (<html lang>), else the browser's. */
export function pageLang(): Lang {
  return pickLang(document.documentElement.lang, ...navigator.languages);
}

export function translator<K extends string>(words: Dictionary<K>, lang: Lang): Translate<K> {
  const rules = new Intl.PluralRules(lang);
  const t = (key: K, params: Params = {}): string => {
    const entry = words[lang][key] ?? words.en[key];
    let text: string;
    if (typeof entry === "string") text = entry;
    else text = rules.select(Number(params.n ?? 0)) === "one" ? (entry.one ?? entry.other) : entry.other;
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = params[name];
      if (value === undefined) return whole;
      return typeof value === "number" ? value.toLocaleString(lang) : value;
    });
  };
  return Object.assign(t, { lang });
}
