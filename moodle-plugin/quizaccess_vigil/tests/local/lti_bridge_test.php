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
 * Whether the tool is there.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\lti_bridge
 */
#[CoversClass(\quizaccess_vigil\local\lti_bridge::class)]
final class lti_bridge_test extends \advanced_testcase {
    /**
     * A tool whose keys are on a port of this machine, and what holds the port.
     *
     * @return array
     */
    private function tool(): array {
        $this->resetAfterTest();
        set_config('curlsecurityblockedhosts', '');
        set_config('curlsecurityallowedport', '');
        // It takes connections, and says nothing.
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        return [(object)['id' => 7, 'keyseturl' => 'http://' . stream_socket_get_name($socket, false) . '/lti/keys'], $socket];
    }

    /**
     * Why a launch is refused.
     *
     * @param \stdClass $tool
     * @return string
     */
    private function refusal(\stdClass $tool): string {
        try {
            (new lti_bridge())->require_answer($tool, 1);
        } catch (\moodle_exception $e) {
            $this->assertSame('errortooldown', $e->errorcode);
            return $e->debuginfo;
        }
        return '';
    }

    /**
     * Where one launch waited in vain, the next ones do not wait.
     */
    public function test_a_silent_tool_is_not_asked_by_everyone(): void {
        [$tool, $socket] = $this->tool();
        $this->assertStringStartsWith('status 0', $this->refusal($tool));
        $this->assertSame('asked a moment ago', $this->refusal($tool));
        $elsewhere = (object)['id' => $tool->id, 'keyseturl' => $tool->keyseturl . '/new'];
        $this->assertStringStartsWith('status 0', $this->refusal($elsewhere));
        fclose($socket);
    }

    /**
     * A refusal costs no time: each launch asks, so that the first one after a restart of the tool gets through.
     */
    public function test_a_tool_that_refuses_at_once_is_asked_each_time(): void {
        [$tool, $socket] = $this->tool();
        fclose($socket);
        $this->assertStringStartsWith('status 0', $this->refusal($tool));
        $this->assertStringStartsWith('status 0', $this->refusal($tool));
    }
}
