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

import {makeClock} from './clock';
import {makeCommands} from './commands';
import {capabilities, makeDetector} from './detect';
import {openOutbox} from './outbox';
import {makePanel} from './panel';
import {CAN, MAX_STAMP, hasEnded, isWatched} from './protocol';
import {makeSender} from './sender';
import {makeSocket} from './socket';
import {tabStorage} from './storage';
import {words as wordsOf} from './strings';
import {tokenSource} from './token';
import {makeTotals} from './totals';

/** What the server writes into the page until the monitor is connected. */
const LINE = '[data-vigil-line]';
/** A break shorter than this is shown as reconnecting, a longer one as offline, in ms. */
const OFFLINE = 5000;
/** The highest number of a page that the server takes: a hello with another is refused. */
const MAX_PAGE = 10000;
/** Signals kept until the session is known. */
const EARLY = 200;
/** How often to look whether this machine's clock was set, in ms. */
const LOOK = 5000;
/** The page is told anew when the attempt ends if this machine's clock moved by more than this, in ms. */
const MOVED = 2000;
/** Round trips measured after a welcome: when, in ms. */
const PROBES = [0, 1000, 3000];

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
 * Starts the monitor of this page.
 *
 * @param {Config} config
 * @returns {Monitor}
 */
export const init = config => {
    const tab = tabStorage('vigil:' + config.key + ':');
    const clock = makeClock();
    const words = wordsOf(config.lang, config.strings);
    /** @type {import('./outbox').Outbox|null} */
    let outbox = null;
    /** @type {import('./sender').Sender|null} */
    let sender = null;
    /** @type {Promise<unknown>} */
    let opening = Promise.resolve();
    let opened = '';
    /** @type {import('./protocol').Noticed[]} */
    let early = [];
    /** @type {{watch?: string[], fullscreen?: boolean}} */
    let exam = tab.get('exam') || {};
    let state = String(tab.get('state') || '');
    let told = '';
    let version = 0;
    let reason = '';
    let end = 0;
    let left = 0;
    let saving = false;
    /** The end of the attempt by this machine's clock, as the page was told it. */
    let toldEnd = 0;
    /** @type {boolean|undefined} */
    let untoldHand;
    /** The highest number that a signal of the present stream was given, as far as this page knows. */
    const given = {stream: '', seq: 0};
    let stopped = false;
    let wasConnected = false;
    /** Since when the connection is as it is, by the steady clock, and by the machine's as the socket says it. */
    let changed = clock.tick();
    let changedAt = 0;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let refreshing;

    /**
     * @param {string} name
     * @param {object} detail
     */
    const dispatch = (name, detail) => {
        document.dispatchEvent(new CustomEvent('vigil:' + name, {detail}));
    };

    const tokens = tokenSource({
        endpoint: config.tokenEndpoint,
        body: config.tokenBody || (async() => ({assertion: config.assertion ? await config.assertion() : ''})),
        credentials: config.credentials,
        tab,
    });

    /**
     * Opens the outbox of a session; the next page of the same one finds it again.
     *
     * @param {string} session
     * @returns {Promise<void>}
     */
    const openSession = async(session) => {
        if (opened === session) {
            await opening;
            return;
        }
        const old = outbox;
        opened = session;
        const task = (async() => {
            const box = await openOutbox({session, onStream: () => socket.reconnect()});
            if (old) {
                old.close();
            }
            outbox = box;
            sender = makeSender({outbox: box, send: frames => socket.send(frames)});
            const queue = early;
            early = [];
            reportCapabilities(session);
            for (const noticed of queue) {
                const entry = await box.add(noticed);
                giveOut(entry ? entry.seq : 0);
            }
            for (const line of await box.lines()) {
                panel.line({id: line.id, text: line.text, at: line.at, own: true, state: 'sending'});
            }
            sender.flush();
        })();
        opening = task;
        await task;
    };

    /** @param {number} seq */
    const giveOut = seq => {
        const stream = outbox ? outbox.stream() : '';
        given.seq = given.stream === stream ? Math.max(given.seq, seq) : seq;
        given.stream = stream;
    };

    /**
     * @param {import('./protocol').Noticed} noticed
     * @returns {Promise<boolean>} false: there is no room for it
     */
    const emit = async(noticed) => {
        if (stopped) {
            return true;
        }
        if (!outbox) {
            if (early.length < EARLY) {
                early.push(noticed);
                return true;
            }
            return false;
        }
        const entry = await outbox.add(noticed);
        giveOut(entry ? entry.seq : 0);
        if (sender) {
            sender.flush();
        }
        return entry !== null;
    };

    /** @param {string} session */
    const reportCapabilities = session => {
        if (config.watch && config.watch.length === 0) {
            return;
        }
        const data = capabilities(document, window, Boolean(outbox && outbox.durable()));
        const text = session + JSON.stringify(data);
        if (tab.get('capabilities') !== text) {
            tab.set('capabilities', text);
            emit({kind: 'capabilities', at: Date.now(), data});
        }
    };

    const panel = makePanel({
        mount: config.mount,
        inline: config.inline,
        words,
        actions: {
            chat: async(text) => {
                if (outbox && sender) {
                    const line = await outbox.addLine(text);
                    panel.line({id: line.id, text, at: line.at, own: true, state: 'sending'});
                    sender.flush();
                } else {
                    panel.line({id: 'unsent-' + Date.now(), text, at: Date.now(), own: true, state: 'failed'});
                }
            },
            hand: up => {
                setHand(up, true);
                untoldHand = up;
                emit({kind: up ? 'hand_raised' : 'hand_lowered', at: Date.now()})
                    .then(kept => kept ? undefined : handRefused(up)).catch(() => undefined);
            },
            read: () => tab.set('read', Date.now() + clock.offset()),
            reclaim: () => socket.reclaim(),
            enterFullscreen: () => detector.enterFullscreen(),
            refuseFullscreen: () => detector.refuseFullscreen(),
        },
    });

    const askTime = () => socket.send([{t: 'time', at: clock.ask()}]);
    const detector = makeDetector({emit, tab, clock, askTime, ours: panel.ours, askFullscreen: panel.askFullscreen});

    /**
     * @param {boolean} up
     * @param {boolean} aloud
     */
    const setHand = (up, aloud) => {
        tab.set('hand', up || undefined);
        panel.hand(up, aloud);
    };

    /**
     * The server does not take it that the hand was raised or lowered, for good: the student is told.
     *
     * @param {boolean} up what was refused
     * @returns {Promise<void>}
     */
    const handRefused = async(up) => {
        await findHand();
        if (untoldHand === undefined) {
            setHand(!up, false);
            panel.card({
                id: 'hand', title: words.text(up ? 'hand.refused.up' : 'hand.refused.down'), text: [words.text('hand.refused')],
                button: words.text('message.ok'),
            });
        }
    };

    /** Notices what the exam asks for while the attempt runs in this tab. */
    const detect = () => {
        const status = socket.status().state;
        const running = !stopped && isWatched(state) && status !== 'superseded' && status !== 'stopped';
        const watch = (exam.watch || []).filter(group => !config.watch || config.watch.includes(group));
        detector.set({watch: running ? watch : [], fullscreen: exam.fullscreen, paused: state === 'paused'});
    };

    /** Shows how things stand. */
    const refresh = () => {
        clearTimeout(refreshing);
        const status = socket.status();
        const since = clock.tick() - changed;
        /** @type {import('./panel').Kind} */
        let kind = 'connected';
        if (state === 'stopped') {
            kind = 'off';
        } else if (hasEnded(state) || status.code === 'ended') {
            kind = 'ended';
        } else if (status.state === 'superseded') {
            kind = 'elsewhere';
        } else if (status.state === 'stopped') {
            kind = 'stopped';
        } else if (status.state === 'connected') {
            kind = state === 'paused' ? 'paused' : saving ? 'saving' : state === 'time_up' ? 'timeup' : 'connected';
        } else if (since >= OFFLINE) {
            kind = 'offline';
        } else {
            kind = wasConnected ? 'reconnecting' : 'connecting';
            refreshing = setTimeout(refresh, OFFLINE - since);
        }
        if (kind !== 'connecting' && kind !== 'reconnecting' && kind !== 'offline' && kind !== 'stopped' && kind !== 'elsewhere') {
            // What the page's server wrote for who never gets here: it is not connected.
            document.querySelectorAll(LINE).forEach(line => line.remove());
        }
        panel.status(kind, status.since, kind === 'stopped' ? status.detail : undefined);
        panel.elsewhere(status.state === 'superseded' && !hasEnded(state));
        const now = state + '/' + kind;
        if (now !== told) {
            told = now;
            dispatch('state', {state, connection: kind});
        }
    };

    const times = () => ({end, localEnd: end ? clock.local(end) : 0, left, offset: clock.offset()});

    /** Tells the page when the attempt ends. */
    const tellTime = () => {
        if (end) {
            toldEnd = clock.local(end);
            dispatch('time', times());
            if (config.onTime) {
                config.onTime(times());
            }
        }
    };

    /**
     * @param {number} newEnd
     * @param {number} newLeft
     */
    const setTime = (newEnd, newLeft) => {
        if (newEnd !== end || newLeft !== left) {
            end = newEnd;
            left = newLeft;
            tellTime();
            if (state === 'paused') {
                showPause();
            }
        }
    };

    const showPause = () => {
        if (config.explained) {
            return;
        }
        // Why the LMS did not let it go on is for the proctors, who see it.
        const again = tab.get('still') === reason;
        panel.paused({again, reason: reason && !again ? commands.reason(reason) : '', left, shown: () => commands.seen('pause')});
    };

    /**
     * A pause is over, and the attempt goes on. Without a command to resume there was no pause for the LMS: it did not take it.
     *
     * @param {string} now
     */
    const goOn = now => {
        const resumed = commands.waits('resume');
        tab.set('resumed', resumed || undefined);
        if (now === 'active') {
            panel.card({
                id: 'resumed', title: words.text('resume.title'), text: [words.text(resumed ? 'resume.text' : 'resume.unpaused')],
            });
        }
        dispatch('resumed', times());
    };

    let known = '';
    /**
     * @param {string} now
     * @param {number} newVersion
     * @param {string} why
     */
    const setState = (now, newVersion, why) => {
        if (newVersion < version) {
            return;
        }
        version = newVersion;
        // What this page knew, or, when it is new, the page before it in this tab.
        const before = known || state;
        const again = known === now && reason === why;
        known = now;
        state = now;
        reason = why;
        tab.set('state', now);
        if (again) {
            return;
        }
        if (now === 'paused') {
            // Without a command to pause it is the LMS that did not let it go on when a proctor resumed it.
            const still = before === 'active' && tab.get('resumed') && !commands.waits('pause');
            if (before !== 'paused') {
                tab.set('still', still ? reason : undefined);
                tab.set('resumed', undefined);
            }
            panel.removeCard('resumed');
            showPause();
            dispatch('paused', {reason, left});
        } else {
            panel.paused(null);
        }
        if (now === 'terminated') {
            panel.terminated({
                reason: reason ? commands.reason(reason) : '',
                back: config.back,
                shown: () => commands.seen('terminate'),
            });
            dispatch('terminated', {reason});
        } else {
            panel.terminated(null);
        }
        if (before === 'paused' && now !== 'paused' && (isWatched(now) || now === 'stopped')) {
            goOn(now);
        }
        if (now === 'stopped') {
            panel.card({id: 'off', title: words.text('off.title'), text: [words.text('off.text')], button: words.text('message.ok')});
        } else {
            panel.removeCard('off');
        }
        if (isWatched(now) && now !== 'paused') {
            commands.seen('resume');
        }
        detect();
        refresh();
    };

    const commands = makeCommands({
        panel,
        words,
        tab,
        send: id => socket.send([{t: 'seen', id}]),
        local: clock.local,
        end: () => end ? clock.local(end) : 0,
    });

    /** @param {import('./protocol').ChatFrame} line */
    const showLine = line => {
        const shown = {id: line.id, text: line.text, at: clock.local(line.at), own: line.from === 'student', name: line.name};
        if (line.at <= (tab.get('read') || 0)) {
            panel.chat.add(shown);
        } else {
            panel.line(shown);
        }
    };

    /** @type {ReturnType<typeof setTimeout>[]} */
    let probes = [];
    const measure = () => {
        probes.forEach(clearTimeout);
        probes = PROBES.map(wait => setTimeout(askTime, wait));
        probes.push(setTimeout(() => {
            const before = tab.get('rtt');
            const found = {rtt: clock.rtt(), offset: clock.offset()};
            const news = !before || Math.abs(before.offset - found.offset) > 1000 ||
                (found.rtt > 500 && found.rtt > 3 * before.rtt);
            if (found.rtt > 0 && news && state === 'active') {
                tab.set('rtt', found);
                emit({kind: 'rtt', at: Date.now(), data: found});
            }
        }, 5000));
    };

    /** @param {import('./protocol').WelcomeFrame} frame */
    const welcome = frame => {
        clock.hint(frame.now);
        if (tab.get('of') !== frame.session) {
            // Another attempt under the same key: what was remembered is not about this one.
            ['state', 'hand', 'read', 'rtt', 'fullscreen', 'extended', 'tools', 'still', 'resumed', 'lengths'].forEach(name => tab.set(name, undefined));
            tab.set('of', frame.session);
            state = '';
        }
        exam = {watch: frame.exam.watch || [], fullscreen: frame.exam.fullscreen};
        tab.set('exam', exam);
        version = 0;
        saving = false;
        end = frame.end || 0;
        left = frame.left || 0;
        tellTime();
        (frame.chat || []).forEach(showLine);
        (frame.commands || []).forEach(commands.take);
        setState(frame.state, frame.version, frame.reason || '');
        setHand(untoldHand === undefined ? Boolean(frame.hand) : untoldHand, false);
    };

    /**
     * Looks for a hand that was raised or lowered and that the server does not know of when it welcomes us.
     *
     * @returns {Promise<void>}
     */
    const findHand = async() => {
        untoldHand = undefined;
        const entries = outbox ? await outbox.list(0, 1000) : [];
        entries.forEach(entry => {
            const {kind} = JSON.parse(entry.frame);
            if (kind === 'hand_raised' || kind === 'hand_lowered') {
                untoldHand = kind === 'hand_raised';
                // The welcome may have come before this.
                setHand(untoldHand, false);
            }
        });
    };

    /** A proctor lowered the hand. One that was raised again meanwhile, and that the server does not know of, stays up. */
    const lowered = () => {
        findHand().then(() => untoldHand === undefined && setHand(false, true)).catch(() => undefined);
    };

    const pagesShown = (Number(tab.get('pages')) || 0) + 1;
    tab.set('pages', pagesShown);
    /**
     * Tells the page's totals: at once when asked, because a hidden page's timers are slow and its events are not.
     *
     * @param {string} [id] of the question
     */
    const tellTotals = id => {
        if (isWatched(state)) {
            socket.send([Object.assign({t: 'alive'}, id ? {id} : {}, totals.read(), {given: given.seq})]);
        }
    };
    const totals = makeTotals({doc: document, win: window, pages: pagesShown, onChange: () => tellTotals()});

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
                if (sender) {
                    sender.acknowledge(frame);
                }
                if (frame.id) {
                    panel.chat.settle(frame.id);
                }
                break;
            case 'state':
                setState(frame.state, frame.version, frame.reason || '');
                break;
            case 'time':
                if (typeof frame.at === 'number' && frame.at > 0 && clock.measure(frame.at, frame.now)) {
                    detector.answered();
                    // This machine's clock was set: the attempt ends at another time by it.
                    if (Math.abs(clock.local(end) - toldEnd) > MOVED) {
                        tellTime();
                    }
                }
                if (frame.end || frame.left || !frame.at) {
                    setTime(frame.end || 0, frame.left || 0);
                }
                break;
            case 'chat':
                showLine(frame);
                break;
            case 'command':
                commands.take(frame);
                break;
            case 'hand':
                lowered();
                break;
            case 'receipt':
                if (config.onReceipt) {
                    config.onReceipt(frame);
                }
                break;
            case 'notice':
                if (frame.kind === 'saving_later') {
                    saving = !frame.over;
                    refresh();
                }
                break;
            case 'error':
                if (sender) {
                    sender.refused(frame).then(what => {
                        if (what === 'line' && (frame.duty === 'drop' || frame.duty === 'stop')) {
                            panel.chat.settle(String(frame.ref), 'failed');
                        }
                        return what === 'hand_raised' || what === 'hand_lowered' ? handRefused(what === 'hand_raised') : undefined;
                    }).catch(() => undefined);
                }
                break;
        }
    };

    const socket = makeSocket({
        tokens,
        local: clock.local,
        hello: async(session) => {
            await openSession(session);
            await findHand();
            const page = pageNumber(config.page);
            const {stream, next} = outbox ? await outbox.hello() : {stream: '', next: 1};
            const {stamp} = config;
            giveOut(next - 1);
            return Object.assign({t: 'hello', stream, next, can: CAN}, page ? {page} : {}, stamp && stamp.length <= MAX_STAMP ? {stamp} : {});
        },
        onFrame,
        onStatus: status => {
            if (status.since !== changedAt) {
                changedAt = status.since;
                changed = clock.tick();
            }
            wasConnected = wasConnected || status.state === 'connected';
            if (sender && status.state === 'connected') {
                sender.begin();
                tellTotals();
                commands.again();
                measure();
            } else if (sender) {
                sender.end();
            }
            detect();
            refresh();
        },
    });

    const onPageHide = () => {
        probes.forEach(clearTimeout);
        tellTotals();
        socket.leave(hasEnded(state) ? 'finished' : 'navigating');
    };
    /** @param {PageTransitionEvent} event */
    const onPageShow = event => {
        if (event.persisted) {
            socket.start();
        }
    };
    const onVisible = () => {
        if (document.visibilityState === 'visible') {
            commands.look();
            socket.nudge();
        }
    };
    const looking = setInterval(() => {
        if (clock.shaken()) {
            askTime();
        }
    }, LOOK);
    const onFocus = () => socket.reclaim();
    const nudge = () => socket.nudge();

    window.addEventListener('pagehide', onPageHide);
    window.addEventListener('pageshow', onPageShow);
    window.addEventListener('online', nudge);
    window.addEventListener('offline', nudge);
    window.addEventListener('focus', onFocus);
    document.addEventListener('resume', nudge);
    document.addEventListener('visibilitychange', onVisible);

    panel.hand(Boolean(tab.get('hand')), false);
    if (tokens.session()) {
        openSession(tokens.session());
    }
    if (config.page !== undefined) {
        const before = tab.get('page');
        tab.set('page', config.page);
        if (before !== undefined && before !== config.page) {
            const number = pageNumber(config.page);
            emit({kind: 'page_turned', at: Date.now(), data: {page: number || String(config.page).slice(0, 60)}});
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
            probes.forEach(clearTimeout);
            detector.stop();
            totals.stop();
            socket.leave(hasEnded(state) ? 'finished' : 'closing');
            if (sender) {
                sender.end();
            }
            if (outbox) {
                outbox.close();
            }
            panel.remove();
            window.removeEventListener('pagehide', onPageHide);
            window.removeEventListener('pageshow', onPageShow);
            window.removeEventListener('online', nudge);
            window.removeEventListener('offline', nudge);
            window.removeEventListener('focus', onFocus);
            document.removeEventListener('resume', nudge);
            document.removeEventListener('visibilitychange', onVisible);
        },
        state: () => state,
        connection: () => socket.status(),
    };
};
