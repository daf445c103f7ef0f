// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The screens that stop the student: ended, open elsewhere, a warning, a pause. One dialog, which shows the gravest of
 * those that are due. The browser keeps the focus in it and makes the page behind it inert. It takes the focus itself
 * and not by a button, so that someone who is typing does not answer it unread.
 *
 * @module     quizaccess_vigil/panel_dialog
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {make} from './dom';

/** Gravest first. */
const ORDER = ['terminated', 'elsewhere', 'warn', 'paused'];

/**
 * @typedef {object} Screen
 * @property {string} title
 * @property {(string|Node)[]} body
 * @property {Node[]} [buttons]
 * @property {() => void} [shown] the person can see it now
 */

/**
 * @typedef {object} Dialogs
 * @property {HTMLDialogElement} element
 * @property {(kind: string, screen: Screen|null) => void} set null: no longer due
 * @property {() => string} showing
 */

/**
 * Makes the dialog.
 *
 * @param {(kind: string) => void} onChange after another screen, or none (''), is shown
 * @returns {Dialogs}
 */
export const makeDialogs = onChange => {
    /** @type {Map<string, Screen>} */
    const due = new Map();
    let showing = '';
    /** @type {Screen|undefined} */
    let shown;
    const element = make('dialog', {tabindex: '-1', 'aria-labelledby': 'vigil-title', 'aria-describedby': 'vigil-body'});

    const open = () => {
        if (element.open) {
            return;
        }
        try {
            element.showModal();
        } catch {
            element.setAttribute('open', '');
        }
    };
    const update = () => {
        const kind = ORDER.find(name => due.has(name)) || '';
        const screen = due.get(kind);
        if (screen === shown) {
            return;
        }
        const changed = kind !== showing;
        showing = kind;
        shown = screen;
        if (!screen) {
            element.close();
            element.replaceChildren();
            onChange('');
            return;
        }
        element.dataset.kind = kind;
        element.className = kind === 'warn' ? '' : 'solid';
        element.setAttribute('role', kind === 'paused' ? 'dialog' : 'alertdialog');
        const body = make('div', {id: 'vigil-body'});
        screen.body.forEach(part => body.append(typeof part === 'string' ? make('p', {}, part) : part));
        element.replaceChildren(make('h1', {id: 'vigil-title'}, screen.title), body,
            make('div', {class: 'buttons'}, ...(screen.buttons || [])));
        open();
        if (changed) {
            onChange(kind);
            element.focus();
            element.scrollTop = 0;
        }
        if (screen.shown) {
            screen.shown();
        }
    };

    // Escape answers nothing, and a browser that closes the dialog all the same gets it back.
    element.addEventListener('cancel', event => event.preventDefault());
    element.addEventListener('keydown', event => {
        if (event.key === 'Escape') {
            event.preventDefault();
        }
    });
    element.addEventListener('close', () => {
        if (showing && element.isConnected) {
            open();
        }
    });
    return {
        element,
        set: (kind, screen) => {
            if (screen) {
                due.set(kind, screen);
            } else {
                due.delete(kind);
            }
            update();
        },
        showing: () => showing,
    };
};
