// Groups of students: which there are, who is in one, and their order.
import type { Membership, Student } from "./merge";

/** What stands for "in no group" among the chosen ones. No group of a platform has it for an id. */
export const noGroup = "";

/** The ids of the groups whose students are shown; none chosen: everyone is. */
export type Chosen = ReadonlySet<string>;

export interface GroupCount {
  id: string;
  name: string; // "" of noGroup
  count: number;
}

const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

// A membership is never changed, only replaced, so its text holds as long as it lives.
const texts = new WeakMap<Membership, string>();

/** The names of a student's groups in their order; "" for none. */
export function groupText(s: Student): string {
  const { list } = s.groups;
  if (list.length < 2) return list[0]?.name ?? "";
  let text = texts.get(s.groups);
  if (text === undefined) {
    text = list
      .map((g) => g.name)
      .sort(byName.compare)
      .join(", ");
    texts.set(s.groups, text);
  }
  return text;
}

/** By the names of their groups; who is in none comes last. */
export function compareGroups(a: Student, b: Student): number {
  const x = groupText(a);
  const y = groupText(b);
  if (x === y) return 0;
  if (!x || !y) return x ? -1 : 1;
  return byName.compare(x, y);
}

/** Whether the student is in one of the chosen groups. */
export function inGroups(s: Student, chosen: Chosen): boolean {
  if (chosen.size === 0) return true;
  const { list } = s.groups;
  return list.length === 0 ? chosen.has(noGroup) : list.some((g) => chosen.has(g.id));
}

/**
 * The groups that there are, by name and with how many students each has; "no group" is last, where anyone is in none.
 * Empty where nobody is in a group. Chosen ones stay, also when their last student has gone, by the names in old.
 */
export function groupCounts(students: readonly Student[], chosen: Chosen, old: readonly GroupCount[]): readonly GroupCount[] {
  const found = new Map<string, GroupCount & { version: number }>();
  let without = 0;
  for (const { groups } of students) {
    if (groups.list.length === 0) without++;
    for (const g of groups.list) {
      const known = found.get(g.id);
      if (!known) {
        found.set(g.id, { id: g.id, name: g.name, count: 1, version: groups.version });
        continue;
      }
      known.count++;
      // A group that was renamed: some students were told of it before.
      if (groups.version > known.version) {
        known.name = g.name;
        known.version = groups.version;
      }
    }
  }
  for (const g of old)
    if (g.id !== noGroup && chosen.has(g.id) && !found.has(g.id)) found.set(g.id, { ...g, count: 0, version: 0 });
  if (found.size === 0 && !chosen.has(noGroup)) return none;
  const out: GroupCount[] = Array.from(found.values(), ({ id, name, count }) => ({ id, name, count }));
  out.sort((a, b) => byName.compare(a.name, b.name) || (a.id < b.id ? -1 : 1));
  if (without > 0 || chosen.has(noGroup)) out.push({ id: noGroup, name: "", count: without });
  return same(out, old) ? old : out;
}

const none: readonly GroupCount[] = [];

function same(a: readonly GroupCount[], b: readonly GroupCount[]): boolean {
  return a.length === b.length && a.every((g, i) => g.id === b[i]?.id && g.name === b[i]?.name && g.count === b[i]?.count);
}
