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

namespace ltiservice_vigil\local\service;

use PHPUnit\Framework\Attributes\CoversClass;

/**
 * The LTI service.
 *
 * @package    ltiservice_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \ltiservice_vigil\local\service\vigil
 */
#[CoversClass(\ltiservice_vigil\local\service\vigil::class)]
final class vigil_test extends \advanced_testcase {
    /**
     * The scopes of a tool.
     *
     * @param int $id
     * @param int $state
     * @return array
     */
    private function scopes(int $id, int $state): array {
        global $CFG;
        require_once($CFG->dirroot . '/mod/lti/locallib.php');
        $service = new vigil();
        $service->set_type((object)['id' => $id, 'state' => $state]);
        return $service->get_permitted_scopes();
    }

    /**
     * Only the chosen tool has the scope, and only while it is active.
     */
    public function test_the_scope_is_the_chosen_tools(): void {
        global $CFG;
        require_once($CFG->dirroot . '/mod/lti/locallib.php');
        $this->resetAfterTest();
        $this->assertSame([], $this->scopes(0, LTI_TOOL_STATE_CONFIGURED));
        $this->assertSame([], $this->scopes(5, LTI_TOOL_STATE_CONFIGURED));
        set_config('typeid', 5, 'quizaccess_vigil');
        $this->assertSame([vigil::SCOPE_CONTROL], $this->scopes(5, LTI_TOOL_STATE_CONFIGURED));
        $this->assertSame([], $this->scopes(5, LTI_TOOL_STATE_PENDING));
        $this->assertSame([], $this->scopes(5, LTI_TOOL_STATE_REJECTED));
        $this->assertSame([], $this->scopes(6, LTI_TOOL_STATE_CONFIGURED));
    }

    /**
     * The tool that proctors is told the quizzes to pick from, and no other tool, and in no other message.
     */
    public function test_the_quizzes_to_pick_from(): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        [$quiz] = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_quiz(['name' => 'Midterm']);
        set_config('typeid', 5, 'quizaccess_vigil');
        $service = new vigil();
        $ask = fn(string $message, int $typeid): array => $service->get_launch_parameters($message, $quiz->course, 2, $typeid);
        $this->assertSame(
            [['id' => 'quiz-' . $quiz->cmid, 'title' => 'Midterm']],
            json_decode($ask('ContentItemSelectionRequest', 5)['vigil_quizzes'], true)
        );
        $this->assertSame([], $ask('ContentItemSelectionRequest', 6));
        $this->assertSame([], $ask('basic-lti-launch-request', 5));
        set_config('typeid', 0, 'quizaccess_vigil');
        $this->assertSame([], $ask('ContentItemSelectionRequest', 0));
    }

    /**
     * A service without a type has no scopes, but is advertised.
     */
    public function test_the_scope_is_advertised(): void {
        $service = new vigil();
        $this->assertSame([], $service->get_permitted_scopes());
        $this->assertSame([vigil::SCOPE_CONTROL], $service->get_scopes());
    }

    /**
     * The address that the tool is told is the one that core's dispatcher finds.
     */
    public function test_the_control_address(): void {
        $service = new vigil();
        $this->assertStringEndsWith('/mod/lti/services.php/assessmentcontrol', $service->get_control_url());
        $resource = $service->get_resources()[0];
        $this->assertContains('application/vnd.ims.lti-ap.v1.control+json', $resource->get_formats());
        $this->assertSame(['POST'], $resource->get_methods());
    }
}
