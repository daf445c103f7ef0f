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
 * Who may see and do what, as Moodle has it.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\access
 */
#[CoversClass(access::class)]
final class access_test extends \advanced_testcase {
    /** @var string[] what an editing teacher may do */
    private const EVERY = ['watch', 'talk', 'time', 'end', 'reopen', 'review', 'export'];

    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass[] groups A and B */
    private array $groups;

    /** @var \stdClass a non-editing teacher who is in A */
    private \stdClass $teacher;

    /** @var \stdClass a student who is in both groups */
    private \stdClass $student;

    /**
     * Makes a proctored quiz with two groups.
     *
     * @param array $fields of the quiz
     */
    private function make(array $fields = ['groupmode' => SEPARATEGROUPS]): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator();
        [$this->quiz, $this->student] = $generator->get_plugin_generator('quizaccess_vigil')->create_quiz($fields);
        $this->teacher = $generator->create_and_enrol(get_course($this->quiz->course), 'teacher');
        foreach (['A & a', 'B'] as $name) {
            $this->groups[] = $generator->create_group(['courseid' => $this->quiz->course, 'name' => $name]);
            groups_add_member(end($this->groups), $this->student);
        }
        groups_add_member($this->groups[0], $this->teacher);
    }

    /**
     * What there is to tell of the quiz.
     *
     * @return access
     */
    private function access(): access {
        return access::at((int)$this->quiz->id, \core\di::get(\core\clock::class));
    }

    /**
     * What there is to tell of somebody as a proctor.
     *
     * @param \stdClass|null $user null: the teacher
     * @return array all, names of groups, rights
     */
    private function staff(?\stdClass $user = null): array {
        $id = (int)($user ?? $this->teacher)->id;
        $told = $this->access()->staff([$id])[$id];
        return [$told['all'], array_column($told['groups'], 'name'), $told['rights']];
    }

    /**
     * The names of the student's groups.
     *
     * @return string[]
     */
    private function student(): array {
        return array_column($this->access()->students([(int)$this->student->id])[$this->student->id]['groups'], 'name');
    }

    /**
     * In separate groups a non-editing teacher sees their own, by name as people read it; who sees all groups in Moodle sees
     * everyone.
     */
    public function test_separate_groups(): void {
        $this->make();
        $this->assertSame([false, ['A & a'], ['watch', 'talk', 'time']], $this->staff());
        $this->assertSame(['A & a', 'B'], $this->student());
        $editor = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'editingteacher');
        $this->assertSame([true, [], self::EVERY], $this->staff($editor));
        $this->assertSame([true, [], self::EVERY], $this->staff(get_admin()));
        $this->assertSame([false, [], []], $this->staff($this->student));
        $told = $this->access()->staff([(int)$this->teacher->id])[$this->teacher->id]['groups'][0];
        $this->assertSame((string)$this->groups[0]->id, $told['id']);
    }

    /**
     * A group that only its members know of is told as such, and named to those staff who may know of it.
     */
    public function test_hidden_groups(): void {
        $this->make();
        $generator = $this->getDataGenerator();
        $hidden = $generator->create_group([
            'courseid' => $this->quiz->course, 'name' => 'needs more time', 'visibility' => GROUPS_VISIBILITY_MEMBERS,
        ]);
        groups_add_member($hidden, $this->student);
        $told = $this->access()->students([(int)$this->student->id])[$this->student->id]['groups'];
        $this->assertSame([null, null, true], array_map(static fn($group) => $group['hidden'] ?? null, $told));
        $this->assertSame([false, ['A & a'], ['watch', 'talk', 'time']], $this->staff());
        $editor = $generator->create_and_enrol(get_course($this->quiz->course), 'editingteacher');
        $this->assertSame([true, ['needs more time'], self::EVERY], $this->staff($editor));
        $role = $generator->create_role();
        $system = \context_system::instance();
        foreach (['quizaccess/vigil:proctor', access::ALL_GROUPS, access::VIEW_QUIZ] as $capability) {
            assign_capability($capability, CAP_ALLOW, $role, $system);
        }
        $invigilator = $generator->create_user();
        $generator->enrol_user($invigilator->id, $this->quiz->course, $role);
        $this->assertSame([true, [], ['watch']], $this->staff($invigilator));
        role_assign($this->role('editingteacher'), $invigilator->id, \context_module::instance($this->quiz->cmid));
        $this->assertSame([true, [], self::EVERY], $this->staff($invigilator), 'a role at the quiz shows no groups of the course');
        groups_add_member($hidden, $invigilator);
        $this->assertSame([true, ['needs more time'], self::EVERY], $this->staff($invigilator));
    }

    /**
     * Whoever cannot open the quiz in Moodle sees nobody there, whatever their role may do at quizzes.
     */
    public function test_a_quiz_that_is_not_shown(): void {
        global $DB;
        $this->make();
        $seen = [false, ['A & a'], ['watch', 'talk', 'time']];
        $none = [false, [], []];
        $may = fn(string $capability, bool $able) => assign_capability(
            $capability,
            $able ? CAP_ALLOW : CAP_PREVENT,
            $this->role('teacher'),
            \context_system::instance(),
            true
        );
        set_coursemodule_visible($this->quiz->cmid, 0);
        $this->assertSame($seen, $this->staff());
        $may(access::HIDDEN_QUIZ, false);
        $this->assertSame($none, $this->staff());
        $this->assertTrue($this->staff(get_admin())[0]);
        set_coursemodule_visible($this->quiz->cmid, 1);
        $this->assertSame($seen, $this->staff());

        $DB->set_field('course', 'visible', 0, ['id' => $this->quiz->course]);
        $this->assertSame($seen, $this->staff());
        $may(access::HIDDEN_COURSE, false);
        $this->assertSame($none, $this->staff());
        $DB->set_field('course', 'visible', 1, ['id' => $this->quiz->course]);

        $others = \availability_group\condition::get_json($this->groups[1]->id);
        $DB->set_field('course_modules', 'availability', json_encode(\core_availability\tree::get_root_json([$others])), [
            'id' => $this->quiz->cmid,
        ]);
        rebuild_course_cache($this->quiz->course, true);
        $this->assertSame($seen, $this->staff());
        $may(access::RESTRICTED_QUIZ, false);
        $this->assertSame($none, $this->staff());
        $this->assertTrue($this->staff(get_admin())[0]);
        groups_add_member($this->groups[1], $this->teacher);
        $this->assertSame([false, ['A & a', 'B'], $seen[2]], $this->staff());

        $may(access::VIEW_QUIZ, false);
        $this->assertSame($none, $this->staff());
    }

    /**
     * The id of a role.
     *
     * @param string $name
     * @return int
     */
    private function role(string $name): int {
        global $DB;
        return (int)$DB->get_field('role', 'id', ['shortname' => $name], MUST_EXIST);
    }

    /**
     * Somebody in no group sees nobody in separate groups.
     */
    public function test_no_group_is_nobody(): void {
        $this->make();
        groups_remove_member($this->groups[0], $this->teacher);
        $this->assertSame([false, [], ['watch', 'talk', 'time']], $this->staff());
    }

    /**
     * The group mode that is in effect counts, the course's if it is forced.
     *
     * @param int $own
     * @param int $course
     * @param int $force
     * @param bool $all
     * @param int $count of the student's groups
     * @dataProvider modes
     */
    #[DataProvider('modes')]
    public function test_the_mode_in_effect(int $own, int $course, int $force, bool $all, int $count): void {
        global $DB;
        $this->make(['groupmode' => $own]);
        $DB->update_record('course', (object)['id' => $this->quiz->course, 'groupmode' => $course, 'groupmodeforce' => $force]);
        $this->assertSame($all, $this->staff()[0]);
        $this->assertCount($count, $this->student());
    }

    /**
     * Group modes.
     *
     * @return array[]
     */
    public static function modes(): array {
        return [
            'none' => [NOGROUPS, NOGROUPS, 0, true, 0],
            'visible' => [VISIBLEGROUPS, NOGROUPS, 0, true, 2],
            'separate' => [SEPARATEGROUPS, NOGROUPS, 0, false, 2],
            'none, the course has separate ones' => [NOGROUPS, SEPARATEGROUPS, 0, true, 0],
            'separate ones are forced' => [NOGROUPS, SEPARATEGROUPS, 1, false, 2],
            'none are forced' => [SEPARATEGROUPS, NOGROUPS, 1, true, 0],
        ];
    }

    /**
     * Only groups of the quiz's grouping count, and none that is not for activities.
     */
    public function test_the_grouping(): void {
        global $DB;
        $this->make();
        $grouping = $this->getDataGenerator()->create_grouping(['courseid' => $this->quiz->course]);
        $DB->set_field('course_modules', 'groupingid', $grouping->id, ['id' => $this->quiz->cmid]);
        groups_assign_grouping($grouping->id, $this->groups[1]->id);
        $this->assertSame(['B'], $this->student());
        $this->assertSame([], $this->staff()[1]);
        groups_assign_grouping($grouping->id, $this->groups[0]->id);
        $this->assertSame(['A & a'], $this->staff()[1]);
        $DB->set_field('groups', 'participation', 0, ['id' => $this->groups[0]->id]);
        $this->assertSame(['B'], $this->student());
        $this->assertSame([], $this->staff()[1]);
    }

    /**
     * Whoever cannot come into the course, or may not watch, may do nothing.
     *
     * @param string $how
     * @dataProvider ways_out
     */
    #[DataProvider('ways_out')]
    public function test_who_is_out_may_do_nothing(string $how): void {
        global $DB;
        $this->make();
        $this->assertNotSame([], $this->staff()[2]);
        $enrolment = $DB->get_field('user_enrolments', 'id', ['userid' => $this->teacher->id]);
        $context = \context_module::instance($this->quiz->cmid);
        $roleid = $DB->get_field('role', 'id', ['shortname' => 'teacher']);
        match ($how) {
            'suspended account' => $DB->set_field('user', 'suspended', 1, ['id' => $this->teacher->id]),
            'deleted account' => delete_user($this->teacher),
            'suspended enrolment' => $DB->set_field('user_enrolments', 'status', ENROL_USER_SUSPENDED, ['id' => $enrolment]),
            'expired enrolment' => $DB->set_field('user_enrolments', 'timeend', time() - 1, ['id' => $enrolment]),
            'enrolment to come' => $DB->set_field('user_enrolments', 'timestart', time() + 60, ['id' => $enrolment]),
            'switched off enrolment' => $DB->set_field('enrol', 'status', ENROL_INSTANCE_DISABLED, []),
            'unenrolled' => $DB->delete_records('user_enrolments', ['id' => $enrolment]),
            'role lost' => role_unassign_all(['userid' => $this->teacher->id]),
            'capability taken' => assign_capability('quizaccess/vigil:proctor', CAP_PROHIBIT, $roleid, $context),
        };
        $this->assertSame([false, [], []], $this->staff());
    }

    /**
     * Ways to lose all rights.
     *
     * @return array[]
     */
    public static function ways_out(): array {
        $ways = [
            'suspended account', 'deleted account', 'suspended enrolment', 'expired enrolment', 'enrolment to come',
            'switched off enrolment', 'unenrolled', 'role lost', 'capability taken',
        ];
        return array_combine($ways, array_map(static fn($way) => [$way], $ways));
    }

    /**
     * Who was enrolled this second is in. Core's own list would have them wait.
     */
    public function test_who_was_enrolled_this_second_is_in(): void {
        global $DB;
        $this->make();
        $DB->set_field('user_enrolments', 'timestart', time(), ['userid' => $this->teacher->id]);
        $this->assertSame(['watch', 'talk', 'time'], $this->staff()[2]);
    }

    /**
     * Each right has its capability, and the role of a category counts without an enrolment where it does in Moodle.
     */
    public function test_rights_are_capabilities(): void {
        global $DB;
        $this->make();
        $context = \context_module::instance($this->quiz->cmid);
        $roleid = $DB->get_field('role', 'id', ['shortname' => 'teacher']);
        foreach (access::RIGHTS as $right => $capability) {
            assign_capability($capability, CAP_ALLOW, $roleid, $context);
            $this->assertContains($right, $this->staff()[2]);
        }
        $this->assertSame(self::EVERY, $this->staff()[2]);
        assign_capability('quizaccess/vigil:end', CAP_PREVENT, $roleid, $context, true);
        $this->assertSame(array_values(array_diff(self::EVERY, ['end'])), $this->staff()[2]);

        $manager = $this->getDataGenerator()->create_user();
        $category = \context_coursecat::instance(get_course($this->quiz->course)->category);
        role_assign($DB->get_field('role', 'id', ['shortname' => 'teacher']), $manager->id, $category);
        $this->assertSame([false, [], []], $this->staff($manager), 'a teacher of the category cannot come into the course');
        role_assign($DB->get_field('role', 'id', ['shortname' => 'manager']), $manager->id, $category);
        $this->assertSame([true, [], self::EVERY], $this->staff($manager));
    }

    /**
     * What is told does not depend on who asks: not on switched roles, nor on groups that the asking user does not see.
     */
    public function test_who_asks_makes_no_difference(): void {
        global $DB;
        $this->make();
        $DB->set_field('groups', 'visibility', GROUPS_VISIBILITY_MEMBERS, []);
        \core_group\visibility::update_hiddengroups_cache($this->quiz->course);
        $want = [false, ['A & a'], ['watch', 'talk', 'time']];
        foreach ([null, $this->student, $this->teacher, $this->getDataGenerator()->create_user()] as $user) {
            $this->setUser($user);
            $this->assertSame($want, $this->staff());
            $this->assertSame(['A & a', 'B'], $this->student());
        }
        $editor = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'editingteacher');
        $this->setUser($editor);
        $studentrole = $DB->get_field('role', 'id', ['shortname' => 'student']);
        role_switch($studentrole, \context_course::instance($this->quiz->course));
        $this->assertFalse(has_capability('quizaccess/vigil:proctor', \context_module::instance($this->quiz->cmid)));
        $this->assertSame([true, ['A & a', 'B'], self::EVERY], $this->staff($editor), 'the hidden groups');
    }

    /**
     * Everyone who may attempt the quiz is found, and nobody else.
     */
    public function test_who_may_attempt(): void {
        global $DB;
        $this->make();
        $other = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'student');
        $this->assertEqualsCanonicalizing([(int)$this->student->id, (int)$other->id], $this->access()->attempters());
        $DB->set_field('user', 'suspended', 1, ['id' => $other->id]);
        $this->assertSame([(int)$this->student->id], $this->access()->attempters());
    }

    /**
     * A quiz that was never proctored says nothing; one that is not any more does.
     */
    public function test_which_quizzes(): void {
        global $DB;
        $this->make();
        $DB->set_field('quizaccess_vigil', 'enabled', 0, ['quizid' => $this->quiz->id]);
        $this->assertNotSame([], $this->staff()[2]);
        $DB->delete_records('quizaccess_vigil', ['quizid' => $this->quiz->id]);
        $clock = \core\di::get(\core\clock::class);
        $this->assertNull(access::at((int)$this->quiz->id, $clock));
        $this->assertNull(access::at(0, $clock));
    }

    /**
     * Many people cost no more queries than one.
     */
    public function test_many_cost_no_more_queries(): void {
        global $DB;
        $this->make();
        $ids = [(int)$this->teacher->id];
        for ($i = 0; $i < 30; $i++) {
            $user = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'teacher');
            groups_add_member($this->groups[$i % 2], $user);
            $ids[] = (int)$user->id;
        }
        $count = function (array $ids) use ($DB): int {
            $before = $DB->perf_get_reads();
            $this->access()->staff($ids);
            $this->access()->students($ids);
            return $DB->perf_get_reads() - $before;
        };
        $count($ids);
        $this->assertSame($count([$ids[0]]), $count($ids));
    }
}
