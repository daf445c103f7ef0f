// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The connection to Vigil: opens, says hello, notices silence, and comes back by the duty that a close code or the token
 * endpoint states. Nothing here depends on a timer to keep the connection alive: the server pings, and browsers answer
 * even when a hidden tab's timers are slowed down. Timers only make coming back quicker.
 *
 * @module     quizaccess_vigil/socket
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {SUBPROTOCOL, TOKEN_SUBPROTOCOL, closeOf, parseFrames} from './protocol';

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
/** From open to welcome, and from a question to any frame, in ms. */
const OPEN_WAIT = 15000;
const PROBE_WAIT = 6000;
/** Silence after which we ask, in ms. */
const QUIET = 20000;
/** A drain may ask to stay away for so long at most, in ms. */
const LONGEST_DRAIN = 60000;
/** Bytes waiting in the browser beyond which nothing more is given to it. */
const BUFFERED = 256 * 1024;

/**
 * - idle: not started, or the page is being left
 * - connecting: on the way, for the first time or again
 * - connected: the server welcomed us
 * - waiting: until the next try
 * - superseded: another tab or device has the session
 * - stopped: and does not come back by itself
 *
 * @typedef {object} Status
 * @property {'idle'|'connecting'|'connected'|'waiting'|'superseded'|'stopped'} state
 * @property {number} since when it was connected last, or started; ms by our clock
 * @property {string} [code] why it stopped: ended, forbidden, protocol, …
 * @property {string} [detail] for people, as the server said it
 */

/**
 * @typedef {object} Socket
 * @property {() => void} start
 * @property {() => Status} status
 * @property {(frames: (object|string)[]) => boolean} send false: not now. Texts are sent as they are
 * @property {() => void} nudge something happened that makes coming back likely: try now, or ask whether it lives
 * @property {() => void} reclaim the student wants the session in this tab
 * @property {() => void} reconnect say goodbye and hello anew
 * @property {(reason: 'navigating'|'closing'|'finished') => void} leave
 */

/**
 * Makes a socket.
 *
 * @param {object} options
 * @param {import('./token').TokenSource} options.tokens
 * @param {(session: string) => Promise<object>} options.hello the first frame
 * @param {(frame: import('./protocol').Frame) => void} options.onFrame
 * @param {(status: Status) => void} options.onStatus
 * @param {(server: number) => number} options.local our time at a moment of the server
 * @param {new (url: string, protocols: string[]) => WebSocket} [options.WebSocket]
 * @param {() => number} [options.random]
 * @param {() => number} [options.now]
 * @param {() => number} [options.ticks] ms of a clock that nobody can set
 * @returns {Socket}
 */
export const makeSocket = ({
    tokens, hello, onFrame, onStatus, local, WebSocket: Native, random = Math.random, now = Date.now, ticks = () => performance.now(),
}) => {
    /** @type {Status} */
    let status = {state: 'idle', since: now()};
    /** @type {WebSocket|null} */
    let ws = null;
    /** Counts attempts, so that what belongs to an older one is ignored. */
    let turn = 0;
    let failures = 0;
    let heard = 0;
    let messages = 0;
    let drain = -1;
    /** The server welcomes at once, while the outbox may still be opening: signals go only after both greetings. */
    let welcomed = false;
    let greeted = false;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let probing;
    /** @type {ReturnType<typeof setInterval>|undefined} */
    let watching;

    /**
     * @param {Status['state']} state
     * @param {{code?: string, detail?: string}} [why]
     */
    const become = (state, why = {}) => {
        const since = state === 'connected' || status.state === 'connected' ? now() : status.since;
        status = {state, since, code: why.code, detail: why.detail};
        onStatus(status);
    };

    /**
     * Lets go of the present socket; its late events are ignored.
     *
     * @param {string} [reason] to say goodbye with
     */
    const release = reason => {
        turn++;
        welcomed = false;
        greeted = false;
        clearTimeout(timer);
        clearTimeout(probing);
        probing = undefined;
        clearInterval(watching);
        const old = ws;
        ws = null;
        if (!old) {
            return;
        }
        try {
            if (reason && old.readyState === 1) {
                old.send(JSON.stringify({t: 'bye', reason}));
            }
            old.close(1000);
        } catch {
            // It is gone either way.
        }
    };

    const pause = () => random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures++);

    /**
     * @param {number} wait
     */
    const later = wait => {
        become('waiting');
        clearTimeout(timer);
        timer = setTimeout(connect, wait);
    };

    /**
     * @param {'ended'|'superseded'|string} code
     * @param {string} [detail]
     */
    const halt = (code, detail) => {
        release();
        tokens.forget();
        become(code === 'superseded' ? 'superseded' : 'stopped', {code, detail});
    };

    /**
     * A socket that was open closed.
     *
     * @param {number} code
     * @param {string} reason
     */
    const closed = (code, reason) => {
        const {name, duty} = closeOf(code);
        release();
        if (duty === 'stop') {
            halt(name, reason);
        } else if (duty === 'renew') {
            tokens.forget();
            later(failures === 0 ? 0 : pause());
            failures = Math.max(failures, 1);
        } else {
            const asked = name === 'drain' && /^\d+$/.test(reason) ? Number(reason) : drain;
            drain = -1;
            later(asked >= 0 ? Math.min(asked, LONGEST_DRAIN) : pause());
        }
    };

    /**
     * A socket did not open. The browser does not say why, the token endpoint does: a token that we kept may be over
     * or refused, so the next try asks there first. The very first time that is at once.
     */
    const failed = () => {
        release();
        tokens.forget();
        if (failures === 0) {
            failures = 1;
            later(0);
        } else {
            later(pause());
        }
    };

    /**
     * Asks for a sign of life, unless that was asked already.
     */
    const probe = () => {
        const mine = turn;
        const asked = now();
        const before = messages;
        if (probing !== undefined || !send([{t: 'time', at: asked}])) {
            return;
        }
        probing = setTimeout(() => {
            probing = undefined;
            if (mine !== turn || messages !== before) {
                return;
            }
            // A machine that slept, or a frozen tab, comes back with its timers first: ask again before giving up.
            if (now() - asked > 2 * PROBE_WAIT) {
                probe();
                return;
            }
            closed(1006, '');
        }, PROBE_WAIT);
    };

    const watch = () => {
        clearInterval(watching);
        watching = setInterval(() => {
            if (status.state === 'connected' && ticks() - heard >= QUIET) {
                probe();
            }
        }, QUIET / 2);
    };

    const begin = () => {
        if (welcomed && greeted && status.state !== 'connected') {
            become('connected');
            watch();
        }
    };

    /**
     * @param {MessageEvent} event
     */
    const receive = event => {
        heard = ticks();
        messages++;
        const mine = turn;
        for (const frame of parseFrames(event.data)) {
            if (frame.t === 'welcome') {
                clearTimeout(timer);
                failures = 0;
                drain = -1;
                onFrame(frame);
                if (mine === turn) {
                    welcomed = true;
                    begin();
                }
            } else if (frame.t === 'token') {
                tokens.renewed(frame.token, local(frame.expires));
            } else {
                if (frame.t === 'notice' && frame.kind === 'reconnect' && !frame.over) {
                    drain = Number(frame.wait) || 0;
                }
                onFrame(frame);
            }
            if (mine !== turn) {
                return;
            }
        }
    };

    /**
     * @param {import('./token').Grant} grant
     */
    const open = grant => {
        const mine = turn;
        let opened = false;
        /** @type {WebSocket} */
        let socket;
        try {
            socket = new (Native || window.WebSocket)(grant.url, [SUBPROTOCOL, TOKEN_SUBPROTOCOL + grant.token]);
        } catch {
            failed();
            return;
        }
        ws = socket;
        timer = setTimeout(() => {
            if (mine === turn) {
                if (opened) {
                    closed(1006, '');
                } else {
                    failed();
                }
            }
        }, OPEN_WAIT);
        socket.onopen = async() => {
            opened = true;
            let first;
            try {
                first = await hello(grant.session);
            } catch {
                if (mine === turn) {
                    closed(1006, '');
                }
                return;
            }
            if (mine === turn && socket.readyState === 1) {
                socket.send(JSON.stringify(first));
                greeted = true;
                begin();
            }
        };
        socket.onmessage = event => {
            if (mine === turn) {
                receive(event);
            }
        };
        socket.onclose = event => {
            if (mine !== turn) {
                return;
            }
            if (opened) {
                closed(event.code, event.reason || '');
            } else {
                failed();
            }
        };
    };

    const connect = async() => {
        release();
        const mine = turn;
        become('connecting');
        let grant = tokens.cached();
        if (!grant) {
            try {
                grant = await tokens.request();
            } catch (e) {
                if (mine !== turn) {
                    return;
                }
                const refusal = /** @type {import('./token').Refusal} */ (e);
                if (refusal.duty === 'stop') {
                    halt(refusal.code || 'forbidden', refusal.message);
                } else {
                    const wait = pause();
                    later(typeof refusal.wait === 'number' ? Math.min(Math.max(refusal.wait, wait), LONGEST_DRAIN) : wait);
                }
                return;
            }
        }
        if (mine === turn) {
            open(grant);
        }
    };

    /**
     * @param {(object|string)[]} frames
     * @returns {boolean}
     */
    const send = frames => {
        if (ws?.readyState !== 1 || status.state !== 'connected' || ws.bufferedAmount > BUFFERED) {
            return false;
        }
        const texts = frames.map(frame => typeof frame === 'string' ? frame : JSON.stringify(frame));
        try {
            ws.send(texts.length === 1 ? texts.join('') : '[' + texts.join(',') + ']');
            return true;
        } catch {
            return false;
        }
    };

    return {
        start: () => {
            if (status.state === 'idle') {
                failures = 0;
                void connect();
            }
        },
        status: () => status,
        send,
        nudge: () => {
            if (status.state === 'waiting') {
                void connect();
            } else if (status.state === 'connected') {
                probe();
            }
        },
        reclaim: () => {
            if (status.state === 'superseded') {
                failures = 0;
                void connect();
            }
        },
        reconnect: () => {
            if (status.state === 'connected' || status.state === 'connecting') {
                release('navigating');
                void connect();
            }
        },
        leave: reason => {
            release(reason);
            if (status.state !== 'stopped' && status.state !== 'superseded') {
                become('idle');
            }
        },
    };
};
