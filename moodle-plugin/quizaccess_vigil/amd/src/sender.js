// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Moves what the outbox holds over the connection, no faster than the server takes it, and forgets what is stored there.
 *
 * @module     quizaccess_vigil/sender
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {MAX_BATCH, MAX_FRAME} from './protocol';

/** A little below what docs/protocol.md allows: frames at once, and then per second. */
const SIGNALS = {burst: 180, rate: 18};
const LINES = {burst: 4, rate: 0.4};

/**
 * A token bucket.
 *
 * @param {{burst: number, rate: number}} limits rate per second
 * @param {() => number} now
 * @returns {{take: (want: number) => number, wait: () => number, fill: () => void}}
 */
const bucket = ({burst, rate}, now) => {
    let level = burst;
    let last = now();
    const update = () => {
        const present = now();
        level = Math.min(burst, level + Math.max(0, present - last) / 1000 * rate);
        last = present;
    };
    return {
        take: want => {
            update();
            const got = Math.min(want, Math.floor(level));
            level -= got;
            return got;
        },
        wait: () => Math.max(50, Math.ceil((1 - level) / rate * 1000)),
        fill: () => {
            level = burst;
            last = now();
        },
    };
};

/**
 * @typedef {object} Sender
 * @property {() => Promise<void>} begin a connection was welcomed: everything that waits goes again
 * @property {() => void} end the connection is gone
 * @property {() => Promise<void>} flush something new may wait
 * @property {(frame: import('./protocol').AckFrame) => Promise<void>} acknowledge
 * @property {(frame: import('./protocol').ErrorFrame) => Promise<'signal'|'hand_raised'|'hand_lowered'|'line'|''>} refused what the error was about; a hand
 *     only where it is refused for good: the student believes that it arrived
 */

/**
 * Makes a sender.
 *
 * @param {object} options
 * @param {import('./outbox').Outbox} options.outbox
 * @param {(frames: (object|string)[]) => boolean} options.send
 * @param {() => number} [options.now] a steady clock: one that can be set would fill the buckets at once
 * @returns {Sender}
 */
export const makeSender = ({outbox, send, now = () => performance.now()}) => {
    const signals = bucket(SIGNALS, now);
    const lines = bucket(LINES, now);
    let live = false;
    let stream = '';
    let cursor = 0;
    /** @type {Set<number>} numbers sent on this connection and not answered */
    let sent = new Set();
    /** @type {Set<string>} the same for chat lines */
    let said = new Set();
    let running = false;
    let again = false;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;

    /**
     * @param {number} wait
     */
    const later = wait => {
        clearTimeout(timer);
        timer = setTimeout(flush, wait);
    };

    /**
     * Sends the next signals.
     *
     * @returns {Promise<boolean>} whether there may be more to send at once
     */
    const some = async() => {
        const from = cursor;
        const entries = await outbox.list(from, MAX_BATCH);
        if (cursor !== from) {
            // One was refused meanwhile, and is to come again.
            return true;
        }
        const last = entries[entries.length - 1];
        if (!last || !live || outbox.stream() !== stream) {
            return false;
        }
        /** @type {import('./outbox').Entry[]} */
        const batch = [];
        let size = 0;
        for (const entry of entries) {
            if (!sent.has(entry.seq)) {
                if (size + entry.frame.length > MAX_FRAME && batch.length > 0) {
                    break;
                }
                batch.push(entry);
                size += entry.frame.length + 1;
            }
        }
        if (batch.length === 0) {
            cursor = last.seq;
            return true;
        }
        const allowed = signals.take(batch.length);
        if (allowed === 0) {
            later(signals.wait());
            return false;
        }
        const part = batch.slice(0, allowed);
        if (!send(part.map(entry => entry.frame))) {
            later(1000);
            return false;
        }
        part.forEach(entry => {
            sent.add(entry.seq);
            cursor = entry.seq;
        });
        return true;
    };

    const talk = async() => {
        for (const line of await outbox.lines()) {
            if (live && !said.has(line.id)) {
                if (lines.take(1) === 0) {
                    later(lines.wait());
                    return;
                }
                if (send([{t: 'chat', id: line.id, text: line.text}])) {
                    said.add(line.id);
                }
            }
        }
    };

    const flush = async() => {
        if (!live) {
            return;
        }
        again = true;
        if (running) {
            return;
        }
        running = true;
        try {
            while (again && live) {
                again = false;
                if (outbox.stream() === stream) {
                    while (await some()) {
                        // One frame after the other.
                    }
                }
                await talk();
            }
        } catch {
            // The outbox could not be read just now; it is tried again with the next signal, and soon.
            later(5000);
        } finally {
            running = false;
        }
    };

    /**
     * Sends a refused one again after a while.
     *
     * @param {{wait?: number}} frame
     * @param {() => void} undo
     */
    const retry = (frame, undo) => {
        setTimeout(() => {
            undo();
            void flush();
        }, Math.min(60000, Math.max(200, Number(frame.wait) || 2000)));
    };

    return {
        begin: () => {
            live = true;
            stream = outbox.stream();
            cursor = 0;
            sent = new Set();
            said = new Set();
            signals.fill();
            lines.fill();
            return flush();
        },
        end: () => {
            live = false;
            clearTimeout(timer);
        },
        flush,
        acknowledge: async(frame) => {
            if (frame.id) {
                said.delete(frame.id);
                await outbox.removeLine(frame.id);
            } else if (frame.stream && Array.isArray(frame.seqs)) {
                const seqs = frame.seqs.filter(seq => Number.isSafeInteger(seq));
                await outbox.acknowledge(frame.stream, seqs);
                if (frame.stream === stream) {
                    seqs.forEach(seq => sent.delete(seq));
                }
            }
        },
        refused: async(frame) => {
            const ref = String(frame.ref || '');
            const seq = /^\d+$/.test(ref) ? Number(ref) : 0;
            const gone = frame.duty === 'drop' || frame.duty === 'stop';
            if (seq > 0 && sent.has(seq)) {
                if (gone) {
                    sent.delete(seq);
                    const [entry] = await outbox.list(seq - 1, 1);
                    await outbox.acknowledge(stream, [seq]);
                    const kind = entry && entry.seq === seq ? JSON.parse(entry.frame).kind : '';
                    if (kind === 'hand_raised' || kind === 'hand_lowered') {
                        return kind;
                    }
                } else {
                    const mine = sent;
                    retry(frame, () => {
                        if (mine === sent && sent.delete(seq)) {
                            cursor = Math.min(cursor, seq - 1);
                        }
                    });
                }
                return 'signal';
            }
            if (said.has(ref)) {
                if (gone) {
                    said.delete(ref);
                    await outbox.removeLine(ref);
                } else {
                    retry(frame, () => said.delete(ref));
                }
                return 'line';
            }
            return '';
        },
    };
};
