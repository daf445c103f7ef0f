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
 * What keeps answers out.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\save_guard
 */
#[CoversClass(\quizaccess_vigil\local\save_guard::class)]
final class save_guard_test extends \advanced_testcase {
    /**
     * When answers are refused.
     *
     * @param int $pausedat
     * @param int $terminated
     * @param string $state
     * @param string $want
     * @dataProvider cases
     */
    #[DataProvider('cases')]
    public function test_refusal(int $pausedat, int $terminated, string $state, string $want): void {
        $session = (object)['pausedat' => $pausedat, 'terminated' => $terminated, 'state' => session_store::OPEN];
        $this->assertSame($want, save_guard::refusal($session, $state, 1000));
    }

    /**
     * A pause that proctoring took with it when it was switched off, or that the attempt's end did, keeps no answers out.
     */
    public function test_only_a_watched_attempt_is_paused(): void {
        foreach ([session_store::OFF, session_store::ENDED] as $state) {
            $session = (object)['pausedat' => 500, 'terminated' => 0, 'state' => $state];
            $this->assertSame('', save_guard::refusal($session, 'inprogress', 1000));
        }
    }

    /**
     * Which pages a request has answers of: those of the slots that core saves, whatever else it says.
     */
    public function test_pages(): void {
        $layout = '1,2,0,3,0,4,5,0';
        $this->assertSame([0], save_guard::pages($layout, '1,2'));
        $this->assertSame([1], save_guard::pages($layout, '3'));
        $this->assertSame([0, 2], save_guard::pages($layout, '2,5'));
        $this->assertSame([0, 1, 2], save_guard::pages($layout, null), 'core takes all where none are named');
        $this->assertSame([], save_guard::pages($layout, ''), 'the summary');
        $this->assertSame([], save_guard::pages($layout, '9'));
    }

    /**
     * A form that names a watched page, its number and its nonce, and sends the answers of another one, is judged by that one.
     */
    public function test_the_page_is_that_of_the_answers(): void {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        $generator->serve_receipt_keys();
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        receipt_keys::instance()->fetch((new lti_bridge())->tool_by_id($typeid));
        $session = $generator->create_session($quiz, $student, $typeid);
        $DB->set_field('quiz_attempts', 'layout', '1,0,2,0', ['id' => $session->attemptid]);
        $this->setUser($student);
        $now = standing::milliseconds($clock);
        watch::served($session, 'decoy', 0, $now);
        watch::served($session, 'blocked', 1, $now);
        $clock->bump(100);
        $_SERVER['REQUEST_TIME_FLOAT'] = (float)$clock->time();
        $receipt = $generator->receipt($session, 'decoy', $now, standing::milliseconds($clock));
        $_POST = [
            'attempt' => $session->attemptid, 'thispage' => '0', page_stamp::FIELD => 'decoy', 'vigil_receipts' => $receipt,
            'slots' => '2',
        ];
        save_guard::check(true);
        $verdict = static fn(string $nonce) => $DB->get_field(watch::TABLE, 'verdict', ['nonce' => $nonce]);
        $this->assertSame(watch::BESIDE, $verdict('blocked'));
        $this->assertNull($verdict('decoy'));
    }

    /**
     * An attempt at a quiz that holds, whose page was unwatched before and is again: with the next answers it is held.
     *
     * @param int $limit of the quiz, in seconds
     * @param int $left of it, in seconds
     * @return \stdClass the session; the request of its page is in $_POST
     */
    private function unwatched(int $limit = 3600, int $left = 1800): \stdClass {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        $this->resetAfterTest();
        $this->setAdminUser();
        $clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        $generator->serve_receipt_keys();
        [$quiz, $student] = $generator->create_quiz(['timelimit' => $limit]);
        $DB->set_field('quizaccess_vigil', 'policy', json_encode(['unwatched' => 'hold']), ['quizid' => $quiz->id]);
        receipt_keys::instance()->fetch((new lti_bridge())->tool_by_id($typeid));
        $session = $generator->create_session($quiz, $student, $typeid);
        $now = $clock->time();
        $DB->update_record('quiz_attempts', (object)['id' => $session->attemptid, 'timestart' => $now - $limit + $left]);
        watch::served($session, 'blocked', 0, 1000 * ($now - 400));
        $DB->update_record(session_store::TABLE, (object)[
            'id' => $session->id, 'watchedat' => $now - 400, 'unwatchedat' => $now - 100, 'unwatchedpage' => 1,
        ]);
        $this->setUser($student);
        $_SERVER['REQUEST_TIME_FLOAT'] = (float)$now;
        $_POST = ['attempt' => $session->attemptid, 'thispage' => '0', page_stamp::FIELD => 'blocked', 'vigil_receipts' => ''];
        return $session;
    }

    /**
     * Whether the attempt is held, and what was found of its page.
     *
     * @param \stdClass $session
     * @return array
     */
    private function found(\stdClass $session): array {
        global $DB;
        $row = $DB->get_record(session_store::TABLE, ['id' => $session->id]);
        return [hold::is_held($row), $DB->get_field(watch::TABLE, 'verdict', ['nonce' => 'blocked'])];
    }

    /**
     * Fields of another form than the plugin's do not keep the page from being judged.
     *
     * @param array $fields
     * @dataProvider shapes
     */
    #[DataProvider('shapes')]
    public function test_what_is_no_text_says_nothing(array $fields): void {
        $session = $this->unwatched();
        $_POST = $fields + $_POST;
        save_guard::check(false);
        $this->assertSame([true, watch::UNWATCHED], $this->found($session));
    }

    /**
     * Fields.
     *
     * @return array
     */
    public static function shapes(): array {
        return [
            'as the page has them' => [[]],
            'a nonce' => [[page_stamp::FIELD => ['blocked']]],
            'receipts' => [['vigil_receipts' => ['a', 'b']]],
            'slots' => [['slots' => ['1']]],
            'what ends' => [['finishattempt' => ['1']]],
            'time up' => [['timeup' => ['1']]],
        ];
    }

    /**
     * Who hands in is not held; who only says so is.
     *
     * @param array $fields
     * @param bool $ajax
     * @param int $limit
     * @param int $left
     * @param bool $held
     * @dataProvider ends
     */
    #[DataProvider('ends')]
    public function test_only_what_ends_the_attempt_is_not_held(array $fields, bool $ajax, int $limit, int $left, bool $held): void {
        $session = $this->unwatched($limit, $left);
        $_POST += $fields;
        save_guard::check($ajax);
        $this->assertSame([$held, watch::UNWATCHED], $this->found($session));
    }

    /**
     * Requests.
     *
     * @return array
     */
    public static function ends(): array {
        return [
            'answers' => [[], false, 3600, 1800, true],
            'hands in' => [['finishattempt' => '1'], false, 3600, 1800, false],
            'an autosave ends nothing' => [['finishattempt' => '1', 'timeup' => '1'], true, 3600, 1800, true],
            'the time is not up' => [['timeup' => '1'], false, 3600, 1800, true],
            'the time is not quite up' => [['timeup' => '1'], false, 3600, 2, true],
            'the time is up' => [['timeup' => '1'], false, 3600, 1, false],
            'the time is up, whatever the form says' => [['timeup' => '0'], false, 3600, 0, false],
            'no limit: core takes the form\'s word' => [['timeup' => '1'], false, 0, 0, false],
            'no limit' => [['timeup' => '0'], false, 0, 0, true],
        ];
    }

    /**
     * Cases.
     *
     * @return array
     */
    public static function cases(): array {
        return [
            'running' => [0, 0, 'inprogress', ''],
            'overdue' => [0, 0, 'overdue', ''],
            'just paused' => [1000, 0, 'inprogress', ''],
            'the last second of grace' => [990, 0, 'inprogress', ''],
            'paused' => [989, 0, 'inprogress', 'errorpaused'],
            'ended by a proctor, with an old row' => [0, 900, 'inprogress', 'errorended'],
            'ended while paused' => [500, 900, 'inprogress', 'errorended'],
            'handed in' => [0, 0, 'finished', 'errorended'],
            'submitted' => [0, 0, 'submitted', 'errorended'],
            'abandoned' => [0, 0, 'abandoned', 'errorended'],
            'deleted' => [0, 0, '', 'errorended'],
        ];
    }
}
