// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * How far this machine's clock is from the server's, and what the server's clock said when.
 *
 * The machine's clock can be set by anybody at any moment, so nothing is counted by it: the page's own steady clock
 * (performance.now) counts, and the server's answers say whether that one stood still while the computer slept.
 *
 * @module     quizaccess_vigil/clock
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** A measurement is believed for so long before a slower one may replace it, in ms. */
const BELIEVED = 10 * 60000;
/** The machine's clock was set, or the computer slept, if it moved by more than this against the steady one, in ms. */
const SET = 1000;
/** An answer that took longer does not say well enough when the server gave it, in ms. */
const PROMPT = 2000;
/** Answers and questions that are remembered. */
const REMEMBERED = 32;

/**
 * The server's time at a moment of this page.
 *
 * @typedef {object} Anchor
 * @property {number} asked when the question was sent, by the steady clock
 * @property {number} tick when the server answered, by the steady clock
 * @property {number} wall the same by the machine's clock
 * @property {number} server the same by the server's clock
 */

/**
 * @typedef {object} Clock
 * @property {(server: number) => void} hint a moment of the server that just arrived: good until something is measured
 * @property {() => number} ask a question is about to be sent: returns its name, which the answer brings back
 * @property {(name: number, server: number) => {rtt: number, offset: number}|null} measure an answer; null: we did not ask this
 * @property {() => number} offset what must be added to our time to get the server's
 * @property {() => number} rtt the best round trip; 0: none measured
 * @property {(server: number) => number} local our time at a moment of the server
 * @property {() => boolean} shaken the machine's clock was set, or slept, since the measurement: ask again
 * @property {() => number} now the machine's clock
 * @property {() => number} tick the steady clock
 * @property {(tick: number) => Anchor|undefined} before the last answer that was given before a moment
 * @property {(tick: number) => Anchor|undefined} after the first answer whose question was asked after a moment
 */

/**
 * Makes a clock. The measurement with the shortest round trip wins: its error is at most half of that.
 *
 * @param {() => number} [now] the machine's clock
 * @param {() => number} [ticks] the steady clock
 * @returns {Clock}
 */
export const makeClock = (now = () => Date.now(), ticks = () => performance.now()) => {
    let latest = -Infinity;
    /** The steady clock never goes back, also where a browser's does for a moment. */
    const tick = () => {
        latest = Math.max(latest, ticks());
        return latest;
    };
    let offset = 0;
    let rtt = 0;
    /** When it was measured: by the steady clock, and how far the machine's was ahead of that. */
    let measured = 0;
    let ahead = 0;
    let known = false;
    /** @type {Map<number, number>} */
    const questions = new Map();
    /** @type {Anchor[]} */
    const anchors = [];

    const shaken = () => known && Math.abs(now() - tick() - ahead) > SET;
    return {
        hint: server => {
            if (!known || shaken()) {
                offset = server - now();
            }
        },
        ask: () => {
            let name = now();
            while (questions.has(name)) {
                name++;
            }
            questions.set(name, tick());
            if (questions.size > REMEMBERED) {
                questions.delete(/** @type {number} */ (questions.keys().next().value));
            }
            return name;
        },
        measure: (name, server) => {
            const asked = questions.get(name);
            if (asked === undefined) {
                return null;
            }
            questions.delete(name);
            const wall = now();
            const received = tick();
            const trip = Math.max(0, received - asked);
            const found = {rtt: Math.round(trip), offset: Math.round(server - (wall - trip / 2))};
            if (trip <= PROMPT) {
                anchors.push({asked, tick: received - trip / 2, wall: wall - trip / 2, server});
                if (anchors.length > REMEMBERED) {
                    anchors.shift();
                }
            }
            if (!known || trip <= rtt || received - measured > BELIEVED || shaken()) {
                rtt = found.rtt;
                offset = found.offset;
                measured = received;
                ahead = wall - received;
                known = true;
            }
            return found;
        },
        offset: () => offset,
        rtt: () => rtt,
        local: server => server - offset,
        shaken,
        now,
        tick,
        before: moment => anchors.filter(anchor => anchor.tick <= moment).pop(),
        after: moment => anchors.find(anchor => anchor.asked >= moment),
    };
};
