// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Notices copy, cut and paste: how many characters, and nothing else of the text. Nothing is blocked. Editors in frames
 * of the page's own origin are watched too.
 *
 * @module     quizaccess_vigil/detect_clipboard
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/**
 * How much is selected, in characters.
 *
 * @param {Document} doc
 * @returns {number}
 */
export const selectedLength = doc => {
    const active = /** @type {HTMLInputElement|null} */ (doc.activeElement);
    if (active && (active.tagName === 'INPUT' || active.tagName === 'TEXTAREA')) {
        try {
            const {selectionStart: start, selectionEnd: end} = active;
            if (start !== null && end !== null) {
                return Math.abs(end - start);
            }
        } catch {
            // Some kinds of input have no selection to tell of.
        }
    }
    const selection = doc.getSelection();
    return selection ? selection.toString().length : 0;
};

/**
 * Watches the clipboard in a document and in the frames of its origin.
 *
 * @param {object} options
 * @param {Document} options.document
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @param {(event: Event) => boolean} options.ours whether an event belongs to our own panel
 * @param {() => void} [options.touch] there was input in a frame
 * @param {() => number} options.now
 * @returns {import('./detect_focus').Part}
 */
export const watchClipboard = ({document: doc, emit, ours, touch, now}) => {
    /** @type {Set<Document>} */
    const watched = new Set();

    /** @param {Event} event */
    const onCopy = event => {
        if (!ours(event)) {
            const own = /** @type {Node} */ (event.target).ownerDocument || doc;
            const length = selectedLength(own);
            if (length > 0) {
                emit({kind: event.type, at: now(), data: {length}});
            }
        }
    };
    /** @param {ClipboardEvent} event */
    const onPaste = event => {
        if (!ours(event)) {
            const text = event.clipboardData ? event.clipboardData.getData('text/plain') : '';
            emit({kind: 'paste', at: now(), data: {length: text.length}});
        }
    };
    const onInput = () => touch?.();

    /** @param {Document} target */
    const attach = target => {
        if (watched.has(target)) {
            return;
        }
        watched.add(target);
        target.addEventListener('copy', onCopy, true);
        target.addEventListener('cut', onCopy, true);
        target.addEventListener('paste', onPaste, true);
        if (target !== doc) {
            target.addEventListener('keydown', onInput, true);
            target.addEventListener('pointerdown', onInput, true);
        }
    };
    /** @param {Document} target */
    const detach = target => {
        target.removeEventListener('copy', onCopy, true);
        target.removeEventListener('cut', onCopy, true);
        target.removeEventListener('paste', onPaste, true);
        target.removeEventListener('keydown', onInput, true);
        target.removeEventListener('pointerdown', onInput, true);
    };
    /** @param {HTMLIFrameElement} frame */
    const enter = frame => {
        try {
            // Null or an error: another origin, which is none of our business.
            if (frame.contentDocument) {
                attach(frame.contentDocument);
            }
        } catch {
            return;
        }
    };
    const frames = () => {
        doc.querySelectorAll('iframe').forEach(frame => {
            frame.removeEventListener('load', onLoad);
            frame.addEventListener('load', onLoad);
            enter(frame);
        });
    };
    /** @param {Event} event */
    const onLoad = event => enter(/** @type {HTMLIFrameElement} */ (event.target));

    attach(doc);
    frames();
    const observer = new MutationObserver(changes => {
        if (changes.some(change => Array.from(change.addedNodes).some(node =>
            node.nodeName === 'IFRAME' || (node.nodeType === 1 && /** @type {Element} */ (node).querySelector('iframe'))))) {
            frames();
        }
    });
    observer.observe(doc.documentElement, {childList: true, subtree: true});
    return {
        stop: () => {
            observer.disconnect();
            doc.querySelectorAll('iframe').forEach(frame => frame.removeEventListener('load', onLoad));
            watched.forEach(detach);
        },
    };
};
