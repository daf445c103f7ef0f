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

namespace quizaccess_vigil\privacy;

use context;
use context_module;
use context_system;
use core_privacy\local\metadata\collection;
use core_privacy\local\request\approved_contextlist;
use core_privacy\local\request\approved_userlist;
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;
use PHPUnit\Framework\Attributes\CoversClass;
use quizaccess_vigil\task\report_erasure;

/**
 * Tests of what is given out and deleted.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\privacy\provider
 */
#[CoversClass(provider::class)]
final class provider_test extends \core_privacy\tests\provider_testcase {
    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass[] two students */
    private array $students;

    /** @var \stdClass[] their sessions */
    private array $sessions;

    protected function setUp(): void {
        global $CFG, $DB;
        require_once($CFG->libdir . '/filelib.php');
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$this->quiz, $one] = $generator->create_quiz();
        $two = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'student');
        $this->students = [$one, $two];
        foreach ($this->students as $student) {
            $session = $generator->create_session($this->quiz, $student, $typeid);
            $this->sessions[] = $session;
            $DB->insert_record('quizaccess_vigil_incident', (object)[
                'sessionid' => $session->id, 'action' => 'flag', 'incidenttime' => '2026-11-23T10:00:00Z', 'minutes' => 0,
                'severity' => 0.6, 'code' => 'note', 'message' => 'Of ' . $student->id, 'timecreated' => 1795426800,
            ]);
            $DB->insert_record('quizaccess_vigil_launch', (object)[
                'kind' => 'start', 'state' => 'begun', 'typeid' => $typeid, 'quizid' => $this->quiz->id,
                'cmid' => $this->quiz->cmid, 'userid' => $student->id, 'attempt' => 1,
                'sessiondata' => hash('sha256', $student->id),
                'timecreated' => 1795426800, 'timeexpires' => 1795427800,
            ]);
            $DB->insert_record('quizaccess_vigil_access', (object)[
                'quizid' => $this->quiz->id, 'cmid' => $this->quiz->cmid, 'userid' => $student->id, 'kind' => 'student',
                'version' => 1795426800000, 'digest' => hash('sha256', 'A'), 'pending' => 0, 'timetold' => 1795426800,
            ]);
        }
    }

    /**
     * How many sessions, incidents, launches and rows of who was told of there are.
     *
     * @return int[]
     */
    private function counts(): array {
        global $DB;
        return array_map(
            static fn($table) => $DB->count_records('quizaccess_vigil_' . $table),
            ['session', 'incident', 'launch', 'access']
        );
    }

    /**
     * The users of whom the provider says that a context holds something.
     *
     * @param context $context
     * @return int[]
     */
    private function users(context $context): array {
        $list = new userlist($context, 'quizaccess_vigil');
        provider::get_users_in_context($list);
        return array_values($list->get_userids());
    }

    /**
     * Every table with a user and every field of it that is named has its words.
     */
    public function test_the_description_has_words(): void {
        $items = provider::get_metadata(new collection('quizaccess_vigil'))->get_collection();
        $this->assertCount(6, $items);
        foreach ($items as $item) {
            foreach (array_merge([$item->get_summary()], $item->get_privacy_fields()) as $name) {
                $this->assertTrue(get_string_manager()->string_exists($name, 'quizaccess_vigil'), $name);
            }
        }
    }

    /**
     * Contexts and users are found.
     */
    public function test_who_and_where(): void {
        $context = context_module::instance($this->quiz->cmid);
        $found = provider::get_contexts_for_userid($this->students[0]->id);
        $this->assertEquals([$context->id], $found->get_contextids());
        $this->assertEqualsCanonicalizing(array_column($this->students, 'id'), $this->users($context));
        $this->assertSame([], $this->users(context_system::instance()));
        $stranger = $this->getDataGenerator()->create_user();
        $this->assertCount(0, provider::get_contexts_for_userid($stranger->id));
    }

    /**
     * A user is given what is theirs, and nothing of others.
     */
    public function test_export(): void {
        $context = context_module::instance($this->quiz->cmid);
        \curl::mock_response('{"attempt":1,"entries":[{"type":"chat","text":"Hello"}]}');
        $this->export_context_data_for_user($this->students[0]->id, $context, 'quizaccess_vigil');
        $root = get_string('privacy:path', 'quizaccess_vigil');
        $data = writer::with_context($context)->get_data([$root, get_string('privacy:attempt', 'quizaccess_vigil', 1)]);
        $this->assertSame(1, $data->attempt);
        $this->assertSame(['Of ' . $this->students[0]->id], array_column($data->incidents, 'message'));
        $this->assertCount(1, writer::with_context($context)->get_related_data([$root], 'launches'));
        $told = writer::with_context($context)->get_related_data([$root], 'access');
        $this->assertSame([['student', 1795426800000]], array_map(static fn($row) => [$row->kind, $row->version], $told));
        $path = [$root, get_string('privacy:attempt', 'quizaccess_vigil', 1)];
        $this->assertSame('Hello', writer::with_context($context)->get_related_data($path, 'tool')->entries[0]->text);
    }

    /**
     * A tool that does not answer is not taken for one that keeps nothing.
     */
    public function test_export_without_the_tool(): void {
        \curl::mock_response('<html>Bad gateway</html>');
        $context = context_module::instance($this->quiz->cmid);
        $this->export_context_data_for_user($this->students[0]->id, $context, 'quizaccess_vigil');
        $this->assertDebuggingCalled();
        $path = [get_string('privacy:path', 'quizaccess_vigil'), get_string('privacy:attempt', 'quizaccess_vigil', 1)];
        $this->assertSame(
            get_string('privacy:toolsilent', 'quizaccess_vigil'),
            writer::with_context($context)->get_related_data($path, 'tool')->notice
        );
        $this->assertSame(1, writer::with_context($context)->get_data($path)->attempt);
    }

    /**
     * A user's data goes, others' stays, and the tool will hear of it.
     */
    public function test_delete_for_a_user(): void {
        $context = context_module::instance($this->quiz->cmid);
        provider::delete_data_for_user(new approved_contextlist($this->students[0], 'quizaccess_vigil', [$context->id]));
        $this->assertSame([1, 1, 1, 1], $this->counts());
        $this->assertEquals([$this->students[1]->id], $this->users($context));
        $tasks = \core\task\manager::get_adhoc_tasks(report_erasure::class);
        $this->assertCount(1, $tasks);
        $this->assertEquals($this->students[0]->id, reset($tasks)->get_custom_data()->userid);
        $this->assertSame('erased', reset($tasks)->get_custom_data()->outcome);
    }

    /**
     * Some users' data goes.
     */
    public function test_delete_for_users(): void {
        $context = context_module::instance($this->quiz->cmid);
        provider::delete_data_for_users(new approved_userlist($context, 'quizaccess_vigil', [$this->students[1]->id]));
        $this->assertEquals([$this->students[0]->id], $this->users($context));
        provider::delete_data_for_users(new approved_userlist($context, 'quizaccess_vigil', []));
        $this->assertSame([1, 1, 1, 1], $this->counts());
    }

    /**
     * Everybody's goes; of another context nothing does.
     */
    public function test_delete_for_all(): void {
        provider::delete_data_for_all_users_in_context(\context_course::instance($this->quiz->course));
        provider::delete_data_for_all_users_in_context(context_system::instance());
        $this->assertSame([2, 2, 2, 2], $this->counts());
        provider::delete_data_for_all_users_in_context(context_module::instance($this->quiz->cmid));
        $this->assertSame([0, 0, 0, 0], $this->counts());
        $this->assertCount(2, \core\task\manager::get_adhoc_tasks(report_erasure::class));
    }

    /**
     * What is left of a quiz that is gone is found in the system's context.
     */
    public function test_a_quiz_that_is_gone(): void {
        global $DB;
        $DB->set_field('quizaccess_vigil_session', 'cmid', 999999, ['id' => $this->sessions[0]->id]);
        $system = context_system::instance();
        $this->assertEquals([$this->students[0]->id], $this->users($system));
        $this->assertContainsEquals($system->id, provider::get_contexts_for_userid($this->students[0]->id)->get_contextids());
        \curl::mock_response('{"attempt":1,"entries":[]}');
        $this->export_context_data_for_user($this->students[0]->id, $system, 'quizaccess_vigil');
        $this->assertTrue(writer::with_context($system)->has_any_data());
        provider::delete_data_for_all_users_in_context($system);
        $this->assertSame([], $this->users($system));
        $this->assertSame([1, 1, 2, 2], $this->counts());
    }
}
