// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The administrator's page: waits for the end of a registration, and tries the way from this browser to the tool.
 *
 * @module     quizaccess_vigil/setup
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {getStrings} from 'core/str';

/** How long the tool may take to answer, in ms. */
const PATIENCE = 8000;

/**
 * Opens the registration in the page's frame, and goes on when the tool says that it is done. Listening comes first: the tool says
 * it once, and may be quick.
 *
 * @param {string} url
 */
export const awaitRegistration = url => {
    const frame = /** @type {HTMLIFrameElement|null} */ (document.querySelector('iframe[data-vigil-src]'));
    if (!frame) {
        return;
    }
    window.addEventListener('message', event => {
        if (event.source === frame.contentWindow && event.data && event.data.subject === 'org.imsglobal.lti.close') {
            window.location.assign(url);
        }
    });
    frame.src = frame.getAttribute('data-vigil-src') || '';
};

/**
 * What this browser finds at the tool: ok, origin (it answers, but pages of this site may not read it), mixed or down.
 *
 * @param {string} endpoint
 * @param {typeof fetch} [ask]
 * @returns {Promise<'ok'|'origin'|'mixed'|'down'>}
 */
export const reach = async(endpoint, ask = window.fetch.bind(window)) => {
    if (window.location.protocol === 'https:' && !endpoint.startsWith('https:')) {
        return 'mixed';
    }
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), PATIENCE);
    /** @type {RequestInit} */
    const options = {method: 'POST', credentials: 'omit', cache: 'no-store', signal: control.signal};
    try {
        // An assertion that is none is refused; that the refusal can be read is what counts.
        const headers = {'Content-Type': 'application/json'};
        const response = await ask(endpoint, Object.assign({headers, mode: 'cors', body: '{"assertion":""}'}, options));
        return response.status >= 400 && response.status < 500 ? 'ok' : 'down';
    } catch (e) {
        try {
            await ask(endpoint, Object.assign({mode: 'no-cors', body: ''}, options));
            return 'origin';
        } catch (again) {
            return 'down';
        }
    } finally {
        clearTimeout(timer);
    }
};

/**
 * Tries the way, and shows what was found.
 *
 * @param {string} endpoint
 * @returns {Promise<void>}
 */
export const tryBrowser = async(endpoint) => {
    const found = await reach(endpoint);
    const [status, summary] = await getStrings([
        {key: found === 'ok' ? 'health_browser_good' : 'health_browser_bad', component: 'quizaccess_vigil'},
        {key: 'health_browser_' + found, component: 'quizaccess_vigil'},
    ]);
    const put = (/** @type {string} */ name, /** @type {string|undefined} */ text) => {
        const cell = document.querySelector('[data-vigil="' + name + '"]');
        if (cell) {
            cell.textContent = text || '';
        }
    };
    put('browser-status', status);
    put('browser-summary', summary);
};
