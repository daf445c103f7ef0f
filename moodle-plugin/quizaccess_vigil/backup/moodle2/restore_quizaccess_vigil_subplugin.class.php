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
 * Restores the rule's settings and proctored attempts with a quiz.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use quizaccess_vigil\local\policy;
use quizaccess_vigil\local\session_store;
use quizaccess_vigil\local\time_grant;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->dirroot . '/mod/quiz/backup/moodle2/restore_mod_quiz_access_subplugin.class.php');

/**
 * Restores the rule's settings and proctored attempts with a quiz.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class restore_quizaccess_vigil_subplugin extends restore_mod_quiz_access_subplugin {
    /** @var int the session that was restored last; 0: it was left out */
    private int $sessionid = 0;

    /**
     * Where the settings are.
     *
     * @return restore_path_element[]
     */
    protected function define_quiz_subplugin_structure() {
        return [new restore_path_element('quizaccess_vigil_settings', $this->get_pathfor('/quizaccess_vigil_settings'))];
    }

    /**
     * Where the proctored attempts are.
     *
     * @return restore_path_element[]
     */
    protected function define_attempt_subplugin_structure() {
        $session = '/quizaccess_vigil_session';
        return [
            new restore_path_element('quizaccess_vigil_session', $this->get_pathfor($session)),
            new restore_path_element(
                'quizaccess_vigil_incident',
                $this->get_pathfor($session . '/quizaccess_vigil_incidents/quizaccess_vigil_incident')
            ),
        ];
    }

    /**
     * Restores the settings. A policy from elsewhere is read with the same care as a form.
     *
     * @param array $data
     */
    public function process_quizaccess_vigil_settings($data) {
        global $DB;
        $quizid = $this->get_new_parentid('quiz');
        $DB->delete_records('quizaccess_vigil', ['quizid' => $quizid]);
        $DB->insert_record('quizaccess_vigil', (object)[
            'quizid' => $quizid,
            'enabled' => (int)!empty($data['enabled']),
            'policy' => json_encode(policy::read($data['policy'] ?? null), JSON_PRESERVE_ZERO_FRACTION),
            'timemodified' => \core\di::get(\core\clock::class)->time(),
        ]);
    }

    /**
     * Restores a proctored attempt: as a record of what was. It is another attempt for the tool, so it is ended and nobody is
     * told. A student who goes on with it passes a new check-in; one whose attempt a proctor has ended does not. Time that was
     * given, and the parking time of a pause, are taken from the copy of the student's override: nothing would take them later.
     *
     * @param array $data
     */
    public function process_quizaccess_vigil_session($data) {
        global $DB;
        $data = (object)$data;
        $this->sessionid = 0;
        $now = \core\di::get(\core\clock::class)->time();
        $userid = $this->get_mappingid('user', $data->userid);
        $attemptid = $this->get_mappingid('quiz_attempt', $data->attemptid);
        if (!$userid || !$attemptid) {
            return;
        }
        $ended = (int)($data->timeended ?? 0);
        $this->sessionid = $DB->insert_record(session_store::TABLE, (object)[
            'quizid' => $this->get_new_parentid('quiz'),
            'userid' => $userid,
            'attempt' => $data->attemptnum,
            'attemptid' => $attemptid,
            'cmid' => $this->task->get_moduleid(),
            'typeid' => 0,
            'state' => session_store::ENDED,
            'outcome' => $data->outcome ?? null,
            'pausedat' => 0,
            'terminated' => $data->terminated,
            'reason' => $data->reason ?? null,
            'extraminutes' => $data->extraminutes,
            'returned' => $data->returned,
            'override' => null,
            'endreturn' => 0,
            'endsent' => 0,
            'endtold' => $now,
            'timeopened' => empty($data->timeopened) ? 0 : $this->apply_date_offset($data->timeopened),
            'openedtold' => $now,
            'timecreated' => $this->apply_date_offset($data->timecreated),
            'timeended' => $ended ? $this->apply_date_offset($ended) : $now,
            'timemodified' => $now,
        ]);
        $this->restore_override((int)$this->get_new_parentid('quiz'), (int)$userid, $data->override ?? null);
    }

    /**
     * Puts the copy of a student's override back to what it was before the session.
     *
     * @param int $quizid
     * @param int $userid
     * @param string|null $noted
     */
    private function restore_override(int $quizid, int $userid, ?string $noted): void {
        global $DB;
        $row = $DB->get_record('quiz_overrides', ['quiz' => $quizid, 'userid' => $userid]);
        if (!$row) {
            return;
        }
        $changes = time_grant::stripped($noted, $row, fn(int $time): int => (int)$this->apply_date_offset($time));
        if (!$changes) {
            return;
        }
        $row = (object)array_merge((array)$row, $changes);
        $settings = array_intersect_key((array)$row, array_flip(['timeopen', 'timeclose', 'timelimit', 'attempts', 'password']));
        if (array_filter($settings, static fn($value) => $value !== null)) {
            $DB->update_record('quiz_overrides', $row);
        } else {
            $DB->delete_records('quiz_overrides', ['id' => $row->id]);
        }
    }

    /**
     * Restores what the tool asked for in an attempt.
     *
     * @param array $data
     */
    public function process_quizaccess_vigil_incident($data) {
        global $DB;
        if (!$this->sessionid) {
            return;
        }
        $data = (object)$data;
        $DB->insert_record('quizaccess_vigil_incident', (object)[
            'sessionid' => $this->sessionid,
            'requestid' => $data->requestid ?? null,
            'action' => $data->action,
            'incidenttime' => $data->incidenttime,
            'minutes' => $data->minutes,
            'severity' => $data->severity,
            'code' => $data->code ?? null,
            'message' => $data->message ?? null,
            'timecreated' => $data->timecreated,
        ]);
    }
}
