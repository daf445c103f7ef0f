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

namespace quizaccess_vigil\external;

use PHPUnit\Framework\Attributes\CoversClass;
use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\session_store;
use quizaccess_vigil\local\time_grant;

/**
 * What a student's page asks for.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\external\get_socket_token
 * @covers     \quizaccess_vigil\external\get_attempt_status
 */
#[CoversClass(get_socket_token::class)]
#[CoversClass(get_attempt_status::class)]
final class functions_test extends \advanced_testcase {
    /** @var \stdClass the session */
    private \stdClass $session;

    /** @var \frozen_clock the clock */
    private $clock;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        $this->session = $generator->create_session($quiz, $student, $typeid);
        $this->setUser($student);
        (new session_store($this->clock))->check_in($this->session);
    }

    /**
     * The end of the attempt before anything was done to it.
     *
     * @return int
     */
    private function end(): int {
        global $DB;
        return (int)$DB->get_field('quiz_attempts', 'timestart', ['id' => $this->session->attemptid]) + 3600;
    }

    /**
     * Pauses the attempt.
     */
    private function pause(): void {
        $this->session->pausedat = $this->clock->time();
        time_grant::apply($this->session);
        (new session_store($this->clock))->save($this->session);
    }

    /**
     * A token holds what the attempt's page may tell, and says when it expires.
     */
    public function test_a_token(): void {
        $got = get_socket_token::execute((int)$this->session->attemptid);
        $claims = lti_bridge::payload($got['token']);
        $this->assertSame('https://vigil.example/api/v1/socket/token', $got['url']);
        $this->assertSame([$this->clock->time() + 60, $claims->exp], [$got['expires'], $got['expires']]);
        $this->assertSame(['socket', 3, []], [$claims->token_use, $claims->vigil, $claims->requests]);
        $this->assertSame([$this->end(), false], [$claims->attempt_end, isset($claims->attempt_paused_at)]);
        $this->pause();
        $this->clock->bump(300);
        $claims = lti_bridge::payload(get_socket_token::execute((int)$this->session->attemptid)['token']);
        $this->assertSame([$this->end(), (int)$this->session->pausedat], [$claims->attempt_end, $claims->attempt_paused_at]);
    }

    /**
     * The state of an attempt, whose end does not move with a pause.
     */
    public function test_a_status(): void {
        $this->pause();
        $this->clock->bump(300);
        $this->assertSame(
            ['status' => 'paused', 'end' => $this->end(), 'now' => $this->clock->time(), 'proctored' => true],
            get_attempt_status::execute((int)$this->session->attemptid)
        );
    }

    /**
     * Who has not checked in, or whose attempt has ended, gets no token.
     */
    public function test_no_token(): void {
        global $DB, $SESSION;
        $error = function (): string {
            try {
                get_socket_token::execute((int)$this->session->attemptid);
            } catch (\moodle_exception $e) {
                return $e->errorcode;
            }
            return '';
        };
        $mark = $SESSION->quizaccess_vigil_checked;
        unset($SESSION->quizaccess_vigil_checked);
        $this->assertSame('errornotcheckedin', $error());
        $SESSION->quizaccess_vigil_checked = $mark;
        $this->assertSame('', $error());
        $DB->set_field('quizaccess_vigil', 'enabled', 0, ['quizid' => $this->session->quizid]);
        $this->assertSame('errorswitchedoff', $error());
        $DB->set_field('quizaccess_vigil', 'enabled', 1, ['quizid' => $this->session->quizid]);
        $DB->set_field('quiz_attempts', 'state', 'finished', ['id' => $this->session->attemptid]);
        $this->assertSame('errorended', $error());
    }
}
