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
 * What the tool's proctors ask for.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\control
 */
#[CoversClass(\quizaccess_vigil\local\control::class)]
final class control_test extends \advanced_testcase {
    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass the student */
    private \stdClass $student;

    /** @var \stdClass the session */
    private \stdClass $session;

    /** @var \core\clock the clock */
    private $clock;

    /** @var int requests that were made */
    private int $made = 0;

    /**
     * A proctored attempt at a quiz.
     *
     * @param array $fields of the quiz
     */
    private function begin(array $fields = ['timelimit' => 3600]): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$this->quiz, $this->student] = $generator->create_quiz($fields);
        $this->session = $generator->create_session($this->quiz, $this->student, 7);
    }

    /**
     * Asks for something.
     *
     * @param string $action
     * @param array $more
     * @param int $typeid
     * @return array
     */
    private function ask(string $action, array $more = [], int $typeid = 7): array {
        global $CFG;
        $this->made++;
        return (new control($this->clock))->handle($typeid, json_encode($more + [
            'user' => ['iss' => $CFG->wwwroot, 'sub' => (string)$this->student->id],
            'resource_link' => ['id' => 'quiz-' . $this->quiz->cmid],
            'attempt_number' => 1, 'action' => $action,
            'incident_time' => sprintf('2026-11-23T09:00:00.%03dZ', $this->made),
            'incident_severity' => '0.60', 'reason_code' => 'vigil', 'reason_msg' => 'because',
        ]));
    }

    /**
     * The attempt as it is stored.
     *
     * @return \stdClass
     */
    private function attempt(): \stdClass {
        global $DB;
        return $DB->get_record('quiz_attempts', ['id' => $this->session->attemptid], '*', MUST_EXIST);
    }

    /**
     * The student's override.
     *
     * @return \stdClass|false
     */
    private function override() {
        global $DB;
        return $DB->get_record('quiz_overrides', ['quiz' => $this->quiz->id, 'userid' => $this->student->id]);
    }

    /**
     * Extra time moves the end by exactly that, and the time at which cron looks.
     */
    public function test_extra_time(): void {
        $this->begin();
        $this->assertSame(['status' => 'running', 'extra_time' => 10], $this->ask('update', ['extra_time' => 10]));
        $this->assertEquals(4200, $this->override()->timelimit);
        $this->assertEquals($this->attempt()->timestart + 4200, $this->attempt()->timecheckstate);
        $this->assertSame(15, $this->ask('update', ['extra_time' => 5])['extra_time']);
        $this->assertEquals(4500, $this->override()->timelimit);
    }

    /**
     * The same request twice gives its time once.
     */
    public function test_a_repeat_gives_nothing_more(): void {
        $this->begin();
        $time = ['incident_time' => '2026-11-23T10:00:00.000Z', 'extra_time' => 10];
        $this->ask('update', $time);
        $this->assertSame(['status' => 'running', 'extra_time' => 10], $this->ask('update', $time));
        $this->assertEquals(4200, $this->override()->timelimit);
    }

    /**
     * A quiz without limit and without close takes extra time, and has no override: core refuses an empty one.
     */
    public function test_extra_time_without_an_end(): void {
        $this->begin(['timelimit' => 0]);
        $this->assertSame(['status' => 'running', 'extra_time' => 10], $this->ask('update', ['extra_time' => 10]));
        $this->assertFalse($this->override());
    }

    /**
     * Limit and close move together, or the limit would be cut at the close.
     */
    public function test_limit_and_close_move_together(): void {
        $close = time() + 1800;
        $this->begin(['timelimit' => 3600, 'timeclose' => $close]);
        $this->ask('update', ['extra_time' => 10]);
        $this->assertEquals($close + 600, $this->override()->timeclose);
        $this->assertEquals(4200, $this->override()->timelimit);
        $this->assertEquals($close + 600, time_grant::end($this->stored(), $this->attempt(), time()));
    }

    /**
     * The session as it is stored.
     *
     * @return \stdClass
     */
    private function stored(): \stdClass {
        return (new session_store($this->clock))->of_attempt((int)$this->session->attemptid);
    }

    /**
     * A pause stops the time, cron included; going on gives it back, once.
     */
    public function test_pause_and_resume(): void {
        $this->begin();
        $this->assertSame('paused', $this->ask('pause')['status']);
        $this->assertEquals(3600 + time_grant::PARKING, $this->override()->timelimit);
        $this->assertGreaterThan(time() + time_grant::PARKING, (int)$this->attempt()->timecheckstate);
        $this->assertSame('because', $this->stored()->reason);
        $this->clock->bump(300);
        $now = $this->clock->time();
        $this->assertSame(
            (int)$this->attempt()->timestart + 3600,
            time_grant::end($this->stored(), $this->attempt(), $now)
        );
        $this->assertSame('paused', $this->ask('pause')['status']);
        $this->assertSame('running', $this->ask('resume')['status']);
        $this->assertEquals(3900, $this->override()->timelimit);
        $this->assertSame('running', $this->ask('resume')['status']);
        $this->assertEquals(3900, $this->override()->timelimit);
        $this->assertEquals(0, $this->stored()->pausedat);
    }

    /**
     * Extra time during a pause counts as well.
     */
    public function test_extra_time_while_paused(): void {
        $this->begin();
        $this->ask('pause');
        $this->assertSame(['status' => 'paused', 'extra_time' => 10], $this->ask('update', ['extra_time' => 10]));
        $this->clock->bump(60);
        $this->ask('resume');
        $this->assertEquals(3600 + 600 + 60, $this->override()->timelimit);
    }

    /**
     * Ended means ended: with a grade, for good, and in the student's name.
     */
    public function test_terminate(): void {
        global $USER;
        $this->begin();
        $sink = $this->redirectEvents();
        $this->assertSame('terminated', $this->ask('terminate')['status']);
        $attempt = $this->attempt();
        $this->assertSame('finished', $attempt->state);
        $this->assertNotNull($attempt->sumgrades);
        $this->assertSame('terminated', $this->ask('pause')['status']);
        $this->assertSame('terminated', $this->ask('update', ['extra_time' => 5])['status']);
        $this->assertFalse($this->override());
        $events = $sink->get_events();
        $submitted = array_values(array_filter($events, fn($e) => $e instanceof \mod_quiz\event\attempt_submitted));
        $this->assertCount(1, $submitted);
        $this->assertEquals($this->student->id, $submitted[0]->userid);
        $ours = array_filter($events, fn($e) => $e instanceof \quizaccess_vigil\event\attempt_terminated);
        $this->assertCount(1, $ours);
        $this->assertEquals(get_admin()->id, $USER->id);
        $this->assertSame('submitted', $this->stored()->outcome);
        // A save whose page was loaded before the end is refused.
        $this->assertSame('errorended', save_guard::refusal($this->stored(), 'inprogress', $this->clock->time()));
    }

    /**
     * A termination that was taken back: the same attempt goes on, with its answers and the time since then, and may end again.
     */
    public function test_resume_opens_a_terminated_attempt_again(): void {
        $this->begin();
        \mod_quiz\quiz_attempt::create($this->session->attemptid)->process_submitted_actions(time(), false, [1 => ['answer' => 1]]);
        $this->ask('pause');
        $this->clock->bump(60);
        $this->ask('terminate');
        $this->clock->bump(240);
        $this->assertSame('running', $this->ask('resume')['status']);
        $attempt = $this->attempt();
        $this->assertEquals(['inprogress', 0, null], [$attempt->state, $attempt->timefinish, $attempt->sumgrades]);
        $this->assertEquals(3900, $this->override()->timelimit);
        $this->assertEquals($attempt->timestart + 3900, $attempt->timecheckstate);
        $this->assertEquals(['open', 0, 0], [$this->stored()->state, $this->stored()->terminated, $this->stored()->pausedat]);
        $question = \mod_quiz\quiz_attempt::create($this->session->attemptid)->get_question_attempt(1);
        $this->assertSame('complete', (string)$question->get_state());
        $this->assertEquals(1, $question->get_last_qt_var('answer'));
        $this->assertSame('running', $this->ask('resume')['status']);
        $this->assertEquals(3900, $this->override()->timelimit);
        $this->assertSame('terminated', $this->ask('terminate')['status']);
        $this->assertEquals(1, $this->attempt()->sumgrades);
    }

    /**
     * What came after the termination stands in the way, and nothing is half-done then.
     *
     * @param string $what
     * @dataProvider afterwards
     */
    #[DataProvider('afterwards')]
    public function test_what_cannot_be_opened_again_stays_as_it_is(string $what): void {
        global $DB;
        $this->preventResetByRollback();
        $this->begin();
        $this->ask('terminate');
        $this->come_afterwards($what);
        $before = [$this->attempt(), $this->stored(), $DB->count_records('question_attempt_steps')];
        try {
            $this->ask('resume');
            $this->fail('it was opened');
        } catch (control_exception $e) {
            $this->assertSame(403, $e->status);
        }
        $this->assertEquals($before, [$this->attempt(), $this->stored(), $DB->count_records('question_attempt_steps')]);
        $this->assertFalse($DB->record_exists('quizaccess_vigil_incident', ['action' => 'resume']));
    }

    /**
     * Lets something happen after an attempt was ended.
     *
     * @param string $what
     */
    private function come_afterwards(string $what): void {
        if ($what === 'marked') {
            $quba = \question_engine::load_questions_usage_by_activity($this->attempt()->uniqueid);
            $quba->manual_grade(1, 'Seen', 1, FORMAT_HTML);
            \question_engine::save_questions_usage_by_activity($quba);
            return;
        }
        $quizobj = \mod_quiz\quiz_settings::create($this->quiz->id, $this->student->id);
        quiz_prepare_and_start_new_attempt($quizobj, 2, $this->attempt(), false, [], [], $this->student->id);
    }

    /**
     * What may have come.
     *
     * @return array[]
     */
    public static function afterwards(): array {
        return ['marks of a teacher' => ['marked'], 'a later attempt' => ['later']];
    }

    /**
     * A flag is kept with what it says, and changes no state.
     */
    public function test_flag(): void {
        global $DB;
        $this->begin();
        $this->assertSame(['status' => 'running', 'extra_time' => 0], $this->ask('flag'));
        $row = $DB->get_record('quizaccess_vigil_incident', []);
        $this->assertSame(['flag', 'vigil', 'because'], [$row->action, $row->code, $row->message]);
        $this->assertEquals(0.6, $row->severity);
    }

    /**
     * An attempt that the student has handed in is complete, whatever is asked.
     */
    public function test_a_submitted_attempt_is_complete(): void {
        $this->begin();
        $attemptobj = \mod_quiz\quiz_attempt::create($this->session->attemptid);
        if (method_exists($attemptobj, 'process_submit')) {
            $attemptobj->process_submit(time(), false);
            $attemptobj->process_grade_submission(time());
        } else {
            $attemptobj->process_finish(time(), false);
        }
        foreach (control_request_test::ACTIONS as $action) {
            $this->assertSame('complete', $this->ask($action, $action === 'update' ? ['extra_time' => 5] : [])['status'], $action);
        }
        $this->assertFalse($this->override());
    }

    /**
     * Another tool's session, another user, quiz or attempt: there is no such attempt.
     */
    public function test_strangers_find_nothing(): void {
        global $CFG;
        $this->begin();
        $other = $this->getDataGenerator()->create_user();
        $cases = [
            fn() => $this->ask('pause', [], 8),
            fn() => $this->ask('pause', ['user' => ['sub' => (string)$other->id]]),
            fn() => $this->ask('pause', ['user' => ['sub' => '1 OR 1=1']]),
            fn() => $this->ask('pause', ['resource_link' => ['id' => 'quiz-999999']]),
            fn() => $this->ask('pause', ['resource_link' => ['id' => (string)$this->quiz->cmid]]),
            fn() => $this->ask('pause', ['attempt_number' => 2]),
        ];
        foreach ($cases as $case) {
            try {
                $case();
                $this->fail('a stranger was served');
            } catch (control_exception $e) {
                $this->assertSame(404, $e->status);
            }
        }
        $this->assertEquals(0, $this->stored()->pausedat);
    }

    /**
     * While the student is at the check-in there is no attempt yet.
     */
    public function test_before_the_attempt_the_status_is_none(): void {
        $this->begin();
        (new launch_store($this->clock))->begin([
            'kind' => 'start', 'typeid' => 7, 'quizid' => $this->quiz->id, 'cmid' => $this->quiz->cmid,
            'userid' => $this->student->id, 'attempt' => 2,
        ]);
        $this->assertSame(['status' => 'none', 'extra_time' => 0], $this->ask('flag', ['attempt_number' => 2]));
    }

    /**
     * The table as docs/assertion.md of the tool's repository has it.
     */
    private const DOCUMENTED = <<<'END'
        | action | not_begun | running | paused | ended | terminated | deleted | switched_off |
        | pause | no not_begun | now | before | no ended | no ended | no gone | no switched_off |
        | resume | no not_begun | before | now | no ended | now | no gone | no switched_off |
        | terminate | no not_begun | now | now | no ended | before | no gone | no switched_off |
        | update | no not_begun | now | now | no ended | no ended | no gone | no switched_off |
        | flag | no not_begun | now | now | now | now | no gone | now |
        END;

    /**
     * The table is the documented one.
     */
    public function test_the_table_is_the_documented_one(): void {
        $rows = array_map(
            static fn($line) => array_map('trim', explode('|', trim($line, " |\t"))),
            explode("\n", self::DOCUMENTED)
        );
        $states = array_slice(array_shift($rows), 1);
        $this->assertSame(control_table::STATES, $states);
        $this->assertEqualsCanonicalizing(lti_bridge::ACTIONS, array_keys(control_table::ANSWERS));
        foreach ($rows as $row) {
            $action = array_shift($row);
            $answers = array_map(static fn($cell) => preg_replace('/^no /', '', $cell), array_combine($states, $row));
            $this->assertSame($answers, control_table::ANSWERS[$action], $action);
        }
    }

    /**
     * The cells of the table.
     *
     * @return array[]
     */
    public static function cells(): array {
        $cells = [];
        foreach (control_table::ANSWERS as $action => $answers) {
            foreach ($answers as $state => $answer) {
                $cells["{$action}, {$state}"] = [$action, $state, $answer];
            }
        }
        return $cells;
    }

    /**
     * Brings the attempt into a state.
     *
     * @param string $state
     */
    private function stand(string $state): void {
        global $DB;
        switch ($state) {
            case 'not_begun':
                $quiz = $DB->get_record('quiz', ['id' => $this->quiz->id]);
                $quiz->cmid = $this->quiz->cmid;
                quiz_delete_attempt($this->attempt(), $quiz);
                $this->clock->bump(1);
                (new launch_store($this->clock))->begin([
                    'kind' => 'start', 'typeid' => 7, 'quizid' => $this->quiz->id, 'cmid' => $this->quiz->cmid,
                    'userid' => $this->student->id, 'attempt' => 1,
                ]);
                break;
            case 'paused':
                $this->ask('pause', ['request_id' => 'before-paused']);
                break;
            case 'ended':
                $this->hand_in();
                break;
            case 'terminated':
                $this->ask('terminate', ['request_id' => 'before-terminated']);
                break;
            case 'deleted':
                $quiz = $DB->get_record('quiz', ['id' => $this->quiz->id]);
                $quiz->cmid = $this->quiz->cmid;
                quiz_delete_attempt($this->attempt(), $quiz);
                break;
            case 'switched_off':
                \quizaccess_vigil::save_settings((object)['id' => $this->quiz->id, 'vigil_enabled' => 0]);
                break;
        }
        $this->clock->bump(10);
    }

    /**
     * The student hands the attempt in.
     */
    private function hand_in(): void {
        $attemptobj = \mod_quiz\quiz_attempt::create($this->session->attemptid);
        if (method_exists($attemptobj, 'process_submit')) {
            $attemptobj->process_submit($this->clock->time(), false);
            $attemptobj->process_grade_submission($this->clock->time());
        } else {
            $attemptobj->process_finish($this->clock->time(), false);
        }
    }

    /**
     * All that a request may change.
     *
     * @return array
     */
    private function all(): array {
        global $DB;
        $session = $DB->get_record(session_store::TABLE, ['id' => $this->session->id]);
        return [$session, $DB->get_records('quiz_attempts'), $DB->get_records('quiz_overrides'),
            $DB->count_records('question_attempt_steps')];
    }

    /**
     * Each cell of the table: the answer, what it does, and that a repeat does nothing more.
     *
     * @param string $action
     * @param string $state
     * @param string $answer
     * @dataProvider cells
     */
    #[DataProvider('cells')]
    public function test_a_cell_of_the_table(string $action, string $state, string $answer): void {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/mod/quiz/accessrule/vigil/rule.php');
        $this->begin();
        $this->stand($state);
        $before = $this->all();
        $noted = $DB->count_records('quizaccess_vigil_incident');
        $request = ['request_id' => 'r1', 'extra_time' => $action === 'update' ? 10 : 0];
        $got = $this->ask($action, $request);
        $this->assertEquals(control_table::members($answer), array_diff_key($got, ['status' => 0, 'extra_time' => 0]));
        if ($answer !== 'now') {
            $this->assertEquals($before, $this->all());
            $this->assertSame($noted + (int)($answer === 'before'), $DB->count_records('quizaccess_vigil_incident'));
        } else {
            $this->assertSame($noted + 1, $DB->count_records('quizaccess_vigil_incident'));
            $statuses = ['pause' => 'paused', 'resume' => 'running', 'terminate' => 'terminated'];
            if (isset($statuses[$action])) {
                $this->assertSame($statuses[$action], $got['status']);
            }
            $this->assertSame($action === 'update' ? 10 : 0, $got['extra_time']);
            if ($action === 'flag') {
                $this->assertEquals($before, $this->all());
            }
        }
        // Another attempt at telling us has another time.
        $this->clock->bump(30);
        $before = $this->all();
        $again = $this->ask($action, $request);
        $this->assertSame(in_array($answer, ['now', 'before'], true) ? 'before' : 'no', $again['applied']);
        $this->assertEquals($before, $this->all());
        // A tool that does not name its requests is answered as ever.
        $this->assertSame(['status', 'extra_time'], array_keys($this->ask('flag')));
    }

    /**
     * A request that was done is known again, whatever became of the attempt meanwhile.
     *
     * @param string $state
     * @dataProvider states
     */
    #[DataProvider('states')]
    public function test_a_repeat_is_known_in_every_state(string $state): void {
        global $CFG;
        require_once($CFG->dirroot . '/mod/quiz/accessrule/vigil/rule.php');
        $this->begin();
        $this->assertSame('now', $this->ask('update', ['request_id' => 'r1', 'extra_time' => 5])['applied']);
        $this->stand($state);
        $before = $this->all();
        $this->assertSame('before', $this->ask('update', ['request_id' => 'r1', 'extra_time' => 5])['applied']);
        $this->assertEquals($before, $this->all());
    }

    /**
     * States that a begun attempt may be in.
     *
     * @return array[]
     */
    public static function states(): array {
        return array_map(static fn($state) => [$state], array_combine(control_table::STATES, control_table::STATES));
    }

    /**
     * What was answered with "before" because it stood like that is not done by a late copy either.
     */
    public function test_a_late_copy_does_nothing(): void {
        $this->begin();
        $this->assertSame('before', $this->ask('resume', ['request_id' => 'r1'])['applied']);
        $this->assertSame('now', $this->ask('pause', ['request_id' => 'p1'])['applied']);
        $this->assertSame(['paused', 'before'], array_values(array_diff_key(
            $this->ask('resume', ['request_id' => 'r1']),
            ['extra_time' => 0]
        )));
        $this->assertSame('now', $this->ask('resume', ['request_id' => 'r2'])['applied']);
        $this->assertSame(['r1', 'r2'], (new session_store($this->clock))->requests((int)$this->session->id));
    }

    /**
     * Two requests with names of their own are two, though somebody made them at the same moment.
     */
    public function test_names_count_and_not_times(): void {
        $this->begin();
        $time = ['incident_time' => '2026-11-28T10:00:00.000Z', 'extra_time' => 10];
        $this->assertSame(10, $this->ask('update', $time + ['request_id' => 'r1'])['extra_time']);
        $this->assertSame(20, $this->ask('update', $time + ['request_id' => 'r2'])['extra_time']);
        $this->assertSame(20, $this->ask('update', $time)['extra_time']);
        $this->assertSame(['r1', 'r2'], (new session_store($this->clock))->requests((int)$this->session->id));
    }

    /**
     * A request that was done before requests had names is known by its time, and has its name from then on.
     */
    public function test_a_request_from_before_the_upgrade_gets_its_name(): void {
        $this->begin();
        $time = ['incident_time' => '2026-11-28T10:00:00.000Z', 'extra_time' => 10];
        $this->ask('update', $time);
        $got = $this->ask('update', $time + ['request_id' => 'r1']);
        $this->assertSame(['before', 10], [$got['applied'], $got['extra_time']]);
        $this->assertSame(['r1'], (new session_store($this->clock))->requests((int)$this->session->id));
    }

    /**
     * Extra time for an attempt that has no end changes nothing, and says so.
     */
    public function test_named_extra_time_without_an_end(): void {
        global $DB;
        $this->begin(['timelimit' => 0]);
        $before = $this->all();
        $this->assertSame(
            ['status' => 'running', 'extra_time' => 0, 'applied' => 'no', 'reason' => 'no_end'],
            $this->ask('update', ['extra_time' => 10, 'request_id' => 'r1'])
        );
        $this->assertEquals($before, $this->all());
        $this->assertSame(0, $DB->count_records('quizaccess_vigil_incident'));
        // The teacher gives the quiz an end: asked again, it is done.
        $DB->set_field('quiz', 'timelimit', 3600, ['id' => $this->quiz->id]);
        $this->assertSame('now', $this->ask('update', ['extra_time' => 10, 'request_id' => 'r1'])['applied']);
        $this->assertEquals(4200, $this->override()->timelimit);
    }

    /**
     * No minutes are given at once.
     */
    public function test_no_minutes_are_given_before(): void {
        $this->begin();
        $this->assertSame('before', $this->ask('update', ['extra_time' => 0, 'request_id' => 'r1'])['applied']);
        $this->assertFalse($this->override());
    }

    /**
     * What stands in the way of opening an attempt again is said, and nothing is half-done.
     *
     * @param string $what
     * @dataProvider afterwards
     */
    #[DataProvider('afterwards')]
    public function test_a_named_request_that_cannot_open_again(string $what): void {
        $this->preventResetByRollback();
        $this->begin();
        $this->ask('terminate');
        $this->come_afterwards($what);
        $before = $this->all();
        $this->assertSame(
            ['status' => 'terminated', 'extra_time' => 0, 'applied' => 'no', 'reason' => 'cannot_reopen'],
            $this->ask('resume', ['request_id' => 'r1'])
        );
        $this->assertEquals($before, $this->all());
        $this->assertSame([], (new session_store($this->clock))->requests((int)$this->session->id));
    }

    /**
     * Gives the student an override that opens the quiz after it has closed: whoever made it did not see the end.
     *
     * @param int $timeopen
     */
    private function open_late(int $timeopen): void {
        global $DB;
        $row = $this->override();
        if ($row) {
            $DB->set_field('quiz_overrides', 'timeopen', $timeopen, ['id' => $row->id]);
        } else {
            $DB->insert_record('quiz_overrides', (object)[
                'quiz' => $this->quiz->id, 'userid' => $this->student->id, 'timeopen' => $timeopen, 'attempts' => 3,
            ]);
        }
        (new \mod_quiz\local\override_cache($this->quiz->id))->clear_for($this->student->id);
    }

    /**
     * Times that core refuses: nothing of the request is done, and it says so. A tool that does not name its requests gets an
     * error.
     */
    public function test_what_core_refuses(): void {
        $this->preventResetByRollback();
        $this->begin(['timelimit' => 0, 'timeclose' => time() + 1800]);
        $this->open_late(time() + 86400);
        $before = $this->all();
        $this->assertSame(
            ['status' => 'running', 'extra_time' => 0, 'applied' => 'no', 'reason' => 'override'],
            $this->ask('update', ['extra_time' => 10, 'request_id' => 'r1'])
        );
        $this->assertEquals($before, $this->all());
        $this->assertSame([], (new session_store($this->clock))->requests((int)$this->session->id));
        try {
            $this->ask('update', ['extra_time' => 10]);
            $this->fail('it was done');
        } catch (control_exception $e) {
            $this->assertSame(403, $e->status);
        }
        $this->assertEquals($before, $this->all());
    }

    /**
     * A student is never kept paused by times that contradict each other, and the time is put right when they do not any more.
     */
    public function test_a_refused_override_keeps_nobody_paused(): void {
        $close = time() + 1800;
        $this->begin(['timelimit' => 0, 'timeclose' => $close]);
        $this->ask('pause', ['request_id' => 'p1']);
        $this->open_late($close + 3600);
        $this->clock->bump(300);
        $got = $this->ask('resume', ['request_id' => 'r1']);
        $this->assertDebuggingCalled();
        $this->assertSame(['running', 'now'], [$got['status'], $got['applied']]);
        $this->assertEquals($close + time_grant::PARKING, $this->override()->timeclose);
        $this->assertTrue(time_grant::is_stale($this->stored()));
        $this->open_late(0);
        (new rescue($this->clock))->sweep();
        $this->assertEquals($close + 300, $this->override()->timeclose);
        $this->assertFalse(time_grant::is_stale($this->stored()));
    }

    /**
     * The attempt of a deleted quiz is gone, for whoever knew it; a stranger's and an unnamed request find nothing.
     */
    public function test_an_attempt_of_a_deleted_quiz_is_gone(): void {
        global $DB;
        $this->begin();
        $DB->delete_records('course_modules', ['id' => $this->quiz->cmid]);
        $DB->delete_records('quiz', ['id' => $this->quiz->id]);
        $DB->delete_records('quiz_attempts', ['id' => $this->session->attemptid]);
        $this->assertSame(
            ['status' => 'none', 'extra_time' => 0, 'applied' => 'no', 'reason' => 'gone'],
            $this->ask('pause', ['request_id' => 'r1'])
        );
        foreach ([[['request_id' => 'r2'], 8], [[], 7]] as [$more, $typeid]) {
            try {
                $this->ask('pause', $more, $typeid);
                $this->fail('it was found');
            } catch (control_exception $e) {
                $this->assertSame(404, $e->status);
            }
        }
    }

    /**
     * A student who has left the course works in no attempt, whatever its row says.
     */
    public function test_an_unenrolled_students_attempt_has_ended(): void {
        global $DB;
        $this->begin();
        $DB->update_record(session_store::TABLE, (object)[
            'id' => $this->session->id, 'state' => 'ended', 'outcome' => 'abandoned',
        ]);
        $this->assertSame(
            ['status' => 'complete', 'extra_time' => 0, 'applied' => 'no', 'reason' => 'ended'],
            $this->ask('pause', ['request_id' => 'r1'])
        );
    }

    /**
     * A quiz that was switched off without a word to us (in the database, by another plugin) is not controlled either.
     */
    public function test_a_quiz_that_was_switched_off_in_silence(): void {
        global $DB;
        $this->begin();
        $this->ask('pause', ['request_id' => 'p1']);
        $DB->set_field('quizaccess_vigil', 'enabled', 0, ['quizid' => $this->quiz->id]);
        $this->assertSame(
            ['status' => 'running', 'extra_time' => 0, 'applied' => 'no', 'reason' => 'switched_off'],
            $this->ask('resume', ['request_id' => 'r1'])
        );
        $this->assertSame('off', $this->stored()->state);
    }
}
