// What this proctor may do and whom they see. The server holds to it; here it decides what is offered.
import type { Action } from "./batch";
import type { AccessView, Right } from "./protocol";

export const rights: readonly Right[] = ["watch", "talk", "time", "end", "reopen", "review", "export"];

export interface Access {
  rights: readonly Right[];
  all: boolean; // sees everyone, also those who are in no group
}

/** That of everyone whose platform tells nothing of groups and rights. */
export const fullAccess: Access = { rights, all: true };

/** What the server said; it leaves zeros out. Nothing said means that everything is allowed. */
export function accessOf(view: AccessView | undefined): Access {
  if (!view) return fullAccess;
  const told = view.rights ?? [];
  return { rights: rights.filter((r) => told.includes(r)), all: view.all ?? false };
}

/** Without the right to watch none of the others counts. */
export function may(a: Access, r: Right): boolean {
  return a.rights.includes("watch") && a.rights.includes(r);
}

/** The right that an action needs. */
export function rightOf(action: Action): Right {
  switch (action) {
    case "flag":
    case "note":
      return "watch";
    case "message":
    case "warn":
      return "talk";
    case "admit":
    case "pause":
    case "resume":
    case "extend":
    case "grant":
    case "refuse":
      return "time";
    case "terminate":
      return "end";
    case "reactivate":
      return "reopen";
  }
}

export interface AccessChange {
  lost: readonly Right[];
  given: readonly Right[];
  /** Whom the person sees is told differently: everyone now, or the students of their groups only now. */
  seen?: "all" | "some";
}

/** What differs between two; of who may not watch any more, or again, that alone is worth saying. */
export function compareAccess(old: Access, next: Access): AccessChange {
  const lost = rights.filter((r) => may(old, r) && !may(next, r));
  const given = rights.filter((r) => !may(old, r) && may(next, r));
  if (lost.includes("watch")) return { lost: ["watch"], given: [] };
  const seen = old.all === next.all || given.includes("watch") ? undefined : next.all ? "all" : "some";
  return { lost, given: given.includes("watch") ? ["watch"] : given, ...(seen ? { seen } : {}) };
}
