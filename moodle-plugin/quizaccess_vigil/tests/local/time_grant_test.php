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
 * Overrides: merged with what a teacher did, and put back.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\time_grant
 */
#[CoversClass(\quizaccess_vigil\local\time_grant::class)]
final class time_grant_test extends \advanced_testcase {
    /**
     * A session whose quiz has a limit of an hour.
     *
     * @param array $override of the student, made by a teacher
     * @return \stdClass
     */
    private function session(array $override = []): \stdClass {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        if ($override) {
            $manager = \mod_quiz\quiz_settings::create($quiz->id)->get_override_manager();
            $manager->save_override($override + ['userid' => $student->id]);
        }
        return $generator->create_session($quiz, $student);
    }

    /**
     * The student's override.
     *
     * @param \stdClass $session
     * @return \stdClass|false
     */
    private function override(\stdClass $session) {
        global $DB;
        return $DB->get_record('quiz_overrides', ['quiz' => $session->quizid, 'userid' => $session->userid]);
    }

    /**
     * Applying again, and restoring again, changes nothing.
     */
    public function test_applying_twice_is_applying_once(): void {
        global $DB;
        $session = $this->session();
        $session->extraminutes = 10;
        time_grant::apply($session);
        time_grant::apply($session);
        $this->assertEquals(4200, $this->override($session)->timelimit);
        time_grant::restore($session);
        time_grant::restore($session);
        $this->assertFalse($this->override($session));
        $attempt = $DB->get_record('quiz_attempts', ['id' => $session->attemptid]);
        $this->assertEquals($attempt->timestart + 3600, $attempt->timecheckstate);
    }

    /**
     * A teacher's override stays, with the time on top, and is as it was afterwards.
     */
    public function test_a_teachers_override_is_merged(): void {
        $session = $this->session(['timelimit' => 5400, 'attempts' => 5, 'password' => 'secret']);
        $session->extraminutes = 10;
        time_grant::apply($session);
        $row = $this->override($session);
        $this->assertEquals([6000, 5, 'secret'], [$row->timelimit, $row->attempts, $row->password]);
        time_grant::restore($session);
        $row = $this->override($session);
        $this->assertEquals([5400, 5, 'secret'], [$row->timelimit, $row->attempts, $row->password]);
    }

    /**
     * A group's override counts as the base.
     */
    public function test_a_groups_override_counts(): void {
        $session = $this->session();
        $courseid = get_coursemodule_from_id('quiz', $session->cmid)->course;
        $group = $this->getDataGenerator()->create_group(['courseid' => $courseid]);
        groups_add_member($group, $session->userid);
        \mod_quiz\quiz_settings::create($session->quizid)->get_override_manager()
            ->save_override(['groupid' => $group->id, 'timelimit' => 7200]);
        $session->returned = 60;
        time_grant::apply($session);
        $this->assertEquals(7260, $this->override($session)->timelimit);
        time_grant::restore($session);
        $this->assertFalse($this->override($session));
    }

    /**
     * What a teacher changes during the attempt holds, and stays.
     */
    public function test_a_teachers_change_meanwhile_holds(): void {
        $session = $this->session();
        $session->extraminutes = 10;
        time_grant::apply($session);
        \mod_quiz\quiz_settings::create($session->quizid)->get_override_manager()->save_override([
            'id' => $this->override($session)->id, 'userid' => $session->userid, 'timelimit' => 9000,
        ]);
        time_grant::apply($session);
        $this->assertEquals(9000, $this->override($session)->timelimit);
        $session->extraminutes = 15;
        time_grant::apply($session);
        $this->assertEquals(9300, $this->override($session)->timelimit);
        time_grant::restore($session);
        $this->assertEquals(9000, $this->override($session)->timelimit);
    }

    /**
     * An override that a teacher made for a paused attempt's student survives the restore.
     */
    public function test_restore_leaves_a_new_value_alone(): void {
        $session = $this->session();
        $session->pausedat = time();
        time_grant::apply($session);
        \mod_quiz\quiz_settings::create($session->quizid)->get_override_manager()->save_override([
            'id' => $this->override($session)->id, 'userid' => $session->userid, 'timelimit' => 8000, 'attempts' => 3,
        ]);
        time_grant::restore($session);
        $this->assertEquals(8000, $this->override($session)->timelimit);
        $this->assertEquals(3, $this->override($session)->attempts);
    }

    /**
     * A value that happens to be the quiz's own is one all the same: core would take it for none, and a group's would count.
     */
    public function test_a_value_that_is_the_quizs_own(): void {
        $session = $this->session();
        $courseid = get_coursemodule_from_id('quiz', $session->cmid)->course;
        $group = $this->getDataGenerator()->create_group(['courseid' => $courseid]);
        groups_add_member($group, $session->userid);
        \mod_quiz\quiz_settings::create($session->quizid)->get_override_manager()
            ->save_override(['groupid' => $group->id, 'timelimit' => 3000]);
        $session->extraminutes = 10;
        time_grant::apply($session);
        $this->assertEquals(3601, $this->override($session)->timelimit);
        time_grant::apply($session);
        $this->assertEquals(3601, $this->override($session)->timelimit);
        time_grant::restore($session);
        $this->assertFalse($this->override($session));
    }

    /**
     * The end of a paused attempt leaves the parking time out of those values only that have it.
     */
    public function test_the_end_without_parking(): void {
        global $DB;
        $session = $this->session();
        $attempt = $DB->get_record('quiz_attempts', ['id' => $session->attemptid]);
        $session->pausedat = time();
        $session->extraminutes = 10;
        time_grant::apply($session);
        $this->assertSame($attempt->timestart + 4200, time_grant::end($session, $attempt, time()));
        // A teacher's value of this moment has none.
        $DB->set_field('quiz_overrides', 'timelimit', 5000, ['id' => $this->override($session)->id]);
        (new \mod_quiz\local\override_cache($session->quizid))->clear_for($session->userid);
        $this->assertSame($attempt->timestart + 5000, time_grant::end($session, $attempt, time()));
    }

    /**
     * Sessions that were paused before the parking time was noted go on as well.
     */
    public function test_a_pause_from_before_the_upgrade(): void {
        global $DB;
        $session = $this->session();
        $attempt = $DB->get_record('quiz_attempts', ['id' => $session->attemptid]);
        $session->pausedat = time();
        time_grant::apply($session);
        $state = json_decode($session->override, true);
        unset($state['parked']);
        $session->override = json_encode($state);
        $this->assertSame($attempt->timestart + 3600, time_grant::end($session, $attempt, time()));
        $this->assertFalse(time_grant::is_stale($session));
        $session->pausedat = 0;
        $session->returned = 30;
        time_grant::apply($session);
        $this->assertEquals(3630, $this->override($session)->timelimit);
    }

    /**
     * The copy of an override loses what a session added to it, and what a teacher changed meanwhile stays.
     */
    public function test_stripping_a_copy(): void {
        $noted = json_encode([
            'original' => ['timelimit' => null, 'timeclose' => 1000], 'applied' => ['timelimit' => 46800, 'timeclose' => 44200],
        ]);
        $moved = static fn(int $time): int => $time + 7;
        $this->assertSame(
            ['timelimit' => null, 'timeclose' => 1007],
            time_grant::stripped($noted, (object)['timelimit' => '46800', 'timeclose' => '44207'], $moved)
        );
        $this->assertSame(
            ['timelimit' => null],
            time_grant::stripped($noted, (object)['timelimit' => '46800', 'timeclose' => '50000'], $moved)
        );
        $this->assertSame([], time_grant::stripped(null, (object)['timelimit' => '46800', 'timeclose' => null], $moved));
    }

    /**
     * Leaves a test out where overrides have no due date: before Moodle 5.3.
     */
    private function need_due_dates(): void {
        global $DB;
        if (!array_key_exists('duedate', $DB->get_columns('quiz_overrides'))) {
            $this->markTestSkipped('Overrides have no due date in this version of Moodle.');
        }
    }

    /**
     * Changes the student's override as core stores it.
     *
     * @param \stdClass $session
     * @param array $fields
     */
    private function set_override(\stdClass $session, array $fields): void {
        global $DB;
        $row = $this->override($session);
        if ($row) {
            $DB->update_record('quiz_overrides', (object)($fields + ['id' => $row->id]));
        } else {
            $DB->insert_record('quiz_overrides', (object)($fields + ['quiz' => $session->quizid, 'userid' => $session->userid]));
        }
    }

    /**
     * A teacher's 0, "no limit for this student", is an override since 5.3, and is there again afterwards.
     */
    public function test_a_zero_is_an_override(): void {
        global $DB;
        $this->need_due_dates();
        $session = $this->session();
        $DB->set_field('quiz', 'timeclose', time() + 7200, ['id' => $session->quizid]);
        $this->set_override($session, ['timelimit' => 0]);
        $session->extraminutes = 10;
        time_grant::apply($session);
        $this->assertEquals(0, $this->override($session)->timelimit);
        time_grant::restore($session);
        $this->assertSame('0', (string)$this->override($session)->timelimit);
        $this->assertNull($this->override($session)->timeclose);
    }

    /**
     * A due date after the quiz's close is lowered while extra time gives the student a close of their own, and comes back.
     */
    public function test_a_due_date_after_the_close(): void {
        global $DB;
        $this->need_due_dates();
        $session = $this->session();
        $close = time() + 7200;
        $DB->set_field('quiz', 'timeclose', $close, ['id' => $session->quizid]);
        $this->set_override($session, ['duedate' => $close + 5000]);
        $session->extraminutes = 10;
        time_grant::apply($session);
        $row = $this->override($session);
        $this->assertEquals([$close + 600, $close + 600], [$row->timeclose, $row->duedate]);
        time_grant::apply($session);
        time_grant::restore($session);
        $row = $this->override($session);
        $this->assertEquals([null, $close + 5000], [$row->timeclose, $row->duedate]);
    }

    /**
     * A due date that a teacher sets during a pause, when the close is far ahead, does not keep the student paused.
     */
    public function test_a_due_date_set_during_a_pause(): void {
        global $DB;
        $this->need_due_dates();
        $session = $this->session();
        $close = time() + 7200;
        $DB->set_field('quiz', 'timeclose', $close, ['id' => $session->quizid]);
        $this->set_override($session, ['timeclose' => $close + 60]);
        $session->pausedat = time();
        time_grant::apply($session);
        $this->set_override($session, ['duedate' => $close + 20000]);
        $session->pausedat = 0;
        $session->returned = 300;
        $this->assertTrue(time_grant::apply_or_leave($session));
        $row = $this->override($session);
        $this->assertEquals([$close + 360, $close + 360], [$row->timeclose, $row->duedate]);
        time_grant::restore($session);
        $row = $this->override($session);
        $this->assertEquals([$close + 60, $close + 60], [$row->timeclose, $row->duedate]);
    }

    /**
     * What core refuses when the attempt has ended is left as the teacher made it: the end is reported all the same.
     */
    public function test_a_restore_never_fails(): void {
        global $DB;
        $session = $this->session();
        $close = time() + 7200;
        $DB->set_field('quiz', 'timeclose', $close, ['id' => $session->quizid]);
        $this->set_override($session, ['timeclose' => $close + 60]);
        $session->pausedat = time();
        time_grant::apply($session);
        $this->set_override($session, ['timeopen' => $close + 3000]);
        time_grant::restore($session);
        $this->assertDebuggingCalled();
        $this->assertNull($session->override);
        $this->assertEquals($close + 3000, $this->override($session)->timeopen);
    }

    /**
     * A session that got nothing leaves no override.
     */
    public function test_nothing_given_nothing_written(): void {
        $session = $this->session();
        time_grant::apply($session);
        $this->assertFalse($this->override($session));
        $this->assertNull($session->override);
    }
}
