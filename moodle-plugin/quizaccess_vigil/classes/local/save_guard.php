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

namespace quizaccess_vigil\local;

use mod_quiz\quiz_attempt;
use moodle_exception;
use moodle_url;

/**
 * Keeps answers out of attempts that a proctor has paused or ended.
 *
 * The pages that save answers ask no access rule. So they are stopped here, between the login and the save, with the student's
 * lock held until the request has ended: a save that began earlier cannot write its old row over the end of the attempt.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class save_guard {
    /** @var int seconds after the pause in which the last answers are still taken */
    public const GRACE = 10;

    /**
     * Lets the request at hand go on, or ends it.
     *
     * @param bool $ajax
     */
    public static function check(bool $ajax): void {
        global $DB, $USER;
        $attemptid = optional_param('attempt', 0, PARAM_INT);
        $clock = \core\di::get(\core\clock::class);
        $sessions = new session_store($clock);
        $session = $sessions->of_attempt($attemptid);
        if (!$session || (int)$session->userid !== (int)$USER->id) {
            return;
        }
        $lock = locks::take((int)$session->quizid, (int)$session->userid);
        // Core does the same at the end of the request; so does this, for tests, which have none.
        \core_shutdown_manager::register_function(static function () use ($lock): void {
            $lock->release();
        });
        $session = $sessions->of_attempt($attemptid);
        $attempt = $DB->get_record('quiz_attempts', ['id' => $attemptid], 'id, state, layout');
        $refusal = self::refusal($session, $attempt ? (string)$attempt->state : '', $clock->time());
        if ($refusal === '') {
            self::watch($session, (string)$attempt->layout, $ajax);
            return;
        }
        $url = new moodle_url('/mod/quiz/view.php', ['id' => $session->cmid]);
        if ($ajax) {
            throw new moodle_exception($refusal, 'quizaccess_vigil', $url);
        }
        if ($refusal === 'errorpaused') {
            redirect(new moodle_url('/mod/quiz/accessrule/vigil/paused.php', ['attempt' => $attemptid]));
        }
        redirect(new moodle_url('/mod/quiz/review.php', ['attempt' => $attemptid]));
    }

    /**
     * Why answers are not taken.
     *
     * @param \stdClass $session
     * @param string $state of the attempt
     * @param int $now
     * @return string an error's name; '': they are taken
     */
    public static function refusal(\stdClass $session, string $state, int $now): string {
        if ($session->terminated || !in_array($state, [quiz_attempt::IN_PROGRESS, quiz_attempt::OVERDUE], true)) {
            return 'errorended';
        }
        if (hold::is_held($session)) {
            // The answers are saved first, then the student waits. Its time ends as the attempt's own.
            return '';
        }
        return session_store::is_paused($session) && $now > $session->pausedat + self::GRACE ? 'errorpaused' : '';
    }

    /**
     * The pages of an attempt whose answers a request saves: those of the slots that core saves. What the form says of its own
     * page is for the way on only, and anybody can change it.
     *
     * @param string $layout of the attempt: its slots, a 0 after each page
     * @param string|null $slots as the request names them, '': none, as the summary's; null: core takes all
     * @return int[] numbers from 0 on
     */
    public static function pages(string $layout, ?string $slots): array {
        $wanted = $slots === null ? null : array_map('intval', explode(',', $slots));
        $pages = [];
        $page = 0;
        foreach (array_map('intval', explode(',', $layout)) as $slot) {
            if ($slot === 0) {
                $page++;
            } else if ($wanted === null || in_array($slot, $wanted, true)) {
                $pages[$page] = $page;
            }
        }
        return array_values($pages);
    }

    /**
     * Looks whether the page that the answers come from is watched. Whatever goes wrong here, the answers are saved.
     *
     * @param \stdClass $session
     * @param string $layout of the attempt
     * @param bool $ajax
     */
    private static function watch(\stdClass $session, string $layout, bool $ajax): void {
        if ($session->state !== session_store::OPEN) {
            return;
        }
        $clock = \core\di::get(\core\clock::class);
        try {
            $requested = page_stamp::requested_at(
                $_SERVER,
                (bool)get_config('quizaccess_vigil', 'requeststart'),
                standing::milliseconds($clock)
            );
            $verdict = watch::instance()->posted(
                $session,
                self::said(page_stamp::FIELD, PARAM_ALPHANUMEXT) ?? '',
                self::pages($layout, self::said('slots', PARAM_SEQUENCE)),
                self::said('vigil_receipts', PARAM_RAW_TRIMMED) ?? '',
                $requested
            );
            // Who hands in is not kept from it: what was not watched is noted.
            if (watch::is_unwatched($verdict) && !self::ends((int)$session->attemptid, $ajax, $clock->time())) {
                hold::instance()->consider($session, $verdict);
            }
        } catch (\Throwable $e) {
            debugging("Vigil: it is not known whether this page is watched. {$e->getMessage()}", DEBUG_NORMAL, $e->getTrace());
        }
    }

    /**
     * What the request says. What is no text, which anybody can send, says nothing: it must not keep the page from being judged.
     *
     * @param string $name
     * @param string $type
     * @return string|null
     */
    private static function said(string $name, string $type): ?string {
        try {
            return optional_param($name, null, $type);
        } catch (\coding_exception $e) {
            return null;
        }
    }

    /**
     * Whether core ends the attempt with this request. The form's own word that the time is up counts where there is no time limit
     * only, and an autosave ends nothing.
     *
     * @param int $attemptid
     * @param bool $ajax
     * @param int $now
     * @return bool
     */
    private static function ends(int $attemptid, bool $ajax, int $now): bool {
        if ($ajax) {
            return false;
        }
        if (self::said('finishattempt', PARAM_BOOL)) {
            return true;
        }
        $attemptobj = quiz_attempt::create($attemptid);
        $end = $attemptobj->get_access_manager($now)->get_end_time($attemptobj->get_attempt());
        return $end === false ? (bool)self::said('timeup', PARAM_BOOL) : $now > $end - QUIZ_MIN_TIME_TO_CONTINUE;
    }
}
