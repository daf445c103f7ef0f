// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * What this page reports: signals and chat lines, in the outbox of their session from the moment it is known, and from there to
 * the server.
 *
 * @module     quizaccess_vigil/reports
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {openOutbox} from './outbox';
import {makeSender} from './sender';

/** Signals kept until the session is known. */
const EARLY = 200;

/**
 * @typedef {object} Reports
 * @property {(session: string) => Promise<void>} open the session is known; the next page of the same one finds its outbox again
 * @property {(noticed: import('./protocol').Noticed) => Promise<boolean>} emit false: there is no room for it
 * @property {(text: string) => Promise<import('./outbox').Line|null>} say null: the session is not known yet
 * @property {() => Promise<boolean|undefined>} hand whether it was raised or lowered last by what the server does not have yet;
 *     undefined: neither
 * @property {() => Promise<{stream: string, next: number}>} hello
 * @property {() => number} given the highest number that a signal of the present stream got, as far as this page knows
 * @property {() => boolean} durable whether what waits outlives the page
 * @property {() => void} connected
 * @property {() => void} disconnected
 * @property {(frame: import('./protocol').AckFrame) => void} acknowledge
 * @property {(frame: import('./protocol').ErrorFrame) => Promise<'signal'|'hand_raised'|'hand_lowered'|'line'|''>} refused what the error
 *     was about (see sender)
 * @property {() => void} stop what was noticed from here on is dropped
 */

/**
 * @param {object} options
 * @param {(frames: (object|string)[]) => boolean} options.send
 * @param {() => void} options.onStream the stream is another one: the server must hear a new hello
 * @param {(session: string) => void} options.onOpen the session's outbox is open; what is emitted here goes before what waited
 * @param {(line: import('./outbox').Line) => void} options.onLine of the student, still to be sent
 * @returns {Reports}
 */
export const makeReports = ({send, onStream, onOpen, onLine}) => {
    /** @type {import('./outbox').Outbox|null} */
    let outbox = null;
    /** @type {import('./sender').Sender|null} */
    let sender = null;
    /** @type {Promise<void>} */
    let opening = Promise.resolve();
    let opened = '';
    /** @type {import('./protocol').Noticed[]} */
    let early = [];
    const given = {stream: '', seq: 0};
    let stopped = false;

    /** @param {number} seq */
    const giveOut = seq => {
        const stream = outbox ? outbox.stream() : '';
        given.seq = given.stream === stream ? Math.max(given.seq, seq) : seq;
        given.stream = stream;
    };

    /**
     * @param {import('./outbox').Outbox} box
     * @param {import('./protocol').Noticed} noticed
     * @returns {Promise<boolean>}
     */
    const add = async(box, noticed) => {
        const entry = await box.add(noticed);
        giveOut(entry ? entry.seq : 0);
        return entry !== null;
    };

    /** @param {string} session */
    const openBox = async(session) => {
        const old = outbox;
        const box = await openOutbox({session, onStream});
        if (old) {
            old.close();
        }
        outbox = box;
        sender = makeSender({outbox: box, send});
        const queue = early;
        early = [];
        onOpen(session);
        for (const noticed of queue) {
            await add(box, noticed);
        }
        (await box.lines()).forEach(onLine);
        void sender.flush();
    };

    return {
        open: session => {
            if (opened !== session) {
                opened = session;
                opening = openBox(session);
            }
            return opening;
        },
        emit: async(noticed) => {
            if (stopped) {
                return true;
            }
            if (!outbox) {
                return early.length < EARLY && early.push(noticed) > 0;
            }
            const kept = await add(outbox, noticed);
            if (sender) {
                void sender.flush();
            }
            return kept;
        },
        say: async(text) => {
            if (!outbox || !sender) {
                return null;
            }
            const line = await outbox.addLine(text);
            onLine(line);
            void sender.flush();
            return line;
        },
        hand: async() => {
            const entries = outbox ? await outbox.list(0, 1000) : [];
            const kinds = entries.map(entry => JSON.parse(entry.frame).kind).filter(kind => kind === 'hand_raised' || kind === 'hand_lowered');
            const last = kinds.pop();
            return last && last === 'hand_raised';
        },
        hello: async() => {
            const hello = outbox ? await outbox.hello() : {stream: '', next: 1};
            giveOut(hello.next - 1);
            return hello;
        },
        given: () => given.seq,
        durable: () => Boolean(outbox?.durable()),
        connected: () => {
            if (sender) {
                void sender.begin();
            }
        },
        disconnected: () => {
            if (sender) {
                sender.end();
            }
        },
        acknowledge: frame => {
            if (sender) {
                void sender.acknowledge(frame);
            }
        },
        refused: async(frame) => sender ? sender.refused(frame) : '',
        stop: () => {
            stopped = true;
            if (sender) {
                sender.end();
            }
            if (outbox) {
                outbox.close();
            }
        },
    };
};
