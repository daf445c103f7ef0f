// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Moves the clock of Moodle's quiz page without a reload, and stops it while the attempt is paused.
 *
 * Core's own way, M.mod_quiz.timer.updateEndTime(), begins another loop of ticks at every call, so that after some calls the
 * attempt is posted several times when it ends; and it throws on a page that shows no clock. Autosave uses it whenever the time
 * was changed. So it is replaced by the way that is used here: stop the loop, set the end, begin the loop again.
 *
 * @module     quizaccess_vigil/moodle_clock
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** What core has if it does not say, in ms: smaller changes do not move the clock. */
const THRESHOLD = 3000;

/**
 * @typedef {object} Timer core's M.mod_quiz.timer, as far as it is used here
 * @property {unknown} Y null until the clock runs
 * @property {number} endtime
 * @property {ReturnType<typeof setTimeout>|null} timeoutid
 * @property {number} [threshold]
 * @property {() => void} update
 * @property {(timeleft: number) => void} updateEndTime
 */

/**
 * @typedef {object} MoodleClock
 * @property {() => boolean} running whether the page shows a clock that runs, or that was stopped here
 * @property {(localEnd: number) => boolean} differs whether an end is another than the page's
 * @property {(localEnd: number) => boolean} moveTo true: the clock was moved
 * @property {() => void} freeze
 * @property {() => void} thaw
 */

/**
 * @param {object} [options]
 * @param {() => Timer|undefined} [options.timer] finds core's timer
 * @param {Document} [options.page]
 * @param {() => number} [options.now]
 * @returns {MoodleClock}
 */
export const makeMoodleClock = ({
    timer: find = () => {
        const moodle = /** @type {{M?: {mod_quiz?: {timer?: Timer}}}} */ (/** @type {unknown} */ (window)).M;
        return moodle?.mod_quiz?.timer;
    },
    page = document,
    now = Date.now,
} = {}) => {
    let frozen = false;
    /** @type {Timer|undefined} */
    let guarded;

    /** @returns {Timer|undefined} the timer, if the page shows it */
    const shown = () => {
        const timer = find();
        return timer?.Y && page.getElementById('quiz-time-left') ? timer : undefined;
    };

    /** @param {Timer} timer */
    const stop = timer => {
        if (timer.timeoutid) {
            clearTimeout(timer.timeoutid);
            timer.timeoutid = null;
        }
    };

    /**
     * @param {number} localEnd
     * @returns {boolean}
     */
    const differs = localEnd => {
        const timer = shown();
        return timer !== undefined && Math.abs(localEnd - timer.endtime) > (timer.threshold || THRESHOLD);
    };

    /**
     * @param {number} localEnd
     * @returns {boolean}
     */
    const moveTo = localEnd => {
        const timer = guard();
        if (!timer || !Number.isFinite(localEnd) || !differs(localEnd)) {
            return false;
        }
        stop(timer);
        timer.endtime = localEnd;
        if (!frozen) {
            timer.update();
        }
        return true;
    };

    /**
     * Puts our way in the place of core's.
     *
     * @returns {Timer|undefined}
     */
    const guard = () => {
        const timer = shown();
        if (timer && timer !== guarded) {
            guarded = timer;
            timer.updateEndTime = timeleft => {
                moveTo(now() + timeleft * 1000);
            };
        }
        return timer;
    };

    return {
        running: () => Boolean(guard()),
        differs,
        moveTo,
        freeze: () => {
            frozen = true;
            const timer = guard();
            if (timer) {
                stop(timer);
            }
        },
        thaw: () => {
            if (!frozen) {
                return;
            }
            frozen = false;
            const timer = guard();
            if (timer) {
                stop(timer);
                timer.update();
            }
        },
    };
};
