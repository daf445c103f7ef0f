// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The panel's styles. They live in its shadow root, so that the LMS's and ours do not mix.
 *
 * @module     quizaccess_vigil/panel_style
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

const CSS = `
:host {
  all: initial;
  color-scheme: light dark;
  --surface: #ffffff; --surface-2: #eceff3; --text: #1b2027; --muted: #55606c; --line: #d5dbe1; --control: #76818d;
  --accent: #0b5cad; --on-accent: #ffffff; --accent-soft: #e3effb;
  --good: #17713a; --warn: #825200; --warn-soft: #fdf0d0; --bad: #b3261e; --bg: #f5f6f8; --scrim: #f5f6f8;
  --shadow: 0 1px 2px rgb(16 24 32 / 12%), 0 6px 24px rgb(16 24 32 / 18%);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif;
  font-size: 1rem;
  color: var(--text);
}
@media (prefers-color-scheme: dark) {
  :host {
    --surface: #181d24; --surface-2: #232a33; --text: #e7eaee; --muted: #a3adb8; --line: #323b46; --control: #76828f;
    --accent: #7cb9ff; --on-accent: #062039; --accent-soft: #15304c;
    --good: #63d18a; --warn: #f2bd4b; --warn-soft: #3a2c0b; --bad: #ff9a90; --bg: #0f1318; --scrim: #0f1318;
    --shadow: 0 1px 2px rgb(0 0 0 / 50%), 0 6px 24px rgb(0 0 0 / 60%);
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.dock {
  position: fixed; inset-block-end: .5rem; inset-inline-start: .5rem; z-index: 4000;
  display: flex; flex-direction: column; align-items: flex-start; gap: .5rem;
  max-inline-size: calc(100vw - 1rem); max-block-size: calc(100vh - 1rem); pointer-events: none;
}
.dock > * { pointer-events: auto; flex: none; }
.inline .dock { position: static; max-block-size: none; }
button, a.button {
  display: inline-flex; align-items: center; justify-content: center; gap: .5rem; min-block-size: 2.5rem;
  padding: .375rem 1rem; border: 1px solid var(--control); border-radius: .5rem; background: var(--surface);
  color: var(--text); font: inherit; font-weight: 600; line-height: 1.2; text-decoration: none; cursor: pointer;
}
button:hover, a.button:hover { background: var(--surface-2); }
button.primary, a.button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.primary:hover, a.button.primary:hover { filter: brightness(.92); }
button:disabled { opacity: .55; cursor: not-allowed; }
:focus { outline: none; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.pill {
  min-block-size: 2.25rem; padding: .25rem .75rem; border-radius: 999px; box-shadow: var(--shadow);
  border-color: var(--line); font-size: .875rem; max-inline-size: 100%;
}
.dot { inline-size: .7rem; block-size: .7rem; border-radius: 50%; background: var(--muted); flex: none; }
.pill[data-kind=connected] .dot { background: var(--good); }
.pill[data-kind=saving] .dot, .pill[data-kind=reconnecting] .dot { background: var(--warn); border-radius: .15rem; }
.pill[data-kind=connecting] .dot, .pill[data-kind=reconnecting] .dot { animation: pulse 1.2s ease-in-out infinite; }
.pill[data-kind=offline] .dot, .pill[data-kind=stopped] .dot {
  background: var(--bad); border-radius: 0; clip-path: polygon(50% 0, 100% 100%, 0 100%);
}
.pill[data-kind=paused] .dot, .pill[data-kind=elsewhere] .dot, .pill[data-kind=timeup] .dot { background: var(--accent); border-radius: .15rem; }
.pill[data-kind=offline], .pill[data-kind=stopped] { border-color: var(--bad); color: var(--bad); }
@keyframes pulse { 50% { opacity: .3; } }
.badge {
  min-inline-size: 1.25rem; padding: 0 .35rem; border-radius: 999px; background: var(--bad); color: var(--surface);
  font-size: .75rem; line-height: 1.25rem; text-align: center;
}
.cards { display: flex; flex-direction: column; gap: .5rem; overflow-y: auto; flex: 0 1 auto; min-block-size: 0; max-inline-size: 100%; padding: 2px; }
.card {
  inline-size: 24rem; max-inline-size: 100%; padding: .75rem 1rem; border: 1px solid var(--line);
  border-inline-start: 4px solid var(--accent); border-radius: .5rem; background: var(--surface); box-shadow: var(--shadow);
}
.card h2, .drawer h2 { margin: 0 0 .25rem; font-size: 1rem; line-height: 1.3; }
.card p { margin: 0 0 .5rem; }
.words { white-space: pre-wrap; overflow-wrap: anywhere; max-block-size: 40vh; overflow-y: auto; }
.buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
.drawer {
  display: flex; flex-direction: column; inline-size: 24rem; max-inline-size: 100%; flex: 0 1 auto !important;
  min-block-size: 0; max-block-size: min(34rem, calc(100vh - 4.5rem)); overflow-y: auto;
  border: 1px solid var(--line); border-radius: .75rem; background: var(--surface); box-shadow: var(--shadow); padding: .75rem;
}
.head { display: flex; align-items: flex-start; justify-content: space-between; gap: .5rem; }
.head button { min-block-size: 2rem; padding: .125rem .6rem; font-size: .875rem; }
.about { margin: 0 0 .5rem; color: var(--muted); font-size: .875rem; }
.log {
  flex: 1 1 auto; min-block-size: 6rem; max-block-size: 16rem; overflow-y: auto; margin-block-end: .5rem; padding: .5rem;
  border: 1px solid var(--line); border-radius: .5rem; background: var(--bg);
}
.line { margin: 0 0 .5rem; }
.line .who { display: block; color: var(--muted); font-size: .75rem; }
.line .text {
  display: inline-block; max-inline-size: 100%; padding: .35rem .65rem; border-radius: .6rem; background: var(--surface-2);
  white-space: pre-wrap; overflow-wrap: anywhere; text-align: start;
}
.line.own { text-align: end; }
.line.own .text { background: var(--accent-soft); }
.line.failed .who { color: var(--bad); }
.empty { margin: 0; color: var(--muted); }
form { display: flex; flex-direction: column; gap: .35rem; }
label { font-size: .875rem; font-weight: 600; }
textarea {
  inline-size: 100%; min-block-size: 3.75rem; padding: .5rem; border: 1px solid var(--control); border-radius: .5rem;
  background: var(--surface); color: var(--text); font: inherit; resize: vertical;
}
.problem { margin: 0; color: var(--bad); font-size: .875rem; }
.sr {
  position: absolute; inline-size: 1px; block-size: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
dialog {
  inline-size: min(34rem, calc(100vw - 1.5rem)); max-inline-size: none; max-block-size: calc(100vh - 1.5rem); margin: auto;
  padding: 1.5rem; border: 1px solid var(--line); border-radius: .75rem; background: var(--surface); color: var(--text);
  box-shadow: var(--shadow); overflow-y: auto;
}
dialog[open]:not(:modal) { position: fixed; inset: 0; z-index: 5000; box-shadow: 0 0 0 200vmax var(--scrim); }
dialog::backdrop { background: rgb(0 0 0 / 55%); }
dialog.solid::backdrop { background: var(--scrim); }
dialog h1 { margin: 0 0 .75rem; font-size: 1.375rem; line-height: 1.25; }
dialog p { margin: 0 0 .75rem; }
dialog[data-kind=warn] { border-block-start: .5rem solid var(--warn); }
dialog[data-kind=terminated] { border-block-start: .5rem solid var(--bad); }
dialog .left { font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
dialog .talk { margin-block-start: 1rem; padding-block-start: 1rem; border-block-start: 1px solid var(--line); }
dialog .log { max-block-size: 10rem; min-block-size: 3rem; }
@media (max-width: 30rem) { dialog { padding: 1rem; } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; } }
@media (forced-colors: active) { .dot { forced-color-adjust: none; } .badge { border: 1px solid; } }
@media print { .dock { display: none; } }
`;

/**
 * Puts the styles into a shadow root: as a constructed sheet, which a strict content security policy allows too.
 *
 * @param {ShadowRoot} root
 */
export const addStyle = root => {
    try {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(CSS);
        root.adoptedStyleSheets = [sheet];
    } catch {
        const style = document.createElement('style');
        style.textContent = CSS;
        root.appendChild(style);
    }
};
