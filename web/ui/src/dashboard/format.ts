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

/** The time of day, with the date when it was not today. */
export function timeText(at: number, now: number, lang: Lang, seconds = true): string {
  const far = new Date(at).toDateString() !== new Date(now).toDateString();
  const key = `${lang}${far}${seconds}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(lang, {
      ...(far ? { day: "numeric", month: "short" } : {}),
      hour: "2-digit",
      minute: "2-digit",
      ...(seconds ? { second: "2-digit" } : {}),
      hourCycle: "h23",
    });
    formats.set(key, format);
  }
  return format.format(at);
}
