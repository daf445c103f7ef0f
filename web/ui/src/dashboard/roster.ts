// All students of the exam, one signal each, so that a change draws one row again and no other. Frames come in batches.
import { batch, signal, type Signal } from "@preact/signals";
import { mergeProgress, mergeRow, SnapshotPages, type Student } from "./merge";
import type { Down } from "./protocol";

/** What changed, for alerts: the student before and after. */
export interface Change {
  before: Student | undefined;
  after: Student;
}

export class Roster {
  readonly students = new Map<string, Signal<Student>>();
  /** Raised when any student changed, came or went. */
  readonly version = signal(0);
  /** Raised when students came or went. */
  readonly members = signal(0);
  /** A whole snapshot has been seen. */
  readonly loaded = signal(false);
  #pages = new SnapshotPages();

  get(id: string): Student | undefined {
    return this.students.get(id)?.peek();
  }

  all(): Student[] {
    return Array.from(this.students.values(), (s) => s.peek());
  }

  /** Another connection: a snapshot that was under way will not be finished. */
  restart(): void {
    this.#pages.reset();
  }

  /** Forgets everyone: this person may not watch any more. */
  clear(): void {
    batch(() => {
      this.students.clear();
      this.#pages.reset();
      this.loaded.value = false;
      this.version.value++;
      this.members.value++;
    });
  }

  /** Takes frames in order. What the first snapshot brings is no news; a later one tells what was missed. Who went is added to gone. */
  apply(frames: readonly Down[], gone: Student[] = []): Change[] {
    const news: Change[] = [];
    let changed = false;
    let members = false;
    batch(() => {
      for (const f of frames) {
        switch (f.t) {
          case "welcome":
            this.restart();
            break;
          case "snapshot": {
            const rows = f.rows ?? [];
            for (const row of rows) {
              const before = this.get(row.id);
              const after = mergeRow(before, row, true);
              if (before === after) continue;
              members = this.#put(after) || members;
              changed = true;
              if (this.loaded.peek()) news.push({ before, after });
            }
            const named = this.#pages.page(
              f.number,
              f.page,
              f.last ?? false,
              rows.map((r) => r.id),
            );
            if (!named) break;
            this.loaded.value = true;
            for (const [id, s] of this.students) {
              if (named.has(id)) continue;
              gone.push(s.peek());
              this.students.delete(id);
              changed = members = true;
            }
            break;
          }
          case "session": {
            this.#pages.touch(f.row.id);
            const before = this.get(f.row.id);
            const after = mergeRow(before, f.row);
            if (before === after) break;
            members = this.#put(after) || members;
            changed = true;
            news.push({ before, after });
            break;
          }
          case "progress": {
            const before = this.get(f.session);
            if (!before) break;
            const after = mergeProgress(before, f);
            if (before === after) break;
            this.#put(after);
            changed = true;
            break;
          }
        }
      }
      if (changed) this.version.value++;
      if (members) this.members.value++;
    });
    return news;
  }

  #put(s: Student): boolean {
    const held = this.students.get(s.id);
    if (held) {
      held.value = s;
      return false;
    }
    this.students.set(s.id, signal(s));
    return true;
  }
}
