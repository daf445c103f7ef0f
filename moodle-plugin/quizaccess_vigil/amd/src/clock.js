// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * How far this machine's clock is from the server's.
 *
 * @module     quizaccess_vigil/clock
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** A measurement is believed for so long before a slower one may replace it, in ms. */
const BELIEVED = 10 * 60000;

/**
 * @typedef {object} Clock
 * @property {(server: number) => void} hint a moment of the server that just arrived: good until something is measured
 * @property {(sent: number, server: number) => {rtt: number, offset: number}} measure an answer to our question
 * @property {() => number} offset what must be added to our time to get the server's
 * @property {() => number} rtt the best round trip; 0: none measured
 * @property {(server: number) => number} local our time at a moment of the server
 */

/**
 * Makes a clock. The measurement with the shortest round trip wins: its error is at most half of that.
 *
 * @param {() => number} [now]
 * @returns {Clock}
 */
export const makeClock = (now = Date.now) => {
    let offset = 0;
    let rtt = 0;
    let measured = 0;
    return {
        hint: server => {
            if (!measured) {
                offset = server - now();
            }
        },
        measure: (sent, server) => {
            const received = now();
            const trip = Math.max(0, received - sent);
            const found = {rtt: trip, offset: Math.round(server - (sent + trip / 2))};
            if (!measured || trip <= rtt || received - measured > BELIEVED || received < measured) {
                rtt = trip;
                offset = found.offset;
                measured = received;
            }
            return found;
        },
        offset: () => offset,
        rtt: () => rtt,
        local: server => server - offset,
    };
};
