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
  #after: string | number | undefined;
  #soon = 0;

  constructor(
    private readonly store: Store,
    readonly session: string,
  ) {}

  get path(): string {
    return `${this.store.config.api}/sessions/${encodeURIComponent(this.session)}`;
  }

  /** Loads what there is, from where an earlier load ended. */
  async load(): Promise<void> {
    this.loading.value = true;
    this.problem.value = "";
    try {
      let pages = 0;
      for (; pages < mostPages; pages++) {
        const query = this.#after === undefined ? "" : `?after=${encodeURIComponent(this.#after)}`;
        const response = await fetch(`${this.path}/timeline${query}`, { headers: { Accept: "application/json" }, signal: this.#aborted.signal });
        if (!response.ok) {
          this.problem.value = await problemOf(response);
          break;
        }
        const body = (await response.json()) as { entries?: Entry[] | null; next?: string | number };
        for (const e of body.entries ?? []) this.#feed.add(e);
        this.#show();
        if (body.next === undefined || body.next === "" || body.next === 0 || body.next === this.#after) break;
        this.#after = body.next;
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
      // What a command says and what a state was changed for is in the store only.
      if ((e?.type === "command" && !this.#feed.has(e)) || (f.t === "session" && f.row.id === this.session && f.row.life)) this.#loadSoon();
      if (e) changed = this.#feed.add(e) || changed;
      // The server took our line: an acknowledgement names it by its id only.
      if (f.t === "ack" && f.id) {
        const line = this.entries.peek().find((x) => x.type === "chat" && x.id === f.id);
        if (line?.type === "chat") changed = this.#feed.add({ ...line, pending: false }) || changed;
      }
    }
    if (changed) this.#show();
  }

  #loadSoon(): void {
    clearTimeout(this.#soon);
    this.#soon = window.setTimeout(() => void this.load(), 1000);
  }

  /** Sends a chat line and shows it at once, as being sent. */
  chat(text: string): void {
    const id = this.store.chat(this.session, text);
    this.#feed.add({ type: "chat", id, at: this.store.clock.now(), from: "proctor", name: this.store.config.you?.name, text, pending: true });
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
        if (response.status === 409) await this.#again();
        return;
      }
      const answer = (await response.json().catch(() => ({}))) as Partial<Review> & { review?: ReviewState | Review };
      const review: Review =
        typeof answer.review === "object" ? answer.review : { state: (answer.review as ReviewState | undefined) ?? to, version: answer.version ?? (entry.review?.version ?? 1) + 1 };
      this.#feed.add({ ...entry, review });
      this.#show();
    } catch (err) {
      this.reviewProblem.value = err instanceof Error ? err.message : String(err);
    }
  }

  async #again(): Promise<void> {
    this.#after = undefined;
    await this.load();
  }

  #show(): void {
    this.entries.value = this.#feed.list();
  }
}
