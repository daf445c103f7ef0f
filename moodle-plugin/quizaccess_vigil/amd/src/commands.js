// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Shows the proctors' commands to the student, each once, and tells when the student has seen them.
 *
 * A message, a warning or extra time is seen when the student says so. A pause, its end, an end and the like are seen when
 * their screen is shown on a visible page. What was seen while the connection was gone is told when it is back.
 *
 * @module     quizaccess_vigil/commands
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** Ids remembered for the session. */
const REMEMBERED = 300;
/** The new end follows the command that moves it. */
const END_FOLLOWS = 400;

/**
 * @typedef {object} Commands
 * @property {(command: import('./protocol').CommandFrame) => void} take
 * @property {(kind: 'pause'|'resume'|'terminate') => void} seen what those commands brought is on the screen
 * @property {(kind: 'pause'|'resume') => boolean} waits whether such a command came whose effect has yet to be seen
 * @property {() => void} look the page has become visible
 * @property {() => void} again the connection is back
 * @property {(reason: string) => string} reason in words
 */

/**
 * @param {object} options
 * @param {import('./panel').Panel} options.panel
 * @param {import('./strings').Words} options.words
 * @param {import('./storage').Tab} options.tab
 * @param {(id: string) => boolean} options.send tells the server; false: not now
 * @param {(server: number) => number} options.local our time at a moment of the server
 * @param {() => number} options.end of the attempt, by our clock; 0: none
 * @returns {Commands}
 */
export const makeCommands = ({panel, words, tab, send, local, end}) => {
    /** @type {Map<string, string[]>} commands whose effect is not on a visible screen yet */
    const waiting = new Map();
    /** @type {Set<string>} kinds whose effect is on the screen */
    const effects = new Set();
    /** @type {Set<string>} seen, and not told */
    const untold = new Set();
    /** @type {Set<string>} on the screen, and not answered */
    const open = new Set();

    /** @returns {string[]} */
    const remembered = () => tab.get('seen') || [];
    /** @param {string} id */
    const tell = id => {
        open.delete(id);
        const ids = remembered();
        if (!ids.includes(id)) {
            tab.set('seen', ids.concat([id]).slice(-REMEMBERED));
        }
        if (!send(id)) {
            untold.add(id);
        }
    };
    const look = () => {
        if (document.visibilityState !== 'visible') {
            return;
        }
        effects.forEach(kind => {
            const ids = waiting.get(kind) || [];
            waiting.delete(kind);
            ids.forEach(tell);
        });
    };
    /** @param {string} kind */
    const effect = kind => {
        effects.add(kind);
        look();
    };
    /** @param {string} [name] */
    const who = name => name || words.text('name.proctor');

    return {
        take: command => {
            const {id, kind} = command;
            if (remembered().includes(id)) {
                // It was seen, and the server does not know yet.
                tell(id);
                return;
            }
            if (open.has(id)) {
                return;
            }
            open.add(id);
            const text = command.text || '';
            const answered = () => tell(id);
            if (kind === 'message' || kind === 'warn') {
                // It can be read again in the conversation.
                panel.chat.add({id, text, at: local(command.at), own: false, name: command.by});
            }
            if (kind === 'warn') {
                panel.warn({id, title: words.text('warn.title', {name: who(command.by)}), text, answered});
            } else if (kind === 'message') {
                panel.card({
                    id, title: words.text('message.title', {name: who(command.by)}), text: [text], button: words.text('message.ok'), answered,
                });
            } else if (kind === 'extend') {
                const time = words.duration((command.seconds || 0) * 1000);
                setTimeout(() => panel.card({
                    id,
                    title: words.text('extend.title'),
                    text: [
                        words.text('extend.text', {time, name: who(command.by)}),
                        end() ? words.text('extend.end', {time: words.hour(end())}) : '',
                        text,
                    ].filter(Boolean),
                    button: words.text('message.ok'),
                    answered,
                }), END_FOLLOWS);
            } else {
                // Its effect comes as the session's state; a kind that is unknown, or has no screen, is seen on the page.
                const shows = ['pause', 'resume', 'terminate'].includes(kind);
                waiting.set(shows ? kind : 'page', (waiting.get(shows ? kind : 'page') || []).concat([id]));
                if (kind === 'admit' || kind === 'reactivate') {
                    panel.card({id, title: words.text(kind + '.title'), text: text ? [text] : []});
                }
                if (shows) {
                    look();
                } else {
                    effect('page');
                }
            }
        },
        seen: kind => {
            // One screen replaces the other.
            ['pause', 'resume', 'terminate'].forEach(other => other !== kind && effects.delete(other));
            effect(kind);
        },
        waits: kind => (waiting.get(kind) || []).length > 0,
        look,
        again: () => {
            const ids = Array.from(untold);
            untold.clear();
            ids.forEach(tell);
        },
        reason: reason => {
            const known = words.text('reason.' + reason);
            return known === 'reason.' + reason ? reason : known;
        },
    };
};
