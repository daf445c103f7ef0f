// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The conversation with the proctors: the lines, the form, and the raised hand. One element, which the panel shows in
 * its drawer or on the pause screen.
 *
 * @module     quizaccess_vigil/panel_chat
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {make} from './dom';
import {MAX_CHAT} from './protocol';

/** Lines shown at most; older ones go. */
const SHOWN = 200;

/**
 * @typedef {object} ShownLine
 * @property {string} id
 * @property {string} text
 * @property {number} at by our clock
 * @property {boolean} own
 * @property {string} [name]
 * @property {'sending'|'failed'} [state]
 */

/**
 * @typedef {object} Chat
 * @property {HTMLElement} element
 * @property {(line: ShownLine) => boolean} add false if it was there already; a repeat updates its state
 * @property {(id: string, state?: 'failed') => void} settle
 * @property {(up: boolean) => void} hand
 * @property {(over: boolean) => void} close over: it can be read only
 * @property {() => void} toEnd
 * @property {() => void} focus
 */

/**
 * Makes the conversation.
 *
 * @param {object} options
 * @param {import('./strings').Words} options.words
 * @param {(text: string) => void} options.onSend
 * @param {(up: boolean) => void} options.onHand
 * @returns {Chat}
 */
export const makeChat = ({words, onSend, onHand}) => {
    /** @type {Map<string, {line: ShownLine, element: HTMLElement}>} */
    const shown = new Map();
    let up = false;

    const empty = make('p', {class: 'empty'}, words.text('chat.empty'));
    const log = make('div', {class: 'log', role: 'log', tabindex: '0', 'aria-label': words.text('chat.title')}, empty);
    const problem = make('p', {class: 'problem', id: 'vigil-problem', role: 'alert', hidden: true});
    const input = make('textarea', {id: 'vigil-text', rows: '2', 'aria-describedby': 'vigil-problem', autocomplete: 'off'});
    const hand = make('button', {type: 'button', click: () => onHand(!up)}, words.text('hand.raise'));

    const submit = () => {
        const text = input.value.trim();
        const long = new TextEncoder().encode(text).length > MAX_CHAT;
        problem.hidden = !long;
        problem.textContent = long ? words.text('chat.long') : '';
        if (text && !long) {
            input.value = '';
            onSend(text);
        }
        input.focus();
    };
    const form = make('form', {
        submit: /** @param {Event} event */ event => {
            event.preventDefault();
            submit();
        },
    },
    make('label', {for: 'vigil-text'}, words.text('chat.label')), input, problem,
    make('div', {class: 'buttons'}, make('button', {type: 'submit', class: 'primary'}, words.text('chat.send')), hand));
    input.addEventListener('keydown', event => {
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            submit();
        }
    });

    /** @param {ShownLine} line */
    const render = line => {
        const who = line.own ? words.text('chat.you') : line.name || words.text('chat.proctor');
        const state = line.state ? words.text('chat.' + line.state) : words.hour(line.at);
        return make('p', {class: 'line' + (line.own ? ' own' : '') + (line.state === 'failed' ? ' failed' : '')},
            make('span', {class: 'who'}, who + ' · ' + state), make('span', {class: 'text', dir: 'auto'}, line.text));
    };
    const toEnd = () => {
        log.scrollTop = log.scrollHeight;
    };

    return {
        element: make('div', {class: 'chat'}, log, form),
        add: line => {
            const before = shown.get(line.id);
            const element = render(line);
            if (before) {
                before.element.replaceWith(element);
                shown.set(line.id, {line, element});
                return false;
            }
            empty.remove();
            // Kept in the order of time: what was written offline comes late.
            const next = Array.from(shown.values()).filter(other => other.line.at > line.at)
                .sort((a, b) => a.line.at - b.line.at)[0];
            log.insertBefore(element, next ? next.element : null);
            shown.set(line.id, {line, element});
            if (shown.size > SHOWN) {
                const oldest = Array.from(shown.values()).sort((a, b) => a.line.at - b.line.at)[0];
                if (oldest) {
                    oldest.element.remove();
                    shown.delete(oldest.line.id);
                }
            }
            toEnd();
            return true;
        },
        settle: (id, state) => {
            const before = shown.get(id);
            if (before) {
                const line = Object.assign({}, before.line, {state});
                const element = render(line);
                before.element.replaceWith(element);
                shown.set(id, {line, element});
            }
        },
        hand: raised => {
            up = raised;
            hand.textContent = words.text(up ? 'hand.lower' : 'hand.raise');
        },
        close: over => {
            const focused = form.contains(/** @type {Document|ShadowRoot} */ (form.getRootNode()).activeElement);
            form.hidden = over;
            if (over && focused) {
                log.focus();
            }
        },
        toEnd,
        focus: () => (form.hidden ? log : input).focus(),
    };
};
