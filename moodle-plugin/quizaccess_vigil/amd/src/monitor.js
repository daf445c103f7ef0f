// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * The monitor of a proctored page: ties together the connection, the outbox, what is noticed and what the student sees.
 *
 * The page hears of it by events on the document:
 * - vigil:time {end, localEnd, left, offset}: when the attempt ends; end by the server's clock, localEnd by this machine's
 * - vigil:paused {reason, left}, vigil:resumed {end, localEnd} (whatever ended the pause, so long as the attempt goes on),
 *   vigil:terminated {reason}
 * - vigil:state {state, connection}
 *
 * @module     quizaccess_vigil/monitor
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

import {OFFLINE, kindOf, reduce, unheard} from './attempt';
import {makeAttemptView} from './attempt_view';
import {makeClock} from './clock';
import {makeCommands} from './commands';
import {capabilities, makeDetector} from './detect';
import {makeHand} from './hand';
import {makePanel} from './panel';
import {CAN, MAX_STAMP, hasEnded, isWatched} from './protocol';
import {makeReports} from './reports';
import {makeRtt} from './rtt';
import {makeSocket} from './socket';
import {tabStorage} from './storage';
import {words as wordsOf} from './strings';
import {tokenSource} from './token';
import {makeTotals} from './totals';

/** What the server writes into the page until the monitor is connected. */
const LINE = '[data-vigil-line]';
/** The panel's words while the connection is not there: the server's line stays. */
const UNCONNECTED = ['connecting', 'reconnecting', 'offline', 'stopped', 'elsewhere'];
/** The highest number of a page that the server takes: a hello with another is refused. */
const MAX_PAGE = 10000;
/** How often to look whether this machine's clock was set, in ms. */
const LOOK = 5000;
/** What the tab remembers of one attempt. */
const OF_ATTEMPT = ['state', 'hand', 'read', 'rtt', 'fullscreen', 'extended', 'tools', 'still', 'resumed', 'lengths'];

/**
 * @typedef {object} Config
 * @property {string} tokenEndpoint
 * @property {() => Promise<string>} [assertion] a fresh one from the LMS; rejects with {duty: 'stop'} if there will be none
 * @property {() => Promise<object>} [tokenBody] what to post instead, from Vigil's own pages
 * @property {RequestCredentials} [credentials] of the token endpoint; default 'omit'
 * @property {string} key names the attempt in this tab's storage: no two students' attempts share one
 * @property {string} [lang]
 * @property {{[key: string]: string}} [strings]
 * @property {number|string} [page] of the quiz: its number, or a name for pages that have none
 * @property {number} [pages]
 * @property {string} [stamp] what the LMS says of this page, signed (docs/assertion.md); it goes with each hello
 * @property {string[]} [watch] limits what is noticed; [] is a connection and nothing else
 * @property {Element} [mount] where to put the panel; default: the body
 * @property {boolean} [inline]
 * @property {boolean} [explained] the page itself says why the attempt is paused, and what to do: no dialog covers that
 * @property {string} [back] where an ended attempt leads to
 * @property {(time: {end: number, localEnd: number, left: number, offset: number}) => void} [onTime]
 * @property {(frame: import('./protocol').ReceiptFrame) => void} [onReceipt] for the LMS
 */

/**
 * @typedef {object} Monitor
 * @property {() => void} stop
 * @property {() => string} state of the session; '' until it is known
 * @property {() => import('./socket').Status} connection
 */

/**
 * The number of a page: of "attempt 2" it is 2; 0 if there is none.
 *
 * @param {number|string|undefined} page
 * @returns {number}
 */
export const pageNumber = page => {
    const found = /(\d+)$/.exec(String(page === undefined ? '' : page));
    return found ? Math.min(Number(found[1]), MAX_PAGE) : 0;
};

/**
 * Adds listeners.
 *
 * @param {[EventTarget, string, (event: any) => void][]} listeners
 * @returns {() => void} removes them
 */
const listen = listeners => {
    listeners.forEach(([target, name, handler]) => target.addEventListener(name, handler));
    return () => listeners.forEach(([target, name, handler]) => target.removeEventListener(name, handler));
};

/**
 * @param {string} name
 * @param {object} detail
 */
const dispatch = (name, detail) => {
    document.dispatchEvent(new CustomEvent('vigil:' + name, {detail}));
};

/**
 * How long the connection has been as it is, by a clock that nobody can set.
 *
 * @param {() => number} tick
 * @returns {{status: (status: import('./socket').Status) => void, since: () => number, before: () => boolean}}
 */
const makeConnectionAge = tick => {
    let changed = tick();
    let changedAt = 0;
    let connected = false;
    return {
        status: ({state, since}) => {
            if (since !== changedAt) {
                changedAt = since;
                changed = tick();
            }
            connected = connected || state === 'connected';
        },
        since: () => tick() - changed,
        before: () => connected,
    };
};

/**
 * Starts the monitor of this page.
 *
 * @param {Config} config
 * @returns {Monitor}
 */
export const init = config => {
    const tab = tabStorage('vigil:' + config.key + ':');
    const clock = makeClock();
    const words = wordsOf(config.lang, config.strings);
    let attempt = unheard(String(tab.get('state') || ''));
    /** @type {{watch?: string[], fullscreen?: boolean}} */
    let exam = tab.get('exam') || {};
    let stopped = false;

    const tokens = tokenSource({
        endpoint: config.tokenEndpoint,
        body: config.tokenBody || (async() => ({assertion: config.assertion ? await config.assertion() : ''})),
        credentials: config.credentials,
        tab,
    });
    const reports = makeReports({
        send: frames => socket.send(frames),
        onStream: () => socket.reconnect(),
        onOpen: session => reportCapabilities(session),
        onLine: ({id, text, at}) => panel.line({id, text, at, own: true, state: 'sending'}),
    });
    const panel = makePanel({
        mount: config.mount,
        inline: config.inline,
        words,
        actions: {
            chat: async(text) => {
                if (!await reports.say(text)) {
                    panel.line({id: 'unsent-' + Date.now(), text, at: Date.now(), own: true, state: 'failed'});
                }
            },
            hand: up => hand.set(up),
            read: () => tab.set('read', Date.now() + clock.offset()),
            reclaim: () => socket.reclaim(),
            enterFullscreen: () => detector.enterFullscreen(),
            refuseFullscreen: () => detector.refuseFullscreen(),
        },
    });
    const hand = makeHand({panel, words, tab, reports});
    const askTime = () => socket.send([{t: 'time', at: clock.ask()}]);
    const detector = makeDetector({emit: reports.emit, tab, clock, askTime, ours: panel.ours, askFullscreen: panel.askFullscreen});
    const rtt = makeRtt({
        tab, clock, ask: askTime,
        report: data => reports.emit({kind: 'rtt', at: Date.now(), data}),
        wanted: () => attempt.state === 'active',
    });
    const commands = makeCommands({
        panel, words, tab,
        send: id => socket.send([{t: 'seen', id}]),
        local: clock.local,
        end: () => attempt.end ? clock.local(attempt.end) : 0,
    });
    const {explained, back, onTime} = config;
    const view = makeAttemptView({panel, words, tab, clock, commands, explained, back, onTime, dispatch});
    const pages = (Number(tab.get('pages')) || 0) + 1;
    tab.set('pages', pages);
    const totals = makeTotals({doc: document, win: window, pages, onChange: () => tellTotals()});

    /** @param {string} session */
    const reportCapabilities = session => {
        if (config.watch && config.watch.length === 0) {
            return;
        }
        const data = capabilities(document, window, reports.durable());
        const text = session + JSON.stringify(data);
        if (tab.get('capabilities') !== text) {
            tab.set('capabilities', text);
            void reports.emit({kind: 'capabilities', at: Date.now(), data});
        }
    };

    /**
     * Tells the page's totals: at once when asked, because a hidden page's timers are slow and its events are not.
     *
     * @param {string} [id] of the question
     */
    const tellTotals = id => {
        if (isWatched(attempt.state)) {
            socket.send([Object.assign({t: 'alive'}, id ? {id} : {}, totals.read(), {given: reports.given()})]);
        }
    };

    /** Notices what the exam asks for while the attempt runs in this tab. */
    const detect = () => {
        const status = socket.status().state;
        const running = !stopped && isWatched(attempt.state) && status !== 'superseded' && status !== 'stopped';
        const watch = (exam.watch || []).filter(group => !config.watch || config.watch.includes(group));
        detector.set({watch: running ? watch : [], fullscreen: exam.fullscreen, paused: attempt.state === 'paused'});
    };

    const age = makeConnectionAge(clock.tick);
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let refreshing;
    let told = '';
    /** Shows how things stand. */
    const refresh = () => {
        clearTimeout(refreshing);
        const status = socket.status();
        const kind = kindOf(attempt, status, age.since(), age.before());
        if (kind === 'connecting' || kind === 'reconnecting') {
            refreshing = setTimeout(refresh, OFFLINE - age.since());
        }
        if (!UNCONNECTED.includes(kind)) {
            // What the page's server wrote for who never gets here: it is not connected.
            document.querySelectorAll(LINE).forEach(line => line.remove());
        }
        panel.status(kind, status.since, kind === 'stopped' ? status.detail : undefined);
        panel.elsewhere(status.state === 'superseded' && !hasEnded(attempt.state));
        const now = attempt.state + '/' + kind;
        if (now !== told) {
            told = now;
            dispatch('state', {state: attempt.state, connection: kind});
        }
    };

    /** @param {import('./protocol').ChatFrame} line */
    const showLine = line => {
        const shown = {id: line.id, text: line.text, at: clock.local(line.at), own: line.from === 'student', name: line.name};
        if (line.at <= (tab.get('read') || 0)) {
            panel.chat.add(shown);
        } else {
            panel.line(shown);
        }
    };

    /**
     * The server said how the attempt stands.
     *
     * @param {import('./attempt').Attempt} before
     */
    const changed = before => {
        tab.set('state', attempt.state);
        view.changed(before, attempt);
        detect();
        refresh();
    };

    /** @param {import('./protocol').WelcomeFrame} frame */
    const welcome = frame => {
        clock.hint(frame.now);
        if (tab.get('of') !== frame.session) {
            // Another attempt under the same key: what was remembered is not about this one.
            OF_ATTEMPT.forEach(name => tab.set(name, undefined));
            tab.set('of', frame.session);
            attempt = unheard('');
        }
        exam = {watch: frame.exam.watch || [], fullscreen: frame.exam.fullscreen};
        tab.set('exam', exam);
        const before = attempt;
        attempt = reduce(attempt, frame);
        view.time(attempt);
        (frame.chat || []).forEach(showLine);
        (frame.commands || []).forEach(commands.take);
        changed(before);
        hand.welcome(Boolean(frame.hand));
    };

    /** @param {import('./protocol').TimeFrame} frame */
    const time = frame => {
        if (typeof frame.at === 'number' && frame.at > 0 && clock.measure(frame.at, frame.now)) {
            detector.answered();
            if (view.moved(attempt)) {
                // This machine's clock was set: the attempt ends at another time by it.
                view.time(attempt);
            }
        }
        const before = attempt;
        attempt = reduce(attempt, frame);
        if (attempt !== before) {
            view.time(attempt);
            if (attempt.state === 'paused') {
                view.pause(attempt);
            }
        }
    };

    /** @param {import('./protocol').ErrorFrame} frame */
    const refused = async(frame) => {
        const what = await reports.refused(frame);
        if (what === 'line' && (frame.duty === 'drop' || frame.duty === 'stop')) {
            panel.chat.settle(String(frame.ref), 'failed');
        } else if (what === 'hand_raised' || what === 'hand_lowered') {
            await hand.refused(what === 'hand_raised');
        }
    };

    /** @param {import('./protocol').Frame} frame */
    const onFrame = frame => {
        switch (frame.t) {
            case 'alive':
                tellTotals(frame.id);
                break;
            case 'welcome':
                welcome(frame);
                break;
            case 'ack':
                reports.acknowledge(frame);
                if (frame.id) {
                    panel.chat.settle(frame.id);
                }
                break;
            case 'state': {
                const before = attempt;
                attempt = reduce(attempt, frame);
                if (attempt !== before) {
                    changed(before);
                }
                break;
            }
            case 'time':
                time(frame);
                break;
            case 'chat':
                showLine(frame);
                break;
            case 'command':
                commands.take(frame);
                break;
            case 'hand':
                hand.lowered();
                break;
            case 'receipt':
                if (config.onReceipt) {
                    config.onReceipt(frame);
                }
                break;
            case 'notice':
                attempt = reduce(attempt, frame);
                refresh();
                break;
            case 'error':
                refused(frame).catch(() => undefined);
                break;
        }
    };

    const socket = makeSocket({
        tokens,
        local: clock.local,
        hello: async(session) => {
            await reports.open(session);
            await hand.find();
            const page = pageNumber(config.page);
            const {stream, next} = await reports.hello();
            const {stamp} = config;
            return Object.assign({t: 'hello', stream, next, can: CAN}, page ? {page} : {}, stamp && stamp.length <= MAX_STAMP ? {stamp} : {});
        },
        onFrame,
        onStatus: status => {
            age.status(status);
            if (status.state === 'connected') {
                reports.connected();
                tellTotals();
                commands.again();
                rtt.start();
            } else {
                reports.disconnected();
            }
            detect();
            refresh();
        },
    });

    const leaving = () => hasEnded(attempt.state) ? 'finished' : '';
    const nudge = () => socket.nudge();
    const silence = listen([
        [window, 'pagehide', () => {
            rtt.stop();
            tellTotals();
            socket.leave(leaving() || 'navigating');
        }],
        [window, 'pageshow', event => {
            if (event.persisted) {
                socket.start();
            }
        }],
        [window, 'online', nudge],
        [window, 'offline', nudge],
        [window, 'focus', () => socket.reclaim()],
        [document, 'resume', nudge],
        [document, 'visibilitychange', () => {
            if (document.visibilityState === 'visible') {
                commands.look();
                nudge();
            }
        }],
    ]);
    const looking = setInterval(() => {
        if (clock.shaken()) {
            askTime();
        }
    }, LOOK);

    if (tokens.session()) {
        void reports.open(tokens.session());
    }
    if (config.page !== undefined) {
        const before = tab.get('page');
        tab.set('page', config.page);
        if (before !== undefined && before !== config.page) {
            const page = pageNumber(config.page) || String(config.page).slice(0, 60);
            void reports.emit({kind: 'page_turned', at: Date.now(), data: {page}});
        }
    }
    detect();
    socket.start();
    refresh();

    return {
        stop: () => {
            stopped = true;
            clearTimeout(refreshing);
            clearInterval(looking);
            reports.stop();
            rtt.stop();
            detector.stop();
            totals.stop();
            socket.leave(leaving() || 'closing');
            panel.remove();
            silence();
        },
        state: () => attempt.state,
        connection: () => socket.status(),
    };
};
