// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The administrator's page: waits for the end of a registration, and tries the way from this browser to the tool.
 *
 * @module     quizaccess_vigil/setup
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {getStrings} from 'core/str';
import {CHECK_SUBPROTOCOL, SUBPROTOCOL} from './protocol';

/** How long the tool may take to answer, in ms. */
const PATIENCE = 8000;

/** How long a browser may take to tell that a policy was violated, in ms. */
const AFTERWARDS = 200;

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
    } catch {
        try {
            // Of all that the tool serves, this may be fetched by pages of any site.
            await ask(new URL('/assets/monitor.js', endpoint).href, Object.assign({}, options, {method: 'GET', mode: 'no-cors'}));
            return 'origin';
        } catch {
            return 'down';
        }
    } finally {
        clearTimeout(timer);
    }
};

/**
 * Whether a WebSocket can be opened: the tool closes one that is only a trial at once.
 *
 * @param {string} url
 * @param {new (url: string, protocols: string[]) => WebSocket} [Native]
 * @returns {Promise<'ok'|'socket'>}
 */
export const open = (url, Native = window.WebSocket) => new Promise(resolve => {
    let opened = false;
    /** @type {WebSocket|null} */
    let socket = null;
    const timer = setTimeout(() => {
        resolve('socket');
        socket?.close();
    }, PATIENCE);
    try {
        socket = new Native(url, [SUBPROTOCOL, CHECK_SUBPROTOCOL]);
    } catch {
        clearTimeout(timer);
        resolve('socket');
        return;
    }
    socket.onopen = () => {
        opened = true;
    };
    socket.onclose = event => {
        clearTimeout(timer);
        resolve(opened && event.code === 1000 ? 'ok' : 'socket');
    };
});

/**
 * What this browser finds on the whole way: as reach, or socket (it is reached, but no WebSocket comes through), or csp (this
 * site's own policy forbids it).
 *
 * @param {string} endpoint
 * @param {string} socket
 * @returns {Promise<'ok'|'origin'|'mixed'|'down'|'socket'|'csp'>}
 */
export const explore = async(endpoint, socket) => {
    const origins = [endpoint, socket].map(url => new URL(url).origin);
    let forbidden = false;
    const note = (/** @type {SecurityPolicyViolationEvent} */ event) => {
        forbidden = forbidden || origins.some(origin => event.blockedURI.startsWith(origin));
    };
    document.addEventListener('securitypolicyviolation', note);
    try {
        const found = await reach(endpoint);
        const whole = found === 'ok' ? await open(socket) : found;
        if (whole !== 'ok') {
            // Browsers tell of a violation a moment after what it broke.
            await new Promise(resolve => setTimeout(resolve, AFTERWARDS));
        }
        return whole !== 'ok' && forbidden ? 'csp' : whole;
    } finally {
        document.removeEventListener('securitypolicyviolation', note);
    }
};

/**
 * Tries the way, and shows what was found.
 *
 * @param {string} endpoint where assertions go
 * @param {string} socket
 * @returns {Promise<void>}
 */
export const tryBrowser = async(endpoint, socket) => {
    const found = await explore(endpoint, socket);
    const [summary] = await getStrings([{key: 'health_browser_' + found, component: 'quizaccess_vigil'}]);
    const cell = (/** @type {string} */ name) => document.querySelector('[data-vigil="browser-' + name + '"]');
    cell(found === 'ok' ? 'good' : 'bad')?.removeAttribute('hidden');
    const said = cell('summary');
    if (said) {
        said.textContent = summary || '';
    }
};
