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
 * The tool's question who may see and do what.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\access_question
 */
#[CoversClass(access_question::class)]
final class access_question_test extends \advanced_testcase {
    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass a student */
    private \stdClass $student;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->mock_clock_with_frozen(1795426800);
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$this->quiz, $this->student] = $generator->create_quiz(['groupmode' => SEPARATEGROUPS]);
    }

    /**
     * Asks.
     *
     * @param array $users
     * @param string|null $link null: of the quiz
     * @return array
     */
    private function ask(array $users, ?string $link = null): array {
        return (new access_question(\core\di::get(\core\clock::class)))
            ->answer($link ?? 'quiz-' . $this->quiz->cmid, json_encode(['users' => $users]));
    }

    /**
     * A record for each user asked of, and one for everyone who may attempt the quiz, with the versions that launches tell.
     */
    public function test_the_answer(): void {
        $generator = $this->getDataGenerator();
        $course = get_course($this->quiz->course);
        $group = $generator->create_group(['courseid' => $course->id, 'name' => 'A']);
        $teacher = $generator->create_and_enrol($course, 'teacher');
        $other = $generator->create_and_enrol($course, 'student');
        groups_add_member($group, $teacher);
        groups_add_member($group, $this->student);
        $clock = \core\di::get(\core\clock::class);
        (new access_store($clock))->launch(access::at((int)$this->quiz->id, $clock), access::STUDENT, (int)$other->id);
        $clock->bump(10);
        $groups = [['id' => (string)$group->id, 'name' => 'A']];
        $want = [
            'staff' => [
                ['user' => (string)$teacher->id, 'version' => 1795426810000, 'all' => false, 'groups' => $groups,
                    'rights' => ['watch', 'talk', 'time']],
                ['user' => (string)$other->id, 'version' => 1795426810000, 'all' => false, 'groups' => [], 'rights' => []],
                ['user' => 'nobody-1', 'version' => 1795426810000, 'all' => false, 'groups' => [], 'rights' => []],
            ],
            'students' => [
                ['user' => (string)$this->student->id, 'version' => 1795426810000, 'groups' => $groups],
                ['user' => (string)$other->id, 'version' => 1795426800000, 'groups' => []],
            ],
        ];
        $answer = $this->ask([(string)$teacher->id, 'nobody-1', (string)$other->id]);
        $this->assertEqualsCanonicalizing($want['staff'], $answer['staff']);
        $this->assertEqualsCanonicalizing($want['students'], $answer['students']);
        $clock->bump(10);
        groups_remove_member($group, $teacher);
        $answer = $this->ask([(string)$teacher->id]);
        $this->assertSame([1795426820000, []], [$answer['staff'][0]['version'], $answer['staff'][0]['groups']]);
        $this->assertEqualsCanonicalizing($want['students'], $answer['students']);
    }

    /**
     * Whoever is in an attempt is told of, also if they may not attempt the quiz any more.
     */
    public function test_open_attempts_are_told_of(): void {
        global $DB;
        $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($this->quiz, $this->student);
        $DB->set_field('user', 'suspended', 1, ['id' => $this->student->id]);
        $this->assertSame([(string)$this->student->id], array_column($this->ask([])['students'], 'user'));
    }

    /**
     * The tool has the names of those whom the proctor sees for whom it asks, where names are shared with it.
     */
    public function test_names(): void {
        global $DB;
        $generator = $this->getDataGenerator();
        $course = get_course($this->quiz->course);
        [$a, $b] = [$generator->create_group(['courseid' => $course->id]), $generator->create_group(['courseid' => $course->id])];
        [$some, $all] = [$generator->create_and_enrol($course, 'teacher'), $generator->create_and_enrol($course, 'editingteacher')];
        $other = $generator->create_and_enrol($course, 'student', ['firstname' => 'Budi', 'lastname' => 'Santoso']);
        $alone = $generator->create_and_enrol($course, 'student');
        groups_add_member($a, $some);
        groups_add_member($a, $this->student);
        groups_add_member($b, $other);
        $typeid = $generator->get_plugin_generator('quizaccess_vigil')->create_tool();
        $share = static function (int $setting) use ($DB, $typeid): void {
            $DB->delete_records('lti_types_config', ['typeid' => $typeid, 'name' => 'sendname']);
            $DB->insert_record('lti_types_config', (object)['typeid' => $typeid, 'name' => 'sendname', 'value' => $setting]);
        };
        $named = function ($for) : array {
            $answer = (new access_question(\core\di::get(\core\clock::class)))
                ->answer('quiz-' . $this->quiz->cmid, json_encode(['users' => [], 'names_for' => $for]));
            $this->assertCount(3, $answer['students']);
            return array_column($answer['students'], 'name', 'user');
        };
        $share(LTI_SETTING_ALWAYS);
        $ids = [(string)$this->student->id, (string)$other->id, (string)$alone->id];
        $this->assertSame([$ids[0] => fullname($this->student)], $named((string)$some->id));
        $this->assertEqualsCanonicalizing($ids, array_map('strval', array_keys($named((string)$all->id))));
        $this->assertSame('Budi Santoso', $named((string)$all->id)[$ids[1]]);
        foreach (['', null, $ids[0], '99999999', 'nobody'] as $nobody) {
            $this->assertSame([], $named($nobody), json_encode($nobody));
        }
        $this->assertArrayNotHasKey('name', $this->ask([(string)$all->id])['students'][0]);
        $share(LTI_SETTING_DELEGATE);
        $this->assertCount(3, $named((string)$all->id));
        $share(LTI_SETTING_NEVER);
        $this->assertSame([], $named((string)$all->id));
        // Names do not count as something new to tell.
        $share(LTI_SETTING_ALWAYS);
        $versions = fn(): array => $DB->get_records_menu(access_store::TABLE, [], 'id', 'id, version');
        $before = $versions();
        $DB->set_field('user', 'lastname', 'Wijaya', ['id' => $other->id]);
        $this->assertSame('Budi Wijaya', $named((string)$all->id)[$ids[1]]);
        $this->assertSame($before, $versions());
        // Bounded.
        $access = access::at((int)$this->quiz->id, \core\di::get(\core\clock::class));
        $students = $access->students(array_map('intval', $ids));
        $this->assertCount(2, $access->names_for((int)$all->id, $students, 2));
    }

    /**
     * What is not a question is refused.
     *
     * @param string $body
     * @dataProvider bad_bodies
     */
    #[DataProvider('bad_bodies')]
    public function test_bad_questions(string $body): void {
        $this->expectExceptionObject(new control_exception(400, ''));
        $this->expectExceptionMessageMatches('/^400 /');
        (new access_question(\core\di::get(\core\clock::class)))->answer('quiz-' . $this->quiz->cmid, $body);
    }

    /**
     * Bodies that are no questions.
     *
     * @return array[]
     */
    public static function bad_bodies(): array {
        return [
            'no JSON' => ['users'], 'no object' => ['["5"]'], 'no list' => ['{"users":"5"}'], 'nobody' => ['{}'],
            'a number' => ['{"users":[5]}'], 'an empty user' => ['{"users":[""]}'],
            'a long user' => [json_encode(['users' => [str_repeat('5', 256)]])],
            'a proctor as a number' => ['{"users":[],"names_for":5}'],
            'a long proctor' => [json_encode(['users' => [], 'names_for' => str_repeat('5', 256)])],
            'too many' => [json_encode(['users' => array_map('strval', range(1, 501))])],
        ];
    }

    /**
     * Of a quiz that was never proctored, or is none, nothing is told.
     */
    public function test_which_quizzes(): void {
        global $DB;
        $page = $this->getDataGenerator()->create_module('page', ['course' => $this->quiz->course]);
        $DB->delete_records('quizaccess_vigil');
        $cmid = $this->quiz->cmid;
        foreach (['', 'quiz-0', 'quiz-99999999', 'quiz-' . $cmid, 'quiz-' . $page->cmid, (string)$cmid] as $link) {
            try {
                $this->ask([], $link);
                $this->fail($link);
            } catch (control_exception $e) {
                $this->assertSame(404, $e->status);
            }
        }
    }

    /**
     * A large course costs few queries, and none for each student once all were told of.
     */
    public function test_two_thousand_students(): void {
        global $DB;
        $course = (int)$this->quiz->course;
        $instance = $DB->get_record('enrol', ['courseid' => $course, 'enrol' => 'manual']);
        $context = \context_course::instance($course);
        $role = $DB->get_field('role', 'id', ['shortname' => 'student']);
        $users = [];
        for ($i = 0; $i < 2000; $i++) {
            $users[] = (object)['username' => "s{$i}", 'confirmed' => 1, 'mnethostid' => 1, 'email' => "s{$i}@example.com"];
        }
        $DB->insert_records('user', $users);
        $ids = $DB->get_fieldset_select('user', 'id', $DB->sql_like('email', '?'), ['s%@example.com']);
        $row = static fn(array $fields): \Closure => static fn($id): \stdClass => (object)(['userid' => $id] + $fields);
        $DB->insert_records('user_enrolments', array_map($row(['enrolid' => $instance->id, 'status' => 0]), $ids));
        $DB->insert_records('role_assignments', array_map($row(['roleid' => $role, 'contextid' => $context->id]), $ids));
        foreach (array_chunk($ids, 100) as $some) {
            $group = $this->getDataGenerator()->create_group(['courseid' => $course]);
            $DB->insert_records('groups_members', array_map($row(['groupid' => $group->id]), $some));
        }
        $count = function () use ($DB): int {
            $before = $DB->perf_get_queries();
            $answer = $this->ask([(string)get_admin()->id]);
            $this->assertGreaterThanOrEqual(2001, count($answer['students']));
            return $DB->perf_get_queries() - $before;
        };
        $first = $count();
        $this->assertLessThan(120, $first);
        $begin = microtime(true);
        $this->assertLessThan(60, $count());
        // Far more than it takes; queries that a database without statistics plans badly take longer still.
        $this->assertLessThan(8, microtime(true) - $begin);
    }
}
