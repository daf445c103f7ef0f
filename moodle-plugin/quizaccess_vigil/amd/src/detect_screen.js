// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Notices what happens to the window and its screens: full screen, a second screen, resizing, the context menu,
 * printing, and (a weak hint only) developer tools.
 *
 * @module     quizaccess_vigil/detect_screen
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** A window is not resized until it has kept its size for so long, in ms. */
const SETTLED = 800;
/** Smaller changes of a window are not reported, in CSS pixels. */
const NOTABLE = 60;
/** Developer tools take at least so much of the window, and open within so long of a key or menu that opens them. */
const TOOLS = 140;
const TOOLS_SOON = 6000;

/**
 * What browsers have beyond the standard types.
 *
 * @typedef {Screen & {isExtended?: boolean} & Partial<EventTarget>} WideScreen
 */

/**
 * Whether the browser can show this page in full screen at all.
 *
 * @param {Document} doc
 * @returns {boolean}
 */
export const canFullscreen = doc => Boolean(doc.fullscreenEnabled && doc.documentElement.requestFullscreen);

/**
 * Whether input is mostly by touch: such windows change size with the keyboard and by turning the device.
 *
 * @param {Window} win
 * @returns {boolean}
 */
export const isMobile = win => {
    const {userAgentData} = /** @type {{userAgentData?: {mobile?: boolean}}} */ (/** @type {unknown} */ (win.navigator));
    return Boolean(userAgentData?.mobile ||
        (typeof win.matchMedia === 'function' && win.matchMedia('(pointer: coarse) and (hover: none)').matches));
};

/**
 * Whether the whole window is shown in full screen, by the page or by the browser's own key.
 *
 * @param {Window} win
 * @returns {boolean}
 */
export const inFullscreen = win => Boolean(win.document.fullscreenElement) ||
    (typeof win.matchMedia === 'function' && win.matchMedia('(display-mode: fullscreen)').matches);

/**
 * Watches full screen. The student is asked by the panel; a page turn ends full screen by itself, so after one it is
 * entered again at the first click or key without asking, and its end is no signal.
 *
 * @param {object} options
 * @param {Document} options.document
 * @param {Window} options.window
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @param {import('./storage').Tab} options.tab
 * @param {import('./detect_focus').Leaving} options.leaving
 * @param {(asking: boolean) => void} options.ask shows or hides the question
 * @param {() => number} options.now
 * @returns {import('./detect_focus').Part & {enter: () => Promise<boolean>, refuse: () => void}}
 */
export const watchFullscreen = ({document: doc, window: win, emit, tab, leaving, ask, now}) => {
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;
    let full = Boolean(doc.fullscreenElement);
    const possible = canFullscreen(doc);

    const enter = async() => {
        if (inFullscreen(win)) {
            ask(false);
            return true;
        }
        try {
            await doc.documentElement.requestFullscreen({navigationUI: 'hide'});
            tab.set('fullscreen', 'in');
            ask(false);
            return true;
        } catch {
            ask(true);
            return false;
        }
    };
    const refuse = () => {
        ask(false);
        if (tab.get('fullscreen') !== 'refused') {
            tab.set('fullscreen', 'refused');
            emit({kind: 'fullscreen_refused', at: now()});
        }
    };
    const onChange = () => {
        const was = full;
        full = Boolean(doc.fullscreenElement);
        if (full) {
            tab.set('fullscreen', 'in');
            ask(false);
            return;
        }
        const at = now();
        clearTimeout(timer);
        // Wait: the page may be on its way out.
        timer = setTimeout(() => {
            if (was && !doc.fullscreenElement && !leaving.gone() && !leaving.soon()) {
                tab.set('fullscreen', 'left');
                emit({kind: 'fullscreen_left', at});
                ask(true);
            }
        }, 300);
    };
    const onGesture = () => {
        stopGesture();
        if (tab.get('fullscreen') === 'in' && !leaving.gone()) {
            void enter();
        }
    };
    const stopGesture = () => {
        doc.removeEventListener('click', onGesture, true);
        doc.removeEventListener('keyup', onGesture, true);
    };

    if (possible) {
        doc.addEventListener('fullscreenchange', onChange);
        if (!inFullscreen(win)) {
            if (tab.get('fullscreen') === 'in') {
                doc.addEventListener('click', onGesture, true);
                doc.addEventListener('keyup', onGesture, true);
            } else if (tab.get('fullscreen') !== 'refused') {
                ask(true);
            }
        }
    }
    return {
        enter,
        refuse,
        stop: () => {
            clearTimeout(timer);
            stopGesture();
            doc.removeEventListener('fullscreenchange', onChange);
            ask(false);
        },
    };
};

/**
 * Watches for more than one screen, where the browser tells (Chromium, https).
 *
 * @param {object} options
 * @param {Window} options.window
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @param {import('./storage').Tab} options.tab
 * @param {() => number} options.now
 * @returns {import('./detect_focus').Part}
 */
export const watchDisplays = ({window: win, emit, tab, now}) => {
    const screen = /** @type {WideScreen} */ (win.screen);
    const look = () => {
        if (typeof screen.isExtended !== 'boolean') {
            return;
        }
        const before = tab.get('extended');
        if (before !== screen.isExtended) {
            tab.set('extended', screen.isExtended);
            if (screen.isExtended) {
                emit({kind: before === undefined ? 'display_extended' : 'display_added', at: now()});
            }
        }
    };
    look();
    const listens = typeof screen.addEventListener === 'function';
    if (listens && screen.addEventListener) {
        screen.addEventListener('change', look);
    }
    win.addEventListener('focus', look);
    win.addEventListener('resize', look);
    return {
        stop: () => {
            if (listens && screen.removeEventListener) {
                screen.removeEventListener('change', look);
            }
            win.removeEventListener('focus', look);
            win.removeEventListener('resize', look);
        },
    };
};

/**
 * Watches the window: its size, its menus, printing.
 *
 * A zoom, a screen of another density, a sidebar, an on-screen keyboard and going in and out of full screen all change
 * the page's size and are no resizing of the window. Developer tools are suspected only if the page lost a strip of the
 * window right after the keys or the menu that open them.
 *
 * @param {object} options
 * @param {Document} options.document
 * @param {Window} options.window
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @param {import('./storage').Tab} options.tab
 * @param {(event: Event) => boolean} options.ours
 * @param {() => number} options.now
 * @param {() => number} options.tick the steady clock
 * @returns {import('./detect_focus').Part}
 */
export const watchWindow = ({document: doc, window: win, emit, tab, ours, now, tick}) => {
    const mobile = isMobile(win);
    const measure = () => ({
        width: win.outerWidth,
        height: win.outerHeight,
        lostWidth: win.outerWidth - win.innerWidth,
        lostHeight: win.outerHeight - win.innerHeight,
        ratio: win.devicePixelRatio,
        full: inFullscreen(win),
    });
    let before = measure();
    let hint = -Infinity;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;

    const settle = () => {
        const was = before;
        const is = measure();
        before = is;
        if (mobile || is.full || was.full || is.ratio !== was.ratio || doc.visibilityState === 'hidden') {
            return;
        }
        if (Math.abs(is.width - was.width) >= NOTABLE || Math.abs(is.height - was.height) >= NOTABLE) {
            emit({kind: 'resize', at: now(), data: {width: Math.round(is.width), height: Math.round(is.height)}});
        } else if (tick() - hint < TOOLS_SOON && !tab.get('tools') &&
                (is.lostWidth - was.lostWidth > TOOLS || is.lostHeight - was.lostHeight > TOOLS)) {
            tab.set('tools', true);
            emit({kind: 'devtools_suspected', at: now()});
        }
    };
    const onResize = () => {
        clearTimeout(timer);
        timer = setTimeout(settle, SETTLED);
    };
    /** @param {Event} event */
    const onMenu = event => {
        hint = tick();
        if (!ours(event)) {
            emit({kind: 'context_menu', at: now()});
        }
    };
    const onPrint = () => emit({kind: 'print', at: now()});
    /** @param {KeyboardEvent} event */
    const onKey = event => {
        const tools = event.key === 'F12' ||
            ((event.ctrlKey && event.shiftKey || event.metaKey && event.altKey) && /^Key[IJCK]$/.test(event.code || ''));
        if (tools) {
            hint = tick();
        }
    };
    win.addEventListener('resize', onResize);
    win.addEventListener('beforeprint', onPrint);
    doc.addEventListener('contextmenu', onMenu, true);
    doc.addEventListener('keydown', onKey, true);
    return {
        stop: () => {
            clearTimeout(timer);
            win.removeEventListener('resize', onResize);
            win.removeEventListener('beforeprint', onPrint);
            doc.removeEventListener('contextmenu', onMenu, true);
            doc.removeEventListener('keydown', onKey, true);
        },
    };
};
