// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Notices that the page is hidden, without focus, or without any input for long.
 *
 * Each absence is one signal with its start and duration, made when it ends. One that lasts longer than a minute is
 * reported at that moment already, so that proctors need not wait for the student to come back; the rest follows as a
 * second one with "continued". An open absence is kept in the tab, so that a page that the system discards meanwhile
 * still reports it when it is loaded again. How long one was is moments.js's to say: the machine's clock may be set.
 *
 * Not reported: what a page turn causes, the focus in a frame of the page (editors), file and print dialogs, and
 * absences too short to mean anything.
 *
 * @module     quizaccess_vigil/detect_focus
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {isMark} from './moments';

/** Shorter absences are not reported, in ms. */
export const SHORTEST = {hidden: 400, blur: 800};
/** An absence of this length is reported before it ends: just over the minute from which it is severe. */
export const LONG = 61000;
/** Without input for so long is idle. */
export const IDLE = 10 * 60000;
/** A page that is left takes at most so long to be replaced; shorter absences around a page turn are its own. */
export const TURN = 10000;
/** After a click that opens a file dialog, the focus may go within this time. */
const DIALOG = 1500;
const POLL = 1000;

/**
 * @typedef {object} Leaving
 * @property {() => boolean} gone the page is being left
 * @property {() => boolean} soon the student has just done something that turns the page
 */

/**
 * @typedef {object} Part
 * @property {() => void} stop
 */

/**
 * An absence that may be going on.
 *
 * @param {string} kind
 * @param {object} options
 * @param {import('./moments').Moments} options.moments
 * @param {import('./storage').Tab} options.tab
 * @param {number} [options.report] report what is still going on after so long
 * @param {number} [options.shortest]
 */
const makeAbsence = (kind, {moments, tab, report = LONG, shortest = 0}) => {
    const name = 'open:' + kind;
    const before = tab.get(name);
    /** @type {{from: import('./moments').Mark, reported: boolean}|null} */
    let open = before && isMark(before.from) ? {from: before.from, reported: Boolean(before.reported)} : null;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;

    /** @param {import('./moments').Mark} end */
    const tell = end => {
        if (open) {
            moments.tell({kind, begin: open.from, end, shortest, data: open.reported ? {continued: true} : undefined});
        }
    };
    const partly = () => {
        if (open && !open.reported) {
            const lasted = moments.since(open.from);
            if (lasted < report) {
                timer = setTimeout(partly, report - lasted);
                return;
            }
            const end = moments.mark();
            tell(end);
            open = {from: end, reported: true};
            tab.set(name, open);
        }
    };
    const close = () => {
        clearTimeout(timer);
        open = null;
        tab.set(name, undefined);
    };
    return {
        isOpen: () => open !== null,
        from: () => open ? open.from : moments.mark(),
        lasted: () => open ? moments.since(open.from) : 0,
        /** @param {import('./moments').Mark} [from] */
        begin: from => {
            if (!open) {
                open = {from: from || moments.mark(), reported: false};
                tab.set(name, open);
                moments.ask();
            }
            clearTimeout(timer);
            partly();
        },
        end: () => {
            if (open) {
                tell(moments.mark());
                close();
            }
        },
        cancel: close,
        pause: () => clearTimeout(timer),
    };
};

/**
 * Watches visibility and focus.
 *
 * @param {object} options
 * @param {Document} options.document
 * @param {Window} options.window
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @param {import('./storage').Tab} options.tab
 * @param {Leaving} options.leaving
 * @param {import('./moments').Moments} options.moments
 * @param {() => number} options.now
 * @returns {Part}
 */
export const watchFocus = ({document: doc, window: win, emit, tab, leaving, moments, now}) => {
    const hidden = makeAbsence('hidden', {moments, tab, shortest: SHORTEST.hidden});
    const blur = makeAbsence('blur', {moments, tab, shortest: SHORTEST.blur});
    let printing = false;
    /** @type {import('./moments').Mark|null} */
    let dialog = null;
    let everFocused = doc.hasFocus();
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let asking;

    const inFrame = () => {
        const active = doc.activeElement;
        return active !== null && (active.tagName === 'IFRAME' || active.tagName === 'FRAME');
    };

    /**
     * Looks where the focus is, after an event or the passing of time. The focus in a frame of the page is the page's:
     * hasFocus() is true then.
     */
    const look = () => {
        clearTimeout(asking);
        if (leaving.gone() || doc.visibilityState === 'hidden') {
            return;
        }
        if (doc.hasFocus()) {
            if (blur.isOpen()) {
                blur.end();
            } else if (!everFocused) {
                emit({kind: 'focus_gained', at: now()});
            }
            everFocused = true;
            dialog = null;
            // The window hears nothing when the focus leaves from inside a frame to another program.
            if (inFrame()) {
                asking = setTimeout(look, POLL);
            }
        } else if (everFocused && !blur.isOpen() && !printing && !dialog) {
            blur.begin();
        }
    };

    const onBlur = () => {
        if (leaving.gone()) {
            return;
        }
        if (dialog && moments.since(dialog) > DIALOG) {
            dialog = null;
        }
        const from = moments.mark();
        clearTimeout(asking);
        // The browser says "blur" before it says where the focus went.
        asking = setTimeout(() => {
            if (!doc.hasFocus() && doc.visibilityState !== 'hidden' && !leaving.gone() && !printing && !dialog) {
                everFocused = true;
                blur.begin(from);
            } else {
                look();
            }
        }, 100);
    };

    const onVisibility = () => {
        if (leaving.gone()) {
            return;
        }
        if (doc.visibilityState === 'hidden') {
            clearTimeout(asking);
            // Leaving for another tab takes the focus too: that is one absence, not two.
            const near = blur.isOpen() && blur.lasted() < 1000;
            const from = near ? blur.from() : moments.mark();
            if (near) {
                blur.cancel();
            } else {
                blur.end();
            }
            hidden.begin(from);
        } else if (hidden.isOpen()) {
            if (leaving.soon() && hidden.lasted() < TURN) {
                hidden.cancel();
            } else {
                hidden.end();
            }
            asking = setTimeout(look, 1000);
        }
    };

    /** @param {Event} event */
    const onClick = event => {
        const target = /** @type {Element|null} */ (event.target);
        const control = target && typeof target.closest === 'function' ? target.closest('input,label') : null;
        const input = control && control.tagName === 'LABEL' ? /** @type {HTMLLabelElement} */ (control).control : control;
        if (input && /** @type {HTMLInputElement} */ (input).type === 'file') {
            dialog = moments.mark();
        }
    };
    const onBeforePrint = () => {
        printing = true;
    };
    const onAfterPrint = () => {
        printing = false;
        look();
    };
    const onPageHide = () => {
        clearTimeout(asking);
        // Some browsers hide a page before they say that it is left.
        if (hidden.isOpen() && leaving.soon() && hidden.lasted() < TURN) {
            hidden.cancel();
        }
        hidden.pause();
        blur.pause();
    };
    /** @param {PageTransitionEvent} event */
    const onPageShow = event => {
        if (event.persisted) {
            begin();
        }
    };

    const begin = () => {
        // What an earlier page of this tab left open: the tab was discarded, or turned the page while it was away.
        if (doc.visibilityState === 'hidden') {
            blur.end();
            if (hidden.isOpen()) {
                hidden.begin();
            } else if (!leaving.soon()) {
                hidden.begin();
            }
        } else {
            hidden.end();
            if (blur.isOpen()) {
                if (doc.hasFocus()) {
                    blur.end();
                } else {
                    blur.begin();
                }
            }
            look();
        }
    };

    win.addEventListener('blur', onBlur);
    win.addEventListener('focus', look);
    win.addEventListener('beforeprint', onBeforePrint);
    win.addEventListener('afterprint', onAfterPrint);
    win.addEventListener('pagehide', onPageHide);
    win.addEventListener('pageshow', onPageShow);
    doc.addEventListener('visibilitychange', onVisibility);
    doc.addEventListener('click', onClick, true);
    begin();

    return {
        stop: () => {
            clearTimeout(asking);
            hidden.cancel();
            blur.cancel();
            win.removeEventListener('blur', onBlur);
            win.removeEventListener('focus', look);
            win.removeEventListener('beforeprint', onBeforePrint);
            win.removeEventListener('afterprint', onAfterPrint);
            win.removeEventListener('pagehide', onPageHide);
            win.removeEventListener('pageshow', onPageShow);
            doc.removeEventListener('visibilitychange', onVisibility);
            doc.removeEventListener('click', onClick, true);
        },
    };
};

/**
 * Watches for input. A page that is hidden or without focus is not idle: its input cannot be seen.
 *
 * @param {object} options
 * @param {Document} options.document
 * @param {Window} options.window
 * @param {import('./storage').Tab} options.tab
 * @param {import('./moments').Moments} options.moments
 * @param {() => boolean} options.paused
 * @returns {Part & {touch: () => void}}
 */
export const watchIdle = ({document: doc, window: win, tab, moments, paused}) => {
    let last = moments.mark();
    const idle = makeAbsence('idle', {moments, tab, report: 2 * IDLE});
    // Loading a page is something that the student did.
    idle.end();

    const touch = () => {
        // The pointer moves a hundred times a second.
        if (idle.isOpen() || moments.since(last) >= 1000) {
            idle.end();
            last = moments.mark();
        }
    };
    const timer = setInterval(() => {
        if (doc.visibilityState === 'hidden' || !doc.hasFocus() || paused()) {
            touch();
        } else if (moments.since(last) >= IDLE && !idle.isOpen()) {
            idle.begin(last);
        }
    }, 15000);
    const inputs = ['keydown', 'pointerdown', 'pointermove', 'wheel', 'scroll', 'input', 'touchstart'];
    inputs.forEach(name => doc.addEventListener(name, touch, {capture: true, passive: true}));
    doc.addEventListener('visibilitychange', touch);
    win.addEventListener('focus', touch);
    return {
        touch,
        stop: () => {
            clearInterval(timer);
            idle.cancel();
            inputs.forEach(name => doc.removeEventListener(name, touch, {capture: true}));
            doc.removeEventListener('visibilitychange', touch);
            win.removeEventListener('focus', touch);
        },
    };
};
