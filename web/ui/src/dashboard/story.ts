// What the panel of one student shows: the timeline as the store has it, and what comes in live after it was opened.
import { signal } from "@preact/signals";
import { problemOf } from "./config";
import { entryOf, Feed, incidentID, type Entry, type Review, type ReviewState } from "./feed";
import type { Down } from "./protocol";
import type { Store } from "./store";

const mostPages = 40;

export class Story {
  readonly #feed = new Feed();
  readonly entries = signal<readonly Entry[]>([]);
  readonly loading = signal(true);
  readonly problem = signal("");
  /** There is more than was loaded. */
  readonly part = signal(false);
  /** Chat lines that were refused, with the server's words. */
  readonly refusals = signal<ReadonlyMap<string, string>>(new Map());
  readonly reviewProblem = signal("");
  #aborted = new AbortController();
  /** The last place that the server named: what stands after it is asked for again. */
  #after: string | undefined;
  #soon = 0;
  #soonAnew = false;

  constructor(
    private readonly store: Store,
    readonly session: string,
  ) {}

  get path(): string {
    return `${this.store.config.api}/sessions/${encodeURIComponent(this.session)}`;
  }

  /** Loads what there is: from where an earlier load ended, or (anew) all of it. */
  async load(anew = false): Promise<void> {
    this.loading.value = true;
    this.problem.value = "";
    // Two loads may be under way: each goes its own way through the pages.
    let after = anew ? undefined : this.#after;
    let restarted = false;
    try {
      let pages = 0;
      for (; pages < mostPages; pages++) {
        const query = after === undefined ? "" : `?after=${encodeURIComponent(after)}`;
        const response = await fetch(`${this.path}/timeline${query}`, {
          headers: { Accept: "application/json" },
          signal: this.#aborted.signal,
        });
        if (!response.ok) {
          // A place of another version of the server, which was replaced meanwhile.
          if (response.status === 400 && after !== undefined && !restarted) {
            this.#after = after = undefined;
            restarted = true;
            continue;
          }
          this.problem.value = await problemOf(response);
          break;
        }
        const body = (await response.json()) as { entries?: Entry[] | null; next?: string };
        for (const e of body.entries ?? []) this.#feed.add(e);
        this.#show();
        if (!body.next || body.next === after) break;
        this.#after = after = body.next;
      }
      this.part.value = pages >= mostPages;
    } catch (err) {
      if (this.#aborted.signal.aborted) return;
      this.problem.value = err instanceof Error ? err.message : String(err);
    }
    this.loading.value = false;
  }

  close(): void {
    clearTimeout(this.#soon);
    this.#aborted.abort();
  }

  take(frames: readonly Down[]): void {
    let changed = false;
    for (const f of frames) {
      const e = entryOf(f, this.session);
      // What a command says and what a state was changed for is in the store only. A command was given now; a state may have begun before the
      // end of what was loaded (a time that was over while all servers were stopped).
      if (e?.type === "command" && !this.#feed.has(e)) this.#loadSoon(false);
      if (f.t === "session" && f.row.id === this.session && f.row.life) this.#loadSoon(true);
      if (e) changed = this.#feed.add(e) || changed;
      // The server took our line: an acknowledgement names it by its id only.
      if (f.t === "ack" && f.id) {
        const line = this.entries.peek().find((x) => x.type === "chat" && x.id === f.id);
        if (line?.type === "chat") changed = this.#feed.add({ ...line, pending: false }) || changed;
      }
    }
    if (changed) this.#show();
  }

  #loadSoon(anew: boolean): void {
    clearTimeout(this.#soon);
    this.#soonAnew ||= anew;
    this.#soon = window.setTimeout(() => {
      void this.load(this.#soonAnew);
      this.#soonAnew = false;
    }, 1000);
  }

  /** Sends a chat line and shows it at once, as being sent. */
  chat(text: string): void {
    const id = this.store.chat(this.session, text);
    this.#feed.add({
      type: "chat",
      id,
      at: this.store.clock.now(),
      from: "proctor",
      name: this.store.config.you?.name,
      text,
      pending: true,
    });
    this.#show();
  }

  refused(id: string, message: string): void {
    this.refusals.value = new Map(this.refusals.value).set(id, message);
  }

  /** Records a review of an incident. */
  async review(entry: Entry, to: ReviewState): Promise<void> {
    const id = incidentID(entry);
    if (!id || (entry.type !== "signal" && entry.type !== "gap")) return;
    this.reviewProblem.value = "";
    if (entry.review?.version === undefined) {
      // It came in live: its version is in the store, as soon as it is stored.
      await this.load();
      const stored = this.entries.peek().find((e) => incidentID(e) === id);
      if (stored && (stored.type === "signal" || stored.type === "gap")) entry = stored;
    }
    try {
      const response = await fetch(`${this.path}/incidents/review`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({ id, review: to, version: entry.review?.version ?? 1 }),
      });
      if (!response.ok) {
        this.reviewProblem.value = await problemOf(response);
        // Someone else may have decided meanwhile: show it.
        if (response.status === 409) await this.load(true);
        return;
      }
      const answer = (await response.json().catch(() => ({}))) as Partial<Review> & { review?: ReviewState | Review };
      const review: Review =
        typeof answer.review === "object"
          ? answer.review
          : {
              state: (answer.review as ReviewState | undefined) ?? to,
              version: answer.version ?? (entry.review?.version ?? 1) + 1,
            };
      this.#feed.add({ ...entry, review });
      this.#show();
    } catch (err) {
      this.reviewProblem.value = err instanceof Error ? err.message : String(err);
    }
  }

  #show(): void {
    this.entries.value = this.#feed.list();
  }
}
