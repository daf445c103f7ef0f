// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * What the student sees of Vigil in the quiz page: a small pill with the state of the connection, the conversation behind
 * it, cards with messages, and the screens that stop them (panel_dialog). It decides nothing: the monitor tells it.
 *
 * @module     quizaccess_vigil/panel
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {make} from './dom';
import {makeChat} from './panel_chat';
import {makeDialogs} from './panel_dialog';
import {addStyle} from './panel_style';

/** A passing card goes by itself after so long, in ms. */
const PASSING = 10000;

/**
 * What the pill says. Of a session that ended: ended, or off where proctoring was switched off and the attempt goes on. stopped is
 * a connection that does not come back by itself.
 *
 * @typedef {'connecting'|'connected'|'reconnecting'|'offline'|'saving'|'paused'|'timeup'|'ended'|'off'|'elsewhere'|'stopped'} Kind
 */

/**
 * @typedef {object} Actions
 * @property {(text: string) => void} chat
 * @property {(up: boolean) => void} hand
 * @property {() => void} read the student sees all lines
 * @property {() => void} reclaim
 * @property {() => void} enterFullscreen
 * @property {() => void} refuseFullscreen
 */

/**
 * @typedef {object} Card
 * @property {string} id
 * @property {string} title
 * @property {string[]} text
 * @property {string} [button] its label; without one the card goes by itself
 * @property {() => void} [answered]
 */

/**
 * @typedef {object} Panel
 * @property {HTMLElement} host
 * @property {(event: Event) => boolean} ours whether an event happened in the panel
 * @property {(kind: Kind, since: number, detail?: string) => void} status
 * @property {import('./panel_chat').Chat} chat
 * @property {(line: import('./panel_chat').ShownLine) => void} line adds a line, and counts it if nobody looks
 * @property {(up: boolean, say: boolean) => void} hand
 * @property {(card: Card) => void} card
 * @property {(id: string) => void} removeCard
 * @property {(warning: {id: string, title: string, text: string, answered: () => void}) => void} warn
 * @property {(paused: {again?: boolean, reason?: string, left?: number, shown?: () => void}|null) => void} paused again:
 *     the LMS did not let it go on
 * @property {(ended: {reason?: string, back?: string, shown?: () => void}|null) => void} terminated
 * @property {(away: boolean) => void} elsewhere
 * @property {(asking: boolean) => void} askFullscreen
 * @property {(text: string) => void} say to screen readers
 * @property {() => void} remove
 */

/**
 * Puts the panel into the page.
 *
 * @param {object} options
 * @param {Element} [options.mount] default: the body
 * @param {boolean} [options.inline] in the flow of the page, not in its corner
 * @param {import('./strings').Words} options.words
 * @param {Actions} options.actions
 * @returns {Panel}
 */
export const makePanel = ({mount = document.body, inline = false, words, actions}) => {
    const host = make('div', {lang: words.lang});
    const root = host.attachShadow({mode: 'open'});
    addStyle(root);

    const space = make('div', {'aria-hidden': 'true'});
    space.style.blockSize = '3rem';
    /** @type {Kind|''} */
    let kind = '';
    let unread = 0;
    let away = false;

    const label = make('span');
    const badge = make('span', {class: 'badge', 'aria-hidden': 'true', hidden: true});
    const news = make('span', {class: 'sr'});
    const pill = make('button', {
        type: 'button', class: 'pill', 'aria-expanded': 'false', 'aria-controls': 'vigil-drawer', click: () => toggle(Boolean(drawer.hidden)),
    }, make('span', {class: 'dot', 'aria-hidden': 'true'}), label, badge, news);
    const about = make('p', {class: 'about'});
    const chat = makeChat({words, onSend: actions.chat, onHand: actions.hand});
    const drawer = make('section', {class: 'drawer', id: 'vigil-drawer', role: 'dialog', 'aria-labelledby': 'vigil-chat', hidden: true},
        make('div', {class: 'head'}, make('h2', {id: 'vigil-chat'}, words.text('chat.title')),
            make('button', {type: 'button', click: () => toggle(false)}, words.text('close'))),
        about, chat.element);
    const cards = make('div', {class: 'cards'});
    const live = make('div', {class: 'sr', role: 'status', 'aria-live': 'polite'});
    const dock = make('div', {class: 'dock', role: 'region', 'aria-label': words.text('panel')}, cards, drawer, pill, live);
    const talk = make('div', {class: 'talk'});
    const dialogs = makeDialogs(now => {
        // On the pause screen the conversation is where the student is.
        if (now === 'paused') {
            talk.append(chat.element);
            chat.toEnd();
            unread = 0;
            count();
            actions.read();
        } else if (chat.element.parentNode === talk) {
            drawer.append(chat.element);
        }
    });

    const count = () => {
        badge.hidden = unread === 0;
        badge.textContent = unread > 99 ? '99+' : String(unread);
        news.textContent = unread === 0 ? '' : ', ' + words.count('unread', unread);
    };
    /** @param {boolean} open */
    const toggle = open => {
        drawer.hidden = !open;
        pill.setAttribute('aria-expanded', String(open));
        if (open) {
            unread = 0;
            count();
            actions.read();
            chat.toEnd();
            chat.focus();
        } else {
            pill.focus();
        }
    };
    /** @param {string} text */
    const say = text => {
        // The same words twice are said twice only if they change in between.
        live.textContent = '';
        setTimeout(() => {
            live.textContent = text;
        }, 50);
    };

    /** @type {Map<string, HTMLElement>} */
    const open = new Map();
    /** @param {string} id */
    const removeCard = id => {
        const element = open.get(id);
        if (element) {
            const focused = element.contains(root.activeElement);
            open.delete(id);
            element.remove();
            if (focused) {
                const next = cards.querySelector('button');
                (next || pill).focus();
            }
        }
    };
    /**
     * @param {string} id
     * @param {string} title
     * @param {string[]} text
     * @param {HTMLElement[]} buttons
     */
    const addCard = (id, title, text, buttons) => {
        if (open.has(id)) {
            return;
        }
        const heading = 'vigil-card-' + id;
        const element = make('section', {class: 'card', 'aria-labelledby': heading}, make('h2', {id: heading, dir: 'auto'}, title),
            ...text.map(part => make('p', {class: 'words', dir: 'auto'}, part)), make('div', {class: 'buttons'}, ...buttons));
        open.set(id, element);
        cards.append(element);
        say([title].concat(text).join('\n'));
    };

    root.append(make('div', {class: inline ? 'inline' : ''}, dock, dialogs.element));
    drawer.addEventListener('keydown', event => {
        if (event.key === 'Escape') {
            event.stopPropagation();
            toggle(false);
        }
    });
    // The page's own shortcuts have no business with what is typed here.
    ['keydown', 'keyup', 'keypress'].forEach(name => root.addEventListener(name, event => event.stopPropagation()));
    mount.append(host);
    if (!inline) {
        // What gets the focus should not be hidden under the pill, and the end of the page can be scrolled above it.
        const page = document.documentElement;
        page.style.scrollPaddingBlockEnd = page.style.scrollPaddingBlockEnd || '3.5rem';
        document.body.append(space);
    }

    /** @type {{id: string, title: string, text: string, answered: () => void}[]} */
    const warnings = [];
    const nextWarning = () => {
        const warning = warnings[0];
        dialogs.set('warn', warning ? {
            title: warning.title,
            body: [make('p', {class: 'words', dir: 'auto'}, warning.text)],
            buttons: [make('button', {
                type: 'button', class: 'primary', click: () => {
                    warnings.shift();
                    warning.answered();
                    nextWarning();
                },
            }, words.text('warn.ok'))],
        } : null);
    };

    return {
        host,
        ours: event => event.composedPath().includes(host),
        status: (now, since, detail) => {
            label.textContent = words.text('status.' + now, {time: words.hour(since)});
            about.textContent = words.text('about.' + now) + (detail ? ' ' + detail : '');
            pill.dataset.kind = now;
            // Where nobody is watched any more, nobody reads either.
            chat.close(now === 'ended' || now === 'off');
            if (kind !== now && ['offline', 'stopped', 'saving'].includes(now)) {
                say(label.textContent + '. ' + about.textContent);
            } else if (now === 'connected' && kind === 'offline') {
                say(words.text('back'));
            }
            kind = now;
        },
        chat,
        line: line => {
            const added = chat.add(line);
            if (!added || line.own) {
                return;
            }
            if (!drawer.hidden || dialogs.showing() === 'paused') {
                actions.read();
            } else {
                unread++;
                count();
                say(words.text('message.title', {name: line.name || words.text('name.proctor')}) + '. ' + line.text);
            }
        },
        hand: (up, aloud) => {
            chat.hand(up);
            if (aloud) {
                say(words.text(up ? 'hand.up' : 'hand.down'));
            }
        },
        card: card => {
            const answer = () => {
                removeCard(card.id);
                if (card.answered) {
                    card.answered();
                }
            };
            addCard(card.id, card.title, card.text,
                card.button ? [make('button', {type: 'button', class: 'primary', click: answer}, card.button)] : []);
            if (!card.button) {
                setTimeout(() => removeCard(card.id), PASSING);
            }
        },
        removeCard,
        warn: warning => {
            if (!warnings.some(other => other.id === warning.id)) {
                warnings.push(warning);
                if (warnings.length === 1) {
                    nextWarning();
                }
            }
        },
        paused: paused => {
            dialogs.set('paused', paused ? {
                title: words.text('pause.title'),
                body: [words.text(paused.again ? 'pause.again' : 'pause.text')]
                    .concat(paused.reason ? [words.text('pause.reason', {reason: paused.reason})] : [])
                    .map(text => /** @type {string|Node} */ (make('p', {dir: 'auto'}, text)))
                    .concat(paused.left ? [make('p', {class: 'left'}, words.text('pause.left', {time: words.duration(paused.left)}))] : [])
                    .concat([talk]),
                shown: paused.shown,
            } : null);
            // A log that is moved in the page is shown from its beginning again.
            chat.toEnd();
        },
        terminated: ended => {
            dialogs.set('terminated', ended ? {
                title: words.text('terminate.title'),
                body: [words.text('terminate.text')].concat(ended.reason ? [words.text('pause.reason', {reason: ended.reason})] : []),
                buttons: ended.back ? [make('a', {class: 'button primary', href: ended.back}, words.text('terminate.back'))] : [],
                shown: ended.shown,
            } : null);
        },
        elsewhere: now => {
            if (now === away) {
                return;
            }
            away = now;
            dialogs.set('elsewhere', away ? {
                title: words.text('elsewhere.title'),
                body: [words.text('elsewhere.text')],
                buttons: [make('button', {type: 'button', class: 'primary', click: actions.reclaim}, words.text('elsewhere.here'))],
            } : null);
        },
        askFullscreen: asking => {
            if (!asking) {
                removeCard('fullscreen');
                return;
            }
            addCard('fullscreen', words.text('full.title'), [words.text('full.text')], [
                make('button', {type: 'button', class: 'primary', click: actions.enterFullscreen}, words.text('full.enter')),
                make('button', {type: 'button', click: actions.refuseFullscreen}, words.text('full.refuse')),
            ]);
        },
        say,
        remove: () => {
            host.remove();
            space.remove();
        },
    };
};
