// What can be done with those who are selected. It sticks to the bottom, within reach of a thumb.
import type { JSX } from "preact";
import { fits, type Action } from "./batch";
import { useStore } from "./context";
import { Icon } from "./icons";
import { named, t } from "./words";

const actions: Action[] = ["message", "warn", "pause", "resume", "extend", "admit", "grant", "refuse", "flag", "note", "terminate"];
/** Shown only where someone selected needs them. */
const seldom = new Set<Action>(["admit", "resume", "grant", "refuse"]);

export function BulkBar(): JSX.Element | null {
  const store = useStore();
  const { selection } = store;
  void store.roster.version.value;
  if (selection.value.size === 0) return null;
  const chosen = store.selected();
  const shown = new Set(store.order.value);
  const hidden = chosen.filter((s) => !shown.has(s.id)).length;
  const pause = store.exam.value?.pause !== false;
  return (
    <section class="bulk" aria-label={t("selected", { n: chosen.length })}>
      <p class="bulk-n">
        <strong class="numbers">{t("selected", { n: chosen.length })}</strong>
        {hidden > 0 && <span class="small muted">{t("selected_hidden", { n: hidden })}</span>}
        <button type="button" class="button-quiet button-small" onClick={() => store.clearSelection()}>
          <Icon name="close" />
          {t("clear")}
        </button>
      </p>
      <div class="bulk-actions" role="group">
        {actions.map((a) => {
          if (!store.allows(a)) return null;
          const n = chosen.filter((s) => fits(a, s)).length;
          if ((seldom.has(a) && n === 0) || (a === "pause" && !pause)) return null;
          return (
            <button
              key={a}
              type="button"
              class={`button-small${a === "terminate" ? " button-danger" : ""}`}
              disabled={n === 0}
              onClick={() => (store.ask.value = { action: a, targets: chosen.map((s) => s.id), all: false })}
            >
              {named("do", a)}
            </button>
          );
        })}
      </div>
    </section>
  );
}
