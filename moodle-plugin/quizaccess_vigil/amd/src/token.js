// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Socket tokens: kept in the tab while they are fresh, else asked for at the token endpoint.
 *
 * @module     quizaccess_vigil/token
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** A token that ends sooner than this is not used for another socket, in ms. */
const FRESH = 20000;
/** How long the endpoint and the LMS may take to answer, in ms. */
const PATIENCE = 20000;

/**
 * @typedef {object} Grant
 * @property {string} token
 * @property {number} expires ms since the epoch, by this machine's clock
 * @property {string} url of the socket
 * @property {string} session
 */

/**
 * Why there is no token, and what to do about it.
 */
export class Refusal extends Error {
    /**
     * @param {import('./protocol').Duty} duty
     * @param {string} code
     * @param {string} detail
     * @param {number} [wait] ms
     */
    constructor(duty, code, detail, wait) {
        super(detail);
        this.name = 'Refusal';
        this.duty = duty;
        this.code = code;
        this.wait = wait;
    }
}

/**
 * Rejects what takes too long.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {() => void} [late]
 * @returns {Promise<T>}
 */
const patiently = (promise, late) => {
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    return Promise.race([promise, new Promise((_, reject) => {
        timer = setTimeout(() => {
            reject(new Refusal('retry', 'unavailable', 'No answer in time.'));
            if (late) {
                late();
            }
        }, PATIENCE);
    })]).finally(() => clearTimeout(timer));
};

/**
 * Reads the endpoint's refusal.
 *
 * @param {Response} response
 * @returns {Promise<Refusal>}
 */
const refusalOf = async(response) => {
    let problem;
    try {
        problem = await response.json();
    } catch {
        problem = null;
    }
    problem = problem || {};
    const known = ['retry', 'renew', 'stop'].includes(problem.duty);
    // An answer that is not ours (a proxy's, say) is no reason to give up.
    return new Refusal(known ? problem.duty : 'retry', problem.code || 'unavailable',
        problem.detail || problem.title || '', typeof problem.wait === 'number' ? problem.wait : undefined);
};

/**
 * @typedef {object} TokenSource
 * @property {() => Grant|null} cached a token that is still fresh
 * @property {() => Promise<Grant>} request asks the endpoint; rejects with a Refusal
 * @property {(token: string, expires: number) => void} renewed a token from the socket; expires by our clock
 * @property {() => void} forget
 * @property {() => string} session the last known one, or ''
 */

/**
 * Makes a token source.
 *
 * @param {object} options
 * @param {string} options.endpoint
 * @param {() => Promise<object>} options.body what to post: an assertion, or our own page's session
 * @param {RequestCredentials} [options.credentials] default 'omit'
 * @param {import('./storage').Tab} options.tab
 * @param {typeof fetch} [options.fetch]
 * @param {() => number} [options.now]
 * @returns {TokenSource}
 */
export const tokenSource = ({endpoint, body, credentials = 'omit', tab, fetch: ask, now = Date.now}) => {
    /** @type {Promise<Grant>|null} */
    let asking = null;

    const request = async() => {
        let posted;
        try {
            posted = await patiently(body());
        } catch (e) {
            if (e instanceof Refusal) {
                throw e;
            }
            // The LMS did not give an assertion; it may say that it never will.
            const reason = /** @type {{duty?: unknown, message?: unknown}} */ (e || {});
            throw new Refusal(reason.duty === 'stop' ? 'stop' : 'retry', 'assertion', String(reason.message || ''));
        }
        const control = typeof AbortController === 'function' ? new AbortController() : null;
        let response;
        try {
            response = await patiently((ask || window.fetch.bind(window))(endpoint, {
                method: 'POST',
                mode: 'cors',
                credentials,
                cache: 'no-store',
                headers: {'Content-Type': 'application/json'},
                body: JSON.stringify(posted),
                signal: control ? control.signal : undefined,
            }), () => control?.abort());
        } catch (e) {
            throw e instanceof Refusal ? e : new Refusal('retry', 'unreachable', 'The server cannot be reached.');
        }
        if (!response.ok) {
            throw await refusalOf(response);
        }
        let answer;
        try {
            answer = await response.json();
        } catch {
            throw new Refusal('retry', 'unavailable', 'The answer cannot be read.');
        }
        if (!answer || typeof answer.token !== 'string' || typeof answer.url !== 'string') {
            throw new Refusal('retry', 'unavailable', 'The answer holds no token.');
        }
        const life = Number(answer.expires) - Number(answer.now);
        /** @type {Grant} */
        const grant = {
            token: answer.token,
            expires: now() + Math.max(0, life || 0),
            url: answer.url,
            session: String(answer.session || ''),
        };
        tab.set('token', grant);
        tab.set('session', grant.session);
        return grant;
    };

    return {
        cached: () => {
            const grant = tab.get('token');
            return grant && typeof grant.token === 'string' && grant.expires - now() > FRESH ? grant : null;
        },
        request: () => {
            if (!asking) {
                asking = request().finally(() => {
                    asking = null;
                });
            }
            return asking;
        },
        renewed: (token, expires) => {
            const grant = tab.get('token');
            if (grant) {
                tab.set('token', Object.assign({}, grant, {token, expires}));
            }
        },
        forget: () => tab.set('token', undefined),
        session: () => tab.get('session') || '',
    };
};
