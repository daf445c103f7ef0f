// The talk with one student.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useStore } from "./context";
import { timeText } from "./format";
import type { ChatEntry } from "./feed";
import type { Student } from "./merge";
import { isEnded, nameOf } from "./order";
import { t, type Word } from "./words";

const canned: Word[] = ["canned_1", "canned_2", "canned_3", "canned_5"];

export function Chat({ s }: { s: Student }): JSX.Element | null {
  const store = useStore();
  const text = useSignal("");
  const field = useRef<HTMLTextAreaElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const story = store.story.value;
  const lines = (story?.entries.value ?? []).filter((e): e is ChatEntry => e.type === "chat").reverse();
  const unread = s.tally.unread ?? 0;
  const hand = s.tally.hand ?? 0;
  const talk = store.may("talk");

  // What is on the screen of someone who looks is read. With a raised hand it is not: "seen" would lower the hand, too.
  useEffect(() => {
    if (unread === 0 || hand > 0 || !talk) return;
    const timer = window.setTimeout(() => {
      if (document.visibilityState === "visible" && document.hasFocus()) store.seen(s.id);
    }, 1200);
    return () => clearTimeout(timer);
  }, [unread, hand > 0, talk, s.id]);

  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length]);

  if (!story) return null;
  const over = isEnded(s);
  const bytes = new TextEncoder().encode(text.value.trim()).length;
  const send = (e: Event): void => {
    e.preventDefault();
    const line = text.value.trim();
    if (!line || bytes > 2000) return;
    story.chat(line);
    text.value = "";
    field.current?.focus(); // the button goes out of use, and the next line follows often
    if (unread > 0 && hand === 0) store.seen(s.id);
  };
  return (
    <div class="chat">
      {lines.length === 0 && !story.loading.value && <p class="muted small">{t(talk ? "chat_empty" : "chat_nothing")}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must get there */}
      <div class="chat-lines" ref={box} tabIndex={0} role="log" aria-label={t("tab_chat")}>
        <ol class="plain">
          {lines.map((line) => {
            const refused = story.refusals.value.get(line.id);
            const mine = line.from !== "student";
            return (
              <li
                key={line.id}
                class={`line${mine ? " line-mine" : ""}${line.urgent ? " line-urgent" : ""}${refused ? " line-refused" : ""}`}
              >
                <span class="line-text">{line.text}</span>
                <span class="line-foot">
                  {mine ? line.name || t("chat_you") : nameOf(s)} ·{" "}
                  <span class="numbers">{timeText(line.at, store.now.value, t.lang, false)}</span>
                  {line.urgent && (
                    <>
                      {" "}
                      · <strong>{t("chat_urgent")}</strong>
                    </>
                  )}
                  {refused ? <> · {t("chat_failed", { problem: refused })}</> : line.pending && <> · {t("chat_sending")}</>}
                </span>
              </li>
            );
          })}
        </ol>
      </div>
      {talk && unread > 0 && hand > 0 && (
        <button type="button" class="button-small" onClick={() => store.seen(s.id)}>
          {t("mark_read")}
        </button>
      )}
      {over ? (
        <p class="muted small">{t(s.life.state === "stopped" ? "chat_stopped" : "chat_over")}</p>
      ) : !talk ? (
        <p class="muted small">{t("chat_read_only")}</p>
      ) : (
        <form class="chat-form" onSubmit={send}>
          <div class="canned canned-line">
            {canned.map((w) => (
              <button key={w} type="button" class="button-small" onClick={() => (text.value = t(w))}>
                {t(w)}
              </button>
            ))}
          </div>
          <label class="sr-only" for="chat-text">
            {t("chat_label", { name: nameOf(s) })}
          </label>
          <textarea
            id="chat-text"
            ref={field}
            rows={2}
            placeholder={t("chat_label", { name: nameOf(s) })}
            value={text.value}
            onInput={(e) => (text.value = e.currentTarget.value)}
            onKeyDown={(e) => {
              if (e.key === "Enter" && !e.shiftKey && !e.isComposing) send(e);
            }}
          />
          <button type="submit" class="button-primary" disabled={bytes === 0 || bytes > 2000}>
            {t("send")}
          </button>
        </form>
      )}
    </div>
  );
}
