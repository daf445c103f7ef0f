// Sound and desktop notifications, and what they told lately.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useStore } from "./context";
import { timeText } from "./format";
import { Icon } from "./icons";
import { t } from "./words";

export function AlertMenu(): JSX.Element {
  const store = useStore();
  const { alerts } = store;
  const open = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const settings = alerts.settings.value;
  const permission = typeof Notification === "undefined" || !isSecureContext ? "unsupported" : Notification.permission;
  const wants = useSignal(0); // drawn again after the browser asked

  useEffect(() => {
    const away = (e: Event): void => {
      if (e instanceof KeyboardEvent) {
        if (e.key !== "Escape" || !open.value) return;
        e.stopPropagation();
        button.current?.focus();
        open.value = false;
      } else if (!box.current?.contains(e.target as Node)) {
        open.value = false;
      }
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", away, true);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", away, true);
    };
  }, []);
  void wants.value;

  const desktop = async (on: boolean): Promise<void> => {
    if (on && Notification.permission !== "granted" && (await Notification.requestPermission()) !== "granted") {
      alerts.change({ desktop: false });
    } else {
      alerts.change({ desktop: on });
    }
    wants.value++;
  };

  const quiet = !settings.sound || settings.volume === 0;
  return (
    <div class="menu" ref={box}>
      <button
        type="button"
        class="button-small"
        ref={button}
        aria-expanded={open.value}
        aria-controls="alert-menu"
        onClick={() => (open.value = !open.value)}
      >
        <Icon name={quiet ? "mute" : "bell"} />
        {quiet ? t("sound_off") : alerts.blocked.value ? t("sound_click") : t("sound_on")}
      </button>
      {open.value && (
        <div class="menu-body card" id="alert-menu" role="group" aria-label={t("alerts")}>
          <p class="small muted">{t("alerts_for")}</p>
          <label class="check">
            <input type="checkbox" checked={settings.sound} onChange={(e) => alerts.change({ sound: e.currentTarget.checked })} />
            {t("sound")}
          </label>
          <div class="row">
            <label for="volume" class="small">
              {t("volume")}
            </label>
            <input
              id="volume"
              type="range"
              min="0"
              max="100"
              step="5"
              value={Math.round(settings.volume * 100)}
              disabled={!settings.sound}
              onInput={(e) => alerts.change({ volume: Number(e.currentTarget.value) / 100 })}
            />
            <button type="button" class="button-small" disabled={quiet} onClick={() => alerts.test()}>
              {t("test_sound")}
            </button>
          </div>
          {alerts.blocked.value && <p class="small">{t("sound_blocked")}</p>}
          <label class="check">
            <input
              type="checkbox"
              checked={settings.desktop && permission === "granted"}
              disabled={permission === "unsupported" || permission === "denied"}
              onChange={(e) => void desktop(e.currentTarget.checked)}
            />
            {t("desktop")}
          </label>
          {permission === "denied" && <p class="small muted">{t("desktop_denied")}</p>}
          {permission === "unsupported" && <p class="small muted">{t("desktop_unsupported")}</p>}
          {alerts.latest.value.length > 0 && (
            <>
              <h2 class="menu-title">{t("alert_list")}</h2>
              <ul class="plain">
                {alerts.latest.value.slice(0, 8).map((a, i) => (
                  <li key={i}>
                    <button
                      type="button"
                      class="alert-line"
                      onClick={() => {
                        open.value = false;
                        store.open(a.session);
                      }}
                    >
                      <span class="muted numbers small">{timeText(a.at, store.now.value, t.lang)}</span> {a.text}
                    </button>
                  </li>
                ))}
              </ul>
            </>
          )}
        </div>
      )}
    </div>
  );
}
