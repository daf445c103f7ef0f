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
use quizaccess_vigil\task\report_access;

/**
 * Changes of groups and rights, from Moodle's events to what the tool is told.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\access_changes
 * @covers     \quizaccess_vigil\access_observer
 * @covers     \quizaccess_vigil\task\report_access
 */
#[CoversClass(access_changes::class)]
#[CoversClass(\quizaccess_vigil\access_observer::class)]
#[CoversClass(report_access::class)]
final class access_changes_test extends \advanced_testcase {
    /** @var \stdClass answer and requests: the tool */
    private \stdClass $tool;

    /** @var \core\clock the time */
    private \core\clock $clock;

    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass a student, in group A */
    private \stdClass $student;

    /** @var \stdClass a non-editing teacher, in group A */
    private \stdClass $teacher;

    /** @var \stdClass[] groups A and B */
    private array $groups;

    /** @var int the tool's type */
    private int $typeid;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        // Observers hear of nothing while a transaction is open.
        $this->preventResetByRollback();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(1795426800);
        $this->tool = (object)['answer' => new answer(200, '{"taken":1}'), 'requests' => []];
        \core\di::set(http::class, new class ($this->tool) extends http {
            /**
             * Constructor.
             *
             * @param \stdClass $tool
             */
            public function __construct(
                /** @var \stdClass the tool */
                private readonly \stdClass $tool,
            ) {
            }

            #[\Override]
            public function ask(
                string $method,
                string $url,
                array $headers = [],
                string $body = '',
                ?float $patience = null
            ): answer {
                $this->tool->requests[] = (object)['url' => $url, 'body' => $body, 'patience' => $patience];
                return $this->tool->answer;
            }
        });
        $generator = $this->getDataGenerator();
        $vigil = $generator->get_plugin_generator('quizaccess_vigil');
        $this->typeid = $vigil->create_tool();
        [$this->quiz, $this->student] = $vigil->create_quiz(['groupmode' => SEPARATEGROUPS]);
        $this->teacher = $generator->create_and_enrol(get_course($this->quiz->course), 'teacher');
        foreach (['A', 'B'] as $name) {
            $this->groups[$name] = $generator->create_group(['courseid' => $this->quiz->course, 'name' => $name]);
        }
        groups_add_member($this->groups['A'], $this->student);
        groups_add_member($this->groups['A'], $this->teacher);
        $this->launch($this->teacher, access::STAFF);
        $this->launch($this->student, access::STUDENT);
        $this->tell();
        $this->tool->requests = [];
        $this->clock->bump(1);
    }

    /**
     * Tells somebody to the tool, as a launch does.
     *
     * @param \stdClass $user
     * @param string $kind
     */
    private function launch(\stdClass $user, string $kind): void {
        (new access_store($this->clock))->launch(access::at((int)$this->quiz->id, $this->clock), $kind, (int)$user->id);
    }

    /**
     * Ends the request.
     *
     * @return \stdClass[] the claims of the reports that the tool got by it
     */
    private function tell(): array {
        $this->tool->requests = [];
        access_changes::instance()->tell();
        return array_map(
            static fn(\stdClass $request): \stdClass => lti_bridge::payload(json_decode($request->body)->assertion),
            $this->tool->requests
        );
    }

    /**
     * The tasks that wait.
     *
     * @return report_access[]
     */
    private function waiting(): array {
        return array_values(\core\task\manager::get_adhoc_tasks(report_access::class));
    }

    /**
     * Who is told what, in short.
     *
     * @param \stdClass[] $reports
     * @return array staff: user id => all, names of groups, rights; students: user id => names of groups
     */
    private static function told(array $reports): array {
        $out = ['staff' => [], 'students' => []];
        foreach ($reports as $report) {
            foreach ($report->staff as $person) {
                $out['staff'][$person->user] = [$person->all, array_column($person->groups, 'name'), $person->rights];
            }
            foreach ($report->students as $person) {
                $out['students'][$person->user] = array_column($person->groups, 'name');
            }
        }
        return $out;
    }

    /**
     * A report has the form that the tool takes.
     */
    public function test_the_report(): void {
        groups_add_member($this->groups['B'], $this->teacher);
        groups_remove_member($this->groups['A'], $this->student);
        $reports = $this->tell();
        $this->assertCount(1, $reports);
        $claims = json_decode(json_encode($reports[0]), true);
        $this->assertSame('https://vigil.example/api/v1/access', $this->tool->requests[0]->url);
        $this->assertLessThanOrEqual(2, $this->tool->requests[0]->patience);
        global $CFG;
        $bridge = new lti_bridge();
        $this->assertSame(
            [
                $CFG->wwwroot, $bridge->tool()->clientid, 1795426801, 1795426861, 'access', 3,
                (string)$this->typeid, 'quiz-' . $this->quiz->cmid,
            ],
            [
                $claims['iss'], $claims['aud'], $claims['iat'], $claims['exp'], $claims['token_use'], $claims['vigil'],
                $claims[lti_bridge::CLAIM_LTI . 'deployment_id'], $claims[lti_bridge::CLAIM_LTI . 'resource_link']['id'],
            ]
        );
        $this->assertArrayNotHasKey('sub', $claims);
        $this->assertArrayNotHasKey(lti_bridge::CLAIM_AP . 'attempt_number', $claims);
        $this->assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $claims['jti']);
        $group = fn(string $name): array => ['id' => (string)$this->groups[$name]->id, 'name' => $name];
        $this->assertSame([[
            'user' => (string)$this->teacher->id, 'version' => 1795426801000, 'all' => false,
            'groups' => [$group('A'), $group('B')], 'rights' => ['watch', 'talk', 'time'],
        ]], $claims['staff']);
        $this->assertSame(
            [['user' => (string)$this->student->id, 'version' => 1795426801000, 'groups' => []]],
            $claims['students']
        );
        // The vector that the tool's tests accept has the same members, of the same types.
        $vectors = json_decode(file_get_contents(__DIR__ . '/../fixtures/assertions.json'), true)['rows'];
        $vector = array_column($vectors, 'claims', 'name')['report of groups and rights'];
        $types = static function (array $record): array {
            ksort($record);
            return array_map('gettype', $record);
        };
        foreach (['staff', 'students'] as $kind) {
            $this->assertSame($types($vector[$kind][0]), $types($claims[$kind][0]));
            $this->assertSame($types($vector['staff'][0]['groups'][0]), $types($claims['staff'][0]['groups'][0]));
        }
        $this->assertSame([], $this->tell(), 'told once');
        $this->assertSame([], $this->waiting());
    }

    /**
     * Each kind of change is told.
     *
     * @param string $change
     * @param array|null $staff what is told of the teacher; null: nothing
     * @param array|null $student what is told of the student; null: nothing
     * @dataProvider changes
     */
    #[DataProvider('changes')]
    public function test_changes_are_told(string $change, ?array $staff, ?array $student): void {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/group/lib.php');
        require_once($CFG->dirroot . '/user/lib.php');
        require_once($CFG->dirroot . '/course/lib.php');
        $course = get_course($this->quiz->course);
        $context = \context_course::instance($course->id);
        $role = fn(string $name): int => (int)$DB->get_field('role', 'id', ['shortname' => $name]);
        $instance = $DB->get_record('enrol', ['courseid' => $course->id, 'enrol' => 'manual']);
        $manual = enrol_get_plugin('manual');
        switch ($change) {
            case 'member added':
                groups_add_member($this->groups['B'], $this->teacher);
                break;
            case 'member removed':
                groups_remove_member($this->groups['A'], $this->student);
                break;
            case 'group renamed':
                groups_update_group((object)(['name' => 'Alpha'] + (array)$this->groups['A']));
                break;
            case 'group deleted':
                groups_delete_group($this->groups['A']);
                break;
            case 'grouping':
                $grouping = $this->getDataGenerator()->create_grouping(['courseid' => $course->id]);
                $DB->set_field('course_modules', 'groupingid', $grouping->id, ['id' => $this->quiz->cmid]);
                groups_assign_grouping($grouping->id, $this->groups['B']->id);
                break;
            case 'role given':
                role_assign($role('editingteacher'), $this->teacher->id, $context);
                break;
            case 'role taken':
                role_unassign($role('teacher'), $this->teacher->id, $context->id);
                break;
            case 'role of the category':
                role_assign($role('manager'), $this->teacher->id, \context_coursecat::instance($course->category));
                break;
            case 'quiz frozen':
                set_config('contextlocking', 1);
                \context_module::instance($this->quiz->cmid)->set_locked(true);
                break;
            case 'course moved to a category':
                $category = $this->getDataGenerator()->create_category();
                role_assign($role('manager'), $this->teacher->id, \context_coursecat::instance($category->id));
                $this->tell();
                move_courses([$course->id], $category->id);
                break;
            case 'category moved':
                $category = $this->getDataGenerator()->create_category();
                role_assign($role('manager'), $this->teacher->id, \context_coursecat::instance($category->id));
                $this->tell();
                \core_course_category::get($course->category)->change_parent($category->id);
                break;
            case 'capability taken at the site':
                assign_capability('quizaccess/vigil:talk', CAP_PREVENT, $role('teacher'), \context_system::instance(), true);
                break;
            case 'capability given at the quiz':
                $module = \context_module::instance($this->quiz->cmid);
                assign_capability('moodle/site:accessallgroups', CAP_ALLOW, $role('teacher'), $module);
                break;
            case 'capability inherited again':
                unassign_capability('quizaccess/vigil:time', $role('teacher'), \context_system::instance());
                break;
            case 'enrolment suspended':
                $manual->update_user_enrol($instance, $this->teacher->id, ENROL_USER_SUSPENDED);
                break;
            case 'unenrolled':
                $manual->unenrol_user($instance, $this->teacher->id);
                break;
            case 'enrolment method switched off':
                $manual->update_status($instance, ENROL_INSTANCE_DISABLED);
                break;
            case 'account suspended':
                user_update_user((object)['id' => $this->teacher->id, 'suspended' => 1], false);
                break;
            case 'account deleted':
                delete_user($this->teacher);
                break;
            case 'group mode of the quiz':
                set_coursemodule_groupmode($this->quiz->cmid, VISIBLEGROUPS);
                \core\event\course_module_updated::create_from_cm(get_coursemodule_from_id('quiz', $this->quiz->cmid))->trigger();
                break;
            case 'quiz hidden from who may not see that':
                assign_capability(access::HIDDEN_QUIZ, CAP_PREVENT, $role('teacher'), \context_system::instance(), true);
                $this->tell();
                set_coursemodule_visible($this->quiz->cmid, 0);
                \core\event\course_module_updated::create_from_cm(get_coursemodule_from_id('quiz', $this->quiz->cmid))->trigger();
                break;
            case 'section hidden from who may not see that':
                assign_capability(access::HIDDEN_QUIZ, CAP_PREVENT, $role('teacher'), \context_system::instance(), true);
                $this->tell();
                set_section_visible($course->id, get_fast_modinfo($course)->get_cm($this->quiz->cmid)->sectionnum, 0);
                break;
            case 'quiz restricted to others':
                assign_capability(access::RESTRICTED_QUIZ, CAP_PREVENT, $role('teacher'), \context_system::instance(), true);
                $this->tell();
                $others = \availability_group\condition::get_json($this->groups['B']->id);
                $DB->set_field('course_modules', 'availability', json_encode(\core_availability\tree::get_root_json([$others])), [
                    'id' => $this->quiz->cmid,
                ]);
                rebuild_course_cache($course->id, true);
                \core\event\course_module_updated::create_from_cm(get_coursemodule_from_id('quiz', $this->quiz->cmid))->trigger();
                break;
            case 'capability to see hidden groups':
                $editor = $this->getDataGenerator()->create_and_enrol($course, 'editingteacher');
                groups_update_group((object)(['visibility' => GROUPS_VISIBILITY_MEMBERS] + (array)$this->groups['B']));
                $this->launch($editor, access::STAFF);
                $this->tell();
                assign_capability(access::HIDDEN_GROUPS, CAP_PREVENT, $role('editingteacher'), $context, true);
                $this->assertSame([$editor->id => [true, [], array_keys(access::RIGHTS)]], self::told($this->tell())['staff']);
                break;
            case 'group mode of the course':
                update_course((object)['id' => $course->id, 'groupmode' => NOGROUPS, 'groupmodeforce' => 1]);
                break;
        }
        $told = self::told($this->tell());
        $this->assertSame($staff === null ? [] : [$this->teacher->id => $staff], $told['staff']);
        $this->assertSame($student === null ? [] : [$this->student->id => $student], $told['students']);
        $this->assertSame([], $this->tell());
    }

    /**
     * Kinds of changes.
     *
     * @return array[]
     */
    public static function changes(): array {
        $rights = ['watch', 'talk', 'time'];
        $every = array_keys(access::RIGHTS);
        $rows = [
            ['member added', [false, ['A', 'B'], $rights], null],
            ['member removed', null, []],
            ['group renamed', [false, ['Alpha'], $rights], ['Alpha']],
            ['group deleted', [false, [], $rights], []],
            ['grouping', [false, [], $rights], []],
            ['role given', [true, [], $every], null],
            ['role taken', [false, [], []], null],
            ['role of the category', [true, [], $every], null],
            ['quiz frozen', [false, [], []], null],
            ['course moved to a category', [true, [], $every], null],
            ['category moved', [true, [], $every], null],
            ['capability taken at the site', [false, ['A'], ['watch', 'time']], null],
            ['capability given at the quiz', [true, [], $rights], null],
            ['capability inherited again', [false, ['A'], ['watch', 'talk']], null],
            ['enrolment suspended', [false, [], []], null],
            ['unenrolled', [false, [], []], null],
            ['enrolment method switched off', [false, [], []], null],
            ['account suspended', [false, [], []], null],
            ['account deleted', [false, [], []], null],
            ['quiz hidden from who may not see that', [false, [], []], null],
            ['section hidden from who may not see that', [false, [], []], null],
            ['quiz restricted to others', [false, [], []], null],
            ['capability to see hidden groups', null, null],
            ['group mode of the quiz', [true, [], $rights], null],
            ['group mode of the course', [true, [], $rights], []],
        ];
        return array_combine(array_column($rows, 0), $rows);
    }

    /**
     * An answer to the tool's question may get lost, or the tool not wait for it: what it told of changes is reported all the same,
     * also of what changed without an event.
     */
    public function test_a_question_takes_no_report_away(): void {
        global $DB;
        $ask = fn(): array => (new access_question($this->clock))
            ->answer('quiz-' . $this->quiz->cmid, json_encode(['users' => [(string)$this->teacher->id]]));
        groups_remove_member($this->groups['A'], $this->student);
        $ask();
        $this->assertSame(['staff' => [], 'students' => [$this->student->id => []]], self::told($this->tell()));
        $ask();
        $this->assertSame([], $this->tell());
        $this->clock->bump(1);
        $DB->delete_records('groups_members', ['userid' => $this->teacher->id]);
        $ask();
        $this->assertSame([$this->teacher->id => [false, [], ['watch', 'talk', 'time']]], self::told($this->tell())['staff']);
        $this->assertSame([], $this->tell());
    }

    /**
     * The observers listen to events that there are.
     */
    public function test_the_events_are_there(): void {
        $observers = [];
        require(__DIR__ . '/../../db/events.php');
        foreach ($observers as $observer) {
            $this->assertTrue(class_exists($observer['eventname']), $observer['eventname']);
            $this->assertTrue(is_callable($observer['callback']), $observer['callback']);
        }
    }

    /**
     * What concerns nobody who was told of, or changes nothing for them, is not told.
     */
    public function test_what_concerns_nobody_is_not_told(): void {
        $stranger = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'student');
        groups_add_member($this->groups['A'], $stranger);
        groups_remove_member($this->groups['A'], $this->student);
        groups_add_member($this->groups['A'], $this->student);
        user_update_user((object)['id' => $this->teacher->id, 'city' => 'Bandung'], false);
        $this->assertSame([], $this->tell());
        $this->assertSame([], $this->waiting());
    }

    /**
     * Whoever works in an attempt hears of changes, also if nobody was told of them: the plugin was updated meanwhile.
     */
    public function test_open_attempts_are_told(): void {
        global $DB;
        $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')
            ->create_session($this->quiz, $this->student, $this->typeid);
        $DB->delete_records(access_store::TABLE);
        groups_add_member($this->groups['B'], $this->student);
        $this->assertSame([$this->student->id => ['A', 'B']], self::told($this->tell())['students']);
    }

    /**
     * A change that is rolled back is not told, one that is committed is.
     */
    public function test_transactions(): void {
        global $DB;
        $transaction = $DB->start_delegated_transaction();
        groups_add_member($this->groups['B'], $this->teacher);
        try {
            $transaction->rollback(new \moodle_exception('error'));
        } catch (\moodle_exception $e) {
            $this->assertSame([], $this->tell());
        }
        $transaction = $DB->start_delegated_transaction();
        groups_add_member($this->groups['B'], $this->teacher);
        $this->assertSame([], $this->tell());
        $transaction->allow_commit();
        $this->assertEquals([$this->teacher->id], array_keys(self::told($this->tell())['staff']));
    }

    /**
     * A change of many people is one report for each two hundred.
     */
    public function test_many_people_are_few_reports(): void {
        global $DB;
        $ids = [];
        $rows = [];
        for ($id = 900000; $id < 900449; $id++) {
            $ids[] = (string)$id;
            $rows[] = (object)[
                'quizid' => $this->quiz->id, 'cmid' => $this->quiz->cmid, 'userid' => $id, 'kind' => access::STUDENT,
                'version' => 1, 'digest' => '', 'pending' => 0, 'timetold' => 1795426800,
            ];
        }
        $DB->insert_records(access_store::TABLE, $rows);
        $before = $DB->perf_get_queries();
        access_changes::note('course', (int)$this->quiz->course);
        $reports = $this->tell();
        $this->assertSame([200, 200, 49], array_map(static fn($report) => count($report->students), $reports));
        $this->assertEqualsCanonicalizing($ids, array_merge(...array_map(
            static fn($report) => array_column($report->students, 'user'),
            $reports
        )));
        $this->assertFalse($DB->record_exists(access_store::TABLE, ['pending' => 1]));
        // One for each row that is changed.
        $this->assertLessThan(449 + 80, $DB->perf_get_queries() - $before);
    }

    /**
     * No report is longer than the tool takes, whatever the names; where one person's groups are too long, names are cut.
     */
    public function test_long_names(): void {
        global $DB;
        $many = [];
        for ($i = 0; $i < 200; $i++) {
            $many[] = (object)[
                'courseid' => $this->quiz->course, 'name' => str_repeat('группа ', 30) . $i, 'participation' => 1,
                'idnumber' => '', 'timecreated' => 0, 'timemodified' => 0,
            ];
        }
        $DB->insert_records('groups', $many);
        foreach ($DB->get_fieldset_select('groups', 'id', 'courseid = ?', [$this->quiz->course]) as $id) {
            if (!groups_is_member($id, $this->teacher->id)) {
                $DB->insert_record('groups_members', (object)['groupid' => $id, 'userid' => $this->teacher->id, 'timeadded' => 0]);
            }
        }
        access_changes::note('course', (int)$this->quiz->course);
        $reports = $this->tell();
        $this->assertCount(1, $reports);
        $this->assertLessThan(60000, strlen(json_decode($this->tool->requests[0]->body)->assertion));
        $this->assertCount(202, $reports[0]->staff[0]->groups);
        $this->assertSame('группа гру', end($reports[0]->staff[0]->groups)->name);
        $this->assertSame([], $this->tell());

        // The whole names are of a later version, and those that are cut of one that nothing else has.
        $told = $reports[0]->staff[0]->version;
        $question = new access_question(\core\di::get(\core\clock::class));
        $body = json_encode(['users' => [(string)$this->teacher->id]]);
        $whole = $question->answer('quiz-' . $this->quiz->cmid, $body)['staff'][0];
        $this->assertGreaterThan(100, mb_strlen(end($whole['groups'])['name']));
        $this->assertSame($told + 1, $whole['version']);
        groups_remove_member(array_key_first(groups_get_all_groups($this->quiz->course)), $this->teacher->id);
        $this->assertGreaterThan($whole['version'], $this->tell()[0]->staff[0]->version);
    }

    /**
     * A tool that does not take a report gets it by a task, with what there is to tell by then.
     */
    public function test_a_report_that_fails_is_made_by_a_task(): void {
        $this->tool->answer = new answer(0, '', 'timed out');
        groups_add_member($this->groups['B'], $this->teacher);
        $this->assertCount(1, $this->tell());
        groups_add_member($this->groups['B'], $this->student);
        $this->tell();
        $this->assertCount(1, $this->waiting(), 'one task for what changes at one time');
        $this->assertEquals($this->clock->time() - 1 + 10, $this->waiting()[0]->get_next_run_time());
        try {
            $this->waiting()[0]->execute();
            $this->fail('the tool is still away');
        } catch (\moodle_exception $e) {
            $this->assertSame('erroraccessnottold', $e->errorcode);
        }
        $this->tool->answer = new answer(200, '{"taken":2}');
        $this->tool->requests = [];
        $this->waiting()[0]->execute();
        $this->assertCount(1, $this->tool->requests);
        $claims = lti_bridge::payload(json_decode($this->tool->requests[0]->body)->assertion);
        $this->assertSame(
            ['staff' => [$this->teacher->id => [false, ['A', 'B'], ['watch', 'talk', 'time']]],
                'students' => [$this->student->id => ['A', 'B']]],
            self::told([$claims])
        );
        $this->tool->requests = [];
        $this->waiting()[0]->execute();
        $this->assertSame([], $this->tool->requests);
    }

    /**
     * A launch does not stand for a report that was not taken: the browser may never arrive.
     */
    public function test_a_launch_is_no_report(): void {
        $this->tool->answer = new answer(0, '', 'timed out');
        groups_remove_member($this->groups['A'], $this->teacher);
        $this->tell();
        $this->launch($this->teacher, access::STAFF);
        $this->tool->answer = new answer(200, '{"taken":1}');
        $this->tool->requests = [];
        $this->waiting()[0]->execute();
        $this->assertCount(1, $this->tool->requests);
    }

    /**
     * Which answers say that there is nothing more to do.
     *
     * @param answer $answer
     * @param bool $taken
     * @dataProvider answers
     */
    #[DataProvider('answers')]
    public function test_answers(answer $answer, bool $taken): void {
        $this->tool->answer = $answer;
        groups_add_member($this->groups['B'], $this->teacher);
        $this->tell();
        $this->assertCount($taken ? 0 : 1, $this->waiting());
        access_changes::note('course', (int)$this->quiz->course);
        $this->assertCount($taken ? 0 : 1, $this->tell());
    }

    /**
     * Answers of the tool.
     *
     * @return array[]
     */
    public static function answers(): array {
        return [
            'taken' => [new answer(200, '{"taken":1}'), true],
            'knows no such quiz' => [new answer(404, '{"code":"not_found"}'), true],
            'knows no such reports' => [new answer(404, '<html>'), true],
            'refused' => [new answer(401, '{"code":"unauthorized"}'), false],
            'overloaded' => [new answer(503, '{"code":"unavailable"}'), false],
            'away' => [new answer(0, '', 'timed out'), false],
        ];
    }

    /**
     * Without a tool that is active nobody is asked, and nothing is queued.
     */
    public function test_without_a_tool(): void {
        global $DB;
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_PENDING, ['id' => $this->typeid]);
        groups_add_member($this->groups['B'], $this->teacher);
        $this->assertSame([], $this->tell());
        $this->assertSame([], $this->waiting());
    }
}
