// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * What the student's panel says, in English and Indonesian. A page may hand over a dictionary of its own instead.
 *
 * @module     quizaccess_vigil/strings
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/** @type {{[key: string]: string}} */
const en = {
    panel: 'Exam proctoring',
    'status.connecting': 'Connecting…',
    'status.connected': 'Proctor connected',
    'status.reconnecting': 'Reconnecting…',
    'status.offline': 'Offline since {time}',
    'status.saving': 'Connected, saving later',
    'status.paused': 'Paused',
    'status.timeup': 'Time is over',
    'status.ended': 'Ended',
    'status.off': 'Not proctored',
    'status.elsewhere': 'Open elsewhere',
    'status.stopped': 'Not connected',
    'about.connecting': 'Looking for the proctoring server. You can go on working.',
    'about.connected': 'Your proctors can see that you are here. Write to them if you need anything.',
    'about.reconnecting': 'The connection broke off a moment ago. You can go on working.',
    'about.offline': 'Your proctors cannot reach you. You can go on working; what you write here is sent when the connection is back.',
    'about.saving': 'You are connected. The server keeps what it could not save yet and saves it later.',
    'about.paused': 'Your exam is paused.',
    'about.timeup': 'By Vigil\'s clock your time is over. The quiz decides when your attempt ends; Vigil waits for its report. ' +
        'Your proctors can still see you, and read what you write.',
    'about.ended': 'Proctoring of this attempt has ended.',
    'about.off': 'Proctoring of this quiz was switched off. Nothing is watched any more. You can go on working.',
    'about.elsewhere': 'This exam is open in another tab or on another device.',
    'about.stopped': 'Proctoring could not be connected on this page. Your answers are not affected. Reload the page, or tell your proctor.',
    'open': 'Messages',
    'close': 'Close',
    'unread.one': '{n} new message',
    'unread.other': '{n} new messages',
    'chat.title': 'Messages with your proctors',
    'chat.empty': 'No messages yet.',
    'chat.label': 'Your message',
    'chat.send': 'Send',
    'chat.sending': 'Sending…',
    'chat.failed': 'Not sent',
    'chat.long': 'This message is too long.',
    'chat.you': 'You',
    'chat.proctor': 'Proctor',
    'hand.raise': 'Raise hand',
    'hand.lower': 'Lower hand',
    'hand.up': 'Your hand is raised. A proctor will see it.',
    'hand.down': 'Your hand is down.',
    'hand.refused': 'The proctoring server did not accept it. Write a message to your proctors, or call somebody.',
    'hand.refused.down': 'Your hand is still raised',
    'hand.refused.up': 'Your hand could not be raised',
    'message.title': 'Message from {name}',
    'message.ok': 'OK',
    'warn.title': 'Warning from {name}',
    'warn.ok': 'I understand',
    'name.proctor': 'your proctor',
    'pause.title': 'Your exam is paused',
    'pause.text': 'A proctor paused your exam. Your time stands still and your answers are kept. Stay here: it goes on by itself.',
    'pause.again': 'It is still paused: the quiz did not let it go on, and your proctors can see that. ' +
        'Your time stands still and your answers are kept. Stay here: it goes on by itself.',
    'pause.reason': 'Reason: {reason}',
    'pause.left': 'Time left when you go on: {time}',
    'resume.title': 'Your exam goes on',
    'resume.text': 'You are back in.',
    'resume.unpaused': 'The quiz did not take the pause, so your time kept running.',
    'extend.title': 'You have more time',
    'extend.text': '{time} added by {name}.',
    'extend.end': 'Your attempt now ends at {time}.',
    'admit.title': 'You may begin',
    'reactivate.title': 'Your attempt was opened again',
    'terminate.title': 'Your attempt was ended',
    'terminate.text': 'A proctor ended this attempt. What you had saved is kept. If you think that this is a mistake, talk to your teacher.',
    'terminate.back': 'Leave this page',
    'off.title': 'Proctoring was switched off',
    'off.text': 'Nothing is watched any more. You can go on working: your attempt and your answers stay as they are.',
    'elsewhere.title': 'This exam is open elsewhere',
    'elsewhere.text': 'Another tab or device has taken over. Work in one place only.',
    'elsewhere.here': 'Go on here',
    'full.title': 'Full screen',
    'full.text': 'This exam asks to be shown in full screen.',
    'full.enter': 'Enter full screen',
    'full.refuse': 'Not now',
    'back': 'Connected again.',
    'time.h': '{n} h',
    'time.min': '{n} min',
    'time.s': '{n} s',
};

/** @type {{[key: string]: string}} */
const id = {
    panel: 'Pengawasan ujian',
    'status.connecting': 'Menghubungkan…',
    'status.connected': 'Terhubung dengan pengawas',
    'status.reconnecting': 'Menghubungkan kembali…',
    'status.offline': 'Luring sejak {time}',
    'status.saving': 'Terhubung, disimpan nanti',
    'status.paused': 'Dijeda',
    'status.timeup': 'Waktu habis',
    'status.ended': 'Selesai',
    'status.off': 'Tidak diawasi',
    'status.elsewhere': 'Terbuka di tempat lain',
    'status.stopped': 'Tidak terhubung',
    'about.connecting': 'Mencari server pengawasan. Anda dapat terus mengerjakan.',
    'about.connected': 'Pengawas dapat melihat bahwa Anda hadir. Tulis kepada mereka bila perlu sesuatu.',
    'about.reconnecting': 'Koneksi baru saja terputus. Anda dapat terus mengerjakan.',
    'about.offline': 'Pengawas tidak dapat menghubungi Anda. Anda dapat terus mengerjakan; yang Anda tulis di sini dikirim saat koneksi pulih.',
    'about.saving': 'Anda terhubung. Server menahan yang belum dapat disimpan dan menyimpannya nanti.',
    'about.paused': 'Ujian Anda sedang dijeda.',
    'about.timeup': 'Menurut jam Vigil waktu Anda sudah habis. Kuis menentukan kapan percobaan Anda berakhir; Vigil menunggu laporannya. ' +
        'Pengawas masih dapat melihat Anda, dan membaca tulisan Anda.',
    'about.ended': 'Pengawasan untuk percobaan ini telah selesai.',
    'about.off': 'Pengawasan kuis ini dimatikan. Tidak ada lagi yang diamati. Anda dapat terus mengerjakan.',
    'about.elsewhere': 'Ujian ini terbuka di tab atau perangkat lain.',
    'about.stopped': 'Pengawasan tidak dapat dihubungkan di halaman ini. Jawaban Anda tidak terpengaruh. ' +
        'Muat ulang halaman, atau beri tahu pengawas.',
    'open': 'Pesan',
    'close': 'Tutup',
    'unread.one': '{n} pesan baru',
    'unread.other': '{n} pesan baru',
    'chat.title': 'Pesan dengan pengawas',
    'chat.empty': 'Belum ada pesan.',
    'chat.label': 'Pesan Anda',
    'chat.send': 'Kirim',
    'chat.sending': 'Mengirim…',
    'chat.failed': 'Tidak terkirim',
    'chat.long': 'Pesan ini terlalu panjang.',
    'chat.you': 'Anda',
    'chat.proctor': 'Pengawas',
    'hand.raise': 'Angkat tangan',
    'hand.lower': 'Turunkan tangan',
    'hand.up': 'Tangan Anda terangkat. Pengawas akan melihatnya.',
    'hand.down': 'Tangan Anda sudah diturunkan.',
    'hand.refused': 'Server pengawasan tidak menerimanya. Tulis pesan kepada pengawas, atau panggil seseorang.',
    'hand.refused.down': 'Tangan Anda masih terangkat',
    'hand.refused.up': 'Tangan Anda tidak dapat diangkat',
    'message.title': 'Pesan dari {name}',
    'message.ok': 'Oke',
    'warn.title': 'Peringatan dari {name}',
    'warn.ok': 'Saya mengerti',
    'name.proctor': 'pengawas',
    'pause.title': 'Ujian Anda dijeda',
    'pause.text': 'Pengawas menjeda ujian Anda. Waktu Anda berhenti dan jawaban Anda tersimpan. Tetap di sini: ujian berlanjut sendiri.',
    'pause.again': 'Masih dijeda: kuis belum mengizinkannya berlanjut, dan pengawas dapat melihatnya. ' +
        'Waktu Anda berhenti dan jawaban Anda tersimpan. Tetap di sini: ujian berlanjut sendiri.',
    'pause.reason': 'Alasan: {reason}',
    'pause.left': 'Sisa waktu saat dilanjutkan: {time}',
    'resume.title': 'Ujian Anda berlanjut',
    'resume.text': 'Anda dapat melanjutkan.',
    'resume.unpaused': 'Kuis tidak menerima jeda itu, jadi waktu Anda terus berjalan.',
    'extend.title': 'Waktu Anda ditambah',
    'extend.text': '{time} ditambahkan oleh {name}.',
    'extend.end': 'Percobaan Anda kini berakhir pukul {time}.',
    'admit.title': 'Anda boleh mulai',
    'reactivate.title': 'Percobaan Anda dibuka kembali',
    'terminate.title': 'Percobaan Anda diakhiri',
    'terminate.text': 'Pengawas mengakhiri percobaan ini. Yang sudah Anda simpan tetap ada. ' +
        'Jika menurut Anda ini keliru, bicaralah dengan guru Anda.',
    'terminate.back': 'Tinggalkan halaman ini',
    'off.title': 'Pengawasan dimatikan',
    'off.text': 'Tidak ada lagi yang diamati. Anda dapat terus mengerjakan: percobaan dan jawaban Anda tetap seperti adanya.',
    'elsewhere.title': 'Ujian ini terbuka di tempat lain',
    'elsewhere.text': 'Tab atau perangkat lain telah mengambil alih. Kerjakan di satu tempat saja.',
    'elsewhere.here': 'Lanjutkan di sini',
    'full.title': 'Layar penuh',
    'full.text': 'Ujian ini meminta ditampilkan dalam layar penuh.',
    'full.enter': 'Masuk layar penuh',
    'full.refuse': 'Nanti saja',
    'back': 'Terhubung kembali.',
    'time.h': '{n} jam',
    'time.min': '{n} mnt',
    'time.s': '{n} dtk',
};

/** The dictionaries by language. */
export const dictionaries = {en, id};

/**
 * @typedef {object} Words
 * @property {string} lang
 * @property {(key: string, params?: {[name: string]: string|number}) => string} text
 * @property {(key: string, n: number) => string} count of key.one and key.other
 * @property {(at: number) => string} hour a moment's time of day
 * @property {(ms: number) => string} duration
 */

/**
 * Words in a language: a BCP 47 tag, of which the first part counts. English stands in for what is missing.
 *
 * @param {string} [lang]
 * @param {{[key: string]: string}} [own] a dictionary that goes before ours
 * @returns {Words}
 */
export const words = (lang = 'en', own = {}) => {
    const primary = lang.toLowerCase().split(/[-_]/)[0];
    // Old systems call Indonesian "in".
    const chosen = primary === 'id' || primary === 'in' ? 'id' : 'en';
    /** @type {Words['text']} */
    const text = (key, params = {}) => {
        const found = own[key] || dictionaries[chosen][key] || en[key] || key;
        return found.replace(/\{(\w+)\}/g, (whole, name) => params[name] === undefined ? whole : String(params[name]));
    };
    return {
        lang: chosen,
        text,
        count: (key, n) => text(key + (new Intl.PluralRules(chosen).select(n) === 'one' ? '.one' : '.other'), {n}),
        // On the night at which summer time ends an hour comes twice: a time with another offset than now's says which.
        hour: at => new Date(at).toLocaleTimeString(chosen, {
            hour: '2-digit', minute: '2-digit',
            timeZoneName: new Date(at).getTimezoneOffset() === new Date().getTimezoneOffset() ? undefined : 'short',
        }),
        duration: ms => {
            const seconds = Math.max(0, Math.round(ms / 1000));
            const parts = [
                [Math.floor(seconds / 3600), 'time.h'],
                [Math.floor(seconds / 60) % 60, 'time.min'],
                [seconds % 60, 'time.s'],
            ];
            return parts.filter(part => part[0]).map(part => text(String(part[1]), {n: Number(part[0])})).join(' ') ||
                text('time.s', {n: 0});
        },
    };
};
