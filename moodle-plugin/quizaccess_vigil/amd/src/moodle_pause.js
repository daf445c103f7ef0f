// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * What a pause does on Moodle's quiz page: the clock stops, the answers are saved, and the page is left once Moodle knows of the
 * pause as well.
 *
 * The proctor's pause reaches the page over the socket at once, and Moodle a moment later, by a queue. Until then Moodle's own
 * waiting page would send the student straight back, so the page stays, under the panel's notice, and asks.
 *
 * @module     quizaccess_vigil/moodle_pause
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** How often the answers are sent; Moodle takes them for some seconds after it has heard of the pause. */
const SAVES = 3;
/** Between two of them, in ms. */
const SAVE_AGAIN = 1000;
/** When Moodle is asked again, in ms: twice as long each time, up to the longest. */
const ASK_AGAIN = 1000;
const ASK_LONGEST = 15000;

/**
 * @typedef {object} Pause
 * @property {() => Promise<void>} begin may be called again while it runs
 * @property {() => void} end the attempt goes on in this page
 */

/**
 * @param {object} options
 * @param {import('./moodle_clock').MoodleClock} options.clock
 * @param {() => Promise<boolean>} options.save sends the answers; false, or a rejection: they were not taken
 * @param {() => Promise<string>} options.status of the attempt in Moodle: running, paused, terminated, complete, or off (it goes
 *     on and is not proctored any more)
 * @param {() => void} options.hold keeps core from saving by itself
 * @param {() => void} options.release lets it again
 * @param {(status: string) => void} options.leave without asking; status as Moodle has it
 * @param {(ms: number) => Promise<void>} [options.wait]
 * @returns {Pause}
 */
export const makePause = ({clock, save, status, hold, release, leave, wait}) => {
    const rest = wait || (ms => new Promise(resolve => {
        setTimeout(resolve, ms);
    }));
    /** The pause at hand; 0: none. */
    let current = 0;
    let last = 0;

    /** @param {number} mine */
    const saveAnswers = async(mine) => {
        for (let n = 0; n < SAVES && mine === current; n++) {
            if (n) {
                await rest(SAVE_AGAIN);
            }
            const saved = await save().catch(() => false);
            if (saved) {
                return;
            }
        }
    };

    /** @param {number} mine */
    const awaitMoodle = async(mine) => {
        for (let n = 0; mine === current; n++) {
            const now = await status().catch(() => '');
            if (mine !== current) {
                return;
            }
            if (now && now !== 'running') {
                leave(now);
                return;
            }
            await rest(Math.min(ASK_AGAIN * 2 ** n, ASK_LONGEST));
        }
    };

    return {
        begin: async() => {
            if (current) {
                return;
            }
            current = ++last;
            const mine = current;
            clock.freeze();
            hold();
            await saveAnswers(mine);
            await awaitMoodle(mine);
        },
        end: () => {
            if (!current) {
                return;
            }
            current = 0;
            release();
            clock.thaw();
        },
    };
};
