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
 * The stamp of a quiz page.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\page_stamp
 */
#[CoversClass(\quizaccess_vigil\local\page_stamp::class)]
final class page_stamp_test extends \advanced_testcase {
    /** @var \stdClass the session */
    private \stdClass $session;

    /** @var \frozen_clock the clock */
    private $clock;

    /**
     * An attempt whose student has checked in.
     *
     * @param int $state of the tool
     */
    private function ready(int $state = 1): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool(['state' => $state]);
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        $this->session = $generator->create_session($quiz, $student, $typeid);
        $this->setUser($student);
        (new session_store($this->clock))->check_in($this->session);
    }

    /**
     * The claims of the stamp on a page.
     *
     * @param array $server
     * @return \stdClass|null
     */
    private function stamp(array $server = []): ?\stdClass {
        page_stamp::ask($this->session);
        $html = page_stamp::html($server);
        // What the page says until the monitor is connected needs no script, and nothing hides it.
        $line = '#^<div class="alert alert-warning" role="status" data-vigil-line="" style="position: sticky; bottom: 3.25rem;">[^<]+</div>#';
        $this->assertMatchesRegularExpression($line, $html);
        $html = preg_replace($line, '', $html);
        if ($html === '') {
            return null;
        }
        $this->assertMatchesRegularExpression(
            '#^<script type="application/json" id="quizaccess_vigil_page">\{"stamp":"[\w.-]+"\}</script><input [^<>]+>$#',
            $html
        );
        return lti_bridge::payload(json_decode(strip_tags($html))->stamp);
    }

    /**
     * A page says when it was asked for and when it was written, and how the attempt stands.
     */
    public function test_a_stamp(): void {
        global $DB;
        $this->ready();
        $ms = standing::milliseconds($this->clock);
        $claims = $this->stamp(['REQUEST_TIME_FLOAT' => ($ms - 250) / 1000]);
        $this->assertSame('page', $claims->token_use);
        $this->assertTrue($claims->receipts);
        $this->assertEqualsWithDelta($ms - 250, $claims->page_requested_at, 1);
        $this->assertSame($ms, $claims->page_answered_at);
        $this->assertSame($ms, $claims->told_at);
        $this->assertSame(DAYSECS, $claims->exp - $claims->iat);
        $start = (int)$DB->get_field('quiz_attempts', 'timestart', ['id' => $this->session->attemptid]);
        $this->assertSame($start + 3600, $claims->attempt_end);
        $this->assertSame((string)$this->session->userid, $claims->sub);
        $this->assertNotSame($claims->jti, $this->stamp()->jti);
    }

    /**
     * The waiting page of a paused attempt says so.
     */
    public function test_a_paused_attempts_stamp(): void {
        $this->ready();
        $this->session->pausedat = $this->clock->time() - 60;
        (new session_store($this->clock))->save($this->session);
        $this->assertSame($this->session->pausedat, $this->stamp()->attempt_paused_at);
    }

    /**
     * Core's footer has the stamp of the page that asked for it, before its scripts, and no other page has one.
     */
    public function test_the_footer_has_it(): void {
        global $PAGE;
        $this->ready();
        $PAGE->set_url('/mod/quiz/attempt.php', ['attempt' => $this->session->attemptid]);
        $PAGE->set_context(\context_module::instance($this->session->cmid));
        $PAGE->set_pagelayout('embedded');
        $quizobj = \mod_quiz\quiz_settings::create((int)$this->session->quizid, (int)$this->session->userid);
        attempt_pages::set_up($PAGE, $quizobj);
        $output = $PAGE->get_renderer('core', null, RENDERER_TARGET_GENERAL);
        $page = $output->header() . $output->footer();
        $this->assertSame(1, substr_count($page, 'id="quizaccess_vigil_page"'));
        $this->assertLessThan(strpos($page, 'quizaccess_vigil/proctor'), strpos($page, 'id="quizaccess_vigil_page"'));
        $this->assertSame('', page_stamp::html($_SERVER));
    }

    /**
     * Whoever has not checked in, has a tool that is switched off, or is not watched any more gets a page without a stamp.
     */
    public function test_pages_without_a_stamp(): void {
        global $DB, $SESSION;
        $this->ready();
        $this->assertNotNull($this->stamp());
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_PENDING, ['id' => $this->session->typeid]);
        $this->assertNull($this->stamp());
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_CONFIGURED, ['id' => $this->session->typeid]);
        $DB->set_field(session_store::TABLE, 'state', session_store::OFF, ['id' => $this->session->id]);
        $this->assertNull($this->stamp());
        $DB->set_field(session_store::TABLE, 'state', session_store::OPEN, ['id' => $this->session->id]);
        $this->assertNotNull($this->stamp());
        unset($SESSION->quizaccess_vigil_checked);
        $this->assertNull($this->stamp());
    }

    /**
     * What goes wrong with the stamp is logged, and the page is shown.
     */
    public function test_a_fault_does_not_break_the_page(): void {
        global $CFG;
        $this->ready();
        $CFG->lock_factory = '\\core\\lock\\file_lock_factory';
        $lock = locks::take((int)$this->session->quizid, (int)$this->session->userid);
        $this->assertNull($this->stamp());
        $lock->release();
        $this->assertDebuggingCalled();
        $this->assertNotNull($this->stamp());
        set_config('privatekey', 'none', 'mod_lti');
        $this->assertNull($this->stamp());
        $this->assertDebuggingCalled();
    }

    /**
     * The proxy's word counts where the administrator has said so.
     */
    public function test_the_proxys_word(): void {
        $this->ready();
        $ms = standing::milliseconds($this->clock);
        $server = ['REQUEST_TIME_FLOAT' => ($ms - 100) / 1000, 'HTTP_X_REQUEST_START' => 't=' . ($ms - 5000)];
        $this->assertSame($ms - 100, $this->stamp($server)->page_requested_at);
        set_config('requeststart', 1, 'quizaccess_vigil');
        $this->assertSame($ms - 5000, $this->stamp($server)->page_requested_at);
    }

    /**
     * Whatever the clocks did, the page was asked for before it was answered, and within an hour.
     */
    public function test_times_are_in_order(): void {
        $this->ready();
        $ms = standing::milliseconds($this->clock);
        $this->assertSame($ms, $this->stamp(['REQUEST_TIME_FLOAT' => $ms / 1000 + 50])->page_requested_at);
        $this->assertSame($ms - 3600000, $this->stamp(['REQUEST_TIME_FLOAT' => $ms / 1000 - 9000])->page_requested_at);
    }

    /**
     * How X-Request-Start is read.
     *
     * @param string $header
     * @param int $want
     * @dataProvider headers
     */
    #[DataProvider('headers')]
    public function test_reading_the_header(string $header, int $want): void {
        $this->assertSame($want, page_stamp::parse($header));
    }

    /**
     * Headers.
     *
     * @return array[]
     */
    public static function headers(): array {
        return [
            'nginx, seconds' => ['t=1795426800.123', 1795426800123],
            'seconds' => ['1795426800', 1795426800000],
            'milliseconds' => ['t=1795426800123', 1795426800123],
            'milliseconds without a name' => ['1795426800123', 1795426800123],
            'milliseconds with a fraction' => ['1795426800123.7', 1795426800124],
            'Apache, microseconds' => ['t=1795426800123456', 1795426800123],
            'spaces' => [' t=1795426800.5 ', 1795426800500],
            'nothing' => ['', 0],
            'a word' => ['now', 0],
            'half of it' => ['t=', 0],
            'two of them' => ['t=1795426800.123, t=1795426801.000', 0],
            'negative' => ['t=-1795426800', 0],
            'an exponent' => ['1e12', 0],
            'hexadecimal' => ['0x6b049d50', 0],
            'eleven digits' => ['17954268001', 0],
            'too long' => ['17954268001234567', 0],
            'a line more' => ["t=1795426800\n\nX: y", 0],
        ];
    }

    /**
     * Which word is believed.
     *
     * @param float $proxy seconds before PHP began
     * @param bool $trusted
     * @param int $want milliseconds before PHP began
     * @dataProvider words
     */
    #[DataProvider('words')]
    public function test_who_is_believed(float $proxy, bool $trusted, int $want): void {
        $server = ['REQUEST_TIME_FLOAT' => 1795426800.5, 'HTTP_X_REQUEST_START' => sprintf('t=%.3f', 1795426800.5 - $proxy)];
        $this->assertSame(1795426800500 - $want, page_stamp::requested_at($server, $trusted, 0));
    }

    /**
     * Words.
     *
     * @return array[]
     */
    public static function words(): array {
        return [
            'a queue' => [12.25, true, 12250],
            'no queue' => [0.0, true, 0],
            'an hour' => [3600.0, true, 3600000],
            'more than an hour' => [3600.001, true, 0],
            'later than PHP' => [-0.001, true, 0],
            'not to be believed' => [12.25, false, 0],
        ];
    }

    /**
     * PHP's own start is told where there is no header, and the present where PHP does not tell.
     */
    public function test_without_a_header(): void {
        $this->assertSame(1795426800500, page_stamp::requested_at(['REQUEST_TIME_FLOAT' => 1795426800.5], true, 7));
        $this->assertSame(7, page_stamp::requested_at([], true, 7));
        $this->assertSame(7, page_stamp::requested_at(['HTTP_X_REQUEST_START' => ['t=1']], true, 7));
    }
}
