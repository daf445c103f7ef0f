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

use PHPUnit\Framework\Attributes\CoversClass;
use PHPUnit\Framework\Attributes\DataProvider;

/**
 * Ends of attempts.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\ending
 */
#[CoversClass(\quizaccess_vigil\local\ending::class)]
final class ending_test extends \advanced_testcase {
    /**
     * A session.
     *
     * @return \stdClass
     */
    private function session(): \stdClass {
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        return $generator->create_session($quiz, $student);
    }

    /**
     * The stored session.
     *
     * @param \stdClass $session
     * @return \stdClass
     */
    private function stored(\stdClass $session): \stdClass {
        global $DB;
        return $DB->get_record(session_store::TABLE, ['id' => $session->id], '*', MUST_EXIST);
    }

    /**
     * How many reports wait.
     *
     * @return int
     */
    private function waiting(): int {
        return count(\core\task\manager::get_adhoc_tasks('\quizaccess_vigil\task\report_end'));
    }

    /**
     * A submission ends the session, and is reported once though 5.x changes the state twice.
     */
    public function test_a_submission(): void {
        $session = $this->session();
        $attemptobj = \mod_quiz\quiz_attempt::create($session->attemptid);
        if (method_exists($attemptobj, 'process_submit')) {
            $attemptobj->process_submit(time(), false);
            $attemptobj->process_grade_submission(time());
        } else {
            $attemptobj->process_finish(time(), false);
        }
        $this->assertSame(['ended', 'submitted'], [$this->stored($session)->state, $this->stored($session)->outcome]);
        $this->assertSame(1, $this->waiting());
    }

    /**
     * An abandoned attempt is reported as that; opened again, it runs again.
     */
    public function test_abandoned_and_opened_again(): void {
        $session = $this->session();
        $attemptobj = \mod_quiz\quiz_attempt::create($session->attemptid);
        $attemptobj->process_abandon(time(), false);
        $this->assertSame('abandoned', $this->stored($session)->outcome);
        \mod_quiz\quiz_attempt::create($session->attemptid)->process_reopen_abandoned(time());
        $this->assertSame('open', $this->stored($session)->state);
    }

    /**
     * A deleted attempt's number may be used again, and its session begins anew.
     */
    public function test_a_deleted_attempt(): void {
        global $DB;
        $session = $this->session();
        $quiz = $DB->get_record('quiz', ['id' => $session->quizid]);
        $quiz->cmid = $session->cmid;
        quiz_delete_attempt($DB->get_record('quiz_attempts', ['id' => $session->attemptid]), $quiz);
        $ended = $this->stored($session);
        $this->assertSame(['ended', 'deleted', '0'], [$ended->state, $ended->outcome, (string)$ended->attemptid]);
        $this->assertSame(1, session_store::attempt_number((int)$session->quizid, (int)$session->userid, null));
        $again = (new session_store(\core\di::get(\core\clock::class)))->open((object)(array)$session);
        $this->assertEquals([$session->id, 'open', null], [$again->id, $again->state, $again->outcome]);
    }

    /**
     * What goes without a word is found: bulk deletions fire no hook.
     */
    public function test_silent_ends_are_found(): void {
        global $DB;
        $session = $this->session();
        $ending = new ending(\core\di::get(\core\clock::class));
        $this->assertSame(0, $ending->find_lost());
        $DB->delete_records('quiz_attempts', ['id' => $session->attemptid]);
        $this->assertSame(0, $ending->find_lost((int)$session->quizid + 1));
        $this->assertSame(1, $ending->find_lost());
        $this->assertSame('deleted', $this->stored($session)->outcome);
        $this->assertSame(1, $this->waiting());
        $this->assertSame(0, $ending->find_lost());
    }

    /**
     * An attempt that was handed in and then deleted in bulk is reported once more, as deleted.
     */
    public function test_a_bulk_deletion_of_what_was_handed_in_is_found(): void {
        global $DB;
        $session = $this->session();
        \mod_quiz\quiz_attempt::create($session->attemptid)->process_abandon(time(), false);
        $ending = new ending(\core\di::get(\core\clock::class));
        $this->assertSame(0, $ending->find_lost());
        $handedin = time() - 600;
        $DB->set_field(session_store::TABLE, 'timecreated', $handedin - 600, ['id' => $session->id]);
        $DB->set_field(session_store::TABLE, 'timeended', $handedin, ['id' => $session->id]);
        $DB->delete_records('quiz_attempts', ['id' => $session->attemptid]);
        $this->assertSame(1, $ending->find_lost());
        $this->assertSame(['ended', 'deleted'], [$this->stored($session)->state, $this->stored($session)->outcome]);
        // What was handed in had ended then, though nobody had heard of it.
        $this->assertEquals($handedin, $this->stored($session)->timeended);
    }

    /**
     * Leaving the course ends the session and not the attempt; what happens to the attempt later opens nothing.
     */
    public function test_unenrolment(): void {
        global $DB;
        $session = $this->session();
        $course = $DB->get_field('quiz', 'course', ['id' => $session->quizid]);
        $instances = $DB->get_records('enrol', ['courseid' => $course]);
        $second = $this->getDataGenerator()->enrol_user($session->userid, $course, 'student', 'self');
        $this->assertTrue($second);
        foreach (['self' => 'open', 'manual' => 'ended'] as $name => $state) {
            foreach ($instances as $instance) {
                if ($instance->enrol === $name) {
                    enrol_get_plugin($name)->unenrol_user($instance, $session->userid);
                }
            }
            $this->assertSame($state, $this->stored($session)->state, $name);
        }
        $this->assertSame('abandoned', $this->stored($session)->outcome);
        $this->assertSame('inprogress', $DB->get_field('quiz_attempts', 'state', ['id' => $session->attemptid]));
        $this->assertSame(1, $this->waiting());
        \mod_quiz\quiz_attempt::create($session->attemptid)->process_going_overdue(time(), false);
        $this->assertSame('ended', $this->stored($session)->state);
    }

    /**
     * The sessions of a quiz that is gone go when the tool has heard of their end.
     */
    public function test_sessions_of_a_deleted_quiz_are_removed(): void {
        global $DB;
        $session = $this->session();
        $ending = new ending(\core\di::get(\core\clock::class));
        $ending->purge();
        $this->stored($session);
        $this->delete_module((int)$session->cmid);
        $ending->find_lost();
        $ending->purge();
        $DB->set_field(session_store::TABLE, 'endtold', time(), ['id' => $this->stored($session)->id]);
        $ending->purge();
        $this->assertFalse($DB->record_exists(session_store::TABLE, ['id' => $session->id]));
    }

    /**
     * Deletes a quiz, as the Moodle at hand wants it.
     *
     * @param int $cmid
     */
    private function delete_module(int $cmid): void {
        global $DB;
        if (method_exists('\core_courseformat\local\cmactions', 'delete')) {
            $courseid = (int)$DB->get_field('course_modules', 'course', ['id' => $cmid], MUST_EXIST);
            \core_courseformat\formatactions::cm($courseid)->delete($cmid);
            return;
        }
        course_delete_module($cmid);
    }

    /**
     * An end is told as when it was, and not as when cron saw it; never before the check-in, nor to come.
     */
    public function test_when_it_ended(): void {
        global $DB;
        $clock = $this->mock_clock_with_frozen(time());
        $session = $this->session();
        $clock->bump(7200);
        $attemptobj = \mod_quiz\quiz_attempt::create($session->attemptid);
        $due = (int)$attemptobj->get_attempt()->timestart + 3600;
        $attemptobj->handle_if_time_expired($clock->time(), false);
        $this->assertEquals(['submitted', $due], [$this->stored($session)->outcome, $this->stored($session)->timeended]);

        $clock->set_to(time());
        $session = $this->session();
        $clock->bump(7200);
        $DB->set_field('quiz', 'overduehandling', 'autoabandon', ['id' => $session->quizid]);
        $attemptobj = \mod_quiz\quiz_attempt::create($session->attemptid);
        $due = (int)$attemptobj->get_attempt()->timestart + 3600;
        $attemptobj->handle_if_time_expired($clock->time(), false);
        $this->assertEquals(['abandoned', $due], [$this->stored($session)->outcome, $this->stored($session)->timeended]);

        $clock->set_to(time());
        $session = $this->session();
        $attemptobj = \mod_quiz\quiz_attempt::create($session->attemptid);
        $attemptobj->process_abandon($clock->time(), false);
        $this->assertEquals($clock->time(), $this->stored($session)->timeended, 'its time had not run out');

        $session = $this->session();
        $DB->set_field(session_store::TABLE, 'timecreated', $clock->time() - 5, ['id' => $session->id]);
        $DB->update_record('quiz_attempts', (object)[
            'id' => $session->attemptid, 'state' => 'finished', 'timefinish' => $clock->time() - 500,
        ]);
        (new ending($clock))->find_lost();
        $this->assertEquals($clock->time() - 5, $this->stored($session)->timeended);
    }

    /**
     * A tool that is gone hears nothing, and time is put back all the same.
     */
    public function test_without_a_tool_time_is_put_back(): void {
        global $DB;
        $session = $this->session();
        $session->extraminutes = 10;
        time_grant::apply($session);
        (new session_store(\core\di::get(\core\clock::class)))->save($session);
        $DB->set_field(session_store::TABLE, 'typeid', 0, ['id' => $session->id]);
        \mod_quiz\quiz_attempt::create($session->attemptid)->process_abandon(time(), false);
        ob_start();
        (new ending(\core\di::get(\core\clock::class)))->work_off((int)$session->id);
        ob_end_clean();
        $this->assertFalse($DB->record_exists('quiz_overrides', ['quiz' => $session->quizid]));
        $this->assertNull($this->stored($session)->override);
        $this->assertGreaterThan(0, $this->stored($session)->endtold);
    }
}
