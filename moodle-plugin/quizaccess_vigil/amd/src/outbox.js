// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The outbox: numbers what the browser noticed and keeps it until the server has stored it.
 *
 * Numbers belong to a stream, a random id. All tabs of one browser that show one session share one stream in IndexedDB:
 * a number is given and its signal written in the same transaction, so that no number is ever given twice and a number
 * that was given is never lost by a crash or a page turn. Where IndexedDB is refused, each page has a stream of its own
 * in memory. Nothing is sent before it is written.
 *
 * @module     quizaccess_vigil/outbox
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {randomId} from './protocol';

const DATABASE = 'vigil';
const VERSION = 1;
/** Signals kept for one session at most: what a browser notices beyond that while it cannot send is counted, not kept. */
export const MAX_PENDING = 5000;
/**
 * Numbers must survive a power cut: one that was sent and given again would look like tampering.
 *
 * @type {IDBTransactionOptions}
 */
const STRICT = {durability: 'strict'};
/** What an old session left behind is forgotten after so long, in ms. */
const KEEP = 14 * 24 * 3600 * 1000;

/**
 * A signal with its number, as the text that is sent: sent again it is the same to the letter.
 *
 * @typedef {{seq: number, frame: string}} Entry
 */

/**
 * A chat line that has no answer yet.
 *
 * @typedef {{id: string, text: string, at: number}} Line
 */

/**
 * Where a session's stream and entries are. A store gives numbers, and gives each once.
 *
 * @typedef {object} Store
 * @property {string} stream
 * @property {boolean} durable whether it outlives the page
 * @property {() => Promise<number>} next the number that the next signal will get
 * @property {(make: (seq: number) => string) => Promise<Entry|null>} add null: full
 * @property {(after: number, limit: number) => Promise<Entry[]>} list those with numbers above after, lowest first
 * @property {(seqs: number[]) => Promise<void>} remove
 * @property {() => Promise<number>} count
 * @property {(line: Line) => Promise<void>} addLine
 * @property {() => Promise<Line[]>} lines oldest first
 * @property {(id: string) => Promise<void>} removeLine
 * @property {() => void} close
 */

/**
 * The text of a signal's frame. The order of the fields is fixed.
 *
 * @param {number} seq
 * @param {import('./protocol').Noticed} noticed
 * @returns {string}
 */
export const signalFrame = (seq, noticed) => JSON.stringify({
    t: 'signal',
    seq,
    kind: noticed.kind,
    at: Math.round(noticed.at),
    dur: noticed.dur ? Math.max(0, Math.round(noticed.dur)) || undefined : undefined,
    data: noticed.data && Object.keys(noticed.data).length > 0 ? noticed.data : undefined,
});

/**
 * A store that lives as long as the page.
 *
 * @returns {Store}
 */
export const memoryStore = () => {
    /** @type {Map<number, string>} */
    const entries = new Map();
    /** @type {Map<string, Line>} */
    const lines = new Map();
    let next = 1;
    return {
        stream: randomId(),
        durable: false,
        next: async() => next,
        add: async(make) => {
            if (entries.size >= MAX_PENDING) {
                return null;
            }
            const entry = {seq: next, frame: make(next)};
            next++;
            entries.set(entry.seq, entry.frame);
            return entry;
        },
        list: async(after, limit) => Array.from(entries, ([seq, frame]) => ({seq, frame}))
            .filter(entry => entry.seq > after).sort((a, b) => a.seq - b.seq).slice(0, limit),
        remove: async(seqs) => {
            seqs.forEach(seq => entries.delete(seq));
        },
        count: async() => entries.size,
        addLine: async(line) => {
            lines.set(line.id, line);
        },
        lines: async() => Array.from(lines.values()).sort((a, b) => a.at - b.at),
        removeLine: async(id) => {
            lines.delete(id);
        },
        close: () => undefined,
    };
};

/**
 * A request's result.
 *
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const result = request => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
});

/**
 * Resolves when a transaction is written.
 *
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
const written = transaction => new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error || new Error('aborted'));
});

/**
 * Opens the database, or rejects where it is refused.
 *
 * @param {IDBFactory} factory
 * @returns {Promise<IDBDatabase>}
 */
const openDatabase = factory => new Promise((resolve, reject) => {
    // Some browsers neither open nor refuse when storage is blocked.
    const timer = setTimeout(() => reject(new Error('timeout')), 3000);
    const request = factory.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
        const db = request.result;
        db.createObjectStore('streams', {keyPath: 'session'});
        db.createObjectStore('signals', {keyPath: ['session', 'stream', 'seq']});
        db.createObjectStore('lines', {keyPath: ['session', 'id']});
    };
    request.onerror = () => {
        clearTimeout(timer);
        reject(request.error);
    };
    request.onsuccess = () => {
        clearTimeout(timer);
        resolve(request.result);
    };
});

/**
 * All keys of one session in a store whose key begins with the session.
 *
 * @param {string} session
 * @param {string} [stream]
 * @param {number} [after]
 * @returns {IDBKeyRange}
 */
const range = (session, stream, after) => stream === undefined
    ? IDBKeyRange.bound([session], [session, []])
    : IDBKeyRange.bound([session, stream, after === undefined ? 0 : after], [session, stream, Infinity], true);

/**
 * Forgets sessions that nobody has touched for long: their signals can go nowhere any more.
 *
 * @param {IDBDatabase} db
 * @param {number} before
 * @param {string} but
 * @returns {Promise<void>}
 */
const sweep = async(db, before, but) => {
    const transaction = db.transaction(['streams', 'signals', 'lines'], 'readwrite');
    const done = written(transaction);
    const streams = await result(transaction.objectStore('streams').getAll());
    streams.filter(stream => stream.session !== but && !(stream.touched >= before)).forEach(stream => {
        transaction.objectStore('streams').delete(stream.session);
        transaction.objectStore('signals').delete(range(stream.session));
        transaction.objectStore('lines').delete(range(stream.session));
    });
    await done;
};

/**
 * A store in IndexedDB. Rejects where that is refused.
 *
 * @param {string} session
 * @param {IDBFactory} factory
 * @returns {Promise<Store>}
 */
export const databaseStore = async(session, factory) => {
    const db = await openDatabase(factory);
    // Another tab wants a newer layout: give way, and write to memory from here on.
    db.onversionchange = () => db.close();

    const begin = db.transaction('streams', 'readwrite', STRICT);
    const began = written(begin);
    const known = await result(begin.objectStore('streams').get(session));
    const stream = known ? known.stream : randomId();
    begin.objectStore('streams').put({session, stream, next: known ? known.next : 1, touched: Date.now()});
    await began;
    sweep(db, Date.now() - KEEP, session).catch(() => undefined);

    return {
        stream,
        durable: true,
        next: async() => {
            const row = await result(db.transaction('streams').objectStore('streams').get(session));
            if (!row || row.stream !== stream) {
                throw new Error('the stream is gone');
            }
            return row.next;
        },
        add: async(make) => {
            const transaction = db.transaction(['streams', 'signals'], 'readwrite', STRICT);
            const done = written(transaction);
            // A failure in between aborts the transaction: handled by the caller, through what is awaited first.
            done.catch(() => undefined);
            const streams = transaction.objectStore('streams');
            const signals = transaction.objectStore('signals');
            const row = await result(streams.get(session));
            // Someone cleared the site's data, and perhaps began again: this stream must not go on from a guess.
            if (!row || row.stream !== stream) {
                transaction.abort();
                throw new Error('the stream is gone');
            }
            const count = await result(signals.count(range(session, stream)));
            if (count >= MAX_PENDING) {
                return null;
            }
            const entry = {seq: row.next, frame: make(row.next)};
            signals.add({session, stream, seq: entry.seq, frame: entry.frame});
            streams.put({session, stream, next: row.next + 1, touched: Date.now()});
            await done;
            return entry;
        },
        list: async(after, limit) => {
            const rows = await result(db.transaction('signals').objectStore('signals')
                .getAll(range(session, stream, after), limit));
            return rows.map(row => ({seq: row.seq, frame: row.frame}));
        },
        remove: async(seqs) => {
            const transaction = db.transaction('signals', 'readwrite');
            const done = written(transaction);
            seqs.forEach(seq => transaction.objectStore('signals').delete([session, stream, seq]));
            await done;
        },
        count: () => result(db.transaction('signals').objectStore('signals').count(range(session, stream))),
        addLine: async(line) => {
            const transaction = db.transaction('lines', 'readwrite');
            const done = written(transaction);
            transaction.objectStore('lines').put({session, id: line.id, text: line.text, at: line.at});
            await done;
        },
        lines: async() => {
            const rows = await result(db.transaction('lines').objectStore('lines').getAll(range(session)));
            return rows.map(row => ({id: row.id, text: row.text, at: row.at})).sort((a, b) => a.at - b.at);
        },
        removeLine: async(id) => {
            const transaction = db.transaction('lines', 'readwrite');
            const done = written(transaction);
            transaction.objectStore('lines').delete([session, id]);
            await done;
        },
        close: () => db.close(),
    };
};

/**
 * The outbox of one session.
 *
 * @typedef {object} Outbox
 * @property {() => string} stream
 * @property {() => boolean} durable
 * @property {() => Promise<{stream: string, next: number}>} hello
 * @property {(noticed: import('./protocol').Noticed) => Promise<Entry|null>} add null: there are too many
 * @property {(after: number, limit: number) => Promise<Entry[]>} list
 * @property {(stream: string, seqs: number[]) => Promise<void>} acknowledge
 * @property {(text: string) => Promise<Line>} addLine
 * @property {() => Promise<Line[]>} lines
 * @property {(id: string) => Promise<void>} removeLine
 * @property {() => Promise<number>} count
 * @property {() => number} dropped how many were not kept, because there were too many
 * @property {() => void} close
 */

/**
 * Opens the outbox of a session. It never rejects: what IndexedDB refuses, now or later, goes to memory under a stream of
 * its own, and onStream tells that the stream changed, so that the connection can say hello anew.
 *
 * @param {object} options
 * @param {string} options.session
 * @param {IDBFactory|null} [options.factory] default: the browser's
 * @param {() => void} [options.onStream]
 * @returns {Promise<Outbox>}
 */
export const openOutbox = async({session, factory, onStream}) => {
    /** @type {Store} */
    let store;
    let dropped = 0;
    try {
        // Reading the property alone throws where storage is blocked.
        const use = factory === undefined ? window.indexedDB : factory;
        store = use ? await databaseStore(session, use) : memoryStore();
    } catch {
        store = memoryStore();
    }

    /**
     * Does something with the store; when the database fails, once more with memory.
     *
     * @template T
     * @param {(store: Store) => Promise<T>} act
     * @returns {Promise<T>}
     */
    const withStore = async(act) => {
        const used = store;
        try {
            return await act(used);
        } catch (e) {
            if (!used.durable) {
                throw e;
            }
            if (store === used) {
                store = memoryStore();
                used.close();
                if (onStream) {
                    onStream();
                }
            }
            return act(store);
        }
    };

    return {
        stream: () => store.stream,
        durable: () => store.durable,
        hello: () => withStore(async(used) => ({next: await used.next(), stream: used.stream})),
        add: async(noticed) => {
            const entry = await withStore(used => used.add(seq => signalFrame(seq, noticed)));
            if (entry === null) {
                dropped++;
            }
            return entry;
        },
        list: (after, limit) => withStore(used => used.list(after, limit)),
        acknowledge: async(stream, seqs) => {
            if (stream === store.stream && seqs.length > 0) {
                await withStore(used => used.remove(seqs));
            }
        },
        addLine: async(text) => {
            const line = {id: randomId(), text, at: Date.now()};
            await withStore(used => used.addLine(line));
            return line;
        },
        lines: () => withStore(used => used.lines()),
        removeLine: id => withStore(used => used.removeLine(id)),
        count: () => withStore(used => used.count()),
        dropped: () => dropped,
        close: () => store.close(),
    };
};
