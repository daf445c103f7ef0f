// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Running totals of this page, for when the server asks whether the monitor works: how long the page was visible, hidden and
 * in front. They are added up by events, so that no timer is needed to answer. Which keys were pressed, or how many, is no
 * part of them.
 *
 * @module     quizaccess_vigil/totals
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {randomId} from './protocol';

/**
 * What is told of a page. Times in ms.
 *
 * @typedef {object} PageTotals
 * @property {string} doc a random id of the page
 * @property {number} pages that this tab has shown of the attempt
 * @property {number} visible
 * @property {number} hidden
 * @property {number} focus how often it got the focus
 * @property {number} focused
 * @property {boolean} [away] it is hidden
 */

/**
 * @typedef {object} Totals
 * @property {() => PageTotals} read
 * @property {() => void} stop
 */

/**
 * Begins to count.
 *
 * @param {object} options
 * @param {Document} options.doc
 * @param {Window} options.win
 * @param {number} options.pages
 * @param {() => void} options.onChange the page was hidden or shown
 * @param {() => number} [options.ticks] ms of a clock that nobody can set
 * @returns {Totals}
 */
export const makeTotals = ({doc, win, pages, onChange, ticks = () => performance.now()}) => {
    const id = randomId();
    let visible = 0;
    let hidden = 0;
    let focused = 0;
    let shown = doc.visibilityState !== 'hidden';
    let front = shown && doc.hasFocus();
    let focus = front ? 1 : 0;
    /** Kept by the browser for a way back: nobody sees it, and nothing of it runs. */
    let kept = false;
    let last = ticks();

    const count = () => {
        const now = ticks();
        const passed = Math.max(0, now - last);
        last = now;
        if (kept) {
            return;
        }
        if (shown) {
            visible += passed;
        } else {
            hidden += passed;
        }
        if (front) {
            focused += passed;
        }
    };
    const look = () => {
        count();
        const was = front;
        shown = doc.visibilityState !== 'hidden';
        front = shown && doc.hasFocus();
        if (front && !was) {
            focus++;
        }
    };
    const onVisibility = () => {
        look();
        onChange();
    };
    const onPageHide = () => {
        look();
        kept = true;
    };
    const onPageShow = () => {
        count();
        kept = false;
        look();
    };
    doc.addEventListener('visibilitychange', onVisibility);
    win.addEventListener('focus', look);
    win.addEventListener('blur', look);
    win.addEventListener('pagehide', onPageHide);
    win.addEventListener('pageshow', onPageShow);

    return {
        read: () => {
            count();
            return Object.assign({
                doc: id, pages, visible: Math.round(visible), hidden: Math.round(hidden), focus, focused: Math.round(focused),
            }, shown ? {} : {away: true});
        },
        stop: () => {
            doc.removeEventListener('visibilitychange', onVisibility);
            win.removeEventListener('focus', look);
            win.removeEventListener('blur', look);
            win.removeEventListener('pagehide', onPageHide);
            win.removeEventListener('pageshow', onPageShow);
        },
    };
};
