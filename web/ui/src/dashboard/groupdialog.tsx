// Which groups the list shows. A course may have hundreds: they can be searched.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useStore } from "./context";
import { noGroup, type GroupCount } from "./groups";
import { Icon } from "./icons";
import { fold } from "./order";
import { t } from "./words";

const label = (g: GroupCount): string => (g.id === noGroup ? t("no_group") : g.name);

export function GroupButton(): JSX.Element {
  const store = useStore();
  const open = useSignal(false);
  const chosen = store.chosen.value;
  const only = chosen.size === 1 ? store.groups.value.find((g) => chosen.has(g.id)) : undefined;
  const words =
    chosen.size === 0 ? t("groups_all") : only ? t("groups_one", { name: label(only) }) : t("groups_n", { n: chosen.size });
  return (
    <>
      <button
        type="button"
        class={`button-small group-button${chosen.size > 0 ? " group-button-on" : ""}`}
        aria-haspopup="dialog"
        onClick={() => (open.value = true)}
      >
        <Icon name="people" />
        <span class="clamp">{words}</span>
      </button>
      {open.value && <GroupDialog close={() => (open.value = false)} />}
    </>
  );
}

function GroupDialog({ close }: { close: () => void }): JSX.Element {
  const store = useStore();
  const element = useRef<HTMLDialogElement>(null);
  const search = useSignal("");
  const chosen = store.chosen.value;
  const first = useRef(store.chosen.peek()); // chosen before: in sight among hundreds

  useEffect(() => {
    const back = document.activeElement;
    element.current?.showModal();
    return () => {
      if (back instanceof HTMLElement && back.isConnected) back.focus({ preventScroll: true });
    };
  }, []);

  const wanted = fold(search.value).split(/\s+/).filter(Boolean);
  const found = store.groups.value.filter((g) => {
    const name = fold(label(g));
    return wanted.every((w) => name.includes(w));
  });
  const ordered = [...found.filter((g) => first.current.has(g.id)), ...found.filter((g) => !first.current.has(g.id))];
  const choose = (id: string, on: boolean): void => {
    const next = new Set(store.chosen.peek());
    if (on) next.add(id);
    else next.delete(id);
    store.chosen.value = next;
  };
  return (
    <dialog class="ask" ref={element} aria-labelledby="groups-title" onClose={close}>
      <h2 id="groups-title">{t("groups_title")}</h2>
      <p class="small muted">{t("groups_about")}</p>
      <div class="search">
        <Icon name="search" />
        <input
          type="search"
          aria-label={t("groups_search")}
          placeholder={t("groups_search")}
          value={search.value}
          autocomplete="off"
          spellcheck={false}
          onInput={(e) => (search.value = e.currentTarget.value)}
        />
      </div>
      <p class="small muted group-found" role="status">
        {found.length === 0 ? t("groups_not_found") : t("groups_found", { n: found.filter((g) => g.id !== noGroup).length })}
      </p>
      {found.length > 0 && (
        <ul class="group-list plain" aria-label={t("groups")}>
          {ordered.map((g) => (
            <li key={g.id}>
              <label class="check">
                <input type="checkbox" checked={chosen.has(g.id)} onChange={(e) => choose(g.id, e.currentTarget.checked)} />
                <span class="group-name">{label(g)}</span>
                <span class="numbers muted small">{t("shown", { n: g.count })}</span>
              </label>
            </li>
          ))}
        </ul>
      )}
      <div class="row ask-buttons">
        <button type="button" disabled={chosen.size === 0} onClick={() => (store.chosen.value = new Set())}>
          {t("groups_clear")}
        </button>
        <button type="button" class="button-primary" onClick={() => element.current?.close()}>
          {t("close")}
        </button>
      </div>
    </dialog>
  );
}
