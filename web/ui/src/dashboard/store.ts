// The dashboard's state and what can be done to it. Components read its signals and call its methods; frames come in here.
import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { accessOf, compareAccess, fullAccess, may, rightOf, type Access } from "./access";
import { Activity } from "./activity";
import { alertOfSignal, alertsOf, Alerts } from "./alerts";
import { answered, makeBatch, undoOf, withProgress, type Action, type Batch, type Details } from "./batch";
import { ServerClock } from "./clock";
import type { Config } from "./config";
import { groupCounts, inGroups, type Chosen, type GroupCount } from "./groups";
import { Link } from "./link";
import type { Student } from "./merge";
import { compare, counts, matches, nameOf, passes, type Dismissed, type Filter, type SortKey } from "./order";
import { newID, type Down, type ExamView, type NoticeFrame, type Right } from "./protocol";
import { Roster } from "./roster";
import { Story } from "./story";
import { listed, named, t } from "./words";

/** A dialog that asks for the details of a command. */
export interface Ask {
  action: Action;
  targets: string[];
  all: boolean;
}

/** Something that changed for this person, in words. */
export interface Said {
  key: number;
  text: string;
  /** It is of what this person may do or sees: the next word on that takes its place. */
  access: boolean;
}

export class Store {
  readonly clock = new ServerClock();
  readonly roster = new Roster();
  readonly activity = new Activity();
  readonly alerts: Alerts;
  readonly link: Link;

  /** The server's time, once a second. */
  readonly now = signal(0);
  /** performance.now(), once a second, for what is about this page's own link. */
  readonly mono = signal(performance.now());
  readonly exam = signal<ExamView | undefined>(undefined);
  readonly access = signal<Access>(fullAccess);
  /** Raised when this person may see others than before: what was asked of the server is to be asked again. */
  readonly sight = signal(0);
  /** What this person was told of their rights and of whom they see, oldest first. */
  readonly said = signal<readonly Said[]>([]);
  readonly notices = signal<readonly NoticeFrame["kind"][]>([]);
  /** When the link went down, by the server's clock; 0 while it is up. */
  readonly stale = signal(0);

  readonly filter = signal<Filter>("all");
  readonly sort = signal<SortKey>("attention");
  readonly search = signal("");
  readonly chosen = signal<Chosen>(new Set());
  /** The groups that there are; none where the platform tells of none. */
  readonly groups = signal<readonly GroupCount[]>([]);
  readonly grouped = computed(() => this.groups.value.length > 0);
  /** Ids as shown, in order. */
  readonly order = signal<readonly string[]>([]);
  readonly counts = signal(counts([]));
  /** As counts, of the students in the chosen groups. */
  readonly groupCounts = signal(counts([]));
  /** The order on screen is not the newest one, because someone works in the list. */
  readonly held = signal(false);
  readonly selection = signal<ReadonlySet<string>>(new Set());
  readonly dismissed = signal<Dismissed>(loadDismissed());

  readonly batches = signal<readonly Batch[]>([]);
  readonly ask = signal<Ask | undefined>(undefined);
  readonly story = signal<Story | undefined>(undefined);
  readonly openID = computed(() => this.story.value?.session);

  #holding = false;
  #arrange = 0;
  #arrangedAt = 0;
  #welcomed = false;
  #said = 0;

  constructor(readonly config: Config) {
    this.clock.sample(config.now || Date.now());
    this.now.value = this.clock.now();
    if (config.rights !== undefined) this.access.value = accessOf({ rights: config.rights, all: true });
    this.alerts = new Alerts((session) => this.open(session));
    this.link = new Link({
      exam: config.exam.id,
      tokenEndpoint: config.tokenEndpoint,
      clock: this.clock,
      onFrames: (frames) => this.receive(frames),
      onDropped: (id, message) => this.#dropped(id, message),
    });
  }

  start(): void {
    const tick = (): void => {
      batch(() => {
        this.now.value = this.clock.now();
        this.mono.value = performance.now();
      });
    };
    window.setInterval(() => {
      if (document.visibilityState === "visible") tick();
    }, 1000);
    window.setInterval(() => {
      if (this.roster.loaded.value && this.stale.value === 0) this.activity.offline(this.counts.value.offline, this.clock.now());
    }, 5000);
    document.addEventListener("visibilitychange", tick);
    for (const event of ["pointerdown", "keydown"]) addEventListener(event, this.alerts.unlock, { once: true });
    effect(() => {
      const open = this.link.state.value.is === "open";
      if (open) {
        // What happened meanwhile may have begun before it: a gap is known long after it began.
        if (this.stale.peek() > 0) void this.story.peek()?.load(true);
        this.stale.value = 0;
      } else if (this.stale.peek() === 0) {
        this.stale.value = this.clock.now();
      }
    });
    effect(() => {
      // A change of what is wanted is shown at once, the students' own changes at a pace that eyes can follow.
      void [this.filter.value, this.sort.value, this.search.value, this.chosen.value, this.dismissed.value];
      this.arrange(true);
    });
    effect(() => {
      const state = this.link.state.value;
      if (state.is === "stopped" && state.why === "forbidden") untracked(() => this.#forget());
    });
    effect(() => {
      void this.roster.version.value;
      this.#arrangeSoon();
    });
    effect(() => {
      const n = this.counts.value.attention;
      document.title = `${n > 0 ? `(${n}) ` : ""}${this.config.exam.title} – Vigil`;
    });
    this.link.start();
  }

  receive(frames: readonly Down[]): void {
    const first = !this.roster.loaded.peek();
    batch(() => {
      const gone: Student[] = [];
      const changes = this.roster.apply(frames, gone);
      const now = this.clock.now();
      if (!first) {
        for (const c of changes) {
          for (const a of alertsOf(c)) {
            // What comes from the student whose panel is open is seen anyway, but a sound does no harm.
            this.alerts.raise(a.kind, c.after.id, a.text, now);
          }
        }
      }
      for (const f of frames) this.#take(f, now, first);
      if (gone.length > 0) this.#gone(gone);
      // A snapshot holds what was told while this page was away.
      const progress = frames.flatMap((f) =>
        f.t === "progress" ? [f] : f.t === "snapshot" ? (f.rows ?? []).flatMap((r) => r.lms ?? []) : [],
      );
      if (progress.length > 0 && this.batches.value.length > 0) {
        this.batches.value = this.batches.value.map((b) => withProgress(b, ...progress));
        for (const id of new Set(progress.map((p) => p.id))) {
          if (!this.link.unsettled(id)) continue;
          const b = this.batches.value.find((x) => x.ids.includes(id));
          if (!b || answered(b, id)) this.link.settle(id);
        }
      }
      this.story.peek()?.take(frames);
    });
  }

  #take(f: Down, now: number, first: boolean): void {
    switch (f.t) {
      case "welcome":
        this.exam.value = f.exam;
        this.notices.value = [];
        this.#grant(accessOf(f.access), this.#welcomed);
        this.#welcomed = true;
        break;
      case "access":
        this.#grant(accessOf(f), true);
        break;
      case "notice": {
        const rest = this.notices.value.filter((k) => k !== f.kind);
        this.notices.value = f.over ? rest : [...rest, f.kind];
        break;
      }
      case "signal": {
        this.activity.signal(f, now);
        const s = this.roster.get(f.session);
        const alert = s && !first ? alertOfSignal(f, s) : undefined;
        if (alert) this.alerts.raise(alert.kind, f.session, alert.text, now, `${f.session}/${f.stream}/${f.seq}`);
        break;
      }
    }
  }

  // Rights.

  may(right: Right): boolean {
    return may(this.access.value, right);
  }

  /** Whether this person may do an action to anyone at all. */
  allows(action: Action): boolean {
    return this.may(rightOf(action));
  }

  /** The person may do, or sees, something else from now on. tell: they saw it otherwise before. */
  #grant(next: Access, tell: boolean): void {
    const change = compareAccess(this.access.peek(), next);
    this.access.value = next;
    this.sight.value++; // also where it says the same: then the groups are others
    const words: string[] = [];
    if (change.lost.length > 0)
      words.push(
        t("rights_lost", {
          what: listed(
            change.lost.map((r) => named("right", r)),
            "or",
          ),
        }),
      );
    if (change.given.length > 0)
      words.push(
        t("rights_given", {
          what: listed(
            change.given.map((r) => named("right", r)),
            "and",
          ),
        }),
      );
    if (change.seen) words.push(t(`seen_${change.seen}`));
    const ask = this.ask.peek();
    if (ask && !this.allows(ask.action)) {
      this.ask.value = undefined;
      words.push(t("dialog_closed", { what: named("do", ask.action) }));
    }
    if (change.lost.includes("watch")) this.#forget();
    if (tell && words.length > 0) this.#say(words.join(" "), true);
  }

  /** Nothing of any student stays on the page of someone who may not watch them. */
  #forget(): void {
    batch(() => {
      this.open(undefined);
      this.ask.value = undefined;
      this.clearSelection();
      for (const b of this.batches.peek()) this.forget(b);
      this.alerts.forget();
      this.roster.clear();
      this.said.value = [];
    });
  }

  /** Students whom this person does not see any more, or who are not there any more. */
  #gone(gone: readonly Student[]): void {
    const ids = new Set(gone.map((s) => s.id));
    this.alerts.forget(ids);
    if ([...this.selection.peek()].some((id) => ids.has(id))) this.select(ids, false);
    const words: string[] = [];
    if (!this.access.peek().all) words.push(t("gone", { n: gone.length }));
    const shown = gone.find((s) => s.id === this.openID.peek());
    if (shown) {
      this.open(undefined);
      words.push(t("panel_closed", { name: nameOf(shown) }));
    }
    const ask = this.ask.peek();
    if (ask && !ask.all && !ask.targets.some((id) => this.roster.students.has(id))) {
      this.ask.value = undefined;
      words.push(t("dialog_closed_gone", { what: named("do", ask.action) }));
    }
    if (words.length > 0) this.#say(words.join(" "));
  }

  #say(text: string, access = false): void {
    const said = this.said.peek().filter((s) => !access || !s.access);
    this.said.value = [...said, { key: ++this.#said, text, access }].slice(-3);
  }

  unsay(key: number): void {
    this.said.value = this.said.value.filter((s) => s.key !== key);
  }

  // The list.

  student(id: string): Student | undefined {
    return this.roster.get(id);
  }

  /** Someone reaches for a row: the order stays until they leave. */
  hold(on: boolean): void {
    if (this.#holding === on) return;
    this.#holding = on;
    if (!on) this.#arrangeSoon();
  }

  #arrangeSoon(): void {
    if (this.#arrange) return;
    const pace = this.roster.students.size > 500 ? 1000 : 300;
    const wait = Math.max(0, this.#arrangedAt + pace - performance.now());
    this.#arrange = window.setTimeout(() => this.arrange(false), wait);
  }

  /** Sorts and filters again. anew: the person asked for it, so a held order gives way. */
  arrange(anew: boolean): void {
    clearTimeout(this.#arrange);
    this.#arrange = 0;
    this.#arrangedAt = performance.now();
    const dismissed = this.dismissed.peek();
    const students = this.roster.all();
    const chosen = this.chosen.peek();
    this.groups.value = groupCounts(students, chosen, this.groups.peek());
    const among = chosen.size === 0 ? students : students.filter((s) => inGroups(s, chosen));
    this.counts.value = counts(students, dismissed);
    this.groupCounts.value = among === students ? this.counts.peek() : counts(among, dismissed);
    const wanted = among
      .filter((s) => passes(s, this.filter.peek(), dismissed) && matches(s, this.search.peek()))
      .sort(compare(this.sort.peek(), this.clock.now(), dismissed))
      .map((s) => s.id);
    const shown = this.order.peek();
    if (this.#holding && !anew) {
      // Those who are shown keep their places, new ones come after them.
      const there = new Set(shown);
      const kept = shown.filter((id) => this.roster.students.has(id));
      const next = [...kept, ...wanted.filter((id) => !there.has(id))];
      this.held.value = !equal(next, wanted);
      if (!equal(next, shown)) this.order.value = next;
      return;
    }
    this.held.value = false;
    if (!equal(wanted, shown)) this.order.value = wanted;
  }

  select(ids: Iterable<string>, on: boolean): void {
    const next = new Set(this.selection.value);
    for (const id of ids)
      if (on) next.add(id);
      else next.delete(id);
    this.selection.value = next;
  }

  clearSelection(): void {
    this.selection.value = new Set();
  }

  /** The selected students who are still there. */
  selected(): Student[] {
    return [...this.selection.value].map((id) => this.roster.get(id)).filter((s) => s !== undefined);
  }

  // The panel.

  open(session: string | undefined): void {
    this.story.peek()?.close();
    this.story.value = session === undefined ? undefined : new Story(this, session);
    void this.story.value?.load();
  }

  // Commands.

  command(action: Action, targets: readonly string[], all: boolean, details: Details): void {
    if (!this.allows(action)) return;
    const { batch: made, frames } = makeBatch(action, targets, all, details, this.clock.now());
    if (frames.length === 0) return;
    this.batches.value = [made, ...this.batches.value].slice(0, 50);
    for (const f of frames) this.link.keep(f);
  }

  undo(b: Batch): void {
    const undo = undoOf(b);
    if (!undo) return;
    this.batches.value = this.batches.value.map((x) => (x.key === b.key ? { ...x, undone: true } : x));
    this.command(undo.action, undo.targets, false, {});
  }

  forget(b: Batch): void {
    for (const id of b.ids) this.link.settle(id);
    this.batches.value = this.batches.value.filter((x) => x.key !== b.key);
  }

  chat(session: string, text: string): string {
    const id = newID();
    this.link.keep({ t: "chat", id, session, text });
    return id;
  }

  /** Chat and raised hand are dealt with. */
  seen(session: string): void {
    if (!this.may("talk")) return;
    this.link.send({ t: "seen", session });
  }

  /** Puts a bad answer of the LMS aside. */
  dismiss(session: string, command: string): void {
    const next = new Set(this.dismissed.value).add(session + command);
    this.dismissed.value = next;
    try {
      sessionStorage.setItem(dismissedKey, JSON.stringify([...next].slice(-500)));
    } catch {
      // It holds for this page.
    }
  }

  #dropped(id: string, message: string): void {
    this.batches.value = this.batches.value.map((b) => (b.ids.includes(id) ? { ...b, problem: message } : b));
    this.story.peek()?.refused(id, message);
  }
}

const dismissedKey = "vigil.dismissed";

function loadDismissed(): Dismissed {
  try {
    return new Set(JSON.parse(sessionStorage.getItem(dismissedKey) ?? "[]") as string[]);
  } catch {
    return new Set();
  }
}

function equal(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
