// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The wire protocol's words, as docs/protocol.md states them: types, close codes and what each asks of the client.
 *
 * @module     quizaccess_vigil/protocol
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** The only subprotocol that is ever answered. */
export const SUBPROTOCOL = 'vigil.v1';
/** Begins the second offered subprotocol, which carries the socket token. */
export const TOKEN_SUBPROTOCOL = 'vigil.token.';
/** Offered in the token's place to try whether a socket can be opened: it is closed at once. */
export const CHECK_SUBPROTOCOL = 'vigil.check';
/** Objects in one frame. */
export const MAX_BATCH = 256;
/** Characters of one frame that we fill: the limit is 64 KiB, and a character may be up to three bytes. */
export const MAX_FRAME = 20000;
/** Bytes of a chat line. */
export const MAX_CHAT = 2000;
/** Bytes of a text in a signal's data. */
export const MAX_TEXT = 128;
/** What a hello says that this monitor can. */
export const CAN = ['alive'];
/** Characters of a page stamp. A longer one is none of the format, and would be refused. */
export const MAX_STAMP = 16384;

/**
 * What to do after a close or a refusal: the same again after a pause, with a new token, or not by oneself.
 *
 * @typedef {'retry'|'renew'|'stop'} Duty
 */

/**
 * Close codes of the protocol: name and duty. Any other code means retry.
 *
 * @type {{[code: number]: {name: string, duty: Duty}}}
 */
export const CLOSE = {
    1003: {name: 'unsupported', duty: 'stop'},
    1009: {name: 'too_big', duty: 'stop'},
    4000: {name: 'ended', duty: 'stop'},
    4001: {name: 'superseded', duty: 'stop'},
    4002: {name: 'token', duty: 'renew'},
    4003: {name: 'forbidden', duty: 'stop'},
    4004: {name: 'drain', duty: 'retry'},
    4005: {name: 'rate', duty: 'retry'},
    4006: {name: 'slow', duty: 'retry'},
    4007: {name: 'silent', duty: 'retry'},
    4008: {name: 'protocol', duty: 'stop'},
    4009: {name: 'unavailable', duty: 'retry'},
};

/**
 * Name and duty of a close code.
 *
 * @param {number} code
 * @returns {{name: string, duty: Duty}}
 */
export const closeOf = code => CLOSE[code] || {name: 'lost', duty: 'retry'};

/** States of a session in which nobody is watched any more. The attempt of a stopped one goes on without us. */
export const ENDED = ['submitted', 'terminated', 'expired', 'stopped', 'canceled'];
/** States before the attempt begins. */
export const BEFORE = ['created', 'ready', 'awaiting', 'authorized'];

/**
 * Tells whether nobody is watched any more in a state.
 *
 * @param {string} state
 * @returns {boolean}
 */
export const hasEnded = state => ENDED.includes(state);

/**
 * Tells whether the student is watched in a state. One that we do not know is of a newer server, which closes the socket of a
 * session that has ended: as long as the socket lives, the attempt runs.
 *
 * @param {string} state
 * @returns {boolean}
 */
export const isWatched = state => state !== '' && !BEFORE.includes(state) && !hasEnded(state);

/**
 * Groups of signals that an exam may ask for.
 *
 * @typedef {'focus'|'clipboard'|'fullscreen'|'display'|'window'|'idle'} Watch
 */

/**
 * Flat: texts, numbers and booleans only.
 *
 * @typedef {{[name: string]: string|number|boolean}} SignalData
 */

/**
 * Something that the browser noticed, before it has a number.
 *
 * @typedef {object} Noticed
 * @property {string} kind
 * @property {number} at ms since the epoch, by this machine's clock
 * @property {number} [dur] ms
 * @property {SignalData} [data]
 */

/**
 * @typedef {object} ExamView
 * @property {string} id
 * @property {string} title
 * @property {string} [course]
 * @property {Watch[]} [watch]
 * @property {boolean} [fullscreen]
 * @property {boolean} [pause]
 * @property {boolean} [admission]
 * @property {number} [attention]
 */

/**
 * @typedef {object} ChatFrame
 * @property {'chat'} t
 * @property {string} id
 * @property {'student'|'proctor'|'system'|'lms'} from
 * @property {string} [name]
 * @property {string} text
 * @property {boolean} [urgent]
 * @property {number} at
 */

/**
 * @typedef {object} CommandFrame
 * @property {'command'} t
 * @property {string} id
 * @property {string} kind
 * @property {string} [text]
 * @property {string} [by]
 * @property {number} [seconds]
 * @property {number} at
 */

/**
 * @typedef {object} WelcomeFrame
 * @property {'welcome'} t
 * @property {string} role
 * @property {string} session
 * @property {ExamView} exam
 * @property {number} now
 * @property {number} epoch
 * @property {string} state
 * @property {number} version
 * @property {number} [end]
 * @property {number} [left]
 * @property {string} [reason]
 * @property {boolean} [hand]
 * @property {number} ping
 * @property {ChatFrame[]} [chat]
 * @property {CommandFrame[]} [commands]
 */

/**
 * @typedef {object} AckFrame
 * @property {'ack'} t
 * @property {string} [stream]
 * @property {number[]} [seqs]
 * @property {string} [id]
 */

/**
 * @typedef {object} StateFrame
 * @property {'state'} t
 * @property {string} state
 * @property {number} version
 * @property {string} [reason]
 * @property {number} at
 */

/**
 * @typedef {object} TimeFrame
 * @property {'time'} t
 * @property {number} [at]
 * @property {number} now
 * @property {number} [end]
 * @property {number} [left]
 */

/**
 * @typedef {object} TokenFrame
 * @property {'token'} t
 * @property {string} token
 * @property {number} expires
 */

/**
 * Asks for the page's running totals: a sign of life of the monitor itself.
 *
 * @typedef {object} AliveFrame
 * @property {'alive'} t
 * @property {string} id
 */

/**
 * @typedef {object} NoticeFrame
 * @property {'notice'} t
 * @property {string} kind
 * @property {boolean} [over]
 * @property {number} [wait]
 */

/**
 * @typedef {object} HandFrame
 * @property {'hand'} t
 */

/**
 * @typedef {object} ReceiptFrame
 * @property {'receipt'} t
 * @property {string} page the id of its stamp
 * @property {number} until
 * @property {string} receipt for the LMS
 */

/**
 * @typedef {object} ErrorFrame
 * @property {'error'} t
 * @property {string} code
 * @property {string} message
 * @property {Duty|'drop'} duty
 * @property {string} [ref]
 * @property {string} [field]
 * @property {number} [wait]
 */

/**
 * What a student's socket hears.
 *
 * @typedef {WelcomeFrame|AckFrame|CommandFrame|StateFrame|TimeFrame|ChatFrame|TokenFrame|NoticeFrame|AliveFrame|ReceiptFrame|HandFrame|ErrorFrame} Frame
 */

/**
 * The objects of a text frame. What is not JSON, or has no type, is left out: a client never dies of what it hears.
 *
 * @param {unknown} text
 * @returns {Frame[]}
 */
export const parseFrames = text => {
    if (typeof text !== 'string') {
        return [];
    }
    let value;
    try {
        value = JSON.parse(text);
    } catch {
        return [];
    }
    const list = Array.isArray(value) ? value : [value];
    return list.filter(frame => frame !== null && typeof frame === 'object' && typeof frame.t === 'string');
};

/**
 * A random id of the form that the protocol asks of streams, chat lines and commands.
 *
 * @param {number} [bytes]
 * @returns {string}
 */
export const randomId = (bytes = 16) => {
    const values = new Uint8Array(bytes);
    crypto.getRandomValues(values);
    return Array.from(values, value => value.toString(16).padStart(2, '0')).join('');
};
