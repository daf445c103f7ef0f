// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Puts the monitor on a page of a proctored quiz attempt in Moodle.
 *
 * @module     quizaccess_vigil/proctor
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {call as callServer} from 'core/ajax';
import {getStrings} from 'core/str';
import {disableAllChecks} from 'core_form/changechecker';
import {init as startMonitor} from './monitor';
import {makeMoodleClock} from './moodle_clock';
import {address, holdAutosave, moodle, onAutosave, releaseAutosave, saveAnswers} from './moodle_page';
import {makePause} from './moodle_pause';
import {makeReceipts} from './receipts';
import {tabStorage} from './storage';
import {dictionaries} from './strings';

/** The panel does not wait longer for its words, in ms. */
const WORDS_PATIENCE = 2000;
/** How often the waiting page asks Moodle, beside what the socket says, in ms. */
const WAITING_ASKS = 15000;
/** How often it asks when it has heard that the attempt goes on, for Moodle may hear of it later: 0.5 s, then 1 s, 2 s … apart. */
const RESUMED_ASKS = 6;
const RESUMED_ASK = 500;
/** A new end of many students at once: each asks Moodle within this time, in ms. */
const SPREAD = 1500;
/** How often the page is looked at for its clock, which may start after this does, and how long it waits in between. */
const CLOCK_LOOKS = 20;
const CLOCK_WAIT = 250;
/** Refusals of Moodle that asking again does not change. */
const FINAL = ['errorended', 'errornosession', 'errornotcheckedin', 'errorloginas', 'errortoolinactive', 'errorswitchedoff',
    'servicerequireslogin', 'invalidsesskey', 'requireloginerror', 'invalidrecord'];
/** The element with the page's stamp. */
const STAMP = 'quizaccess_vigil_page';

/**
 * @typedef {object} PageConfig
 * @property {number} attempt
 * @property {number} cmid
 * @property {string} key names the student and the attempt
 * @property {'attempt'|'summary'|'paused'} kind of the page
 * @property {number|string} page
 * @property {number} pages
 * @property {string} endpoint where the tool takes assertions
 * @property {boolean} [receipts] Moodle wants them
 * @property {boolean} [held] Moodle paused it, because nobody watched: the page says so
 * @property {string} lang
 */

/**
 * Calls an external function. It neither keeps the session alive nor leaves the page when the login is gone.
 *
 * @param {string} name
 * @param {object} args
 * @returns {Promise<any>}
 */
const callMoodle = (name, args) => new Promise((resolve, reject) => {
    const [answer] = callServer([{methodname: 'quizaccess_vigil_' + name, args}], true, true, true);
    Promise.resolve(answer).then(resolve, reject);
});

/**
 * The name of Moodle's string for a word of the panel.
 *
 * @param {string} key
 * @returns {string}
 */
export const stringId = key => 'panel_' + key.replace(/\./g, '_');

/**
 * What Moodle signed about this page, for the tool.
 *
 * @returns {string} '': nothing
 */
const pageStamp = () => {
    const element = document.getElementById(STAMP);
    try {
        const {stamp} = JSON.parse(element?.textContent || '{}');
        return typeof stamp === 'string' ? stamp : '';
    } catch {
        return '';
    }
};

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
const wait = ms => new Promise(resolve => {
    setTimeout(resolve, ms);
});

/**
 * The panel's words in the user's language; what Moodle does not say in time is said by the panel's own.
 *
 * @returns {Promise<{[key: string]: string}>}
 */
const dictionary = () => {
    const keys = Object.keys(dictionaries.en || {});
    // Each placeholder stands for itself.
    const names = ['name', 'n', 'time', 'reason'];
    const param = Object.fromEntries(names.map(name => [name, '{' + name + '}']));
    const asked = getStrings(keys.map(key => ({key: stringId(key), component: 'quizaccess_vigil', param})))
        .then(words => Object.fromEntries(keys.map((key, n) => [key, words[n] || ''])));
    /** @type {{[key: string]: string}} */
    const none = {};
    return Promise.race([asked, wait(WORDS_PATIENCE).then(() => none)]).catch(() => none);
};

/**
 * Starts the monitor.
 *
 * @param {PageConfig} config
 * @returns {Promise<import('./monitor').Monitor>}
 */
export const init = async(config) => {
    const {attempt, cmid, kind} = config;
    const tab = tabStorage('vigil:moodle:' + config.key + ':');
    const clock = makeMoodleClock();
    const pausedUrl = address('/mod/quiz/accessrule/vigil/paused.php', {attempt});
    const quizUrl = address('/mod/quiz/view.php', {id: cmid});
    const attemptUrl = address('/mod/quiz/attempt.php', {attempt, cmid});

    const ask = () => callMoodle('get_attempt_status', {attemptid: attempt});
    /** How the attempt stands; 'off': it is not proctored any more. */
    const status = async() => {
        const found = await ask();
        return found.proctored === false && found.status === 'running' ? 'off' : found.status;
    };

    /**
     * Leaves this page without a question.
     *
     * @param {string} url
     */
    const go = url => {
        holdAutosave();
        clock.freeze();
        disableAllChecks();
        window.location.replace(url);
    };

    /** Goes on where the student was when the pause came. */
    const goOn = () => {
        const before = tab.get('page');
        const own = typeof before === 'string' && before.startsWith(moodle().cfg.wwwroot + '/mod/quiz/');
        go(own ? before : attemptUrl);
    };

    /** @param {string} now */
    const leave = now => {
        if (now === 'running' || now === 'off') {
            goOn();
        } else if (now === 'paused') {
            go(pausedUrl);
        } else {
            go(quizUrl);
        }
    };

    const pause = makePause({clock, save: saveAnswers, status, hold: holdAutosave, release: releaseAutosave, leave});

    /** The last end that the tool told; a later one makes an earlier question moot. */
    let told = 0;
    /** @param {{localEnd: number}} time */
    const onTime = async({localEnd}) => {
        told = localEnd;
        for (let n = 0; n < CLOCK_LOOKS && !clock.running(); n++) {
            await wait(CLOCK_WAIT);
        }
        if (told !== localEnd || !localEnd || !clock.differs(localEnd)) {
            return;
        }
        // The tool may know an end that a teacher has changed since: Moodle's word counts.
        await wait(Math.random() * SPREAD);
        if (told !== localEnd) {
            return;
        }
        try {
            const found = await ask();
            if (found.end && found.status === 'running') {
                clock.moveTo(Date.now() + (found.end - found.now) * 1000);
            }
        } catch {
            // Autosave brings the end, too, or the next page does.
            return;
        }
    };

    /** Ends the waiting page; set there. */
    let look = async() => {};
    const receipts = config.receipts ? makeReceipts({
        tab,
        form: 'responseform',
        atOnce: kind === 'paused',
        send: async(text) => {
            const found = await callMoodle('send_receipts', {attemptid: attempt, receipts: text});
            if (kind === 'paused') {
                await look();
            } else if (found.status === 'paused') {
                // Nobody watched, or the tool cannot be heard: the answers are saved, and the waiting page says what to do.
                void pause.begin();
            }
        },
    }) : null;
    const hear = () => {
        if (receipts) {
            onAutosave(receipts.sent, receipts.waking);
        }
    };
    hear();

    document.addEventListener('vigil:time', event => {
        void onTime(/** @type {CustomEvent} */ (event).detail);
    });
    if (kind === 'paused') {
        let left = false;
        look = async() => {
            const now = await status().catch(() => 'paused');
            if (now !== 'paused' && !left) {
                left = true;
                leave(now);
            }
        };
        let looking = false;
        document.addEventListener('vigil:state', async(event) => {
            const {state} = /** @type {CustomEvent} */ (event).detail;
            if (looking || !state || state === 'paused') {
                return;
            }
            looking = true;
            for (let n = 0; n < RESUMED_ASKS && !left; n++) {
                await look();
                await wait(RESUMED_ASK * 2 ** n);
            }
            looking = false;
        });
        setInterval(look, WAITING_ASKS);
    } else {
        tab.set('page', window.location.href.split('#')[0]);
        document.addEventListener('vigil:paused', () => pause.begin());
        document.addEventListener('vigil:resumed', event => {
            pause.end();
            void onTime(/** @type {CustomEvent} */ (event).detail);
        });
        document.addEventListener('vigil:terminated', () => {
            // What is typed from here on is not taken any more: no warning of it, no try, no post when the time is up.
            clock.freeze();
            holdAutosave();
            disableAllChecks();
        });
    }

    return startMonitor({
        tokenEndpoint: config.endpoint,
        assertion: async() => {
            try {
                return (await callMoodle('get_socket_token', {attemptid: attempt})).token;
            } catch (e) {
                const problem = /** @type {{errorcode?: string, message?: string}} */ (e || {});
                const final = FINAL.includes(String(problem.errorcode));
                throw Object.assign(new Error(problem.message || ''), final ? {duty: 'stop'} : {});
            }
        },
        key: config.key,
        lang: config.lang,
        strings: await dictionary(),
        page: config.page,
        pages: config.pages,
        stamp: pageStamp(),
        explained: config.held,
        back: quizUrl,
        onReceipt: frame => {
            hear();
            receipts?.take(frame);
        },
    });
};
