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

use mod_quiz\quiz_settings;
use PHPUnit\Framework\Attributes\CoversClass;

/**
 * Tests of the list of proctored attempts.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\attempt_list
 */
#[CoversClass(attempt_list::class)]
final class attempt_list_test extends \advanced_testcase {
    /**
     * Every attempt is there with its state in words, and those that the tool knows have a timeline.
     */
    public function test_the_list(): void {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$quiz, $one] = $generator->create_quiz();
        $two = $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'student');
        $first = $generator->create_session($quiz, $one, $typeid);
        $second = $generator->create_session($quiz, $two, 0);
        [$other, $stranger] = $generator->create_quiz();
        $generator->create_session($other, $stranger, $typeid);

        $list = new attempt_list(quiz_settings::create($quiz->id));
        $this->assertSame(2, $list->count());
        $rows = array_column($list->page(0)['attempts'], null, 'name');
        $this->assertEqualsCanonicalizing([fullname($one), fullname($two)], array_keys($rows));
        $this->assertStringContainsString('attempt=' . $first->attemptid, $rows[fullname($one)]['timeline']);
        $this->assertSame('', $rows[fullname($two)]['timeline'], 'a restored attempt is none of the tool\'s');
        $this->assertSame([], $list->page(1)['attempts']);

        $states = [
            'running' => ['pausedat' => 0],
            'paused' => ['pausedat' => 5],
            'submitted' => ['state' => 'ended', 'outcome' => 'submitted', 'pausedat' => 0],
            'switched_off' => ['state' => 'off', 'outcome' => 'switched_off', 'pausedat' => 0],
            'abandoned' => ['state' => 'ended', 'outcome' => 'abandoned'],
            'deleted' => ['outcome' => 'deleted'], 'terminated' => ['terminated' => 5],
        ];
        foreach ($states as $name => $fields) {
            $DB->update_record(session_store::TABLE, (object)($fields + ['id' => $first->id]));
            $rows = array_column($list->page(0)['attempts'], 'state', 'name');
            $this->assertSame(get_string('attempts_' . $name, 'quizaccess_vigil'), $rows[fullname($one)]);
        }
    }

    /**
     * Who sees only the own groups in Moodle sees only their attempts.
     */
    public function test_separate_groups(): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$quiz, $one] = $generator->create_quiz(['groupmode' => SEPARATEGROUPS]);
        $course = get_course($quiz->course);
        $two = $this->getDataGenerator()->create_and_enrol($course, 'student');
        $teacher = $this->getDataGenerator()->create_and_enrol($course, 'teacher');
        foreach ([$one, $two] as $student) {
            $generator->create_session($quiz, $student, $typeid);
        }
        $group = $this->getDataGenerator()->create_group(['courseid' => $course->id]);
        $this->setUser($teacher);
        $names = fn(): array => array_column((new attempt_list(quiz_settings::create($quiz->id)))->page(0)['attempts'], 'name');
        $this->assertSame([], $names());
        groups_add_member($group, $one);
        groups_add_member($group, $teacher);
        $this->assertSame([fullname($one)], $names());
        $this->setAdminUser();
        $this->assertCount(2, $names());
    }

    /**
     * Only who may give time can let a paused attempt go on.
     */
    public function test_letting_go_on_needs_the_right_to_it(): void {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz();
        $session = $generator->create_session($quiz, $student, $generator->create_tool());
        $DB->set_field(session_store::TABLE, 'pausedat', 5, ['id' => $session->id]);
        $teacher = $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'teacher');
        $this->setUser($teacher);
        $page = fn(): array => (new attempt_list(quiz_settings::create($quiz->id)))->page(0);
        $this->assertSame([(int)$session->attemptid, true], [$page()['attempts'][0]['paused'], $page()['haspaused']]);
        $roleid = $DB->get_field('role', 'id', ['shortname' => 'teacher']);
        assign_capability('quizaccess/vigil:time', CAP_PROHIBIT, $roleid, \context_module::instance($quiz->cmid));
        $this->assertSame([0, false], [$page()['attempts'][0]['paused'], $page()['haspaused']]);
        $this->assertSame(get_string('attempts_paused', 'quizaccess_vigil'), $page()['attempts'][0]['state']);
    }
}
