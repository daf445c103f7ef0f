// Times and lengths of time in words and figures.
import type { Lang } from "../i18n/index";

/** h:mm:ss or m:ss; a countdown. Seconds are rounded up, so that 0:00 means over. */
export function clockText(ms: number): string {
  const s = Math.ceil(Math.max(0, ms) / 1000);
  const two = (n: number): string => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  const m = Math.floor(s / 60) % 60;
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

const units: Record<Lang, { d: string; h: string; m: string; s: string }> = {
  en: { d: "d", h: "h", m: "min", s: "s" },
  id: { d: "hr", h: "jam", m: "mnt", s: "dtk" },
};

/** A length of time in its one or two largest units: 42 s, 3 min, 1 h 5 min. */
export function lengthText(ms: number, lang: Lang): string {
  const u = units[lang];
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} ${u.s}`;
  const m = Math.floor(s / 60);
  if (m < 10) return s % 60 ? `${m} ${u.m} ${s % 60} ${u.s}` : `${m} ${u.m}`;
  if (m < 60) return `${m} ${u.m}`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 ? `${h} ${u.h} ${m % 60} ${u.m}` : `${h} ${u.h}`;
  return `${Math.floor(h / 24)} ${u.d}`;
}

/** As lengthText, in one unit: for columns. */
export function shortLength(ms: number, lang: Lang): string {
  const u = units[lang];
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} ${u.s}`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} ${u.m}`;
  const h = Math.floor(m / 60);
  return h < 48 ? `${h} ${u.h}` : `${Math.floor(h / 24)} ${u.d}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(key: string, lang: Lang, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  let format = formats.get(lang + key);
  if (!format) {
    format = new Intl.DateTimeFormat(lang, { ...options, hourCycle: "h23" });
    formats.set(lang + key, format);
  }
  return format;
}

/** Minutes that the reader's clock is ahead of UTC at a moment: it changes where summer time begins and ends. */
export function offsetAt(at: number): number {
  return -new Date(at).getTimezoneOffset();
}

/**
 * The time of day, with the date when it was not today. A moment at which the reader's clock was ahead of UTC by something else than now is shown
 * with its own offset: on the night at which summer time ends an hour comes twice.
 */
export function timeText(at: number, now: number, lang: Lang, seconds = true): string {
  const far = new Date(at).toDateString() !== new Date(now).toDateString();
  const other = offsetAt(at) !== offsetAt(now);
  return formatOf(`${far}${seconds}${other}`, lang, {
    ...(far ? { day: "numeric", month: "short" } : {}),
    hour: "2-digit",
    minute: "2-digit",
    ...(seconds ? { second: "2-digit" } : {}),
    ...(other ? { timeZoneName: "shortOffset" } : {}),
  }).format(at);
}

/** A moment that may be of any year, with the offset that held then. */
export function fullTime(at: number, lang: Lang): string {
  return formatOf("full", lang, {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "shortOffset",
  }).format(at);
}

/** The offset of the reader's clock at a moment, as it is written beside times: GMT+2. */
export function zoneText(at: number, lang: Lang): string {
  return (
    formatOf("zone", lang, { timeZoneName: "shortOffset" })
      .formatToParts(at)
      .find((p) => p.type === "timeZoneName")?.value ?? ""
  );
}
