// What the list shows and in which order.
import type { JSX } from "preact";
import { useStore } from "./context";
import { GroupButton } from "./groupdialog";
import { Icon } from "./icons";
import { MissingButton } from "./missing";
import { filters, type SortKey } from "./order";
import { t, type Word } from "./words";

const sorts: SortKey[] = ["attention", "name", "group", "state", "left"];

export function Filters(): JSX.Element {
  const store = useStore();
  const n = store.groupCounts.value;
  const { all } = store.counts.value;
  const grouped = store.grouped.value;
  const everyone = store.access.value.all;
  return (
    <div class="filters">
      <div class="chips" role="group" aria-label={t("filters")}>
        {filters.map((f) => (
          <button
            key={f}
            type="button"
            class={`chip chip-${f}${f !== "all" && n[f] === 0 ? " chip-none" : ""}`}
            aria-pressed={store.filter.value === f}
            onClick={() => (store.filter.value = f)}
          >
            {t(`filter_${f}` as Word)} <span class="chip-count numbers">{n[f].toLocaleString(t.lang)}</span>
          </button>
        ))}
      </div>
      <div class="filters-line">
        <div class="search">
          <Icon name="search" />
          <input
            type="search"
            aria-label={t("search")}
            placeholder={t("search")}
            value={store.search.value}
            autocomplete="off"
            spellcheck={false}
            onInput={(e) => (store.search.value = e.currentTarget.value)}
          />
        </div>
        <label class="sort">
          <span class="small">{t("sort")}</span>
          <select value={store.sort.value} onChange={(e) => (store.sort.value = e.currentTarget.value as SortKey)}>
            {sorts
              .filter((s) => s !== "group" || grouped || store.sort.value === s)
              .map((s) => (
                <option key={s} value={s}>
                  {t(`sort_${s}` as Word)}
                </option>
              ))}
          </select>
        </label>
        {grouped && <GroupButton />}
        {store.config.members && <MissingButton />}
        {store.held.value && (
          <p class="held small muted">
            {t("order_held")}{" "}
            <button type="button" class="button-quiet button-small" onClick={() => store.arrange(true)}>
              {t("order_update")}
            </button>
          </p>
        )}
        <p class="shown small muted" role="status">
          {shownText(store.order.value.length, all, everyone)}
        </p>
      </div>
    </div>
  );
}

/** How many of the students are shown. */
export function shownText(shown: number, all: number, everyone: boolean): string {
  const word: Word = shown === all ? "shown" : shown === 0 ? "shown_none" : "shown_of";
  return t(everyone ? word : `${word}_seen`, { n: all, shown });
}
