// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Shows the student how the attempt stands, and tells the page.
 *
 * @module     quizaccess_vigil/attempt_view
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {isWatched} from './protocol';

/** The page is told again when the attempt ends if this machine's clock moved by more than this, in ms. */
const MOVED = 2000;

/**
 * @typedef {object} AttemptView
 * @property {(before: import('./attempt').Attempt, attempt: import('./attempt').Attempt) => void} changed shows another state
 * @property {(attempt: import('./attempt').Attempt) => void} time tells the page when the attempt ends
 * @property {(attempt: import('./attempt').Attempt) => boolean} moved whether the page was told another time than the clock
 *     says now
 * @property {(attempt: import('./attempt').Attempt) => void} pause shows the pause as it is now
 */

/**
 * @param {object} options
 * @param {import('./panel').Panel} options.panel
 * @param {import('./strings').Words} options.words
 * @param {import('./storage').Tab} options.tab
 * @param {import('./clock').Clock} options.clock
 * @param {import('./commands').Commands} options.commands
 * @param {boolean} [options.explained] the page itself says why it is paused
 * @param {string} [options.back] where an ended attempt leads to
 * @param {(time: {end: number, localEnd: number, left: number, offset: number}) => void} [options.onTime]
 * @param {(name: string, detail: object) => void} options.dispatch an event of the page
 * @returns {AttemptView}
 */
export const makeAttemptView = ({panel, words, tab, clock, commands, explained, back, onTime, dispatch}) => {
    /** The end of the attempt by this machine's clock, as the page was told it. */
    let toldEnd = 0;

    /** @param {import('./attempt').Attempt} attempt */
    const times = ({end, left}) => ({end, localEnd: end ? clock.local(end) : 0, left, offset: clock.offset()});

    /** @param {import('./attempt').Attempt} attempt */
    const pause = ({reason, left}) => {
        if (explained) {
            return;
        }
        // Why the LMS did not let it go on is for the proctors, who see it.
        const again = tab.get('still') === reason;
        panel.paused({again, reason: reason && !again ? commands.reason(reason) : '', left, shown: () => commands.seen('pause')});
    };

    /**
     * @param {import('./attempt').Attempt} before
     * @param {import('./attempt').Attempt} attempt
     */
    const paused = (before, attempt) => {
        // Without a command to pause it is the LMS that did not let it go on when a proctor resumed it.
        const still = before.state === 'active' && tab.get('resumed') && !commands.waits('pause');
        if (before.state !== 'paused') {
            tab.set('still', still ? attempt.reason : undefined);
            tab.set('resumed', undefined);
            tab.set('ordered', commands.waits('pause') || undefined);
        }
        panel.removeCard('resumed');
        pause(attempt);
        dispatch('paused', {reason: attempt.reason, left: attempt.left});
    };

    /**
     * A pause is over, and the attempt goes on. One that a proctor ordered, and that ends without a command to resume, was none for
     * the LMS: it did not take it. One of the LMS's own, because nobody watched, ends so.
     *
     * @param {import('./attempt').Attempt} attempt
     */
    const resumed = attempt => {
        const asked = commands.waits('resume');
        const refused = !asked && tab.get('ordered');
        tab.set('resumed', asked || undefined);
        tab.set('ordered', undefined);
        if (attempt.state === 'active') {
            panel.card({id: 'resumed', title: words.text('resume.title'), text: [words.text(refused ? 'resume.unpaused' : 'resume.text')]});
        }
        dispatch('resumed', times(attempt));
    };

    /** @param {import('./attempt').Attempt} attempt */
    const terminated = ({reason}) => {
        panel.terminated({reason: reason ? commands.reason(reason) : '', back, shown: () => commands.seen('terminate')});
        dispatch('terminated', {reason});
    };

    return {
        changed: (before, attempt) => {
            const {state} = attempt;
            if (before.told && before.state === state && before.reason === attempt.reason) {
                return;
            }
            if (state === 'paused') {
                paused(before, attempt);
            } else {
                panel.paused(null);
            }
            if (state === 'terminated') {
                terminated(attempt);
            } else {
                panel.terminated(null);
            }
            if (before.state === 'paused' && state !== 'paused' && (isWatched(state) || state === 'stopped')) {
                resumed(attempt);
            }
            if (state === 'stopped') {
                panel.card({id: 'off', title: words.text('off.title'), text: [words.text('off.text')], button: words.text('message.ok')});
            } else {
                panel.removeCard('off');
            }
            if (isWatched(state) && state !== 'paused') {
                commands.seen('resume');
            }
        },
        time: attempt => {
            if (attempt.end) {
                const told = times(attempt);
                toldEnd = told.localEnd;
                dispatch('time', told);
                if (onTime) {
                    onTime(told);
                }
            }
        },
        moved: ({end}) => Boolean(end) && Math.abs(clock.local(end) - toldEnd) > MOVED,
        pause,
    };
};
