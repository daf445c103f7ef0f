// The list of students: a grid of rows of one height, of which only those near the screen exist when there are many.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useStore } from "./context";
import type { Student } from "./merge";
import { StudentRow } from "./row";
import type { SortKey } from "./order";
import { span, type Span } from "./window";
import { t, type Word } from "./words";

const columns: { name: string; word: Word; sort?: SortKey }[] = [
  { name: "name", word: "col_name", sort: "name" },
  { name: "group", word: "col_group", sort: "group" }, // shown where the platform tells of groups
  { name: "state", word: "col_state", sort: "state" },
  { name: "conn", word: "col_connection" },
  { name: "left", word: "col_left", sort: "left" },
  { name: "inc", word: "col_incidents" },
  { name: "signs", word: "col_signs" },
];

export function List(): JSX.Element {
  const store = useStore();
  const order = store.order.value;
  // Who went and came back between two orders has another signal under the same id.
  void store.roster.members.value;
  const body = useRef<HTMLDivElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const shown = useSignal<Span & { height: number }>({ ...span(order.length, 60, 0, innerHeight), height: 60 });
  const current = useSignal<string | undefined>(undefined); // row that has, or will get, the focus
  const anchor = useRef<string | undefined>(undefined); // where a range of selected rows begins
  const focusNext = useRef(false);

  const measure = (): void => {
    const element = body.current;
    if (!element) return;
    const box = element.getBoundingClientRect();
    const height =
      parseFloat(getComputedStyle(element).getPropertyValue("--row")) *
        parseFloat(getComputedStyle(document.documentElement).fontSize) || 60;
    const next = span(store.order.peek().length, height, box.top, innerHeight);
    const old = shown.peek();
    if (next.from !== old.from || next.to !== old.to || next.after !== old.after || height !== old.height)
      shown.value = { ...next, height };
  };

  useEffect(() => {
    let frame = 0;
    const soon = (): void => {
      if (!frame)
        frame = requestAnimationFrame(() => {
          frame = 0;
          measure();
        });
    };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    const watch = new ResizeObserver(soon);
    watch.observe(document.body);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
      watch.disconnect();
    };
  }, []);
  // Not after every drawing: what it measures depends on what was drawn.
  useLayoutEffect(measure, [order.length]);

  // Someone whose pointer or focus is among the rows must not have them moved away; an idle pointer does not count for long.
  useEffect(() => {
    const element = body.current;
    if (!element) return;
    let timer = 0;
    const busy = (): void => {
      store.hold(true);
      clearTimeout(timer);
      timer = window.setTimeout(() => store.hold(false), 6000);
    };
    const leave = (): void => {
      clearTimeout(timer);
      timer = window.setTimeout(() => store.hold(false), 400);
    };
    element.addEventListener("pointermove", busy, { passive: true });
    element.addEventListener("keydown", busy);
    element.addEventListener("pointerleave", leave);
    return () => {
      clearTimeout(timer);
      store.hold(false);
      element.removeEventListener("pointermove", busy);
      element.removeEventListener("keydown", busy);
      element.removeEventListener("pointerleave", leave);
    };
  }, []);

  const { from, before, height } = shown.value;
  const to = Math.min(shown.value.to, order.length);
  const after = Math.max(0, order.length - to) * height;
  const focus = current.value !== undefined && order.includes(current.value) ? current.value : order[0];
  // Tab must find a row also when the current one was scrolled away.
  const at = focus === undefined ? -1 : order.indexOf(focus);
  const entry = at >= from && at < to ? focus : order[Math.min(to - 1, from + (from > 0 ? 10 : 0))];

  useLayoutEffect(() => {
    if (!focusNext.current) return;
    focusNext.current = false;
    const row = document.getElementById(`row-${focus}`);
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  });

  const moveTo = (index: number): void => {
    const i = Math.max(0, Math.min(order.length - 1, index));
    const id = order[i];
    if (id === undefined) return;
    focusNext.current = true;
    current.value = id;
    // A row far away is not in the page yet: scroll there, the rows follow, then it gets the focus.
    if (!document.getElementById(`row-${id}`)) {
      const y = (body.current?.getBoundingClientRect().top ?? 0) + scrollY + i * height - innerHeight / 2;
      scrollTo(0, y);
      measure();
    }
  };

  const range = (to: string): void => {
    const from = order.indexOf(anchor.current ?? to);
    const end = order.indexOf(to);
    if (from < 0 || end < 0) return;
    store.select(order.slice(Math.min(from, end), Math.max(from, end) + 1), true);
  };

  const toggle = (id: string, shift: boolean): void => {
    if (shift && anchor.current !== undefined && anchor.current !== id) {
      range(id);
    } else {
      store.select([id], !store.selection.value.has(id));
    }
    anchor.current = id;
  };

  const onKeyDown = (e: KeyboardEvent): void => {
    if (focus === undefined || (e.target as Element).closest("input, button, a") !== null) {
      if (!["ArrowDown", "ArrowUp"].includes(e.key)) return;
    }
    const i = order.indexOf(focus as string);
    const page = Math.max(1, Math.floor(innerHeight / height) - 3);
    let next: number | undefined;
    switch (e.key) {
      case "ArrowDown":
        next = i + 1;
        break;
      case "ArrowUp":
        next = i - 1;
        break;
      case "PageDown":
        next = i + page;
        break;
      case "PageUp":
        next = i - page;
        break;
      case "Home":
        next = 0;
        break;
      case "End":
        next = order.length - 1;
        break;
      case " ":
        e.preventDefault();
        toggle(focus as string, e.shiftKey);
        return;
      case "Enter":
        e.preventDefault();
        store.open(focus);
        return;
      case "a":
        if (!e.ctrlKey && !e.metaKey) return;
        e.preventDefault();
        store.select(order, true);
        return;
      case "Escape":
        if (store.selection.value.size > 0) store.clearSelection();
        return;
      default:
        return;
    }
    e.preventDefault();
    if (e.shiftKey && next !== undefined && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
      anchor.current ??= focus;
      const reached = order[Math.max(0, Math.min(order.length - 1, next))];
      if (reached !== undefined) store.select([focus as string, reached], true);
    }
    moveTo(next ?? i);
  };

  const all = order.length > 0 && order.every((id) => store.selection.value.has(id));
  const some = !all && store.selection.value.size > 0;
  const sort = store.sort.value;
  const grouped = store.grouped.value;
  return (
    <div class="list-wrap">
      <div
        class={`grid${grouped ? " grid-groups" : ""}`}
        role="grid"
        ref={grid}
        aria-label={t("students")}
        aria-rowcount={order.length + 1}
        aria-multiselectable="true"
        aria-describedby="list-keys"
        onKeyDown={onKeyDown}
      >
        <div role="rowgroup" class="grid-head">
          <div role="row" class="tr tr-head" aria-rowindex={1}>
            <div role="columnheader" class="td td-check">
              <input
                type="checkbox"
                aria-label={t("select_all", { n: order.length })}
                checked={all}
                ref={(e) => {
                  if (e) e.indeterminate = some;
                }}
                onChange={(e) => (e.currentTarget.checked ? store.select(order, true) : store.clearSelection())}
              />
            </div>
            {columns
              .filter((c) => c.name !== "group" || grouped)
              .map((c) => (
                <div
                  key={c.name}
                  role="columnheader"
                  class={`td td-${c.name}`}
                  aria-sort={c.sort === undefined ? undefined : sort === c.sort ? "ascending" : "none"}
                >
                  {c.sort === undefined ? (
                    t(c.word)
                  ) : (
                    <button
                      type="button"
                      class={`sorter${sort === c.sort ? " sorter-on" : ""}`}
                      onClick={() => (store.sort.value = sort === c.sort ? "attention" : (c.sort as SortKey))}
                    >
                      {t(c.word)}
                    </button>
                  )}
                </div>
              ))}
          </div>
        </div>
        <div role="rowgroup" class="grid-body" ref={body}>
          {before > 0 && <div role="presentation" style={{ blockSize: `${before}px` }} />}
          {order.slice(from, to).map((id, i) => {
            const student = store.roster.students.get(id);
            return (
              student && (
                <StudentRow
                  key={id}
                  student={student}
                  index={from + i + 2}
                  current={id === entry}
                  onFocus={(s: Student) => {
                    current.value = s.id;
                  }}
                  onToggle={toggle}
                />
              )
            );
          })}
          {after > 0 && <div role="presentation" style={{ blockSize: `${after}px` }} />}
        </div>
      </div>
      {order.length === 0 && (
        <div class="nobody">
          <h2>{t("nobody_title")}</h2>
          <p class="muted">
            {store.filter.value === "attention" && store.search.value === "" && store.chosen.value.size === 0
              ? t("nobody_attention")
              : t("nobody_body")}
          </p>
          <button
            type="button"
            class="button-small"
            onClick={() => {
              store.filter.value = "all";
              store.search.value = "";
              store.chosen.value = new Set();
            }}
          >
            {t("show_all")}
          </button>
        </div>
      )}
      <p class="sr-only" id="list-keys">
        {t("keys")}
      </p>
    </div>
  );
}
