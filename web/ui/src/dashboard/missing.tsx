// Who is enrolled and has not come, as far as the LMS tells.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { problemOf } from "./config";
import { useStore } from "./context";
import { t } from "./words";

interface Member {
  user: string;
  name?: string;
  session?: string;
}

export function MissingButton(): JSX.Element {
  const open = useSignal(false);
  return (
    <>
      <button type="button" class="button-small" onClick={() => (open.value = true)}>
        {t("missing")}
      </button>
      {open.value && <Missing close={() => (open.value = false)} />}
    </>
  );
}

function Missing({ close }: { close: () => void }): JSX.Element {
  const store = useStore();
  const element = useRef<HTMLDialogElement>(null);
  const members = useSignal<Member[] | undefined>(undefined);
  const problem = useSignal("");

  useEffect(() => {
    const back = document.activeElement;
    element.current?.showModal();
    return () => {
      if (back instanceof HTMLElement && back.isConnected) back.focus({ preventScroll: true });
    };
  }, []);

  // Whom this person sees may change while the dialog is open.
  const sight = store.sight.value;
  useEffect(() => {
    const stop = new AbortController();
    members.value = undefined;
    problem.value = "";
    void (async () => {
      try {
        const response = await fetch(`${store.config.api}/members`, {
          headers: { Accept: "application/json" },
          signal: stop.signal,
        });
        const answer = response.ok
          ? (((await response.json()) as { members?: Member[] }).members ?? [])
          : await problemOf(response);
        if (stop.signal.aborted) return; // it was answered of whom they saw before
        if (typeof answer === "string") problem.value = answer;
        else members.value = answer;
      } catch (err) {
        if (!stop.signal.aborted) problem.value = err instanceof Error ? err.message : String(err);
      }
    })();
    return () => stop.abort();
  }, [sight]);

  // Who came while the dialog is open leaves the list.
  void store.roster.members.value;
  const here = new Set(store.roster.all().map((s) => s.who.user));
  const all = members.value;
  const missing = (all ?? [])
    .filter((m) => !m.session && !here.has(m.user))
    .sort((a, b) => (a.name ?? a.user).localeCompare(b.name ?? b.user));
  return (
    <dialog class="ask" ref={element} aria-labelledby="missing-title" onClose={close}>
      <h2 id="missing-title">{t("missing_title")}</h2>
      <div role="status">
        {problem.value ? (
          <p class="note note-warn">{t("missing_failed", { problem: problem.value })}</p>
        ) : !all ? (
          <p>{t("missing_loading")}</p>
        ) : missing.length === 0 ? (
          <p>{t(store.access.value.all ? "missing_none" : "missing_none_seen")}</p>
        ) : (
          <p>{t("missing_n", { n: missing.length, total: all.length })}</p>
        )}
      </div>
      {missing.length > 0 && (
        <ul class="missing">
          {missing.map((m) => (
            <li key={m.user}>{m.name || m.user}</li>
          ))}
        </ul>
      )}
      <div class="row ask-buttons">
        <button type="button" onClick={() => element.current?.close()}>
          {t("close")}
        </button>
      </div>
    </dialog>
  );
}
