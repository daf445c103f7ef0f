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
            (int)$this->attempt()->timestart + 3600 + 300,
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
        if ($what === 'marked') {
            $quba = \question_engine::load_questions_usage_by_activity($this->attempt()->uniqueid);
            $quba->manual_grade(1, 'Seen', 1, FORMAT_HTML);
            \question_engine::save_questions_usage_by_activity($quba);
        } else {
            $quizobj = \mod_quiz\quiz_settings::create($this->quiz->id, $this->student->id);
            quiz_prepare_and_start_new_attempt($quizobj, 2, $this->attempt(), false, [], [], $this->student->id);
        }
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
}
