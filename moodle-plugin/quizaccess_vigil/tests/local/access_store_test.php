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

/**
 * The versions of what the tool is told of groups and rights.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\access_store
 */
#[CoversClass(access_store::class)]
final class access_store_test extends \advanced_testcase {
    /** @var \core\clock the time, which stands still */
    private \core\clock $clock;

    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass a student */
    private \stdClass $student;

    /** @var \stdClass[] two groups */
    private array $groups;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(1795426800);
        $generator = $this->getDataGenerator();
        [$this->quiz, $this->student] = $generator->get_plugin_generator('quizaccess_vigil')
            ->create_quiz(['groupmode' => SEPARATEGROUPS]);
        foreach (['A', 'B'] as $name) {
            $this->groups[] = $generator->create_group(['courseid' => $this->quiz->course, 'name' => $name]);
        }
    }

    /**
     * What a launch of somebody tells.
     *
     * @param \stdClass|null $user null: the student
     * @param string $kind
     * @return array version, and the names of groups
     */
    private function launch(?\stdClass $user = null, string $kind = access::STUDENT): array {
        $access = access::at((int)$this->quiz->id, $this->clock);
        $told = (new access_store($this->clock))->launch($access, $kind, (int)($user ?? $this->student)->id);
        return [$told['version'], array_column($told['groups'], 'name')];
    }

    /**
     * The rows of the quiz.
     *
     * @return \stdClass[]
     */
    private function rows(): array {
        global $DB;
        return array_values($DB->get_records(access_store::TABLE, ['quizid' => $this->quiz->id], 'id'));
    }

    /**
     * The version is a time in milliseconds, and grows when what is told changes, and only then: also twice in a millisecond, and
     * where the clock goes back.
     */
    public function test_the_version_grows_with_what_is_told(): void {
        $first = 1795426800000;
        $this->assertSame([$first, []], $this->launch());
        $this->clock->bump(5);
        $this->assertSame([$first, []], $this->launch());
        groups_add_member($this->groups[0], $this->student);
        $this->assertSame([$first + 5000, ['A']], $this->launch());
        groups_add_member($this->groups[1], $this->student);
        $this->assertSame([$first + 5002, ['A', 'B']], $this->launch());
        $this->clock->set_to(1795426800 - 60);
        groups_remove_member($this->groups[0], $this->student);
        $this->assertSame([$first + 5004, ['B']], $this->launch());
        $this->assertSame([$first + 5004, ['B']], $this->launch());
        $this->assertCount(1, $this->rows());
    }

    /**
     * A group's new name is something to tell.
     */
    public function test_a_new_name_is_told(): void {
        groups_add_member($this->groups[0], $this->student);
        [$before] = $this->launch();
        $this->groups[0]->name = 'Alpha';
        groups_update_group($this->groups[0]);
        $this->assertSame([$before + 2, ['Alpha']], $this->launch());
    }

    /**
     * One who proctors and attempts has a version for each.
     */
    public function test_kinds_are_apart(): void {
        $this->launch();
        $this->clock->bump(1);
        $this->assertSame(1795426801000, $this->launch(null, access::STAFF)[0]);
        $this->assertSame(['student', 'staff'], array_column($this->rows(), 'kind'));
    }

    /**
     * Where another request has changed a row since it was read here, the version still goes up, and stays with its content.
     */
    public function test_two_requests_at_once(): void {
        global $DB;
        $this->launch();
        $old = access::at((int)$this->quiz->id, $this->clock);
        groups_add_member($this->groups[0], $this->student);
        $this->assertSame(1795426800002, $this->launch()[0]);
        $rows = (new access_store($this->clock))->bring_up($old, access::STUDENT, [(int)$this->student->id], true);
        $this->assertEquals(1795426800002, $rows[$this->student->id]->version);
        $DB->set_field(access_store::TABLE, 'digest', 'another content', []);
        $rows = (new access_store($this->clock))->bring_up($old, access::STUDENT, [(int)$this->student->id], true);
        $this->assertSame([1795426800004, 1], [$rows[$this->student->id]->version, $rows[$this->student->id]->pending]);
    }

    /**
     * What was taken is noted, unless there is something newer by then.
     */
    public function test_what_was_taken(): void {
        global $DB;
        $store = new access_store($this->clock);
        $access = access::at((int)$this->quiz->id, $this->clock);
        $rows = $store->bring_up($access, access::STUDENT, [(int)$this->student->id], true);
        $DB->set_field(access_store::TABLE, 'version', 1795426800009, []);
        $store->told($rows);
        $this->assertEquals(1, $this->rows()[0]->pending);
        $store->told($store->bring_up($access, access::STUDENT, [(int)$this->student->id], true));
        $this->assertEquals(0, $this->rows()[0]->pending);
    }

    /**
     * A row stays while somebody is told of, and goes after two days; that of a student while the tool may show an attempt.
     */
    public function test_rows_go(): void {
        global $DB;
        $generator = $this->getDataGenerator();
        $course = get_course($this->quiz->course);
        $other = $generator->create_and_enrol($course, 'student');
        $teacher = $generator->create_and_enrol($course, 'teacher');
        $plugin = $generator->get_plugin_generator('quizaccess_vigil');
        $session = $plugin->create_session($this->quiz, $this->student);
        $plugin->create_session($this->quiz, $teacher);
        $this->launch();
        $this->launch($other);
        $this->launch($teacher, access::STAFF);
        $sweep = function (): array {
            (new access_store($this->clock))->sweep();
            return array_map('intval', array_column($this->rows(), 'userid'));
        };
        $this->clock->bump(access_store::KEPT);
        $this->assertCount(3, $sweep());
        $this->clock->bump(1);
        $this->assertSame([(int)$this->student->id], $sweep());
        // The attempt is over: the tool shows it on.
        $ended = $this->clock->time() + DAYSECS;
        $DB->update_record(session_store::TABLE, (object)[
            'id' => $session->id, 'state' => session_store::ENDED, 'timeended' => $ended,
        ]);
        $this->clock->set_to($ended + access_store::SHOWN - 1);
        $this->assertSame([(int)$this->student->id], $sweep());
        $this->clock->bump(1);
        $this->assertSame([], $sweep());
    }

    /**
     * A move to another group long after the attempt is something to tell.
     */
    public function test_a_move_after_the_attempt_is_told(): void {
        global $DB;
        $session = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($this->quiz, $this->student);
        $this->launch();
        $DB->set_field(session_store::TABLE, 'state', session_store::ENDED, ['id' => $session->id]);
        $this->clock->bump(30 * DAYSECS);
        $store = new access_store($this->clock);
        $store->sweep();
        $this->assertSame([(int)$this->student->id], $store->concerned((int)$this->quiz->id)[access::STUDENT]);
        groups_add_member($this->groups[1], $this->student);
        $access = access::at((int)$this->quiz->id, $this->clock);
        $rows = $store->bring_up($access, access::STUDENT, [(int)$this->student->id], true);
        $this->assertEquals(1, $rows[$this->student->id]->pending);
    }

    /**
     * Rows of people who were deleted go when that was told, or could not be for long, and all where the quiz is gone.
     */
    public function test_rows_of_what_was_deleted_go(): void {
        global $DB;
        $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($this->quiz, $this->student);
        $this->launch();
        $store = new access_store($this->clock);
        $store->sweep();
        $this->assertCount(1, $this->rows());
        $DB->set_field('user', 'deleted', 1, ['id' => $this->student->id]);
        $DB->set_field(access_store::TABLE, 'pending', 1, []);
        $store->sweep();
        $this->assertCount(1, $this->rows());
        $this->clock->bump(access_store::KEPT + 1);
        $store->sweep();
        $this->assertSame([], $this->rows());
        $this->launch();
        $DB->set_field(access_store::TABLE, 'pending', 0, []);
        $store->sweep();
        $this->assertSame([], $this->rows());

        $DB->set_field('user', 'deleted', 0, ['id' => $this->student->id]);
        $this->launch();
        $DB->delete_records('quiz', ['id' => $this->quiz->id]);
        $store->sweep();
        $this->assertSame([], $this->rows());
    }

    /**
     * Rows of students go with a course reset that deletes attempts, and all with the quiz.
     */
    public function test_rows_go_with_attempts_and_quiz(): void {
        global $DB;
        $teacher = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'teacher');
        $this->launch();
        $this->launch($teacher, access::STAFF);
        $reset = fn(array $options) => \core\event\course_reset_started::create([
            'context' => \context_course::instance($this->quiz->course),
            'other' => ['reset_options' => $options + ['courseid' => $this->quiz->course]],
        ])->trigger();
        $reset(['reset_quiz_attempts' => 0]);
        $this->assertCount(2, $this->rows());
        $reset(['reset_quiz_attempts' => 1]);
        $this->assertSame(['staff'], array_column($this->rows(), 'kind'));
        \mod_quiz\access_manager::delete_settings($DB->get_record('quiz', ['id' => $this->quiz->id]));
        $this->assertSame([], $this->rows());
    }
}
