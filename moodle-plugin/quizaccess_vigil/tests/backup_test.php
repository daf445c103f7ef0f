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

namespace quizaccess_vigil;

use backup;
use backup_controller;
use PHPUnit\Framework\Attributes\CoversNothing;
use quizaccess_vigil\local\policy;
use restore_controller;
use restore_dbops;

/**
 * Tests of backup, restore and duplication.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @coversNothing
 */
#[CoversNothing]
final class backup_test extends \advanced_testcase {
    public static function setUpBeforeClass(): void {
        global $CFG;
        parent::setUpBeforeClass();
        require_once($CFG->dirroot . '/backup/util/includes/backup_includes.php');
        require_once($CFG->dirroot . '/backup/util/includes/restore_includes.php');
    }

    /**
     * Backs a course up and restores it as another one.
     *
     * @param int $courseid
     * @param bool $users
     * @return int the new quiz
     */
    private function copy(int $courseid, bool $users): int {
        global $DB, $USER;
        $backup = new backup_controller(
            backup::TYPE_1COURSE,
            $courseid,
            backup::FORMAT_MOODLE,
            backup::INTERACTIVE_NO,
            backup::MODE_GENERAL,
            $USER->id
        );
        $id = $backup->get_backupid();
        $backup->get_plan()->get_setting('users')->set_value($users);
        $backup->execute_plan();
        $file = $backup->get_results()['backup_destination'] ?? null;
        if ($file) {
            $file->extract_to_pathname(get_file_packer('application/vnd.moodle.backup'), make_backup_temp_directory($id));
        }
        $backup->destroy();
        $new = restore_dbops::create_new_course('Copy', 'copy', get_course($courseid)->category);
        $restore = new restore_controller(
            $id,
            $new,
            backup::INTERACTIVE_NO,
            backup::MODE_GENERAL,
            $USER->id,
            backup::TARGET_NEW_COURSE
        );
        $this->assertTrue($restore->execute_precheck());
        $restore->execute_plan();
        $restore->destroy();
        return (int)$DB->get_field('quiz', 'id', ['course' => $new], MUST_EXIST);
    }

    /**
     * Makes a proctored quiz with an attempt that a proctor has ended.
     *
     * @return array the quiz, the student
     */
    private function make(): array {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$quiz, $student] = $generator->create_quiz();
        $DB->set_field('quizaccess_vigil', 'policy', '{"attention":0.6,"admission":true}', ['quizid' => $quiz->id]);
        $session = $generator->create_session($quiz, $student, $typeid);
        $DB->update_record('quizaccess_vigil_session', (object)[
            'id' => $session->id, 'terminated' => 1795426800, 'reason' => 'Talked',
            'override' => '{"original":{"timelimit":4400},"applied":{"timelimit":8000}}',
        ]);
        // An hour that was given to a student whose teacher had given ten minutes before.
        $DB->insert_record('quiz_overrides', (object)[
            'quiz' => $quiz->id, 'userid' => $student->id, 'timelimit' => 8000, 'attempts' => 2,
        ]);
        $DB->insert_record('quizaccess_vigil_incident', (object)[
            'requestid' => 'r1',
            'sessionid' => $session->id, 'action' => 'terminate', 'incidenttime' => '2026-11-23T10:00:00Z', 'minutes' => 0,
            'severity' => 0.9, 'code' => 'note', 'message' => 'Talked', 'timecreated' => 1795426800,
        ]);
        return [$quiz, $student];
    }

    /**
     * With users, attempts are carried over as records: ended, and not the tool's.
     */
    public function test_a_copy_with_users(): void {
        global $DB;
        [$quiz, $student] = $this->make();
        $new = $this->copy((int)$quiz->course, true);
        $settings = $DB->get_record('quizaccess_vigil', ['quizid' => $new], '*', MUST_EXIST);
        $this->assertEquals(1, $settings->enabled);
        $policy = policy::read($settings->policy);
        $this->assertSame([0.6, true], [$policy['attention'], $policy['admission']]);
        $session = $DB->get_record('quizaccess_vigil_session', ['quizid' => $new], '*', MUST_EXIST);
        $attempt = $DB->get_record('quiz_attempts', ['quiz' => $new, 'userid' => $student->id], '*', MUST_EXIST);
        $this->assertEquals(
            [$student->id, $attempt->id, 1, 0, 'ended', 1795426800, 'Talked', null],
            [$session->userid, $session->attemptid, $session->attempt, $session->typeid, $session->state, $session->terminated,
                $session->reason, $session->override]
        );
        $this->assertGreaterThan(0, $session->endtold, 'the tool would be told of an attempt that it does not know');
        $incident = $DB->get_record('quizaccess_vigil_incident', ['sessionid' => $session->id], '*', MUST_EXIST);
        $this->assertSame(['Talked', 'r1'], [$incident->message, $incident->requestid]);
        $override = $DB->get_record('quiz_overrides', ['quiz' => $new, 'userid' => $student->id], '*', MUST_EXIST);
        $this->assertEquals([4400, 2], [$override->timelimit, $override->attempts]);
        $this->assertEquals(8000, $DB->get_field('quiz_overrides', 'timelimit', ['quiz' => $quiz->id]));
    }

    /**
     * A copy of a paused attempt is neither paused nor parked, and has no override where there was none before.
     */
    public function test_a_copy_of_a_paused_attempt(): void {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600, 'timeclose' => time() + 9000]);
        $session = $generator->create_session($quiz, $student, $generator->create_tool());
        $session->pausedat = time();
        \quizaccess_vigil\local\time_grant::apply($session);
        (new \quizaccess_vigil\local\session_store(\core\di::get(\core\clock::class)))->save($session);
        $this->assertTrue($DB->record_exists('quiz_overrides', ['quiz' => $quiz->id]));
        $new = $this->copy((int)$quiz->course, true);
        $copy = $DB->get_record('quizaccess_vigil_session', ['quizid' => $new], '*', MUST_EXIST);
        $this->assertEquals(['ended', 0, null], [$copy->state, $copy->pausedat, $copy->override]);
        $this->assertFalse($DB->record_exists('quiz_overrides', ['quiz' => $new]));
    }

    /**
     * Without users, the settings alone.
     */
    public function test_a_copy_without_users(): void {
        global $DB;
        [$quiz] = $this->make();
        $new = $this->copy((int)$quiz->course, false);
        $this->assertTrue($DB->record_exists('quizaccess_vigil', ['quizid' => $new, 'enabled' => 1]));
        $this->assertFalse($DB->record_exists('quizaccess_vigil_session', ['quizid' => $new]));
    }

    /**
     * A duplicate of the quiz is proctored in the same way.
     */
    public function test_a_duplicate(): void {
        global $DB;
        [$quiz] = $this->make();
        $new = duplicate_module(get_course($quiz->course), get_coursemodule_from_id('quiz', $quiz->cmid));
        $policy = policy::read($DB->get_field('quizaccess_vigil', 'policy', ['quizid' => $new->instance], MUST_EXIST));
        $this->assertTrue($policy['admission']);
        $this->assertSame(1, $DB->count_records('quizaccess_vigil_session'));
    }
}
