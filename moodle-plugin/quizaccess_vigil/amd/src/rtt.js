// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Measures the round trip and the difference of the clocks after each welcome, and reports them when they are news.
 *
 * @module     quizaccess_vigil/rtt
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** When the questions go out, and when their answers are looked at, in ms. */
const PROBES = [0, 1000, 3000];
const ANSWERED = 5000;
/** What is news: clocks that moved by more than this, or a round trip above SLOW that is MANIFOLD of the one told before, in ms. */
const MOVED = 1000;
const SLOW = 500;
const MANIFOLD = 3;

/**
 * @param {object} options
 * @param {import('./storage').Tab} options.tab
 * @param {import('./clock').Clock} options.clock
 * @param {() => void} options.ask the server for its time
 * @param {(found: {rtt: number, offset: number}) => void} options.report
 * @param {() => boolean} options.wanted
 * @returns {{start: () => void, stop: () => void}}
 */
export const makeRtt = ({tab, clock, ask, report, wanted}) => {
    /** @type {ReturnType<typeof setTimeout>[]} */
    let timers = [];
    const stop = () => timers.forEach(clearTimeout);
    const look = () => {
        const before = tab.get('rtt');
        const found = {rtt: clock.rtt(), offset: clock.offset()};
        const news = !before || Math.abs(before.offset - found.offset) > MOVED ||
            (found.rtt > SLOW && found.rtt > MANIFOLD * before.rtt);
        if (found.rtt > 0 && news && wanted()) {
            tab.set('rtt', found);
            report(found);
        }
    };
    return {
        start: () => {
            stop();
            timers = PROBES.map(wait => setTimeout(ask, wait));
            timers.push(setTimeout(look, ANSWERED));
        },
        stop,
    };
};
