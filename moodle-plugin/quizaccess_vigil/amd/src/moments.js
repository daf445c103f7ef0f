// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * How long something lasted.
 *
 * Within a page a length is counted by the page's steady clock, never by the machine's, which may be set meanwhile. That
 * one stands still in some browsers while the computer sleeps, so it is held against the server's: the last answer before
 * and the first one after. Where they differ by more than a few seconds the server's count stands, and the time that the
 * steady clock did not see is told beside it as "asleep". Over a page turn only the server's clock counts.
 *
 * A length that needs the server's word waits for it, in the tab, over page turns too: it is never told by the machine's
 * clock alone, and never dropped for want of an answer.
 *
 * @module     quizaccess_vigil/moments
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {randomId} from './protocol';

/** Two clocks that differ by more than this over the same length do not agree, in ms. */
export const APART = 5000;
/** What the page counted by itself is told without the server's word after so long, in ms. */
const WAIT = 3000;
/** Questions go out at most so often, in ms. */
const SELDOM = 1000;
/** Lengths that wait in the tab at most. */
const HELD = 50;

/**
 * A moment of a page, by every clock that there is.
 *
 * @typedef {object} Mark
 * @property {string} page names the page: its steady clock means nothing to another
 * @property {number} tick by the page's steady clock
 * @property {number} wall by the machine's clock
 * @property {number} [server] by the server's, as far as the page knew it then
 */

/**
 * @typedef {object} Length
 * @property {string} kind
 * @property {Mark} begin
 * @property {Mark} end
 * @property {number} shortest
 * @property {import('./protocol').SignalData} [data]
 */

/**
 * @typedef {object} Moments
 * @property {() => Mark} mark this moment
 * @property {(mark: Mark) => number} since how long ago a moment was, as well as it is known now
 * @property {() => void} ask an absence began: the server's time is wanted
 * @property {(length: Length) => void} tell something is over, and is told as soon as its length is known
 * @property {() => void} answered the server answered
 * @property {() => void} stop what waits is left to the next page of this tab
 */

/**
 * @param {unknown} value
 * @returns {value is Mark}
 */
export const isMark = value => {
    const mark = /** @type {Mark|null} */ (value);
    return typeof mark === 'object' && mark !== null && typeof mark.page === 'string' &&
        typeof mark.tick === 'number' && typeof mark.wall === 'number';
};

/**
 * Makes the moments of a page.
 *
 * @param {object} options
 * @param {import('./clock').Clock} options.clock
 * @param {import('./storage').Tab} options.tab
 * @param {() => boolean} options.ask asks for the server's time; false: there is no connection
 * @param {(noticed: import('./protocol').Noticed) => void} options.emit
 * @returns {Moments}
 */
export const makeMoments = ({clock, tab, ask, emit}) => {
    const page = randomId(8);
    const kept = tab.get('lengths');
    /** @type {Length[]} */
    let held = Array.isArray(kept)
        ? kept.filter(one => one && typeof one.kind === 'string' && isMark(one.begin) && isMark(one.end)) : [];
    let last = -SELDOM;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let asking;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let waiting;

    const save = () => tab.set('lengths', held.length > 0 ? held : undefined);

    /**
     * What the server's clock said at a moment of this page, by one of its answers.
     *
     * @param {import('./clock').Anchor|undefined} anchor
     * @param {number} tick
     * @returns {number|undefined}
     */
    const by = (anchor, tick) => anchor && anchor.server + tick - anchor.tick;

    /**
     * How far the machine's clock moved against the page's: it was set, or the computer slept.
     *
     * @param {Length} length of one page
     * @returns {number}
     */
    const moved = ({begin, end}) => end.wall - begin.wall - (end.tick - begin.tick);

    /**
     * What may be told without the server's word: the page's own count, if the machine's clock agrees. Of an absence that
     * began in a page that never knew the server's time there is nothing but the machine's, which the server bounds.
     *
     * @param {Length} length
     * @returns {{dur: number, asleep: number}|null}
     */
    const alone = length => {
        const {begin, end} = length;
        if (begin.page !== end.page) {
            return begin.server === undefined ? {dur: end.wall - begin.wall, asleep: 0} : null;
        }
        return Math.abs(moved(length)) <= APART ? {dur: end.tick - begin.tick, asleep: 0} : null;
    };

    /**
     * How much of a length the steady clock did not see.
     *
     * @param {Length} length of one page
     * @param {number} missing what it did not see between the server's answers before and after
     * @param {number} ended by the server's clock
     * @returns {number}
     */
    const asleepIn = (length, missing, ended) => {
        const {begin, end} = length;
        const shift = moved(length);
        if (shift > APART) {
            // The machine's clock went on through the sleep; whatever it was set forward beyond that is none.
            return Math.min(shift, missing);
        }
        // It did not see the sleep either (a virtual machine), or was set back: was it within, or before and after?
        const within = begin.page === page ? clock.after(begin.tick) : undefined;
        const inside = within !== undefined && within.tick <= end.tick &&
            Math.abs(ended - within.server - (end.tick - within.tick) - missing) <= APART;
        return inside || shift < -APART ? missing : 0;
    };

    /**
     * The length, as the clocks together tell it.
     *
     * @param {Length} length
     * @returns {{dur: number, asleep: number}|null} null: the server's word is wanting
     */
    const judge = length => {
        const {begin, end} = length;
        const answer = clock.after(end.page === page ? end.tick : -Infinity);
        if (!answer) {
            return null;
        }
        const ended = end.page === page
            ? /** @type {number} */ (by(answer, end.tick)) : answer.server - Math.max(0, answer.wall - end.wall);
        const began = begin.page === page
            ? by(clock.before(begin.tick) || clock.after(begin.tick), begin.tick) : begin.server;
        if (begin.page !== end.page) {
            return began === undefined ? alone(length) : {dur: ended - began, asleep: 0};
        }
        const own = end.tick - begin.tick;
        const missing = began === undefined ? 0 : ended - began - own;
        if (missing < -APART) {
            return {dur: own + missing, asleep: 0};
        }
        const asleep = missing > APART ? asleepIn(length, missing, ended) : 0;
        return asleep > APART ? {dur: own + asleep, asleep} : {dur: own, asleep: 0};
    };

    /**
     * @param {Length} length
     * @param {{dur: number, asleep: number}} found
     */
    const deliver = (length, found) => {
        const dur = Math.max(0, Math.round(found.dur));
        if (dur < length.shortest) {
            return;
        }
        const data = Object.assign({}, length.data, found.asleep ? {asleep: Math.round(found.asleep)} : {});
        emit(Object.assign({kind: length.kind, at: Math.round(length.begin.wall), dur}, Object.keys(data).length > 0 ? {data} : {}));
    };

    /**
     * Tells what is known by now.
     *
     * @param {boolean} late whether to tell also what the page alone counted
     */
    const settle = late => {
        const before = held;
        held = [];
        before.forEach(length => {
            const found = judge(length) || (late ? alone(length) : null);
            if (found) {
                deliver(length, found);
            } else {
                held.push(length);
            }
        });
        if (before.length > 0) {
            save();
        }
    };

    /**
     * Asks for the server's time, not too often.
     *
     * @returns {boolean} whether an answer may come
     */
    const question = () => {
        const wait = last + SELDOM - clock.tick();
        if (wait > 0) {
            clearTimeout(asking);
            asking = setTimeout(question, wait);
            return true;
        }
        const sent = ask();
        if (sent) {
            last = clock.tick();
        }
        return sent;
    };

    return {
        mark: () => {
            const tick = clock.tick();
            const server = by(clock.before(tick), tick);
            return Object.assign({page, tick, wall: clock.now()}, server === undefined ? {} : {server: Math.round(server)});
        },
        since: mark => {
            const tick = clock.tick();
            if (mark.page === page) {
                return tick - mark.tick;
            }
            const server = by(clock.before(tick), tick);
            return Math.max(0, server !== undefined && mark.server !== undefined ? server - mark.server : clock.now() - mark.wall);
        },
        ask: () => {
            question();
        },
        tell: length => {
            const found = question() ? null : alone(length);
            if (found) {
                deliver(length, found);
                return;
            }
            held = held.concat(length).slice(-HELD);
            save();
            clearTimeout(waiting);
            waiting = setTimeout(() => settle(true), WAIT);
        },
        answered: () => settle(false),
        stop: () => {
            clearTimeout(asking);
            clearTimeout(waiting);
        },
    };
};
