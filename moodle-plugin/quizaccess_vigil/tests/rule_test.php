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

namespace quizaccess_vigil;

use mod_quiz\quiz_settings;
use PHPUnit\Framework\Attributes\CoversClass;
use quizaccess_vigil\local\session_store;

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once($CFG->dirroot . '/mod/quiz/accessrule/vigil/rule.php');

/**
 * The access rule.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil
 */
#[CoversClass(\quizaccess_vigil::class)]
final class rule_test extends \advanced_testcase {
    /**
     * A proctored quiz, its student, and the rule as the student meets it.
     *
     * @return array
     */
    private function ready(): array {
        $this->resetAfterTest();
        $this->setAdminUser();
        [$quiz, $student] = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_quiz();
        $this->setUser($student);
        return [$quiz, $student, \quizaccess_vigil::make(quiz_settings::create($quiz->id, $student->id), time(), false)];
    }

    /**
     * A quiz that is not proctored has no rule.
     */
    public function test_other_quizzes_have_no_rule(): void {
        global $DB;
        [$quiz, $student] = $this->ready();
        $DB->set_field('quizaccess_vigil', 'enabled', 0, ['quizid' => $quiz->id]);
        $this->assertNull(\quizaccess_vigil::make(quiz_settings::create($quiz->id, $student->id), time(), false));
    }

    /**
     * The check-in is asked for until this session has passed it, of this attempt.
     */
    public function test_the_check_in_is_asked_for(): void {
        global $SESSION;
        [$quiz, $student, $rule] = $this->ready();
        $this->assertTrue($rule->is_preflight_check_required(null));
        $session = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($quiz, $student);
        $this->setUser($student);
        $this->assertTrue($rule->is_preflight_check_required($session->attemptid));
        $store = new session_store(\core\di::get(\core\clock::class));
        $store->check_in($session);
        $this->assertFalse($rule->is_preflight_check_required($session->attemptid));
        // The next attempt is another one.
        $this->assertTrue($rule->is_preflight_check_required(null));
        // Another session of the same student has not passed it.
        $this->setUser($student);
        unset($SESSION->quizaccess_vigil_checked);
        $this->assertTrue($rule->is_preflight_check_required($session->attemptid));
    }

    /**
     * A teacher's preview is never launched, though core tells every rule that the form was passed.
     */
    public function test_a_preview_is_left_alone(): void {
        global $PAGE;
        [$quiz] = $this->ready();
        $teacher = $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'editingteacher');
        $this->setUser($teacher);
        $rule = \quizaccess_vigil::make(quiz_settings::create($quiz->id, $teacher->id), time(), false);
        $this->assertFalse($rule->is_preflight_check_required(null));
        $rule->notify_preflight_check_passed(null);
        $this->assertFalse($rule->prevent_access());
        $PAGE->set_url('/mod/quiz/view.php', ['id' => $quiz->cmid]);
        $this->assertCount(2, $rule->description());
    }

    /**
     * Attempts that were made before they are begun do not count.
     */
    public function test_the_attempts_number(): void {
        global $DB;
        [$quiz, $student] = $this->ready();
        $session = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($quiz, $student);
        $this->assertSame(2, session_store::attempt_number($quiz->id, $student->id, null));
        $this->assertSame(1, session_store::attempt_number($quiz->id, $student->id, $session->attemptid));
        $DB->set_field('quiz_attempts', 'state', 'notstarted', ['id' => $session->attemptid]);
        $this->assertSame(1, session_store::attempt_number($quiz->id, $student->id, null));
    }

    /**
     * A paused attempt cannot be gone on with; an ended one neither, whatever its row says.
     */
    public function test_paused_and_ended_attempts_are_closed(): void {
        [$quiz, $student, $rule] = $this->ready();
        $session = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($quiz, $student);
        $this->setUser($student);
        $store = new session_store(\core\di::get(\core\clock::class));
        $this->assertFalse($rule->prevent_access());
        $session->pausedat = time();
        $store->save($session);
        $this->assertStringContainsString(get_string('pausedaccess', 'quizaccess_vigil'), $rule->prevent_access());
        $session->terminated = time();
        $store->save($session);
        $this->assertStringContainsString(get_string('terminatedaccess', 'quizaccess_vigil'), $rule->prevent_access());
    }

    /**
     * Pages have links; web services, which take plain lines only, answer without them: to a proctor, and of a paused attempt.
     */
    public function test_links_are_for_pages(): void {
        global $CFG, $PAGE;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        [$quiz, $student] = $this->ready();
        $generator = $this->getDataGenerator();
        $session = $generator->get_plugin_generator('quizaccess_vigil')->create_session($quiz, $student);
        $session->pausedat = time();
        (new session_store(\core\di::get(\core\clock::class)))->save($session);
        $proctor = $generator->create_and_enrol(get_course($quiz->course), 'teacher');
        $answer = static fn(): array => \core_external\external_api::clean_returnvalue(
            \mod_quiz_external::get_quiz_access_information_returns(),
            \mod_quiz_external::get_quiz_access_information($quiz->id)
        );
        $this->setUser($proctor);
        $this->assertContains(get_string('proctored', 'quizaccess_vigil'), $answer()['accessrules']);
        $this->setUser($student);
        $this->assertSame([get_string('pausedaccess', 'quizaccess_vigil')], $answer()['preventaccessreasons']);
        $PAGE->set_url('/mod/quiz/view.php', ['id' => $quiz->cmid]);
        $this->setUser($proctor);
        $rule = \quizaccess_vigil::make(quiz_settings::create($quiz->id, $proctor->id), time(), false);
        $this->assertStringContainsString('launch.php', implode($rule->description()));
        $this->setUser($student);
        $rule = \quizaccess_vigil::make(quiz_settings::create($quiz->id, $student->id), time(), false);
        $this->assertStringContainsString('paused.php', $rule->prevent_access());
    }

    /**
     * The clock stands still while the attempt is paused.
     */
    public function test_the_clock_stands_still(): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        $session = $generator->create_session($quiz, $student);
        $session->pausedat = $clock->time();
        \quizaccess_vigil\local\time_grant::apply($session);
        (new session_store($clock))->save($session);
        $attempt = \mod_quiz\quiz_attempt::create($session->attemptid)->get_attempt();
        $rule = \quizaccess_vigil::make(quiz_settings::create($quiz->id, $student->id), $clock->time(), false);
        $left = $rule->time_left_display($attempt, $clock->time());
        $this->assertEqualsWithDelta(3600, $left, 5);
        $this->assertSame($left, $rule->time_left_display($attempt, $clock->time() + 500));
    }

    /**
     * The quiz's settings form, as it is shown to the user at hand.
     *
     * @param \stdClass $quiz
     * @return string
     */
    private function settings_form(\stdClass $quiz): string {
        global $CFG, $OUTPUT, $PAGE;
        require_once($CFG->dirroot . '/course/modlib.php');
        require_once($CFG->dirroot . '/mod/quiz/mod_form.php');
        $PAGE = new \moodle_page();
        $OUTPUT = new \bootstrap_renderer();
        $PAGE->set_url('/course/modedit.php', ['update' => $quiz->cmid]);
        [$course, $cm] = get_course_and_cm_from_cmid($quiz->cmid);
        $PAGE->set_course($course);
        [$cm, , , $data, $section] = get_moduleinfo_data($cm->get_course_module_record(true), $course);
        $form = new \mod_quiz_mod_form($data, $section->section, $cm, $course);
        $form->set_data($data);
        return $form->render();
    }

    /**
     * The settings form says how many students work in proctored attempts, while there are some.
     */
    public function test_the_settings_form_says_how_many_work(): void {
        global $DB;
        [$quiz, $student] = $this->ready();
        $this->setAdminUser();
        $one = get_string('enabled_open_one', 'quizaccess_vigil');
        $two = get_string('enabled_open', 'quizaccess_vigil', 2);
        $this->assertStringNotContainsString($one, $this->settings_form($quiz));
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $generator->create_session($quiz, $student);
        $this->assertStringContainsString($one, $this->settings_form($quiz));
        $generator->create_session($quiz, $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'student'));
        $this->assertStringContainsString($two, $this->settings_form($quiz));
        $DB->set_field('quizaccess_vigil', 'enabled', 0, ['quizid' => $quiz->id]);
        $this->assertStringNotContainsString($two, $this->settings_form($quiz));
    }

    /**
     * A save that does not have our fields changes nothing; one that does, does.
     */
    public function test_saving_the_settings(): void {
        global $DB;
        [$quiz] = $this->ready();
        $DB->set_field('quizaccess_vigil', 'policy', '{"lost_time_cap":7}', ['quizid' => $quiz->id]);
        \quizaccess_vigil::save_settings((object)['id' => $quiz->id]);
        $this->assertSame('{"lost_time_cap":7}', $DB->get_field('quizaccess_vigil', 'policy', ['quizid' => $quiz->id]));
        \quizaccess_vigil::save_settings((object)['id' => $quiz->id, 'vigil_enabled' => 1, 'vigil_watch_focus' => 0]);
        $policy = json_decode($DB->get_field('quizaccess_vigil', 'policy', ['quizid' => $quiz->id]), true);
        $this->assertSame(7, $policy['lost_time_cap']);
        $this->assertNotContains('focus', $policy['watch']);
        \quizaccess_vigil::save_settings((object)['id' => $quiz->id, 'vigil_enabled' => 0]);
        $this->assertEquals(0, $DB->get_field('quizaccess_vigil', 'enabled', ['quizid' => $quiz->id]));
        \quizaccess_vigil::delete_settings((object)['id' => $quiz->id]);
        $this->assertFalse($DB->record_exists('quizaccess_vigil', ['quizid' => $quiz->id]));
    }
}
