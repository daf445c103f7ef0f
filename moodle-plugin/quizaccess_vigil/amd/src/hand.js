// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The student's raised hand: what the student did counts until the server knows it, then what the server says.
 *
 * @module     quizaccess_vigil/hand
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/**
 * @typedef {object} Hand
 * @property {(up: boolean) => void} set by the student
 * @property {() => Promise<void>} find looks for a hand that the server does not know of when it welcomes us
 * @property {(up: boolean) => void} welcome as the server knows it
 * @property {() => void} lowered by a proctor; one that was raised again, and that the server does not know of, stays up
 * @property {(up: boolean) => Promise<void>} refused the server does not take it, for good: the student is told
 */

/**
 * @param {object} options
 * @param {import('./panel').Panel} options.panel
 * @param {import('./strings').Words} options.words
 * @param {import('./storage').Tab} options.tab
 * @param {import('./reports').Reports} options.reports
 * @returns {Hand}
 */
export const makeHand = ({panel, words, tab, reports}) => {
    /** @type {boolean|undefined} as the student left it, while the server does not know */
    let untold;

    /**
     * @param {boolean} up
     * @param {boolean} aloud
     */
    const show = (up, aloud) => {
        tab.set('hand', up || undefined);
        panel.hand(up, aloud);
    };

    const find = async() => {
        untold = undefined;
        untold = await reports.hand();
        if (untold !== undefined) {
            // The welcome may have come before this.
            show(untold, false);
        }
    };

    /** @param {boolean} up what was refused */
    const refused = async(up) => {
        await find();
        if (untold === undefined) {
            show(!up, false);
            panel.card({
                id: 'hand', title: words.text(up ? 'hand.refused.up' : 'hand.refused.down'), text: [words.text('hand.refused')],
                button: words.text('message.ok'),
            });
        }
    };

    panel.hand(Boolean(tab.get('hand')), false);

    return {
        set: up => {
            show(up, true);
            untold = up;
            reports.emit({kind: up ? 'hand_raised' : 'hand_lowered', at: Date.now()})
                .then(kept => kept ? undefined : refused(up)).catch(() => undefined);
        },
        find,
        welcome: up => show(untold === undefined ? up : untold, false),
        lowered: () => {
            find().then(() => untold === undefined && show(false, true)).catch(() => undefined);
        },
        refused,
    };
};
