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

use mod_quiz\form\preflight_check_form;
use mod_quiz\local\access_rule_base;
use mod_quiz\quiz_settings;
use quizaccess_vigil\local\access_store;
use quizaccess_vigil\local\attempt_list;
use quizaccess_vigil\local\attempt_pages;
use quizaccess_vigil\local\launcher;
use quizaccess_vigil\local\policy;
use quizaccess_vigil\local\session_store;
use quizaccess_vigil\local\settings_form;
use quizaccess_vigil\local\switching_off;
use quizaccess_vigil\local\time_grant;

/**
 * A rule that has a quiz proctored with Vigil.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class quizaccess_vigil extends access_rule_base {
    /** @var bool the other rules are being told that the form was passed */
    private static bool $telling = false;

    /**
     * Constructor.
     *
     * @param quiz_settings $quizobj
     * @param int $timenow
     * @param session_store $sessions
     * @param launcher $launcher
     */
    public function __construct(
        $quizobj,
        $timenow,
        /** @var session_store the proctored attempts */
        private readonly session_store $sessions,
        /** @var launcher who sends the student into the check-in */
        private readonly launcher $launcher,
    ) {
        parent::__construct($quizobj, $timenow);
    }

    /**
     * The rule of a quiz that is proctored.
     *
     * @param quiz_settings $quizobj
     * @param int $timenow
     * @param bool $canignoretimelimits
     * @return self|null
     */
    public static function make(quiz_settings $quizobj, $timenow, $canignoretimelimits) {
        if (empty($quizobj->get_quiz()->vigil_enabled)) {
            return null;
        }
        return new self($quizobj, $timenow, new session_store(\core\di::get(\core\clock::class)), launcher::instance());
    }

    /**
     * What the quiz page says.
     *
     * @return string[]
     */
    public function description() {
        $lines = [get_string('proctored', 'quizaccess_vigil')];
        if (attempt_pages::is_page() && has_capability('quizaccess/vigil:proctor', $this->quizobj->get_context())) {
            $cmid = (int)$this->quizobj->get_cmid();
            $lines[] = html_writer::link(
                attempt_list::live_url($cmid),
                get_string('live', 'quizaccess_vigil'),
                ['class' => 'btn btn-secondary', 'target' => '_blank', 'rel' => 'opener']
            ) . ' ' . html_writer::link(
                new moodle_url('/mod/quiz/accessrule/vigil/attempts.php', ['cmid' => $cmid]),
                get_string('attempts', 'quizaccess_vigil'),
                ['class' => 'btn btn-link']
            );
        }
        return $lines;
    }

    /**
     * Keeps a student out whose attempt a proctor has paused or ended.
     *
     * @return string|false
     */
    public function prevent_access() {
        return $this->quizobj->is_preview_user() ? false : attempt_pages::prevented($this->quizobj);
    }

    /**
     * Whether the student has to pass the check-in first.
     *
     * @param int|null $attemptid
     * @return bool
     */
    public function is_preflight_check_required($attemptid) {
        global $USER;
        if ($this->quizobj->is_preview_user()) {
            return false;
        }
        $number = session_store::attempt_number((int)$this->quiz->id, (int)$USER->id, $attemptid);
        return !$this->sessions->is_checked_in((int)$this->quiz->id, (int)$USER->id, $number);
    }

    /**
     * Says what comes.
     *
     * @param preflight_check_form $quizform
     * @param MoodleQuickForm $mform
     * @param int|null $attemptid
     */
    public function add_preflight_check_form_fields(preflight_check_form $quizform, MoodleQuickForm $mform, $attemptid) {
        $mform->addElement('header', 'vigilheader', get_string('proctored', 'quizaccess_vigil'));
        $mform->addElement('static', 'vigilnotice', '', get_string('notice', 'quizaccess_vigil'));
    }

    /**
     * Sends the student into the check-in, once every rule is content. It runs for every rule as soon as one has asked for the
     * form, so whether ours did is asked again.
     *
     * @param int|null $attemptid
     */
    public function notify_preflight_check_passed($attemptid) {
        if (self::$telling || !$this->is_preflight_check_required($attemptid)) {
            return;
        }
        if ((defined('WS_SERVER') && WS_SERVER) || (defined('AJAX_SCRIPT') && AJAX_SCRIPT)) {
            throw new moodle_exception('errorbrowser', 'quizaccess_vigil');
        }
        if (\core\session\manager::is_loggedinas()) {
            throw new moodle_exception('errorloginas', 'quizaccess_vigil', $this->quizobj->view_url());
        }
        // The rules after this one would not hear of it, for the request ends here.
        self::$telling = true;
        try {
            $this->quizobj->get_access_manager($this->timenow)->notify_preflight_check_passed($attemptid);
        } finally {
            self::$telling = false;
        }
        $this->launcher->permit((int)$this->quiz->id, $attemptid, optional_param('page', -1, PARAM_INT));
        redirect(new moodle_url('/mod/quiz/accessrule/vigil/launch.php', [
            'cmid' => $this->quizobj->get_cmid(), 'kind' => 'start', 'sesskey' => sesskey(),
        ]));
    }

    /**
     * Forgets that this browser has passed the check-in.
     */
    public function current_attempt_finished() {
        global $SESSION;
        unset($SESSION->quizaccess_vigil_checked[(int)$this->quiz->id]);
    }

    /**
     * The time that the clock shows: it stands still while the attempt is paused.
     *
     * @param stdClass $attempt
     * @param int $timenow
     * @return int|false
     */
    public function time_left_display($attempt, $timenow) {
        $session = $this->sessions->of_attempt((int)$attempt->id);
        if (!$session || !session_store::is_paused($session)) {
            return false;
        }
        $end = time_grant::end($session, $attempt, $timenow);
        return $end ? max(0, $end - (int)$session->pausedat) : false;
    }

    /**
     * Puts the monitor on the student's pages, and sends paused and ended attempts where they belong.
     *
     * @param moodle_page $page
     */
    public function setup_attempt_page($page) {
        attempt_pages::set_up($page, $this->quizobj);
    }

    /**
     * Adds the quiz settings.
     *
     * @param mod_quiz_mod_form $quizform
     * @param MoodleQuickForm $mform
     */
    public static function add_settings_form_fields(mod_quiz_mod_form $quizform, MoodleQuickForm $mform) {
        settings_form::add($quizform, $mform);
    }

    /**
     * Checks the quiz settings.
     *
     * @param array $errors
     * @param array $data
     * @param array $files
     * @param mod_quiz_mod_form $quizform
     * @return array
     */
    public static function validate_settings_form_fields(array $errors, array $data, $files, mod_quiz_mod_form $quizform) {
        return empty($data['vigil_enabled']) ? $errors : $errors + policy::errors($data);
    }

    /**
     * Stores the quiz settings, if they are there: every save of a quiz comes here, from other forms and services too.
     *
     * @param stdClass $quiz
     */
    public static function save_settings($quiz) {
        global $DB;
        if (!isset($quiz->vigil_enabled)) {
            return;
        }
        $row = $DB->get_record('quizaccess_vigil', ['quizid' => $quiz->id]);
        if (!$row && empty($quiz->vigil_enabled)) {
            return;
        }
        $fields = (object)[
            'quizid' => $quiz->id,
            'enabled' => (int)!empty($quiz->vigil_enabled),
            'policy' => json_encode(policy::from_form($quiz, policy::read($row->policy ?? null)), JSON_PRESERVE_ZERO_FRACTION),
            'timemodified' => \core\di::get(\core\clock::class)->time(),
        ];
        if ($row) {
            $fields->id = $row->id;
            $DB->update_record('quizaccess_vigil', $fields);
        } else {
            $DB->insert_record('quizaccess_vigil', $fields);
        }
        if (!$fields->enabled) {
            (new switching_off(\core\di::get(\core\clock::class)))->of_quiz((int)$quiz->id);
        }
    }

    /**
     * Deletes the quiz settings. The sessions stay until the tool has heard of their end.
     *
     * @param stdClass $quiz
     */
    public static function delete_settings($quiz) {
        global $DB;
        $DB->delete_records('quizaccess_vigil', ['quizid' => $quiz->id]);
        (new access_store(\core\di::get(\core\clock::class)))->forget((int)$quiz->id);
    }

    /**
     * How to load the quiz settings.
     *
     * @param int $quizid
     * @return array
     */
    public static function get_settings_sql($quizid) {
        return [
            'qavigil.enabled AS vigil_enabled, qavigil.policy AS vigil_policy',
            'LEFT JOIN {quizaccess_vigil} qavigil ON qavigil.quizid = quiz.id',
            [],
        ];
    }
}
