// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The quiz page of Moodle around the monitor: its answers and its own saving of them.
 *
 * @module     quizaccess_vigil/moodle_page
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** How long a save may take, in ms. */
const PATIENCE = 4000;

/**
 * @typedef {object} Autosave core's M.mod_quiz.autosave, as far as it is used here
 * @property {boolean} [dirty]
 * @property {unknown} delay_timer true: it was stopped
 * @property {() => void} stop_autosaving
 * @property {() => void} start_save_timer_if_necessary
 * @property {() => void} [save_changes]
 * @property {unknown} [save_transaction] a save that is under way
 */

/**
 * @typedef {object} Moodle the page's M and what goes with it
 * @property {{wwwroot: string}} cfg
 * @property {{autosave?: Autosave, timer?: import('./moodle_clock').Timer}} [mod_quiz]
 */

/** @returns {Moodle} */
export const moodle = () => /** @type {{M: Moodle}} */ (/** @type {unknown} */ (window)).M;

/**
 * An address of this site.
 *
 * @param {string} path
 * @param {{[name: string]: string|number}} params
 * @returns {string}
 */
export const address = (path, params) => {
    const query = Object.entries(params).map(([name, value]) => name + '=' + encodeURIComponent(value));
    return moodle().cfg.wwwroot + path + '?' + query.join('&');
};

/**
 * Saves the answers of the page, as autosave does. Core's own would not in the last minutes of an attempt.
 *
 * @param {typeof fetch} [ask]
 * @returns {Promise<boolean>} true: they were taken, or there are none
 */
export const saveAnswers = async(ask) => {
    const form = /** @type {HTMLFormElement|null} */ (document.querySelector('form#responseform'));
    if (!form) {
        return true;
    }
    const editor = /** @type {{tinyMCE?: {triggerSave: () => void}}} */ (/** @type {unknown} */ (window)).tinyMCE;
    if (editor) {
        // What is being written goes into the form's fields.
        editor.triggerSave();
    }
    const fields = new URLSearchParams();
    new FormData(form).forEach((value, name) => {
        if (typeof value === 'string') {
            fields.append(name, value);
        }
    });
    const control = typeof AbortController === 'function' ? new AbortController() : null;
    const timer = setTimeout(() => control?.abort(), PATIENCE);
    try {
        const response = await (ask || window.fetch.bind(window))(moodle().cfg.wwwroot + '/mod/quiz/autosave.ajax.php', {
            method: 'POST',
            credentials: 'same-origin',
            cache: 'no-store',
            // Moodle answers a page that is left, too.
            keepalive: fields.toString().length < 60000,
            headers: {'Content-Type': 'application/x-www-form-urlencoded'},
            body: fields.toString(),
            signal: control ? control.signal : undefined,
        });
        const answer = response.ok ? await response.json() : null;
        return Boolean(answer) && answer.status === 'OK';
    } finally {
        clearTimeout(timer);
    }
};

/** Keeps core from saving by itself: while paused, its save is refused and it would say that the network is gone. */
export const holdAutosave = () => {
    const quiz = moodle().mod_quiz;
    if (quiz?.autosave && typeof quiz.autosave.stop_autosaving === 'function') {
        quiz.autosave.stop_autosaving();
    }
};

/** Lets core save again. */
export const releaseAutosave = () => {
    const quiz = moodle().mod_quiz;
    const autosave = quiz?.autosave;
    if (autosave && autosave.delay_timer === true) {
        autosave.delay_timer = null;
        if (autosave.dirty) {
            autosave.start_save_timer_if_necessary();
        }
    }
};

/** @type {WeakSet<Autosave>} */
const heard = new WeakSet();

/**
 * Hears of core's saves. It may be called again: core's part may come after ours.
 *
 * @param {() => void} saved
 * @param {() => Promise<void>|null} [before] what a save is to wait for; null: nothing
 */
export const onAutosave = (saved, before = () => null) => {
    const quiz = moodle().mod_quiz;
    const autosave = quiz?.autosave;
    if (!autosave || heard.has(autosave) || typeof autosave.save_changes !== 'function') {
        return;
    }
    heard.add(autosave);
    const save = autosave.save_changes;
    autosave.save_changes = function(...args) {
        const now = () => {
            save.apply(this, args);
            // Near the end of the attempt it saves nothing.
            if (autosave.save_transaction) {
                saved();
            }
        };
        const ready = before();
        if (!ready) {
            now();
            return;
        }
        // Meanwhile it is to core as if its timer still ran. It may be stopped: the form was sent, or the attempt is paused.
        void ready.then(() => {
            if (autosave.delay_timer !== true && !autosave.save_transaction) {
                now();
            }
        });
    };
};
