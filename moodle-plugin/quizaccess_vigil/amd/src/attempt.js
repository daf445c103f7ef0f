// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * What a page knows of its attempt, and how each frame of the server changes that. Nothing here acts: see attempt_view.
 *
 * @module     quizaccess_vigil/attempt
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {hasEnded} from './protocol';

/**
 * Never changed: each frame makes another one.
 *
 * @typedef {object} Attempt
 * @property {string} state of the session; '' until it is known
 * @property {boolean} told the server told this page of the state; else it is what the page before knew
 * @property {number} version of the session
 * @property {string} reason why it is in that state
 * @property {number} end by the server's clock; 0: none
 * @property {number} left ms that a paused attempt has left; 0: none
 * @property {boolean} saving the server stores signals later
 */

/**
 * An attempt of which this page has not heard yet.
 *
 * @param {string} state that the page before in this tab knew, or ''
 * @returns {Attempt}
 */
export const unheard = state => ({state, told: false, version: 0, reason: '', end: 0, left: 0, saving: false});

/**
 * The attempt after a frame. What is older than what is known, or says nothing of the attempt, leaves it the same object.
 *
 * @param {Attempt} attempt
 * @param {import('./protocol').Frame} frame
 * @returns {Attempt}
 */
export const reduce = (attempt, frame) => {
    switch (frame.t) {
        case 'welcome': {
            // A new connection may be to a server that has heard less, or to a restored store: its word counts all the same.
            const {state, version, reason = '', end = 0, left = 0} = frame;
            return {state, told: true, version, reason, end, left, saving: false};
        }
        case 'state': {
            const {state, version, reason = ''} = frame;
            return version < attempt.version ? attempt : Object.assign({}, attempt, {state, told: true, version, reason});
        }
        case 'time': {
            const {end = 0, left = 0} = frame;
            // The answer to a question of our clock's may say nothing of the end; what comes unasked says that there is none.
            const says = end || left || !frame.at;
            return says && (end !== attempt.end || left !== attempt.left) ? Object.assign({}, attempt, {end, left}) : attempt;
        }
        case 'notice': {
            const saving = frame.kind === 'saving_later' ? !frame.over : attempt.saving;
            return saving === attempt.saving ? attempt : Object.assign({}, attempt, {saving});
        }
        default:
            return attempt;
    }
};

/** A break shorter than this is shown as reconnecting, a longer one as offline, in ms. */
export const OFFLINE = 5000;

/**
 * What the panel says of the attempt and its connection.
 *
 * @param {Attempt} attempt
 * @param {import('./socket').Status} status
 * @param {number} since how long the connection has been so, in ms
 * @param {boolean} before whether this page was ever connected
 * @returns {import('./panel').Kind}
 */
export const kindOf = ({state, saving}, status, since, before) => {
    if (state === 'stopped') {
        return 'off';
    }
    if (hasEnded(state) || status.code === 'ended') {
        return 'ended';
    }
    if (status.state === 'superseded') {
        return 'elsewhere';
    }
    if (status.state === 'stopped') {
        return 'stopped';
    }
    if (status.state === 'connected') {
        if (state === 'paused') {
            return 'paused';
        }
        if (saving) {
            return 'saving';
        }
        return state === 'time_up' ? 'timeup' : 'connected';
    }
    if (since >= OFFLINE) {
        return 'offline';
    }
    return before ? 'reconnecting' : 'connecting';
};
