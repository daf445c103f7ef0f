// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Receipts: what Vigil signed about the pages of this tab, on its way to the LMS.
 *
 * They go with the answers, in a field that belongs to the quiz's form and is not in it: core looks each second whether a hidden
 * field in the form has changed, and would save an idle page again and again. Where nothing is sent for a while they go by
 * themselves.
 *
 * @module     quizaccess_vigil/receipts
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** The name of the field. */
export const FIELD = 'vigil_receipts';
/** Pages of which the newest receipt is kept: that of a page which was left may not have reached the LMS. */
const PAGES = 4;
/** Characters of a receipt. */
const LONGEST = 4096;
/** Where nothing was sent for so long, the next receipt goes by itself. They come about a minute apart: so that two minutes do. */
const QUIET = 100000;
/** Without receipts for so long the LMS is asked how the attempt stands, in ms; twice as often, and whatever else is sent. */
const ALONE = 120000;
/** A page that had receipts and then none for so long slept, or was frozen, in ms: the next one comes when its connection wakes. */
const SLEPT = 150000;
/** How long a save waits for that one, in ms: a connection that died in the sleep is noticed in six seconds. */
const WAKING = 10000;

/**
 * @typedef {object} Receipts
 * @property {(frame: import('./protocol').ReceiptFrame) => void} take
 * @property {() => void} sent the answers were sent, and the receipts with them
 * @property {() => Promise<void>|null} waking what a save waits for, if the page has just woken: without the receipt that comes now
 *     it would look like one of a page that nobody watches. Once for each sleep
 * @property {() => void} stop
 */

/**
 * @param {object} options
 * @param {import('./storage').Tab} options.tab
 * @param {string} options.form the id of the form that sends the answers
 * @param {(receipts: string) => Promise<void>} options.send hands them to the LMS by themselves; without any it asks how things stand
 * @param {boolean} [options.atOnce] each goes by itself: the page sends no answers, and waits for what the LMS makes of them
 * @param {() => number} [options.ticks] ms of a clock that nobody can set
 * @param {() => number} [options.now] ms of one that goes on while the machine sleeps
 * @returns {Receipts}
 */
export const makeReceipts = ({tab, form, send, atOnce, ticks = () => performance.now(), now: wall = Date.now}) => {
    let last = ticks();
    let asked = last;
    let heard = last;
    /** When a receipt came last, by the other clock; 0: none has, or a save has waited for one since. */
    let awake = 0;
    /** @type {Set<() => void>} */
    const waiting = new Set();
    let sending = false;
    /** @type {HTMLInputElement|null} */
    let field = null;

    /** @returns {{page: string, receipt: string}[]} */
    const kept = () => {
        const list = tab.get('receipts');
        return Array.isArray(list) ? list : [];
    };

    const text = () => kept().map(one => one.receipt).join(' ');

    const write = () => {
        if (!document.getElementById(form)) {
            return;
        }
        if (!field) {
            field = document.createElement('input');
            field.type = 'hidden';
            field.name = FIELD;
            field.setAttribute('form', form);
            document.body.appendChild(field);
        }
        field.value = text();
    };

    const deliver = async() => {
        if (sending) {
            return;
        }
        sending = true;
        last = asked = ticks();
        try {
            await send(text());
        } catch {
            // The next one holds all that this one does.
        } finally {
            sending = false;
        }
    };

    write();
    const alone = setInterval(() => {
        const now = ticks();
        // Core's saves do not tell that the attempt is held.
        if (now - last >= ALONE || now - heard >= ALONE && now - asked >= ALONE / 2) {
            void deliver();
        }
    }, ALONE / 4);

    return {
        take: frame => {
            const {page, receipt} = frame;
            if (typeof page !== 'string' || typeof receipt !== 'string' || !page || !/^[\w.-]+$/.test(receipt) || receipt.length > LONGEST) {
                return;
            }
            heard = ticks();
            awake = wall();
            tab.set('receipts', kept().filter(one => one.page !== page).concat({page, receipt}).slice(-PAGES));
            write();
            waiting.forEach(go => go());
            if (atOnce || ticks() - last >= QUIET) {
                void deliver();
            }
        },
        sent: () => {
            last = ticks();
        },
        waking: () => {
            if (!awake || wall() - awake < SLEPT && ticks() - heard < SLEPT) {
                return null;
            }
            awake = 0;
            return new Promise(resolve => {
                const go = () => {
                    clearTimeout(timer);
                    waiting.delete(go);
                    resolve();
                };
                const timer = setTimeout(go, WAKING);
                waiting.add(go);
            });
        },
        stop: () => {
            clearInterval(alone);
            waiting.forEach(go => go());
            if (field) {
                field.remove();
            }
        },
    };
};
