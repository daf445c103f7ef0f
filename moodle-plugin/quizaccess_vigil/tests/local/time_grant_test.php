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
     * A session that got nothing leaves no override.
     */
    public function test_nothing_given_nothing_written(): void {
        $session = $this->session();
        time_grant::apply($session);
        $this->assertFalse($this->override($session));
        $this->assertNull($session->override);
    }
}
