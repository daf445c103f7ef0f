import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makePanel, type Panel } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/panel";
import { dictionaries, words } from "../../../../moodle-plugin/quizaccess_vigil/amd/src/strings";

let panel: Panel;
const actions = {
  chat: vi.fn(),
  hand: vi.fn(),
  read: vi.fn(),
  reclaim: vi.fn(),
  enterFullscreen: vi.fn(),
  refuseFullscreen: vi.fn(),
};
const root = () => panel.host.shadowRoot as ShadowRoot;
const find = <E extends HTMLElement>(selector: string) => root().querySelector(selector) as E;
const button = (text: string) =>
  Array.from(root().querySelectorAll("button")).find((one) => one.textContent === text) as HTMLButtonElement;
const pill = () => find(".pill");
const line = (id: string, text: string, own = false) => ({ id, text, at: 1_000_000 + Number(id), own });

beforeEach(() => {
  vi.useFakeTimers();
  document.body.innerHTML = "";
  Object.values(actions).forEach((action) => action.mockReset());
  panel = makePanel({ words: words("en"), actions });
});
afterEach(() => {
  panel.remove();
  vi.useRealTimers();
});

describe("the pill", () => {
  it("says the state in words, and opens the conversation", () => {
    panel.status("connected", 0);
    expect(pill().textContent).toContain("Proctor connected");
    expect(pill().getAttribute("aria-expanded")).toBe("false");
    pill().click();
    expect(pill().getAttribute("aria-expanded")).toBe("true");
    expect(find(".drawer").hidden).toBe(false);
    expect(find(".drawer").getAttribute("role")).toBe("dialog");
    expect(root().getElementById(find(".drawer").getAttribute("aria-labelledby") ?? "")?.textContent).toBe(
      "Messages with your proctors",
    );
    expect(root().activeElement).toBe(find("textarea"));
  });

  it("gets the focus back from the conversation by Escape", () => {
    pill().click();
    find("textarea").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(find(".drawer").hidden).toBe(true);
    expect(root().activeElement).toBe(pill());
  });

  it("counts lines that nobody has read, in words too", () => {
    panel.line(line("1", "hello"));
    panel.line(line("2", "again"));
    panel.line(line("2", "again"));
    panel.line(line("3", "mine", true));
    expect(find(".badge").textContent).toBe("2");
    expect(pill().textContent).toContain("2 new messages");
    pill().click();
    expect(find(".badge").hidden).toBe(true);
    expect(actions.read).toHaveBeenCalled();
  });

  it("tells screen readers what is bad, and when it is over, and nothing of page turns", async () => {
    const live = find("[role=status]");
    panel.status("connecting", 0);
    panel.status("connected", 0);
    await vi.advanceTimersByTimeAsync(100);
    expect(live.textContent).toBe("");
    panel.status("offline", new Date(2026, 1, 2, 10, 32).getTime());
    await vi.advanceTimersByTimeAsync(100);
    expect(live.textContent).toContain("Offline since 10:32");
    panel.status("connected", 0);
    await vi.advanceTimersByTimeAsync(100);
    expect(live.textContent).toBe("Connected again.");
  });
});

describe("the conversation", () => {
  it("sends what was typed, by the button or Enter, and keeps the focus", () => {
    pill().click();
    const input = find<HTMLTextAreaElement>("textarea");
    input.value = "  I need help ";
    find("form").dispatchEvent(new Event("submit", { cancelable: true }));
    input.value = "quickly";
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    input.value = "   ";
    find("form").dispatchEvent(new Event("submit", { cancelable: true }));
    expect(actions.chat.mock.calls).toEqual([["I need help"], ["quickly"]]);
    expect(root().activeElement).toBe(input);
  });

  it("refuses what is too long with words, and keeps it", () => {
    const input = find<HTMLTextAreaElement>("textarea");
    input.value = "é".repeat(1001);
    find("form").dispatchEvent(new Event("submit", { cancelable: true }));
    expect(actions.chat).not.toHaveBeenCalled();
    expect(find(".problem").hidden).toBe(false);
    expect(find(".problem").getAttribute("role")).toBe("alert");
    expect(input.value.length).toBe(1001);
  });

  it("shows text as text, in the order of time, with its state", () => {
    panel.line(line("9", "<img src=x onerror=alert(1)>"));
    panel.line({ ...line("4", "earlier", true), state: "sending" });
    expect(root().querySelector("img")).toBeNull();
    const lines = Array.from(root().querySelectorAll(".line"));
    expect(lines.map((one) => one.querySelector(".text")?.textContent)).toEqual(["earlier", "<img src=x onerror=alert(1)>"]);
    expect(lines[0]?.textContent).toContain("Sending…");
    panel.chat.settle("4");
    expect(find(".line").textContent).not.toContain("Sending…");
    panel.chat.settle("4", "failed");
    expect(find(".line").textContent).toContain("Not sent");
    expect(find(".log").getAttribute("role")).toBe("log");
  });

  it("raises and lowers the hand", () => {
    button("Raise hand").click();
    expect(actions.hand).toHaveBeenCalledWith(true);
    panel.hand(true, true);
    button("Lower hand").click();
    expect(actions.hand).toHaveBeenLastCalledWith(false);
  });

  it("does not let its keys reach the page's shortcuts", () => {
    const heard = vi.fn();
    document.addEventListener("keydown", heard);
    find("textarea").dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true, composed: true }));
    document.removeEventListener("keydown", heard);
    expect(heard).not.toHaveBeenCalled();
  });
});

describe("a message", () => {
  it("is a card with a name and a button, and does not take the focus", () => {
    const answered = vi.fn();
    const before = document.activeElement;
    panel.card({ id: "m1", title: "Message from Ms Sari", text: ["Ten minutes left"], button: "OK", answered });
    panel.card({ id: "m1", title: "Message from Ms Sari", text: ["Ten minutes left"], button: "OK", answered });
    expect(document.activeElement).toBe(before);
    expect(root().querySelectorAll(".card").length).toBe(1);
    expect(root().getElementById(find(".card").getAttribute("aria-labelledby") ?? "")?.textContent).toBe("Message from Ms Sari");
    button("OK").focus();
    button("OK").click();
    expect(answered).toHaveBeenCalledOnce();
    expect(root().querySelector(".card")).toBeNull();
    expect(root().activeElement).toBe(pill());
  });

  it("without a button goes by itself", async () => {
    panel.card({ id: "resumed", title: "Your exam goes on", text: [] });
    await vi.advanceTimersByTimeAsync(10000);
    expect(root().querySelector(".card")).toBeNull();
  });
});

describe("the dialog", () => {
  const dialog = () => find<HTMLDialogElement>("dialog");
  it("shows a warning that must be answered, one after the other", () => {
    const answered = vi.fn();
    panel.warn({ id: "w1", title: "Warning from your proctor", text: "Eyes on your screen", answered });
    panel.warn({ id: "w1", title: "Warning from your proctor", text: "Eyes on your screen", answered });
    panel.warn({ id: "w2", title: "Warning from your proctor", text: "Again", answered });
    expect(dialog().open).toBe(true);
    expect(dialog().getAttribute("role")).toBe("alertdialog");
    expect(root().getElementById(dialog().getAttribute("aria-labelledby") ?? "")?.textContent).toBe("Warning from your proctor");
    expect(dialog().textContent).toContain("Eyes on your screen");
    // Someone who types must not answer it: the dialog has the focus, not its button.
    expect(root().activeElement).toBe(dialog());
    button("I understand").click();
    expect(dialog().textContent).toContain("Again");
    button("I understand").click();
    expect(dialog().open).toBe(false);
    expect(answered).toHaveBeenCalledTimes(2);
  });

  it("is not answered by Escape", () => {
    panel.warn({ id: "w1", title: "Warning", text: "x", answered: vi.fn() });
    const cancel = new Event("cancel", { cancelable: true });
    dialog().dispatchEvent(cancel);
    expect(cancel.defaultPrevented).toBe(true);
    dialog().close();
    dialog().dispatchEvent(new Event("close"));
    expect(dialog().open).toBe(true);
  });

  it("shows a pause with its reason, the time that stands still and the conversation", () => {
    panel.paused({ reason: "Fire drill", left: 754000 });
    expect(dialog().textContent).toContain("Fire drill");
    expect(dialog().textContent).toContain("12 min 34 s");
    expect(dialog().querySelector("textarea")).not.toBeNull();
    panel.paused(null);
    expect(dialog().open).toBe(false);
    expect(find(".drawer").querySelector("textarea")).not.toBeNull();
  });

  it("shows the newest lines of the conversation on the pause screen, after each change of it", () => {
    panel.line(line("1", "hello"));
    const log = find(".log");
    Object.defineProperty(log, "scrollHeight", { value: 500 });
    log.scrollTop = 0;
    panel.paused({ reason: "Fire drill" });
    expect(log.scrollTop).toBe(500);
    log.scrollTop = 0; // as browsers do when it is moved
    panel.paused({ reason: "Fire drill", left: 60000 });
    expect(log.scrollTop).toBe(500);
    panel.warn({ id: "w1", title: "Warning", text: "x", answered: vi.fn() });
    log.scrollTop = 0;
    button("I understand").click();
    expect(log.scrollTop).toBe(500);
  });

  it("shows the gravest of what is due, and then the next", () => {
    panel.paused({});
    panel.warn({ id: "w1", title: "Warning", text: "x", answered: vi.fn() });
    expect(dialog().dataset.kind).toBe("warn");
    panel.elsewhere(true);
    expect(dialog().dataset.kind).toBe("elsewhere");
    panel.terminated({ reason: "Identity", back: "/course" });
    expect(dialog().dataset.kind).toBe("terminated");
    expect(dialog().querySelector("a")?.getAttribute("href")).toBe("/course");
    panel.terminated(null);
    button("Go on here").click();
    expect(actions.reclaim).toHaveBeenCalled();
    panel.elsewhere(false);
    button("I understand").click();
    expect(dialog().dataset.kind).toBe("paused");
  });
});

describe("the question for full screen", () => {
  it("can be answered both ways", () => {
    panel.askFullscreen(true);
    panel.askFullscreen(true);
    button("Enter full screen").click();
    button("Not now").click();
    expect(actions.enterFullscreen).toHaveBeenCalledOnce();
    expect(actions.refuseFullscreen).toHaveBeenCalledOnce();
    panel.askFullscreen(false);
    expect(root().querySelector(".card")).toBeNull();
  });
});

describe("words", () => {
  it("are the same in both languages, with the same parameters", () => {
    const parameters = (text = "") => (text.match(/\{\w+\}/g) ?? []).sort();
    expect(Object.keys(dictionaries.id)).toEqual(Object.keys(dictionaries.en));
    for (const key of Object.keys(dictionaries.en))
      expect([key, parameters(dictionaries.id[key])]).toEqual([key, parameters(dictionaries.en[key])]);
  });

  it("follow the page's language, and a dictionary of its own", () => {
    expect(words("id-ID").text("hand.raise")).toBe("Angkat tangan");
    expect(words("fr").text("hand.raise")).toBe("Raise hand");
    expect(words("en", { "hand.raise": "Hand up" }).text("hand.raise")).toBe("Hand up");
    expect(words("en").duration(3723000)).toBe("1 h 2 min 3 s");
    expect(words("en").duration(0)).toBe("0 s");
  });
});
