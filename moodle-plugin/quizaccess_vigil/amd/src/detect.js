// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Notices what the exam asks to be told, and nothing else: each group of signals has its switch in the exam's policy.
 * Nothing is blocked, and no typed, copied or pasted text is kept.
 *
 * @module     quizaccess_vigil/detect
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {makeClock} from './clock';
import {watchClipboard} from './detect_clipboard';
import {watchFocus, watchIdle} from './detect_focus';
import {canFullscreen, isMobile, watchDisplays, watchFullscreen, watchWindow} from './detect_screen';
import {makeMoments} from './moments';

/** Signals of one kind in a minute at most: a key that is held down must not fill the outbox. */
const PER_MINUTE = 20;
/** After a click or a submit that turns the page, the page is expected to go within this time, in ms. */
const SOON = 4000;

/**
 * Knows whether the page is being left.
 *
 * @param {Document} doc
 * @param {Window} win
 * @param {() => number} tick the steady clock
 * @returns {import('./detect_focus').Leaving & import('./detect_focus').Part}
 */
export const watchLeaving = (doc, win, tick) => {
    let gone = false;
    let soon = -Infinity;
    const expect = () => {
        soon = tick();
    };
    /** @param {Event} event */
    const onClick = event => {
        const target = /** @type {Element|null} */ (event.target);
        const link = target && typeof target.closest === 'function'
            ? /** @type {HTMLAnchorElement|null} */ (target.closest('a[href]')) : null;
        // A link that opens elsewhere, or moves within the page, turns no page.
        if (link && (!link.target || link.target === '_self') && link.origin === win.location.origin &&
                link.href.split('#')[0] !== win.location.href.split('#')[0]) {
            expect();
        }
    };
    const onHide = () => {
        gone = true;
    };
    const onShow = () => {
        gone = false;
        soon = -Infinity;
    };
    win.addEventListener('beforeunload', expect);
    win.addEventListener('pagehide', onHide);
    win.addEventListener('pageshow', onShow);
    doc.addEventListener('submit', expect, true);
    doc.addEventListener('click', onClick, true);
    return {
        gone: () => gone,
        soon: () => tick() - soon < SOON,
        stop: () => {
            win.removeEventListener('beforeunload', expect);
            win.removeEventListener('pagehide', onHide);
            win.removeEventListener('pageshow', onShow);
            doc.removeEventListener('submit', expect, true);
            doc.removeEventListener('click', onClick, true);
        },
    };
};

/**
 * What this browser can and cannot report. Unsupported is not clean: proctors see it.
 *
 * @param {Document} doc
 * @param {Window} win
 * @param {boolean} storage whether the outbox outlives the page
 * @returns {import('./protocol').SignalData}
 */
export const capabilities = (doc, win, storage) => ({
    visibility: typeof doc.visibilityState === 'string',
    fullscreen: canFullscreen(doc),
    clipboard: 'ClipboardEvent' in win,
    displays: typeof /** @type {import('./detect_screen').WideScreen} */ (win.screen).isExtended === 'boolean',
    storage,
    mobile: isMobile(win),
});

/**
 * @typedef {object} Detector
 * @property {(what: {watch: string[], fullscreen?: boolean, paused?: boolean}) => void} set what the exam asks for
 * @property {() => Promise<boolean>} enterFullscreen from a click
 * @property {() => void} refuseFullscreen
 * @property {() => void} answered the server said what time it is
 * @property {() => void} stop
 */

/**
 * Makes a detector, which notices nothing until it is told what to.
 *
 * @param {object} options
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @param {import('./storage').Tab} options.tab
 * @param {(event: Event) => boolean} [options.ours] whether an event belongs to our own panel
 * @param {(asking: boolean) => void} [options.askFullscreen]
 * @param {Document} [options.document]
 * @param {Window} [options.window]
 * @param {import('./clock').Clock} [options.clock]
 * @param {() => boolean} [options.askTime] asks for the server's time; false: there is no connection
 * @returns {Detector}
 */
export const makeDetector = ({
    emit, tab, ours = () => false, askFullscreen = () => undefined, document: doc = document, window: win = window,
    clock = makeClock(), askTime = () => false,
}) => {
    const {now, tick} = clock;
    const leaving = watchLeaving(doc, win, tick);
    /** @type {{[group: string]: import('./detect_focus').Part}} */
    const parts = {};
    /** @type {ReturnType<typeof watchFullscreen>|undefined} */
    let full;
    /** @type {ReturnType<typeof watchIdle>|undefined} */
    let idle;
    let paused = false;
    /** @type {Map<string, number[]>} */
    const recent = new Map();

    /** @param {import('./protocol').Noticed} noticed */
    const limited = noticed => {
        const present = tick();
        const times = (recent.get(noticed.kind) || []).filter(time => present - time < 60000);
        if (times.length < PER_MINUTE) {
            times.push(present);
            emit(noticed);
        }
        recent.set(noticed.kind, times);
    };

    const moments = makeMoments({clock, tab, ask: askTime, emit: limited});
    const common = {document: doc, window: win, emit: limited, tab, leaving, moments, ours, now, tick};
    /** @type {{[group: string]: () => import('./detect_focus').Part}} */
    const groups = {
        focus: () => watchFocus(common),
        clipboard: () => watchClipboard(Object.assign({touch: () => idle?.touch()}, common)),
        display: () => watchDisplays(common),
        window: () => watchWindow(common),
        idle: () => {
            idle = watchIdle(Object.assign({paused: () => paused}, common));
            return idle;
        },
        fullscreen: () => {
            full = watchFullscreen(Object.assign({ask: askFullscreen}, common));
            return full;
        },
    };

    return {
        set: what => {
            paused = Boolean(what.paused);
            Object.keys(groups).forEach(group => {
                const wanted = what.watch.includes(group) && (group !== 'fullscreen' || Boolean(what.fullscreen));
                const part = parts[group];
                if (wanted && !part) {
                    const make = groups[group];
                    if (make) {
                        parts[group] = make();
                    }
                } else if (!wanted && part) {
                    part.stop();
                    delete parts[group];
                }
            });
        },
        enterFullscreen: () => full ? full.enter() : Promise.resolve(false),
        refuseFullscreen: () => full?.refuse(),
        answered: moments.answered,
        stop: () => {
            Object.keys(parts).forEach(group => {
                const part = parts[group];
                if (part) {
                    part.stop();
                }
                delete parts[group];
            });
            leaving.stop();
            moments.stop();
        },
    };
};
