// What should make a proctor look up: sound, desktop notification, a line for screen readers. None of it before the first
// snapshot, and never more often than a person can take.
import { signal } from "@preact/signals";
import { isEnded, isLost, nameOf, severityStep } from "./order";
import type { Change } from "./roster";
import type { SignalFrame } from "./protocol";
import type { Student } from "./merge";
import { named, t } from "./words";

export type AlertKind = "hand" | "urgent" | "chat" | "lost" | "severe";
export interface Alert {
  kind: AlertKind;
  session: string;
  text: string;
  at: number;
}

export interface Settings {
  sound: boolean;
  volume: number; // 0 to 1
  desktop: boolean;
}

const storeKey = "vigil.alerts";
const fallback: Settings = { sound: true, volume: 0.6, desktop: false };

export function loadSettings(storage: Pick<Storage, "getItem"> | undefined): Settings {
  try {
    const value = JSON.parse(storage?.getItem(storeKey) ?? "{}") as Partial<Settings>;
    return {
      sound: typeof value.sound === "boolean" ? value.sound : fallback.sound,
      volume: typeof value.volume === "number" && value.volume >= 0 && value.volume <= 1 ? value.volume : fallback.volume,
      desktop: typeof value.desktop === "boolean" ? value.desktop : fallback.desktop,
    };
  } catch {
    return { ...fallback };
  }
}

/** The alerts that a change of a student is worth. */
export function alertsOf(c: Change): { kind: AlertKind; text: string }[] {
  const { before, after } = c;
  const out: { kind: AlertKind; text: string }[] = [];
  const name = nameOf(after);
  if (after.tally.hand && after.tally.hand !== before?.tally.hand && !isEnded(after))
    out.push({ kind: "hand", text: t("say_hand", { name }) });
  if ((after.tally.unread ?? 0) > (before?.tally.unread ?? 0)) {
    if (after.life.state === "paused") out.push({ kind: "urgent", text: t("say_urgent", { name }) });
    else out.push({ kind: "chat", text: t("say_chat", { name }) });
  }
  if (isLost(after) && before && !isLost(before)) out.push({ kind: "lost", text: t("say_lost", { name }) });
  return out;
}

/** A signal from high severity on is worth one. */
export function alertOfSignal(f: SignalFrame, s: Student): { kind: AlertKind; text: string } | undefined {
  if (!f.incident || severityStep(f.severity ?? 0) < 3) return undefined;
  return { kind: "severe", text: t("say_severe", { name: nameOf(s), what: named("kind", f.kind) }) };
}

function storage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined; // refused in some frames
  }
}

export class Alerts {
  readonly settings = signal<Settings>(loadSettings(storage()));
  /** The latest ones, newest first. */
  readonly latest = signal<readonly Alert[]>([]);
  /** What a screen reader should say; changes at most every few seconds. */
  readonly spoken = signal("");
  /** The browser wants a click before it plays anything. */
  readonly blocked = signal(false);
  #audio: AudioContext | undefined;
  #waiting: Alert[] = [];
  #timer = 0;
  #next = 0; // no sound before, by performance.now()
  #seen = new Set<string>();
  /** Of whom the words are that were spoken last. */
  #spokenOf: readonly string[] = [];
  /** The notification that is shown: each takes the place of the one before. */
  #shown: { note: Notification; of: readonly string[] } | undefined;

  constructor(private readonly onOpen: (session: string) => void) {}

  change(settings: Partial<Settings>): void {
    this.settings.value = { ...this.settings.value, ...settings };
    try {
      storage()?.setItem(storeKey, JSON.stringify(this.settings.value));
    } catch {
      // A full or refused storage: the choice holds for this page.
    }
  }

  /** Any click or key lets the browser play sounds from then on. */
  unlock = (): void => {
    this.#audio ??= typeof AudioContext === "undefined" ? undefined : new AudioContext();
    void this.#audio?.resume().then(() => {
      this.blocked.value = this.#audio?.state !== "running";
    });
  };

  raise(kind: AlertKind, session: string, text: string, at: number, once = ""): void {
    if (once) {
      if (this.#seen.has(once)) return;
      if (this.#seen.size > 20_000) this.#seen.clear();
      this.#seen.add(once);
    }
    const alert = { kind, session, text, at };
    this.latest.value = [alert, ...this.latest.value].slice(0, 30);
    this.#waiting.push(alert);
    // A chat line that is not urgent is shown and spoken, but not sounded.
    if (document.visibilityState === "hidden") this.#tell();
    else if (this.#waiting.length === 1) this.#timer = window.setTimeout(() => this.#tell(), this.spoken.value ? 4000 : 600);
    if (kind !== "chat") this.#sound(kind);
  }

  /** Nothing more of those whom this person does not see any more; undefined: of anybody. */
  forget(gone?: ReadonlySet<string>): void {
    const of = (session: string): boolean => !gone || gone.has(session);
    this.latest.value = this.latest.value.filter((a) => !of(a.session));
    this.#waiting = this.#waiting.filter((a) => !of(a.session));
    if (this.#waiting.length === 0) clearTimeout(this.#timer);
    if (this.#spokenOf.some(of)) {
      this.spoken.value = "";
      this.#spokenOf = [];
    }
    if (this.#shown?.of.some(of)) {
      this.#shown.note.close();
      this.#shown = undefined;
    }
  }

  #tell(): void {
    clearTimeout(this.#timer);
    const all = this.#waiting;
    this.#waiting = [];
    const first = all.slice(0, 3).map((a) => a.text);
    if (all.length > 3) first.push(t("say_more", { n: all.length - 3 }));
    const text = first.join(". ");
    // The same words twice are no change for a screen reader.
    this.spoken.value = text === this.spoken.value ? `${text}\u00a0` : text;
    this.#spokenOf = all.map((a) => a.session);
    const loud = all.filter((a) => a.kind !== "chat");
    if (loud.length > 0) this.#notify(loud, text);
  }

  #notify(all: Alert[], text: string): void {
    if (
      !this.settings.value.desktop ||
      document.hasFocus() ||
      typeof Notification === "undefined" ||
      Notification.permission !== "granted"
    )
      return;
    try {
      const note = new Notification(document.title, { body: text, tag: "vigil" });
      // The words are of those who were not loud, too.
      this.#shown = { note, of: this.#spokenOf };
      note.onclick = () => {
        window.focus();
        if (all[0]) this.onOpen(all[0].session);
        note.close();
      };
    } catch {
      // Phones allow notifications from service workers only.
    }
  }

  test(): void {
    this.unlock();
    this.#next = 0;
    this.#sound("hand");
  }

  #sound(kind: AlertKind): void {
    const { sound, volume } = this.settings.value;
    const now = performance.now();
    if (!sound || volume === 0 || now < this.#next) return;
    this.#next = now + 2500;
    this.#audio ??= typeof AudioContext === "undefined" ? undefined : new AudioContext();
    const audio = this.#audio;
    if (!audio) return;
    if (audio.state !== "running") {
      this.blocked.value = true;
      return;
    }
    // Two soft tones: rising when someone asks for you, falling when something went wrong.
    const tones = kind === "hand" || kind === "urgent" ? [660, 880] : [520, 390];
    tones.forEach((frequency, i) => {
      const from = audio.currentTime + i * 0.16;
      const tone = audio.createOscillator();
      const gain = audio.createGain();
      tone.type = "sine";
      tone.frequency.value = frequency;
      gain.gain.setValueAtTime(0, from);
      gain.gain.linearRampToValueAtTime(volume * 0.35, from + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, from + 0.3);
      tone.connect(gain).connect(audio.destination);
      tone.start(from);
      tone.stop(from + 0.32);
    });
  }
}
