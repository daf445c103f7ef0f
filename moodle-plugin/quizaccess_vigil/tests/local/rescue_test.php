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
 * Pauses that nobody could end any more.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\rescue
 */
#[CoversClass(\quizaccess_vigil\local\rescue::class)]
final class rescue_test extends \advanced_testcase {
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
     * While the tool can let the student go on, a pause is a pause.
     */
    public function test_a_pause_is_left_alone(): void {
        $this->begin();
        $this->ask('pause', 'p1');
        $this->clock->bump(600);
        $before = [$this->stored(), $this->override()];
        (new rescue($this->clock))->sweep();
        $this->assertEquals($before, [$this->stored(), $this->override()]);
    }

    /**
     * Ways in which a tool cannot let anybody go on any more.
     *
     * @return array[]
     */
    public static function ways(): array {
        return ['deleted' => ['deleted'], 'not active' => ['inactive'], 'another one was chosen' => ['other'], 'none' => ['none']];
    }

    /**
     * A student whose tool is gone goes on, with the time of the pause.
     *
     * @param string $way
     * @dataProvider ways
     */
    #[DataProvider('ways')]
    public function test_a_tool_that_is_gone_keeps_nobody_paused(string $way): void {
        global $DB;
        $this->begin();
        $this->ask('pause', 'p1');
        $this->clock->bump(600);
        match ($way) {
            'deleted' => lti_delete_type($this->typeid),
            'inactive' => $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_REJECTED, ['id' => $this->typeid]),
            'other' => $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_tool(),
            'none' => set_config('typeid', 0, 'quizaccess_vigil'),
        };
        $sink = $this->redirectEvents();
        (new rescue($this->clock))->sweep();
        $this->assertEquals(['open', 0, 600], [$this->stored()->state, $this->stored()->pausedat, $this->stored()->returned]);
        $this->assertEquals(4200, $this->override()->timelimit);
        $events = array_filter($sink->get_events(), fn($e) => $e instanceof \quizaccess_vigil\event\attempt_released);
        $this->assertCount(1, $events);
        $this->assertStringContainsString('without the proctoring tool', reset($events)->get_description());
    }

    /**
     * A teacher may let a paused attempt go on in Moodle, where the tool does not any more; once.
     */
    public function test_a_teacher_lets_it_go_on(): void {
        global $OUTPUT, $PAGE;
        $this->begin();
        $PAGE->set_url('/mod/quiz/accessrule/vigil/attempts.php');
        $rescue = new rescue($this->clock);
        $this->assertFalse($rescue->release_attempt((int)$this->session->attemptid));
        $this->ask('pause', 'p1');
        $list = new attempt_list(\mod_quiz\quiz_settings::create($this->quiz->id));
        $this->assertTrue($list->page(0)['haspaused']);
        $page = $list->page(0) + ['action' => '/x?cmid=1', 'sesskey' => 'k'];
        $html = $OUTPUT->render_from_template('quizaccess_vigil/attempts', $page);
        $this->assertStringContainsString('name="release" value="' . $this->session->attemptid . '"', $html);
        $this->assertStringContainsString('action="/x?cmid=1"', $html);
        $this->assertTrue($list->has((int)$this->session->attemptid));
        $this->assertFalse($list->has((int)$this->session->attemptid + 1));
        $this->clock->bump(60);
        $this->assertTrue($rescue->release_attempt((int)$this->session->attemptid));
        $this->assertFalse($rescue->release_attempt((int)$this->session->attemptid));
        $this->assertEquals(3660, $this->override()->timelimit);
        $this->assertFalse($list->page(0)['haspaused']);
        // The proctor's own "resume", which comes later, finds it running.
        $this->assertSame('before', $this->ask('resume', 'r1')['applied']);
    }

    /**
     * However long a pause is, cron does not hand the attempt in meanwhile; going on gives all of it back.
     */
    public function test_a_long_pause_stays_parked(): void {
        $this->begin();
        $this->ask('pause', 'p1');
        $start = (int)$this->attempt()->timestart;
        $pausedat = $this->clock->time();
        foreach ([1, 2, 3, 4, 5, 6] as $n) {
            $this->clock->bump(5 * HOURSECS);
            (new rescue($this->clock))->sweep();
            $this->assertGreaterThan($this->clock->time() + HOURSECS, (int)$this->attempt()->timecheckstate, "after {$n}");
            $this->assertSame($start + 3600, time_grant::end($this->stored(), $this->attempt(), $this->clock->time()));
        }
        $this->ask('resume', 'r1');
        $this->assertEquals(3600 + $this->clock->time() - $pausedat, $this->override()->timelimit);
    }

    /**
     * A teacher's change of the override of a paused attempt holds, and does not end the attempt's parking.
     */
    public function test_a_teachers_change_keeps_it_parked(): void {
        $this->begin();
        $this->ask('pause', 'p1');
        $this->clock->bump(60);
        $manager = \mod_quiz\quiz_settings::create($this->quiz->id)->get_override_manager();
        $manager->save_override(['id' => $this->override()->id, 'userid' => $this->student->id, 'timelimit' => 7200]);
        $this->assertEquals(7200 + time_grant::PARKING, $this->override()->timelimit);
        $this->assertSame(
            (int)$this->attempt()->timestart + 7200,
            time_grant::end($this->stored(), $this->attempt(), $this->clock->time())
        );
        // What the teacher saw held the parking time: ten minutes more are ten minutes more.
        $manager->save_override([
            'id' => $this->override()->id, 'userid' => $this->student->id, 'timelimit' => $this->override()->timelimit + 600,
        ]);
        $this->assertEquals(7800 + time_grant::PARKING, $this->override()->timelimit);
        $manager->delete_overrides([$this->override()]);
        $this->assertEquals(3600 + time_grant::PARKING, $this->override()->timelimit);
        $this->ask('resume', 'r1');
        $this->assertEquals(3660, $this->override()->timelimit);
    }

    /**
     * Time that a teacher gives to everybody reaches the students who were given some before; a teacher's own value for a student
     * stays.
     */
    public function test_a_quizs_new_times_reach_everybody(): void {
        global $DB;
        $close = time() + 9000;
        $this->begin(['timelimit' => 3600, 'timeclose' => $close]);
        $this->ask('update', 'u1', 10);
        $event = fn() => \core\event\course_module_updated::create_from_cm(
            get_coursemodule_from_id('quiz', $this->quiz->cmid)
        )->trigger();
        $DB->update_record('quiz', (object)['id' => $this->quiz->id, 'timelimit' => 5400, 'timeclose' => $close + 900]);
        $event();
        $this->assertEquals([6000, $close + 1500], [$this->override()->timelimit, $this->override()->timeclose]);
        $this->assertEquals($this->attempt()->timestart + 6000, $this->attempt()->timecheckstate);

        $group = $this->getDataGenerator()->create_group(['courseid' => $this->quiz->course]);
        groups_add_member($group, $this->student);
        $manager = \mod_quiz\quiz_settings::create($this->quiz->id)->get_override_manager();
        $manager->save_override(['groupid' => $group->id, 'timelimit' => 7000]);
        $this->assertEquals(7600, $this->override()->timelimit);

        $manager->save_override([
            'id' => $this->override()->id, 'userid' => $this->student->id, 'timelimit' => 8000,
            'timeclose' => $this->override()->timeclose,
        ]);
        $DB->set_field('quiz', 'timelimit', 9000, ['id' => $this->quiz->id]);
        $event();
        $this->assertEquals(8000, $this->override()->timelimit);

        $DB->set_field('quiz', 'timeclose', 0, ['id' => $this->quiz->id]);
        $event();
        $this->assertNull($this->override()->timeclose, 'no close for anybody');
    }

    /**
     * What a course reset deletes leaves no parking time behind, though it moves the dates of overrides.
     */
    public function test_a_course_reset(): void {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/course/lib.php');
        $close = time() + 1800;
        $this->begin(['timelimit' => 0, 'timeclose' => $close]);
        \mod_quiz\quiz_settings::create($this->quiz->id)->get_override_manager()
            ->save_override(['userid' => $this->student->id, 'timeclose' => $close + 60]);
        $this->ask('pause', 'p1');
        reset_course_userdata((object)[
            'id' => $this->quiz->course, 'courseid' => $this->quiz->course, 'reset_quiz_attempts' => 1,
            'reset_start_date' => 1000 + WEEKSECS, 'reset_start_date_old' => 1000,
            'reset_end_date' => 0, 'reset_end_date_old' => 0,
        ]);
        $this->assertFalse($DB->record_exists('quiz_attempts', ['id' => $this->session->attemptid]));
        $this->assertEquals($close + 60 + WEEKSECS, $this->override()->timeclose);
        $ending = new ending($this->clock);
        $ending->find_lost();
        $ending->restore_overrides((int)$this->quiz->id, (int)$this->student->id);
        $this->assertEquals($close + 60 + WEEKSECS, $this->override()->timeclose);
    }

    /**
     * Without the plugin nothing is parked and nobody is paused: what runs keeps its time, what has ended has no override.
     */
    public function test_the_plugin_goes(): void {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/mod/quiz/accessrule/vigil/db/uninstall.php');
        $this->begin();
        $this->ask('update', 'u1', 10);
        $this->ask('pause', 'p1');
        $other = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'student');
        $ended = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')
            ->create_session($this->quiz, $other, $this->typeid);
        $ended->extraminutes = 5;
        time_grant::apply($ended);
        $ended->state = session_store::ENDED;
        (new session_store($this->clock))->save($ended);
        $this->clock->bump(60);
        $this->assertTrue(xmldb_quizaccess_vigil_uninstall());
        $this->assertEquals(3600 + 600 + 60, $this->override()->timelimit);
        $this->assertSame(1, $DB->count_records('quiz_overrides', ['quiz' => $this->quiz->id]));
        $this->assertEquals(0, $this->stored()->pausedat);
    }

    /**
     * A student who left the course while paused, and is enrolled again, is not paused any more.
     */
    public function test_an_unenrolled_student_is_not_paused(): void {
        $this->begin();
        $this->ask('pause', 'p1');
        $this->setUser($this->student);
        $quizobj = \mod_quiz\quiz_settings::create($this->quiz->id, $this->student->id);
        $this->assertNotFalse(attempt_pages::prevented($quizobj));
        $this->unenrol();
        $this->assertFalse(attempt_pages::prevented($quizobj));
        $this->assertSame('running', own_attempt::find((int)$this->session->attemptid)->status());
    }

    /**
     * Takes the student out of the course.
     */
    private function unenrol(): void {
        global $DB;
        foreach ($DB->get_records('enrol', ['courseid' => $this->quiz->course, 'enrol' => 'manual']) as $instance) {
            enrol_get_plugin('manual')->unenrol_user($instance, $this->student->id);
        }
    }

    /**
     * An attempt that ended while it was paused, and that a teacher opens again, is not paused: nobody could let it go on.
     */
    public function test_opened_again_by_a_teacher(): void {
        $this->begin();
        $this->ask('pause', 'p1');
        \mod_quiz\quiz_attempt::create($this->session->attemptid)->process_abandon($this->clock->time(), false);
        (new ending($this->clock))->restore_overrides((int)$this->quiz->id, (int)$this->student->id);
        \mod_quiz\quiz_attempt::create($this->session->attemptid)->process_reopen_abandoned($this->clock->time());
        $this->assertEquals(['open', 0, null], [$this->stored()->state, $this->stored()->pausedat, $this->stored()->reason]);
    }
}
