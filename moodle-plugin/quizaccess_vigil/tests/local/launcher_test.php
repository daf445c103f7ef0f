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
 * Launches.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\launcher
 */
#[CoversClass(\quizaccess_vigil\local\launcher::class)]
final class launcher_test extends \advanced_testcase {
    /**
     * Which of core's names of launches are ours.
     */
    public function test_is_ours(): void {
        foreach (['ltilaunch_LtiStartProctoring5', 'ltilaunch_LtiEndAssessment5', 'ltilaunch_basic-lti-launch-request5'] as $id) {
            $this->assertTrue(launcher::is_ours($id), $id);
        }
        foreach (['', 'ltilaunch3_5', 'ltilaunch_ContentItemSelectionRequest5', 'x_ltilaunch_LtiStartProctoring5'] as $id) {
            $this->assertFalse(launcher::is_ours($id), $id);
        }
    }

    /**
     * A quiz, its student and a launcher.
     *
     * @return array
     */
    private function ready(): array {
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$quiz, $student] = $generator->create_quiz();
        $this->setUser($student);
        return [$quiz, $student, launcher::instance(), $typeid];
    }

    /**
     * The claims of a signed message.
     *
     * @param launcher $launcher
     * @param \stdClass $launch
     * @return array
     */
    private function claims(launcher $launcher, \stdClass $launch): array {
        return json_decode(json_encode(lti_bridge::payload($launcher->message($launch, 'n')['id_token'])), true);
    }

    /**
     * The message that begins an attempt holds what the specification asks for, as the right types.
     */
    public function test_the_start_message(): void {
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $launches = new launch_store(\core\di::get(\core\clock::class));
        $launch = $launches->begin([
            'kind' => 'start', 'typeid' => $typeid, 'quizid' => $quiz->id, 'cmid' => $quiz->cmid, 'userid' => $student->id,
            'attempt' => 1,
        ]);
        $claims = $this->claims($launcher, $launch);
        $ap = lti_bridge::CLAIM_AP;
        $lti = lti_bridge::CLAIM_LTI;
        $this->assertSame('LtiStartProctoring', $claims[$lti . 'message_type']);
        $this->assertSame('1.3.0', $claims[$lti . 'version']);
        $this->assertSame((string)$typeid, $claims[$lti . 'deployment_id']);
        $this->assertSame((string)$student->id, $claims['sub']);
        $this->assertSame('n', $claims['nonce']);
        $this->assertSame('quiz-' . $quiz->cmid, $claims[$lti . 'resource_link']['id']);
        $this->assertSame(1, $claims[$ap . 'attempt_number']);
        $this->assertStringEndsWith('/mod/quiz/accessrule/vigil/start.php', $claims[$ap . 'start_assessment_url']);
        $this->assertSame(lti_bridge::ACTIONS, $claims[$ap . 'acs']['actions']);
        $this->assertStringEndsWith('/mod/lti/services.php/assessmentcontrol', $claims[$ap . 'acs']['assessment_control_url']);
        $settings = json_decode($claims[$ap . 'proctoring_settings']['data']);
        $this->assertSame([3, 0], [$settings->vigil, $settings->attempt_started]);
        $this->assertStringEndsWith('/mod/lti/services.php/access?resource_link=quiz-' . $quiz->cmid, $settings->access_url);
        $this->assertSame([], $settings->access->groups);
        $this->assertSame(['version', 'groups'], array_keys((array)$settings->access));
        $this->assertSame(['http://purl.imsglobal.org/vocab/lis/v2/membership#Learner'], $claims[$lti . 'roles']);
        $this->assertNotNull($launches->sent($claims[$ap . 'session_data']));
        $this->assertStringContainsString('/mod/quiz/view.php', $claims[$lti . 'launch_presentation']['return_url']);
    }

    /**
     * The launch of an attempt that has begun says when; one that was only made beforehand has not.
     */
    public function test_the_start_message_says_when_the_attempt_began(): void {
        global $DB;
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $session = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_session($quiz, $student, $typeid);
        $this->setUser($student);
        $started = function () use ($launcher, $quiz, $student, $typeid, $session): int {
            $launch = (new launch_store(\core\di::get(\core\clock::class)))->begin([
                'kind' => 'start', 'typeid' => $typeid, 'quizid' => $quiz->id, 'cmid' => $quiz->cmid, 'userid' => $student->id,
                'attempt' => 1, 'attemptid' => $session->attemptid,
            ]);
            $claims = $this->claims($launcher, $launch);
            return json_decode($claims[lti_bridge::CLAIM_AP . 'proctoring_settings']['data'])->attempt_started;
        };
        $this->assertSame((int)$DB->get_field('quiz_attempts', 'timestart', ['id' => $session->attemptid]), $started());
        $DB->set_field('quiz_attempts', 'state', 'notstarted', ['id' => $session->attemptid]);
        $this->assertSame(0, $started());
    }

    /**
     * A non-editing teacher is an instructor for the tool, by our own capability, and brings the policy; a student gets nothing.
     */
    public function test_the_live_message(): void {
        global $DB;
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $DB->set_field('quizaccess_vigil', 'policy', json_encode(['attention' => 0.9]), ['quizid' => $quiz->id]);
        $teacher = $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'teacher');
        $launches = new launch_store(\core\di::get(\core\clock::class));
        $launch = $launches->begin([
            'kind' => 'live', 'typeid' => $typeid, 'quizid' => $quiz->id, 'cmid' => $quiz->cmid, 'userid' => $teacher->id,
        ]);
        $this->setUser($teacher);
        $claims = $this->claims($launcher, $launch);
        $this->assertSame('LtiResourceLinkRequest', $claims[lti_bridge::CLAIM_LTI . 'message_type']);
        $this->assertSame(
            ['http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor'],
            $claims[lti_bridge::CLAIM_LTI . 'roles']
        );
        $this->assertArrayNotHasKey(lti_bridge::CLAIM_AP . 'session_data', $claims);
        $settings = json_decode($claims[lti_bridge::CLAIM_LTI . 'custom']['vigil_settings']);
        $this->assertSame(3, $settings->vigil);
        $this->assertFalse(isset($settings->attempt_started));
        $this->assertStringEndsWith('/access?resource_link=quiz-' . $quiz->cmid, $settings->access_url);
        $this->assertSame([true, [], ['watch', 'talk', 'time']], [
            $settings->access->all, $settings->access->groups, $settings->access->rights,
        ]);
        $this->assertSame(0.9, $settings->policy->attention);
        $this->setUser($student);
        $this->expectException(\required_capability_exception::class);
        $launcher->message($launch, 'n');
    }

    /**
     * A proctor's launch may name an attempt, of this quiz only.
     */
    public function test_the_timeline_message(): void {
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $session = $generator->create_session($quiz, $student, $typeid);
        [$other, $stranger] = $generator->create_quiz();
        $elsewhere = $generator->create_session($other, $stranger, $typeid);
        $teacher = $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'teacher');
        $launches = new launch_store(\core\di::get(\core\clock::class));
        $launch = fn(int $attemptid): \stdClass => $launches->begin([
            'kind' => 'live', 'typeid' => $typeid, 'quizid' => $quiz->id, 'cmid' => $quiz->cmid, 'userid' => $teacher->id,
            'attemptid' => $attemptid,
        ]);
        $this->setUser($teacher);
        $custom = $this->claims($launcher, $launch((int)$session->attemptid))[lti_bridge::CLAIM_LTI . 'custom'];
        unset($custom['vigil_settings']);
        $this->assertSame(['vigil_user' => (string)$student->id, 'vigil_attempt' => '1'], $custom);
        $this->expectExceptionMessage(get_string('errornosession', 'quizaccess_vigil'));
        $launcher->message($launch((int)$elsewhere->attemptid), 'n');
    }

    /**
     * In separate groups the timeline of an attempt of another group is closed, also by its address.
     */
    public function test_the_timeline_of_another_group_is_closed(): void {
        global $DB;
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $generator = $this->getDataGenerator();
        $DB->set_field('course_modules', 'groupmode', SEPARATEGROUPS, ['id' => $quiz->cmid]);
        rebuild_course_cache($quiz->course, true);
        $session = $generator->get_plugin_generator('quizaccess_vigil')->create_session($quiz, $student, $typeid);
        $teacher = $generator->create_and_enrol(get_course($quiz->course), 'teacher');
        $own = $generator->create_group(['courseid' => $quiz->course]);
        $other = $generator->create_group(['courseid' => $quiz->course]);
        groups_add_member($own, $teacher);
        groups_add_member($other, $student);
        $this->setUser($teacher);
        $begin = fn() => $launcher->begin(\mod_quiz\quiz_settings::create($quiz->id), 'live', (int)$session->attemptid);
        $launch = (new launch_store(\core\di::get(\core\clock::class)))->begin([
            'kind' => 'live', 'typeid' => $typeid, 'quizid' => $quiz->id, 'cmid' => $quiz->cmid, 'userid' => $teacher->id,
            'attemptid' => $session->attemptid,
        ]);
        foreach ([$begin, fn() => $launcher->message($launch, 'n')] as $open) {
            try {
                $open();
                $this->fail('opened');
            } catch (\moodle_exception $e) {
                $this->assertSame('errornosession', $e->errorcode);
            }
        }
        groups_add_member($own, $student);
        $custom = $this->claims($launcher, $launch)[lti_bridge::CLAIM_LTI . 'custom'];
        $this->assertSame((string)$student->id, $custom['vigil_user']);
        $this->assertEquals(
            [(object)['id' => (string)$own->id, 'name' => $own->name]],
            json_decode($custom['vigil_settings'])->access->groups
        );
    }

    /**
     * A launch that no access rule has permitted is refused; so is one whose tool is missing or switched off.
     */
    public function test_what_is_refused(): void {
        global $DB;
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $quizobj = \mod_quiz\quiz_settings::create($quiz->id, $student->id);
        $error = function () use ($launcher, $quizobj): string {
            try {
                $launcher->begin($quizobj, 'start');
            } catch (\moodle_exception $e) {
                return $e->errorcode;
            }
            return '';
        };
        $this->assertSame('errornopermit', $error());
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_PENDING, ['id' => $typeid]);
        $launcher->permit((int)$quiz->id, null, 0);
        $this->assertSame('errortoolinactive', $error());
        $this->assertSame('errornopermit', $error());
        set_config('typeid', 0, 'quizaccess_vigil');
        $launcher->permit((int)$quiz->id, null, 0);
        $this->assertSame('errornotool', $error());
        $this->assertFalse($DB->record_exists(launch_store::TABLE, []));
    }

    /**
     * Whoever is logged in as another user comes into the tool by no activity of the course either: it would take them for that
     * user. Other tools are core's affair.
     */
    public function test_no_launch_of_core_while_logged_in_as_another_user(): void {
        global $DB;
        [$quiz, $student, $launcher, $typeid] = $this->ready();
        $chosen = $DB->get_field('lti_types', 'clientid', ['id' => $typeid]);
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $again = $DB->get_field('lti_types', 'clientid', ['id' => $generator->create_tool()]);
        $other = $generator->create_tool();
        $DB->set_field('lti_types_config', 'value', 'https://other.example/login', ['typeid' => $other, 'name' => 'initiatelogin']);
        $foreign = $DB->get_field('lti_types', 'clientid', ['id' => $other]);
        set_config('typeid', $typeid, 'quizaccess_vigil');
        $refused = function (string $clientid) use ($launcher): string {
            $_POST['client_id'] = $clientid;
            $_POST['lti_message_hint'] = json_encode(['cmid' => 5, 'launchid' => 'ltilaunch5_77']);
            try {
                $launcher->answer_authorization();
            } catch (\moodle_exception $e) {
                return $e->errorcode;
            } finally {
                unset($_POST['client_id'], $_POST['lti_message_hint']);
            }
            return '';
        };
        $this->assertSame('', $refused($chosen));
        $this->setAdminUser();
        \core\session\manager::loginas((int)$student->id, \context_system::instance());
        $this->assertSame('errorloginas', $refused($chosen));
        $this->assertSame('errorloginas', $refused($again), 'another registration of the tool');
        $this->assertSame('', $refused($foreign));
        $this->assertSame('', $refused(''));
    }
}
