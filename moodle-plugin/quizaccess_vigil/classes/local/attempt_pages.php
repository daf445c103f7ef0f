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
use mod_quiz\quiz_settings;
use moodle_page;
use moodle_url;

/**
 * What the rule does on the pages of an attempt.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class attempt_pages {
    /**
     * Sets up a page of an attempt. Core asks for it on the page that starts an attempt and on the review too, before it has
     * looked whose attempt it is.
     *
     * @param moodle_page $page
     * @param quiz_settings $quizobj
     */
    public static function set_up(moodle_page $page, quiz_settings $quizobj): void {
        global $USER;
        $path = $page->has_set_url() ? $page->url->get_path(false) : '';
        $name = basename($path);
        $attemptid = (int)$page->url->get_param('attempt');
        if (!in_array($name, ['attempt.php', 'summary.php', 'review.php'], true) || !$attemptid) {
            return;
        }
        $session = (new session_store(\core\di::get(\core\clock::class)))->of_attempt($attemptid);
        if ($session && $name === 'review.php') {
            self::offer_timeline($page, $quizobj, $session);
        }
        if (
            !$session || (int)$session->userid !== (int)$USER->id || $quizobj->is_preview_user()
                || \core\session\manager::is_loggedinas()
        ) {
            return;
        }
        $own = own_attempt::find($attemptid);
        $status = $own->status();
        if ($name === 'review.php') {
            if ($session->state === session_store::ENDED && $session->endreturn && !$session->endsent) {
                redirect(new moodle_url('/mod/quiz/accessrule/vigil/launch.php', [
                    'cmid' => $quizobj->get_cmid(), 'kind' => 'end', 'attempt' => $attemptid, 'sesskey' => sesskey(),
                ]));
            }
            return;
        }
        if ($status === 'paused') {
            redirect(new moodle_url('/mod/quiz/accessrule/vigil/paused.php', ['attempt' => $attemptid]));
        }
        if ($status === 'running') {
            if ($own->session->unwatchedat && hold::policy($own->session)['unwatched'] !== 'note') {
                \core\notification::add(get_string('unwatchedask', 'quizaccess_vigil'), \core\output\notification::NOTIFY_WARNING);
            }
            self::monitor($page, $own, $name === 'summary.php' ? 'summary' : 'attempt');
        }
    }

    /**
     * Gives proctors a way from the review of an attempt to its timeline.
     *
     * @param moodle_page $page
     * @param quiz_settings $quizobj
     * @param \stdClass $session
     */
    private static function offer_timeline(moodle_page $page, quiz_settings $quizobj, \stdClass $session): void {
        if (
            (int)$session->quizid !== (int)$quizobj->get_quizid() || !attempt_list::has_timeline($session)
                || !has_capability('quizaccess/vigil:proctor', $quizobj->get_context())
        ) {
            return;
        }
        $page->set_button($page->button . \html_writer::link(
            attempt_list::timeline_url((int)$quizobj->get_cmid(), (int)$session->attemptid),
            get_string('timeline', 'quizaccess_vigil'),
            ['class' => 'btn btn-secondary', 'target' => '_blank', 'rel' => 'opener']
        ));
    }

    /**
     * Puts the monitor on a page.
     *
     * @param moodle_page $page
     * @param own_attempt $own
     * @param string $kind attempt, summary or paused
     */
    public static function monitor(moodle_page $page, own_attempt $own, string $kind): void {
        $tool = (new lti_bridge())->tool_by_id((int)$own->session->typeid);
        if (!$tool) {
            return;
        }
        if ($kind !== 'paused') {
            opening::instance()->page_served($own->session);
        }
        $attemptobj = $own->attemptobj;
        page_stamp::ask($own->session, match ($kind) {
            'attempt' => (int)$page->url->get_param('page'),
            'summary' => watch::SUMMARY,
            default => watch::WAITING,
        });
        $number = $kind === 'attempt' ? (int)$page->url->get_param('page') + 1 : $kind;
        $page->requires->js_call_amd('quizaccess_vigil/proctor', 'init', [[
            'attempt' => $attemptobj->get_attemptid(),
            'cmid' => $attemptobj->get_cmid(),
            'key' => (int)$own->session->userid . '-' . $attemptobj->get_attemptid(),
            'kind' => $kind,
            'page' => $number,
            'pages' => $attemptobj->get_num_pages(),
            'endpoint' => lti_bridge::token_endpoint($tool),
            'receipts' => true,
            'held' => hold::is_held($own->session),
            'lang' => str_replace('_', '-', current_language()),
        ]]);
    }

    /**
     * Whether what is said now is for a page: web services, of Moodle's app say, refuse an answer with a link in a line of text.
     *
     * @return bool
     */
    public static function is_page(): bool {
        global $PAGE;
        $service = (defined('WS_SERVER') && WS_SERVER) || (defined('AJAX_SCRIPT') && AJAX_SCRIPT);
        return !$service && $PAGE->has_set_url();
    }

    /**
     * Why a student cannot go on with an attempt.
     *
     * @param quiz_settings $quizobj
     * @return string|false
     */
    public static function prevented(quiz_settings $quizobj) {
        global $DB, $USER;
        $sessions = $DB->get_records_sql(
            "SELECT s.*
               FROM {quizaccess_vigil_session} s
               JOIN {quiz_attempts} qa ON qa.id = s.attemptid
              WHERE s.quizid = ? AND s.userid = ? AND (s.pausedat > 0 AND s.state = ? OR s.terminated > 0)
                    AND qa.state IN (?, ?)",
            [$quizobj->get_quizid(), $USER->id, session_store::OPEN, quiz_attempt::IN_PROGRESS, quiz_attempt::OVERDUE]
        );
        foreach ($sessions as $session) {
            if ($session->terminated) {
                return get_string('terminatedaccess', 'quizaccess_vigil');
            }
            $held = hold::is_held($session);
            $checked = (new session_store(\core\di::get(\core\clock::class)))
                ->is_checked_in((int)$session->quizid, (int)$session->userid, (int)$session->attempt);
            if ($held && !$checked) {
                // Only a watched page ends the hold, and another browser has to pass the check-in to have one.
                continue;
            }
            $text = get_string($held ? 'heldaccess' : 'pausedaccess', 'quizaccess_vigil');
            return !self::is_page() ? $text : $text . ' ' . \html_writer::link(
                new moodle_url('/mod/quiz/accessrule/vigil/paused.php', ['attempt' => $session->attemptid]),
                get_string('pausedlink', 'quizaccess_vigil')
            );
        }
        return false;
    }
}
