<?php
// This file is part of Moodle - http://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <http://www.gnu.org/licenses/>.

/**
 * Indonesian strings of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['admission'] = 'Pengawas mempersilakan setiap siswa';
$string['admission_help'] = 'Setelah pemeriksaan awal, siswa menunggu sampai pengawas mengizinkan mulai.';
$string['attention'] = 'Minta perhatian mulai dari';
$string['attention_1'] = 'Semua yang teramati';
$string['attention_3'] = 'Patut diperhatikan (disarankan)';
$string['attention_6'] = 'Serius';
$string['attention_9'] = 'Hanya yang berat';
$string['attention_help'] = 'Setiap hal yang teramati peramban mempunyai bobot. Mulai bobot ini, hal itu diperlihatkan kepada pengawas sebagai insiden. Tidak ada yang mengakhiri percobaan dengan sendirinya.';
$string['cachedef_probe'] = 'Kapan alat pengawasan menjawab';
$string['enabled'] = 'Diawasi dengan Vigil';
$string['enabled_help'] = 'Siswa melewati pemeriksaan awal yang singkat sebelum mengerjakan. Pengawas dapat melihat apakah mereka terhubung, berbicara dengan mereka, serta menjeda, memperpanjang, atau mengakhiri percobaan. Kamera dan mikrofon tidak digunakan.';
$string['end_message'] = 'Beri tahu Vigil juga lewat peramban ketika percobaan berakhir';
$string['end_message_help'] = 'Vigil mendapat kabar dari situs ini ketika percobaan berakhir. Dengan setelan ini peramban siswa juga singgah di Vigil dalam perjalanan ke halaman tinjauan.';
$string['errorbrowser'] = 'Kuis ini diawasi dengan Vigil dan hanya dapat dikerjakan di peramban web. Buka kursus di peramban dan mulai dari sana.';
$string['errorbusy'] = 'Percobaan Anda sedang diproses saat ini. Coba lagi.';
$string['errorcodegone'] = 'Halaman ini hanya berlaku sekali, selama beberapa menit, di peramban yang datang dari pemeriksaan awal. Mulai lagi percobaan dari kuis.';
$string['errorended'] = 'Percobaan ini telah berakhir. Jawaban tidak diterima lagi.';
$string['errorendnottold'] = 'Alat pengawasan tidak menerima laporan bahwa sebuah percobaan telah berakhir.';
$string['errorlaunchgone'] = 'Peluncuran ini sudah dipakai. Kembali ke kuis dan mulai dari sana.';
$string['errorloginas'] = 'Anda masuk sebagai pengguna lain. Percobaan yang diawasi hanya dapat dibuka oleh siswa itu sendiri.';
$string['errornopermit'] = 'Pemeriksaan awal terbuka ketika Anda memulai percobaan. Kembali ke kuis dan mulai dari sana.';
$string['errornosession'] = 'Ini bukan percobaan Anda yang diawasi.';
$string['errornotcheckedin'] = 'Peramban ini belum melewati pemeriksaan awal untuk percobaan ini. Kembali ke kuis dan lanjutkan percobaan dari sana.';
$string['errornotool'] = 'Kuis ini diawasi, tetapi di situs ini belum ada alat pengawasan. Beri tahu guru Anda. Administrator memilih alat itu di setelan aturan akses kuis Vigil.';
$string['errornotproctored'] = 'Kuis ini tidak diawasi.';
$string['errorothernumber'] = 'Percobaan yang Anda periksa awal sementara itu telah berakhir. Kembali ke kuis.';
$string['errorotheruser'] = 'Sejak pemeriksaan awal Anda masuk sebagai orang lain. Masuk sebagai siswa yang melewatinya, atau mulai lagi percobaan dari kuis.';
$string['errorpaused'] = 'Pengawas telah menjeda percobaan ini. Yang Anda simpan sekarang tidak diterima; yang disimpan sebelumnya tetap ada.';
$string['errorrange'] = 'Isikan bilangan bulat dari {$a->least} sampai {$a->most}.';
$string['errorstartclaim'] = 'Pesan dari alat pengawasan tidak cocok dengan peluncuran Anda ({$a}). Mulai lagi percobaan dari kuis. Jika terjadi lagi, beri tahu guru Anda.';
$string['errorstartform'] = 'Pesan dari alat pengawasan tidak dapat dibaca. Mulai lagi percobaan dari kuis.';
$string['errorstartlate'] = 'Perjalanan kembali dari pemeriksaan awal terlalu lama, atau sudah dipakai. Mulai lagi percobaan dari kuis.';
$string['errorstartsignature'] = 'Pesan dari alat pengawasan tidak dapat diverifikasi. Mulai lagi percobaan dari kuis. Jika terjadi lagi, beri tahu guru Anda: mungkin situs ini tidak dapat mengambil kunci alat itu.';
$string['errorstarttool'] = 'Alat pengawasan melaporkan: {$a}';
$string['errortooldown'] = 'Alat pengawasan tidak menjawab saat ini, sehingga percobaan tidak dimulai. Tidak ada yang hilang: tunggu sebentar dan coba lagi, atau beri tahu guru Anda.';
$string['errortoolinactive'] = 'Kuis ini diawasi, tetapi alat pengawasan dinonaktifkan di situs ini. Beri tahu guru Anda. Administrator mengaktifkannya di antara alat eksternal.';
$string['event_attempt_paused'] = 'Percobaan yang diawasi dijeda';
$string['event_attempt_resumed'] = 'Percobaan yang diawasi dilanjutkan';
$string['event_attempt_terminated'] = 'Percobaan yang diawasi diakhiri pengawas';
$string['event_dashboard_opened'] = 'Dasbor pengawasan dibuka';
$string['event_incident_flagged'] = 'Percobaan yang diawasi ditandai';
$string['event_session_started'] = 'Pemeriksaan awal pengawasan dilewati';
$string['event_time_extended'] = 'Waktu tambahan diberikan pengawas';
$string['fullscreen'] = 'Minta siswa tetap dalam layar penuh';
$string['fullscreen_help'] = 'Keluar dari layar penuh diamati, tidak pernah dicegah.';
$string['link_loss'] = 'Waktu yang hilang karena koneksi siswa sendiri';
$string['link_loss_ask'] = 'Usulkan kepada pengawas';
$string['link_loss_never'] = 'Jangan dikembalikan';
$string['live'] = 'Pengawasan langsung';
$string['lost_time_cap'] = 'Menit yang boleh diusulkan paling banyak';
$string['notice'] = 'Anda akan dibawa ke pemeriksaan awal yang singkat. Di sana dijelaskan apa yang dilaporkan peramban Anda selama percobaan, persetujuan Anda diminta, dan koneksi Anda diperiksa. Kamera dan mikrofon tidak digunakan. Setelah itu percobaan dimulai.';
$string['onemoment'] = 'Tunggu sebentar…';
$string['panel_about_connected'] = 'Pengawas dapat melihat bahwa Anda hadir. Tulis kepada mereka bila perlu sesuatu.';
$string['panel_about_connecting'] = 'Mencari server pengawasan. Anda dapat terus mengerjakan.';
$string['panel_about_elsewhere'] = 'Ujian ini terbuka di tab atau perangkat lain.';
$string['panel_about_ended'] = 'Pengawasan untuk percobaan ini telah selesai.';
$string['panel_about_offline'] = 'Pengawas tidak dapat menghubungi Anda. Anda dapat terus mengerjakan; yang Anda tulis di sini dikirim saat koneksi pulih.';
$string['panel_about_paused'] = 'Ujian Anda sedang dijeda.';
$string['panel_about_reconnecting'] = 'Koneksi baru saja terputus. Anda dapat terus mengerjakan.';
$string['panel_about_saving'] = 'Anda terhubung. Server menahan yang belum dapat disimpan dan menyimpannya nanti.';
$string['panel_about_stopped'] = 'Pengawasan tidak dapat dihubungkan di halaman ini. Jawaban Anda tidak terpengaruh. Muat ulang halaman, atau beri tahu pengawas.';
$string['panel_admit_title'] = 'Anda boleh mulai';
$string['panel_back'] = 'Terhubung kembali.';
$string['panel_chat_empty'] = 'Belum ada pesan.';
$string['panel_chat_failed'] = 'Tidak terkirim';
$string['panel_chat_label'] = 'Pesan Anda';
$string['panel_chat_long'] = 'Pesan ini terlalu panjang.';
$string['panel_chat_proctor'] = 'Pengawas';
$string['panel_chat_send'] = 'Kirim';
$string['panel_chat_sending'] = 'Mengirim…';
$string['panel_chat_title'] = 'Pesan dengan pengawas';
$string['panel_chat_you'] = 'Anda';
$string['panel_close'] = 'Tutup';
$string['panel_elsewhere_here'] = 'Lanjutkan di sini';
$string['panel_elsewhere_text'] = 'Tab atau perangkat lain telah mengambil alih. Kerjakan di satu tempat saja.';
$string['panel_elsewhere_title'] = 'Ujian ini terbuka di tempat lain';
$string['panel_extend_end'] = 'Percobaan Anda kini berakhir pukul {$a->time}.';
$string['panel_extend_text'] = '{$a->time} ditambahkan oleh {$a->name}.';
$string['panel_extend_title'] = 'Waktu Anda ditambah';
$string['panel_full_enter'] = 'Masuk layar penuh';
$string['panel_full_refuse'] = 'Nanti saja';
$string['panel_full_text'] = 'Ujian ini meminta ditampilkan dalam layar penuh.';
$string['panel_full_title'] = 'Layar penuh';
$string['panel_hand_down'] = 'Tangan Anda sudah diturunkan.';
$string['panel_hand_lower'] = 'Turunkan tangan';
$string['panel_hand_raise'] = 'Angkat tangan';
$string['panel_hand_up'] = 'Tangan Anda terangkat. Pengawas akan melihatnya.';
$string['panel_message_ok'] = 'Oke';
$string['panel_message_title'] = 'Pesan dari {$a->name}';
$string['panel_name_proctor'] = 'pengawas';
$string['panel_open'] = 'Pesan';
$string['panel_panel'] = 'Pengawasan ujian';
$string['panel_pause_left'] = 'Sisa waktu saat dilanjutkan: {$a->time}';
$string['panel_pause_reason'] = 'Alasan: {$a->reason}';
$string['panel_pause_text'] = 'Pengawas menjeda ujian Anda. Waktu Anda berhenti dan jawaban Anda tersimpan. Tetap di sini: ujian berlanjut sendiri.';
$string['panel_pause_title'] = 'Ujian Anda dijeda';
$string['panel_reactivate_title'] = 'Percobaan Anda dibuka kembali';
$string['panel_resume_text'] = 'Anda dapat melanjutkan.';
$string['panel_resume_title'] = 'Ujian Anda berlanjut';
$string['panel_status_connected'] = 'Terhubung dengan pengawas';
$string['panel_status_connecting'] = 'Menghubungkan…';
$string['panel_status_elsewhere'] = 'Terbuka di tempat lain';
$string['panel_status_ended'] = 'Selesai';
$string['panel_status_offline'] = 'Luring sejak {$a->time}';
$string['panel_status_paused'] = 'Dijeda';
$string['panel_status_reconnecting'] = 'Menghubungkan kembali…';
$string['panel_status_saving'] = 'Terhubung, disimpan nanti';
$string['panel_status_stopped'] = 'Tidak terhubung';
$string['panel_terminate_back'] = 'Tinggalkan halaman ini';
$string['panel_terminate_text'] = 'Pengawas mengakhiri percobaan ini. Yang sudah Anda simpan tetap ada. Jika menurut Anda ini keliru, bicaralah dengan guru Anda.';
$string['panel_terminate_title'] = 'Percobaan Anda diakhiri';
$string['panel_time_h'] = '{$a->n} jam';
$string['panel_time_min'] = '{$a->n} mnt';
$string['panel_time_s'] = '{$a->n} dtk';
$string['panel_unread_one'] = '{$a->n} pesan baru';
$string['panel_unread_other'] = '{$a->n} pesan baru';
$string['panel_warn_ok'] = 'Saya mengerti';
$string['panel_warn_title'] = 'Peringatan dari {$a->name}';
$string['pause'] = 'Pengawas boleh menjeda percobaan';
$string['pause_help'] = 'Selama percobaan dijeda jawaban tidak diterima, dan waktunya dikembalikan sesudahnya.';
$string['pausedaccess'] = 'Pengawas telah menjeda percobaan Anda.';
$string['pausedback'] = 'Kembali ke kuis';
$string['pausedlink'] = 'Tunggu sampai dilanjutkan';
$string['pausedtext'] = 'Pengawas telah menjeda percobaan Anda. Jawaban Anda tersimpan, dan waktu jeda dikembalikan. Halaman ini berlanjut sendiri.';
$string['pausedtitle'] = 'Percobaan Anda dijeda';
$string['pluginname'] = 'Aturan akses kuis Vigil';
$string['proctored'] = 'Kuis ini diawasi dengan Vigil.';
$string['retention_audit'] = 'Simpan catatan tindakan pengawas (hari)';
$string['retention_chat'] = 'Simpan percakapan (hari)';
$string['retention_sessions'] = 'Simpan percobaan (hari)';
$string['retention_signals'] = 'Simpan yang diamati peramban (hari)';
$string['taskcleanup'] = 'Membersihkan peluncuran pengawasan, dan mencari percobaan yang berakhir tanpa kabar';
$string['terminatedaccess'] = 'Pengawas telah mengakhiri percobaan Anda.';
$string['typeid'] = 'Alat pengawasan';
$string['typeid_desc'] = 'Alat eksternal yang mengawasi kuis. Alat ini diberi hak menjeda, memperpanjang, dan mengakhiri percobaan.';
$string['typeid_inactive'] = '{$a} (tidak aktif)';
$string['typeid_none'] = 'Tidak ada: kuis yang diawasi tidak dapat dimulai';
$string['vigil:manage'] = 'Menentukan apakah dan bagaimana kuis diawasi';
$string['vigil:proctor'] = 'Mengamati dan mengendalikan percobaan yang diawasi';
$string['watch'] = 'Yang dilaporkan peramban';
$string['watch_clipboard'] = 'Menyalin dan menempel (panjangnya, tidak pernah teksnya)';
$string['watch_display'] = 'Lebih dari satu layar';
$string['watch_focus'] = 'Meninggalkan halaman';
$string['watch_fullscreen'] = 'Keluar dari layar penuh';
$string['watch_help'] = 'Pemeriksaan awal memberi tahu siswa persis apa yang dicentang di sini. Koneksi selalu dilaporkan.';
$string['watch_idle'] = 'Lama tanpa masukan';
$string['watch_window'] = 'Mengubah ukuran, menu konteks, mencetak, alat pengembang';
