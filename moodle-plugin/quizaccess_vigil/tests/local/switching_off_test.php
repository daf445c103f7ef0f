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

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once($CFG->dirroot . '/mod/quiz/accessrule/vigil/rule.php');

/**
 * Proctoring that is switched off while students work.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\switching_off
 */
#[CoversClass(\quizaccess_vigil\local\switching_off::class)]
final class switching_off_test extends \advanced_testcase {
    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var \stdClass the student */
    private \stdClass $student;

    /** @var \stdClass the session */
    private \stdClass $session;

    /** @var \frozen_clock the clock */
    private $clock;

    /** @var int the tool */
    private int $typeid;

    /**
     * An attempt at a proctored quiz.
     *
     * @param array $fields of the quiz
     */
    private function begin(array $fields = ['timelimit' => 3600]): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $this->typeid = $generator->create_tool();
        [$this->quiz, $this->student] = $generator->create_quiz($fields);
        $this->session = $generator->create_session($this->quiz, $this->student, $this->typeid);
    }

    /**
     * Asks for something, as the tool does.
     *
     * @param string $action
     * @param string $id
     * @param int $minutes
     * @return array
     */
    private function ask(string $action, string $id, int $minutes = 0): array {
        return (new control($this->clock))->handle($this->typeid, json_encode([
            'user' => ['sub' => (string)$this->student->id], 'resource_link' => ['id' => 'quiz-' . $this->quiz->cmid],
            'attempt_number' => 1, 'action' => $action, 'request_id' => $id, 'extra_time' => $minutes,
            'incident_time' => '2026-11-28T09:00:00Z', 'reason_msg' => 'because',
        ]));
    }

    /**
     * The session as it is stored.
     *
     * @return \stdClass
     */
    private function stored(): \stdClass {
        global $DB;
        return $DB->get_record(session_store::TABLE, ['id' => $this->session->id], '*', MUST_EXIST);
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
     * The teacher saves the quiz's settings.
     *
     * @param int $enabled
     */
    private function switch_to(int $enabled): void {
        \quizaccess_vigil::save_settings((object)['id' => $this->quiz->id, 'vigil_enabled' => $enabled]);
    }

    /**
     * The student hands in.
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
     * Lets the task of a session run, with an answer of the tool.
     *
     * @param int $status
     * @param string $answer
     * @return string[] error codes, if it is to be tried again
     */
    private function work_off(int $status, string $answer): array {
        global $CFG;
        require_once($CFG->libdir . '/filelib.php');
        $this->assertCount(1, \core\task\manager::get_adhoc_tasks('\quizaccess_vigil\task\report_end'));
        \curl::mock_response($answer);
        try {
            (new ending($this->clock))->work_off((int)$this->session->id);
        } catch (\moodle_exception $e) {
            return [$e->errorcode];
        }
        return [];
    }

    /**
     * A paused student goes on at once, with the time of the pause and what was granted, and without any parking time.
     */
    public function test_a_paused_attempt_goes_on(): void {
        $this->begin();
        $this->ask('update', 'u1', 10);
        $this->ask('pause', 'p1');
        $this->clock->bump(300);
        $this->switch_to(0);
        $session = $this->stored();
        $this->assertEquals(
            ['off', 'switched_off', 0, 300, 10, null, $this->clock->time(), 0],
            [$session->state, $session->outcome, $session->pausedat, $session->returned, $session->extraminutes, $session->reason,
                $session->timeended, $session->endtold]
        );
        $this->assertEquals(3600 + 600 + 300, $this->override()->timelimit);
        $this->assertEquals($this->attempt()->timestart + 4500, $this->attempt()->timecheckstate);
        $this->assertSame('inprogress', $this->attempt()->state);
        $this->assertCount(1, \core\task\manager::get_adhoc_tasks('\quizaccess_vigil\task\report_end'));
    }

    /**
     * Nothing keeps the student out, and answers are taken; the waiting page and the tokens know.
     */
    public function test_nothing_is_in_the_students_way(): void {
        $this->begin();
        $this->setUser($this->student);
        $store = new session_store($this->clock);
        $store->check_in($this->session);
        $this->ask('pause', 'p1');
        $this->clock->bump(300);
        $this->setAdminUser();
        $this->switch_to(0);
        $this->setUser($this->student);
        $quizobj = \mod_quiz\quiz_settings::create($this->quiz->id, $this->student->id);
        $this->assertNull(\quizaccess_vigil::make($quizobj, $this->clock->time(), false));
        $this->assertFalse(attempt_pages::prevented($quizobj));
        $this->assertSame('', save_guard::refusal($this->stored(), 'inprogress', $this->clock->time()));
        $own = own_attempt::find((int)$this->session->attemptid);
        $this->assertSame(['running', false], [$own->status(), $own->is_proctored()]);
        $this->assertSame(
            ['status' => 'running', 'end' => (int)$this->attempt()->timestart + 3900, 'now' => $this->clock->time(),
                'proctored' => false],
            \quizaccess_vigil\external\get_attempt_status::execute((int)$this->session->attemptid)
        );
        $this->expectExceptionMessage(get_string('errorswitchedoff', 'quizaccess_vigil'));
        \quizaccess_vigil\external\get_socket_token::execute((int)$this->session->attemptid);
    }

    /**
     * A student at work is not accused of anything: the tool is told that nobody is watched any more.
     */
    public function test_the_tool_is_told(): void {
        $this->begin();
        $this->switch_to(0);
        $this->assertSame([], $this->work_off(200, '{"session":"x","state":"stopped"}'));
    }

    /**
     * The end is reported when it comes, with its own outcome, and the teacher's own override is there again.
     */
    public function test_the_end_is_reported_later(): void {
        global $DB;
        $this->begin();
        \mod_quiz\quiz_settings::create($this->quiz->id)->get_override_manager()
            ->save_override(['userid' => $this->student->id, 'timelimit' => 5400]);
        $this->ask('update', 'u1', 10);
        $this->switch_to(0);
        $this->assertEquals(6000, $this->override()->timelimit);
        $DB->set_field(session_store::TABLE, 'endtold', 5, ['id' => $this->session->id]);
        $this->clock->bump(60);
        $this->hand_in();
        $session = $this->stored();
        $this->assertEquals(
            ['ended', 'submitted', $this->clock->time(), 0],
            [$session->state, $session->outcome, $session->timeended, $session->endtold]
        );
        (new ending($this->clock))->restore_overrides((int)$this->quiz->id, (int)$this->student->id);
        $this->assertEquals(5400, $this->override()->timelimit);
    }

    /**
     * An attempt that ends before the tool has heard of the switch-off: both are told, the switch-off with its own time, and
     * nothing that is told of it counts as the report of the end.
     */
    public function test_an_end_does_not_hide_the_switch_off(): void {
        $this->begin();
        $off = $this->clock->time();
        $this->switch_to(0);
        $this->clock->bump(60);
        $this->hand_in();
        $tasks = array_values(array_map(
            fn($task) => (int)$task->get_custom_data()->off,
            \core\task\manager::get_adhoc_tasks('\quizaccess_vigil\task\report_end')
        ));
        $this->assertSame([$off, 0], $tasks);
        $ending = new ending($this->clock);
        \curl::mock_response('{"session":"x","state":"stopped"}');
        $ending->work_off((int)$this->session->id, $off);
        $session = $this->stored();
        $this->assertEquals(
            ['ended', 'submitted', $off + 60, 0],
            [$session->state, $session->outcome, $session->timeended, $session->endtold]
        );
        \curl::mock_response('{"session":"x","state":"submitted"}');
        $ending->work_off((int)$this->session->id);
        $this->assertGreaterThan(0, $this->stored()->endtold);
    }

    /**
     * An attempt that goes without a word after it was switched off is found as well.
     */
    public function test_a_silent_end_is_found(): void {
        global $DB;
        $this->begin();
        $this->switch_to(0);
        $ending = new ending($this->clock);
        $this->assertSame(0, $ending->find_lost());
        $DB->delete_records('quiz_attempts', ['id' => $this->session->attemptid]);
        $this->assertSame(1, $ending->find_lost());
        $this->assertSame(['ended', 'deleted'], [$this->stored()->state, $this->stored()->outcome]);
    }

    /**
     * Which answers end the reports of a session.
     *
     * @param string $state
     * @param int $status
     * @param string $code
     * @param bool $want
     * @dataProvider answers
     */
    #[DataProvider('answers')]
    public function test_when_a_report_was_taken(string $state, int $status, string $code, bool $want): void {
        $this->assertSame($want, ending::is_taken((object)['state' => $state], $status, $code));
    }

    /**
     * Answers.
     *
     * @return array[]
     */
    public static function answers(): array {
        return [
            'taken' => ['off', 200, '', true],
            'unknown attempt' => ['off', 404, 'not_found', true],
            'an older tool does not know the outcome' => ['off', 400, 'invalid', true],
            'the same by its reason' => ['off', 400, 'ended_outcome', true],
            'no trust' => ['off', 401, 'unauthorized', false],
            'a proxy\'s 404' => ['off', 404, '', false],
            'a proxy\'s 400' => ['off', 400, '', false],
            'down' => ['off', 503, 'unavailable', false],
            'no answer' => ['off', 0, '', false],
            'an end that is not understood' => ['ended', 400, 'invalid', false],
            'an end' => ['ended', 204, '', true],
        ];
    }

    /**
     * Switched on again, the student checks in again, and the time that was granted and the teacher's override are still known.
     */
    public function test_switched_on_again(): void {
        $this->begin();
        $this->setUser($this->student);
        $store = new session_store($this->clock);
        $store->check_in($this->session);
        $this->setAdminUser();
        \mod_quiz\quiz_settings::create($this->quiz->id)->get_override_manager()
            ->save_override(['userid' => $this->student->id, 'timelimit' => 5400]);
        $this->ask('update', 'u1', 10);
        $this->switch_to(0);
        $this->switch_to(1);
        $this->setUser($this->student);
        $rule = fn() => \quizaccess_vigil::make(
            \mod_quiz\quiz_settings::create($this->quiz->id, $this->student->id),
            $this->clock->time(),
            false
        );
        $this->assertTrue($rule()->is_preflight_check_required($this->session->attemptid));
        $store->open((object)[
            'quizid' => $this->quiz->id, 'userid' => $this->student->id, 'attempt' => 1, 'cmid' => $this->quiz->cmid,
            'typeid' => $this->typeid, 'endreturn' => 0,
        ]);
        $this->assertTrue($rule()->is_preflight_check_required($this->session->attemptid), 'the old check-in counts');
        $session = $this->stored();
        $store->check_in($session);
        $this->assertFalse($rule()->is_preflight_check_required($this->session->attemptid));
        $this->assertEquals(
            ['open', null, 10, 0, $this->session->attemptid],
            [$session->state, $session->outcome, $session->extraminutes, $session->timeended, $session->attemptid]
        );
        $this->assertSame(['u1'], $store->requests((int)$session->id));
        $this->setAdminUser();
        $this->assertSame('before', $this->ask('update', 'u1', 10)['applied']);
        $this->assertSame(15, $this->ask('update', 'u2', 5)['extra_time']);
        $this->assertEquals(5400 + 900, $this->override()->timelimit);
        $this->hand_in();
        (new ending($this->clock))->restore_overrides((int)$this->quiz->id, (int)$this->student->id);
        $this->assertEquals(5400, $this->override()->timelimit);
        // Nothing is reported of what was switched off once it is on again.
        $this->assertSame('submitted', $this->stored()->outcome);
    }

    /**
     * A quiz that was switched off in another way than its form is found by the clean-up; others are left alone.
     */
    public function test_the_clean_up_finds_them(): void {
        global $DB;
        $this->begin();
        [$other, $stranger] = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_quiz();
        $elsewhere = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')
            ->create_session($other, $stranger, $this->typeid);
        $off = new switching_off($this->clock);
        $this->assertSame(0, $off->sweep());
        $DB->delete_records('quizaccess_vigil', ['quizid' => $this->quiz->id]);
        $this->assertSame(1, $off->sweep());
        $this->assertSame('off', $this->stored()->state);
        $this->assertSame('open', $DB->get_field(session_store::TABLE, 'state', ['id' => $elsewhere->id]));
        $this->assertSame(0, $off->sweep());
    }

    /**
     * A student whose answers are being saved at that moment is left to the clean-up, and does not keep the teacher from saving.
     */
    public function test_a_busy_student_comes_later(): void {
        global $CFG;
        $this->begin();
        $CFG->lock_factory = '\\core\\lock\\file_lock_factory';
        $lock = locks::take((int)$this->quiz->id, (int)$this->student->id);
        $this->switch_to(0);
        $lock->release();
        $this->assertDebuggingCalled();
        $this->assertSame('open', $this->stored()->state);
        $this->assertSame(1, (new switching_off($this->clock))->sweep());
    }

    /**
     * What has ended stays as it was, and what a proctor ended stays ended.
     */
    public function test_ended_attempts_stay_ended(): void {
        $this->begin();
        $this->ask('terminate', 't1');
        $before = $this->stored();
        $this->switch_to(0);
        $this->assertEquals($before, $this->stored());
    }

    /**
     * A student who comes back from the check-in of a quiz that is not proctored any more is let in.
     */
    public function test_back_from_the_check_in(): void {
        $this->begin();
        $launches = new launch_store($this->clock);
        $launch = fn(int $attemptid): string => $launches->answered($launches->begin([
            'kind' => 'start', 'typeid' => $this->typeid, 'quizid' => $this->quiz->id, 'cmid' => $this->quiz->cmid,
            'userid' => $this->student->id, 'attempt' => 1, 'attemptid' => $attemptid,
        ]), false);
        $this->switch_to(0);
        $this->setUser($this->student);
        $quizobj = \mod_quiz\quiz_settings::create($this->quiz->id, $this->student->id);
        $before = $this->stored();
        $url = starter::instance()->go_on($launch((int)$this->session->attemptid), $quizobj);
        $this->assertStringContainsString('/mod/quiz/attempt.php?attempt=' . $this->session->attemptid, $url->out(false));
        $this->assertStringContainsString('/mod/quiz/view.php', starter::instance()->go_on($launch(0), $quizobj)->out(false));
        $this->assertEquals($before, $this->stored());
    }

    /**
     * The settings form says how many work at the moment.
     */
    public function test_how_many_work(): void {
        $this->begin();
        $store = new session_store($this->clock);
        $this->assertSame(1, $store->count_open((int)$this->quiz->id));
        $this->hand_in();
        $this->assertSame(0, $store->count_open((int)$this->quiz->id));
    }
}
