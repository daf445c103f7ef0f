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
 * Who watches a page that sends answers, and what is done where nobody does.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\watch
 * @covers     \quizaccess_vigil\local\hold
 * @covers     \quizaccess_vigil\local\receipt_keys
 */
#[CoversClass(\quizaccess_vigil\local\watch::class)]
#[CoversClass(\quizaccess_vigil\local\hold::class)]
#[CoversClass(\quizaccess_vigil\local\receipt_keys::class)]
final class watch_test extends \advanced_testcase {
    /** @var \frozen_clock the site's clock */
    private $clock;

    /** @var http the tool */
    private $tool;

    /** @var int the tool's id */
    private int $typeid;

    /** @var \stdClass the quiz */
    private \stdClass $quiz;

    /** @var int counts nonces */
    private int $pages = 0;

    /**
     * A student in an attempt.
     *
     * @param string $unwatched
     * @return \stdClass the session
     */
    private function ready(string $unwatched = 'hold'): \stdClass {
        global $DB;
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $this->typeid = $generator->create_tool();
        $this->tool = $generator->serve_receipt_keys();
        [$this->quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        $policy = json_encode(['unwatched' => $unwatched]);
        $DB->set_field('quizaccess_vigil', 'policy', $policy, ['quizid' => $this->quiz->id]);
        receipt_keys::instance()->fetch((new lti_bridge())->tool_by_id($this->typeid));
        return $generator->create_session($this->quiz, $student, $this->typeid);
    }

    /**
     * Another student of the quiz.
     *
     * @return \stdClass
     */
    private function another(): \stdClass {
        $student = $this->getDataGenerator()->create_and_enrol(get_course($this->quiz->course), 'student');
        return $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')
            ->create_session($this->quiz, $student, $this->typeid);
    }

    /**
     * The session as it is stored.
     *
     * @param \stdClass $session
     * @return \stdClass
     */
    private function fresh(\stdClass $session): \stdClass {
        return (new session_store($this->clock))->of_attempt((int)$session->attemptid);
    }

    /**
     * The time in milliseconds.
     *
     * @return int
     */
    private function now(): int {
        return standing::milliseconds($this->clock);
    }

    /**
     * Serves a page.
     *
     * @param \stdClass $session
     * @param int $page
     * @return string its nonce
     */
    private function serve(\stdClass $session, int $page = 0): string {
        $nonce = 'page' . ++$this->pages;
        watch::served($session, $nonce, $page, $this->now());
        return $nonce;
    }

    /**
     * A receipt of a page until now.
     *
     * @param \stdClass $session
     * @param string $nonce
     * @param int $from seconds ago
     * @param array $edit
     * @return string
     */
    private function receipt(\stdClass $session, string $nonce, int $from = 0, array $edit = []): string {
        return $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')
            ->receipt($session, $nonce, $this->now() - 1000 * $from, $this->now(), $edit);
    }

    /**
     * Sends the answers of a page, as the guard of saves sees it.
     *
     * @param \stdClass $session
     * @param string $nonce
     * @param string $receipts
     * @param int $page
     * @return string the verdict
     */
    private function post(\stdClass $session, string $nonce, string $receipts = '', int $page = 0): string {
        $row = $this->fresh($session);
        $verdict = watch::instance()->posted($row, $nonce, [$page], $receipts, $this->now());
        if (watch::is_unwatched($verdict)) {
            hold::instance()->consider($row, $verdict);
        }
        return $verdict;
    }

    /**
     * Sends core's form of the second page, with the questions 2 and 3.
     *
     * @param \stdClass $session
     * @param string $nonce
     * @param string $thispage
     * @param string $receipts
     */
    private function submit(\stdClass $session, string $nonce, string $thispage, string $receipts): void {
        $this->setUser((int)$session->userid);
        $_SERVER['REQUEST_TIME_FLOAT'] = $this->now() / 1000;
        $_POST = [
            'attempt' => $session->attemptid, 'thispage' => $thispage, 'nextpage' => '-1', 'slots' => '2,3',
            page_stamp::FIELD => $nonce, 'vigil_receipts' => $receipts,
        ];
        save_guard::check(true);
    }

    /**
     * Time goes by.
     *
     * @param int $seconds
     */
    private function wait(int $seconds): void {
        $this->clock->bump($seconds);
    }

    /**
     * Whether a session is held.
     *
     * @param \stdClass $session
     * @return bool
     */
    private function held(\stdClass $session): bool {
        return hold::is_held($this->fresh($session));
    }

    /**
     * Works blocked until the attempt is held.
     *
     * @param \stdClass $session
     */
    private function block(\stdClass $session): void {
        $nonce = $this->serve($session);
        for ($n = 0; $n < 5 && !$this->held($session); $n++) {
            $this->wait(60);
            $this->post($session, $nonce);
        }
        $this->assertTrue($this->held($session));
    }

    /**
     * A page is judged by a receipt of its own: a decoy's, a classmate's, an old one and one of a minute prove nothing.
     */
    public function test_only_the_pages_own_receipt_counts(): void {
        $session = $this->ready('note');
        $classmate = $this->another();
        $decoy = $this->serve($session);
        $theirs = $this->serve($classmate);
        $own = $this->serve($session);
        $this->wait(30);
        $early = $this->receipt($session, $own, 30);
        $this->wait(200);
        foreach (
            [
                'none' => '',
                'of another tab' => $this->receipt($session, $decoy, 230),
                'of a classmate' => $this->receipt($classmate, $theirs, 230),
                'of a classmate, passed off' => $this->receipt($classmate, $own, 230),
                'of the first minute' => $early,
                'forged' => substr($this->receipt($session, $own, 230), 0, -4) . 'AAAA',
            ] as $name => $receipt
        ) {
            $this->assertTrue(watch::is_unwatched($this->post($session, $own, $receipt)), $name);
        }
        $this->assertSame(watch::WATCHED, $this->post($session, $own, $this->receipt($session, $own, 230)));
        // The field that names the page was taken out, or another page's was put in: the last one whose answers came counts.
        $next = $this->serve($session, 1);
        $this->wait(100);
        $this->assertSame(watch::BESIDE, $this->post($session, '', $this->receipt($session, $own, 230), 1));
        $this->assertSame(watch::BESIDE, $this->post($session, $own, $this->receipt($session, $own, 230), 1));
        $this->assertSame(watch::WATCHED, $this->post($session, '', $this->receipt($session, $next, 100), 1));
    }

    /**
     * Answers are judged by the page that they were on, wherever the student goes next: a link of core's navigation puts the page
     * that it leads to, or -1 for the summary, in the place of the form's own.
     *
     * @param string $thispage as the form was sent
     * @dataProvider ways
     */
    #[DataProvider('ways')]
    public function test_answers_are_judged_by_the_page_they_were_on(string $thispage): void {
        global $DB;
        $session = $this->ready('note');
        $DB->set_field('quiz_attempts', 'layout', '1,0,2,3,0', ['id' => $session->attemptid]);
        $before = $this->serve($session);
        $this->wait(60);
        $this->assertSame(watch::WATCHED, $this->post($session, $before, $this->receipt($session, $before, 60)));
        $own = $this->serve($session, 1);
        $this->wait(300);
        $this->submit($session, $own, $thispage, $this->receipt($session, $own, 300));
        $verdicts = $DB->get_records_menu(watch::TABLE, [], 'id', 'nonce, verdict');
        $this->assertSame([$before => watch::WATCHED, $own => watch::WATCHED], $verdicts);
        $this->assertSame(0, (int)$this->fresh($session)->unwatchedat);
    }

    /**
     * The same without a receipt: it is that page that is unwatched, and no other.
     *
     * @param string $thispage as the form was sent
     * @dataProvider ways
     */
    #[DataProvider('ways')]
    public function test_the_page_that_answers_were_on_is_unwatched(string $thispage): void {
        global $DB;
        $session = $this->ready('note');
        $DB->set_field('quiz_attempts', 'layout', '1,0,2,3,0', ['id' => $session->attemptid]);
        $before = $this->serve($session);
        $own = $this->serve($session, 1);
        $this->wait(300);
        $this->submit($session, $own, $thispage, '');
        $verdicts = $DB->get_records_menu(watch::TABLE, [], 'id', 'nonce, verdict');
        $this->assertSame([$before => null, $own => watch::UNWATCHED], $verdicts);
    }

    /**
     * Where a student goes from the second page.
     *
     * @return array
     */
    public static function ways(): array {
        return ['to the next one' => ['1'], 'to the first one, by its link' => ['0'], 'to the summary, by its link' => ['-1']];
    }

    /**
     * The stretches that receipts cover are kept once, with their breaks.
     */
    public function test_stretches_are_kept(): void {
        $session = $this->ready('note');
        $nonce = $this->serve($session);
        $this->wait(60);
        $this->post($session, $nonce, $this->receipt($session, $nonce, 60));
        $this->wait(60);
        $late = $this->receipt($session, $nonce, 120);
        $this->post($session, $nonce, $late . ' ' . $late);
        $this->wait(600);
        $this->post($session, $nonce, $this->receipt($session, $nonce, 30));
        $this->assertSame(150, watch::seconds((int)$session->id));
        $decoy = $this->serve($session);
        $this->post($session, $nonce, $this->receipt($session, $decoy, 20));
        $this->assertSame(150, watch::seconds((int)$session->id), 'two tabs watch no longer than one');
    }

    /**
     * What cannot be told is not "unwatched": keys that are not known, clocks that are apart, a tool that is down.
     */
    public function test_what_cannot_be_told(): void {
        $session = $this->ready();
        $nonce = $this->serve($session);
        $this->wait(300);
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $strange = $generator->receipt($session, $nonce, $this->now() - 1000, $this->now(), [], 'another key');
        $ahead = $generator->receipt($session, $nonce, $this->now(), $this->now() + 61000);
        $this->assertSame(watch::UNTOLD, $this->post($session, $nonce, $ahead));
        $this->tool->up = false;
        $this->wait(receipt_keys::ONCE_IN);
        $this->assertSame(watch::UNTOLD, $this->post($session, $nonce));
        $this->assertSame(watch::UNTOLD, $this->post($session, $nonce, $strange));
        $this->tool->up = true;
        $this->tool->off = -61;
        $this->wait(receipt_keys::ONCE_IN);
        $this->assertSame(watch::UNTOLD, $this->post($session, $nonce));
        $this->assertFalse($this->held($session));
        $this->assertSame(0, (int)$this->fresh($session)->unwatchedat);
        $this->tool->off = 0;
        $this->wait(receipt_keys::ONCE_IN);
        $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce));
    }

    /**
     * A receipt that anybody can write, by a key that the tool does not have, is no excuse.
     */
    public function test_a_made_up_receipt_excuses_nothing(): void {
        $session = $this->ready();
        $nonce = $this->serve($session);
        $this->wait(300);
        $forged = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')
            ->receipt($session, $nonce, $this->now() - 1000, $this->now(), [], 'made up');
        $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce, $forged));
        $this->wait(hold::AGAIN);
        $this->post($session, $nonce, $forged);
        $this->assertTrue($this->held($session));
    }

    /**
     * A page is judged, whatever its form leaves out or makes up.
     */
    public function test_a_page_that_says_no_number_is_judged(): void {
        $session = $this->ready();
        $this->serve($session, watch::SUMMARY);
        $nonce = $this->serve($session, 2);
        $this->wait(300);
        $this->serve($session, watch::WAITING);
        foreach ([[$nonce, -1], ['', -1], ['', 77], [$nonce, 77]] as [$said, $number]) {
            $this->assertSame(watch::UNWATCHED, $this->post($session, $said, '', $number));
        }
        $this->assertSame(watch::WATCHED, $this->post($session, $nonce, $this->receipt($session, $nonce), -1));
    }

    /**
     * Answers of several pages in one request are those of the one that nobody watched.
     */
    public function test_a_watched_page_does_not_stand_for_others_in_one_request(): void {
        $session = $this->ready();
        $decoy = $this->serve($session, 0);
        $this->serve($session, 1);
        $this->wait(100);
        $row = $this->fresh($session);
        $receipt = $this->receipt($session, $decoy, 100);
        $this->assertSame(watch::BESIDE, watch::instance()->posted($row, $decoy, [0, 1], $receipt, $this->now()));
        $this->assertNotSame(0, (int)$this->fresh($session)->unwatchedat);
    }

    /**
     * A key that is new is fetched, once in 30 seconds whoever asks.
     */
    public function test_a_new_key_is_fetched_once(): void {
        $session = $this->ready();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $nonce = $this->serve($session);
        $this->wait(100);
        $this->tool->kid = 'new';
        $asked = $this->tool->asked;
        $receipt = $generator->receipt($session, $nonce, $this->now() - 1000, $this->now(), [], 'new');
        $this->assertSame(watch::WATCHED, $this->post($session, $nonce, $receipt));
        $forged = $generator->receipt($session, $nonce, $this->now() - 1000, $this->now(), [], 'made up');
        for ($n = 0; $n < 20; $n++) {
            $this->post($session, $nonce, $forged);
        }
        $this->assertSame($asked + 1, $this->tool->asked);
    }

    /**
     * Thirty pages of ten seconds are never held, with receipts or without.
     */
    public function test_short_pages_are_never_held(): void {
        $session = $this->ready();
        foreach ([true, false] as $receipts) {
            for ($n = 0; $n < 30; $n++) {
                $nonce = $this->serve($session, $n);
                $this->wait(10);
                $receipt = $receipts ? $this->receipt($session, $nonce, 9) : '';
                $this->assertSame($receipts ? watch::WATCHED : watch::NONE, $this->post($session, $nonce, $receipt, $n));
                $this->assertFalse($this->held($session));
            }
        }
        $this->assertSame(0, (int)$this->fresh($session)->unwatchedat);
    }

    /**
     * A student who is watched is never held, though Moodle takes three minutes for each page.
     */
    public function test_a_slow_moodle_holds_nobody(): void {
        $session = $this->ready();
        for ($n = 0; $n < 10; $n++) {
            $nonce = $this->serve($session, $n);
            $this->wait(180);
            // The page has come at last: the monitor's hello, some work, and answers that take three minutes again.
            $this->wait(30);
            $receipt = $this->receipt($session, $nonce, 20);
            $requested = $this->now();
            $this->wait(180);
            $row = $this->fresh($session);
            $this->assertSame(watch::WATCHED, watch::instance()->posted($row, $nonce, [$n], $receipt, $requested));
        }
        $this->assertFalse($this->held($session));
    }

    /**
     * A machine that slept sends answers before its monitor is back: it is not held, and the next receipt makes that good.
     */
    public function test_a_sleep_holds_nobody(): void {
        $session = $this->ready();
        $nonce = $this->serve($session);
        $this->wait(120);
        $this->post($session, $nonce, $this->receipt($session, $nonce, 120));
        for ($n = 0; $n < 3; $n++) {
            $this->wait(1200);
            $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce));
            $this->assertFalse($this->held($session));
            $this->wait(15);
            $row = $this->fresh($session);
            watch::instance()->sent($row, $this->receipt($session, $nonce, 10));
            $this->assertSame(0, (int)$this->fresh($session)->unwatchedat);
        }
    }

    /**
     * A blocked monitor is held: after two looks, four minutes without a watched page, and with its answers.
     */
    public function test_a_blocked_monitor_is_held(): void {
        $session = $this->ready();
        $events = $this->redirectEvents();
        $nonce = $this->serve($session);
        $this->wait(89);
        $this->assertSame(watch::NONE, $this->post($session, $nonce));
        $this->wait(1);
        $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce));
        $this->wait(149);
        $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce));
        $this->assertFalse($this->held($session));
        $this->wait(1);
        $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce));
        $this->assertTrue($this->held($session));
        $names = array_map(static fn($event) => $event->eventname, $events->get_events());
        $this->assertSame(1, count(array_keys($names, '\\quizaccess_vigil\\event\\attempt_unwatched', true)));
        $this->assertContains('\\quizaccess_vigil\\event\\attempt_paused', $names);
        // The answers of the page that was held, and of one that was open beside it, are taken, however late.
        $this->wait(60);
        $this->assertSame('', save_guard::refusal($this->fresh($session), 'inprogress', $this->clock->time()));
        $quizobj = \mod_quiz\quiz_settings::create((int)$this->quiz->id, (int)$session->userid);
        $this->setUser((int)$session->userid);
        // Another browser may pass the check-in, for only a watched page ends the hold; this one waits.
        $this->assertFalse(attempt_pages::prevented($quizobj));
        $row = $this->fresh($session);
        (new session_store($this->clock))->check_in($row);
        $this->assertSame(get_string('heldaccess', 'quizaccess_vigil'), attempt_pages::prevented($quizobj));
        $row->pausecause = null;
        (new session_store($this->clock))->save($row);
        $this->assertSame(get_string('pausedaccess', 'quizaccess_vigil'), attempt_pages::prevented($quizobj), 'a proctor has');
    }

    /**
     * Whoever blocks it later is held as soon: four minutes after the last receipt, however often answers were sent meanwhile.
     */
    public function test_a_monitor_that_is_blocked_later_is_held(): void {
        $session = $this->ready();
        $nonce = $this->serve($session);
        $this->wait(60);
        $this->assertSame(watch::WATCHED, $this->post($session, $nonce, $this->receipt($session, $nonce, 60)));
        for ($at = 90; $at <= 330; $at += 30) {
            $this->wait(30);
            $this->assertFalse($this->held($session), "at {$at} s");
            $this->assertSame($at <= 240 ? watch::WATCHED : watch::UNWATCHED, $this->post($session, $nonce));
        }
        $this->assertTrue($this->held($session));
    }

    /**
     * Who works in a page that is blocked, with a watched one beside it that sends its answers, too, is held: the second time, and
     * then at once.
     */
    public function test_a_watched_page_beside_puts_no_hold_off(): void {
        $session = $this->ready();
        $decoy = $this->serve($session, 1);
        $blocked = $this->serve($session, 0);
        $this->wait(89);
        $this->assertSame(watch::NONE, $this->post($session, $blocked));
        $this->assertSame(watch::WATCHED, $this->post($session, $decoy, $this->receipt($session, $decoy, 80), 1));
        $this->wait(1);
        $this->assertSame(watch::BESIDE, $this->post($session, $blocked));
        $this->wait(59);
        $this->assertSame(watch::WATCHED, $this->post($session, $decoy, $this->receipt($session, $decoy, 150), 1));
        $this->assertSame(watch::BESIDE, $this->post($session, $blocked));
        $this->assertFalse($this->held($session), 'not on the first look');
        $this->wait(1);
        $this->assertSame(watch::BESIDE, $this->post($session, $blocked));
        $this->assertTrue($this->held($session));
        $row = $this->fresh($session);
        hold::end_pause($row, $this->clock->time());
        (new session_store($this->clock))->save($row);
        $this->wait(5);
        $this->assertSame(watch::WATCHED, $this->post($session, $decoy, $this->receipt($session, $decoy, 10), 1));
        $this->assertSame(watch::BESIDE, $this->post($session, $blocked));
        $this->assertTrue($this->held($session));
    }

    /**
     * Tabs that are worked in by turns hold nobody: only one of them is connected, and each was when it was opened. Nor does a slow
     * page, while the one before it is still watched, nor a line that comes back with the next page.
     */
    public function test_tabs_and_slow_pages_are_not_beside(): void {
        $session = $this->ready();
        $tabs = [];
        foreach ([0, 1, 2, 3] as $page) {
            $tabs[$page] = $this->serve($session, $page);
            $this->post($session, $tabs[$page], $this->receipt($session, $tabs[$page]), $page);
        }
        foreach ([0, 1, 2, 3] as $page) {
            $this->wait(200);
            $this->assertSame(watch::UNWATCHED, $this->post($session, $tabs[$page], '', $page), 'before it is connected again');
            $this->post($session, $tabs[$page], $this->receipt($session, $tabs[$page]), $page);
        }
        $last = $tabs[3];
        foreach ([4, 5, 6] as $page) {
            $next = $this->serve($session, $page);
            $this->wait(29);
            $this->post($session, $last, $this->receipt($session, $last, 29), $page - 1);
            $this->wait(100);
            $this->assertSame(watch::UNWATCHED, $this->post($session, $next, '', $page));
            $last = $this->serve($session, $page);
            $this->post($session, $last, $this->receipt($session, $last), $page);
        }
        $this->assertFalse($this->held($session));
    }

    /**
     * The tool hears from this server that an attempt is held, and that it goes on: the student's browser may not reach it.
     */
    public function test_the_tool_hears_of_a_hold(): void {
        global $DB;
        $session = $this->ready();
        $this->block($session);
        $heard = [];
        $http = $this->createMock(http::class);
        $http->method('ask')->willReturnCallback(function (string $method, string $url, array $headers, string $body) use (&$heard): answer {
            $heard[] = [$url, lti_bridge::payload(json_decode($body)->assertion)];
            return new answer(200, '{}');
        });
        \core\di::set(http::class, $http);
        $this->runAdhocTasks(\quizaccess_vigil\task\report_standing::class);
        $this->assertCount(1, $heard);
        [$url, $claims] = $heard[0];
        $this->assertSame('https://vigil.example/api/v1/attempts/standing', $url);
        $this->assertSame(['standing', 'unwatched'], [$claims->token_use, $claims->attempt_pause_cause]);
        $this->assertSame((int)$this->fresh($session)->pausedat, $claims->attempt_paused_at);
        $start = (int)$DB->get_field('quiz_attempts', 'timestart', ['id' => $session->attemptid]);
        $this->assertSame($start + 3600, $claims->attempt_end, 'as of the start of the hold, without what it may give back');
        $this->serve($session, watch::WAITING);
        $row = $this->fresh($session);
        $this->wait(5);
        watch::instance()->sent($row, $this->receipt($session, 'page' . $this->pages));
        hold::instance()->reconsider($row);
        $this->runAdhocTasks(\quizaccess_vigil\task\report_standing::class);
        $this->assertFalse(isset($heard[1][1]->attempt_paused_at));
    }

    /**
     * A hold that a proctor ends after its cap gives back less than it lasted: the tool hears when the attempt ends now, though no
     * page of it is connected.
     */
    public function test_the_tool_hears_what_a_proctors_end_of_a_hold_gives_back(): void {
        $session = $this->ready();
        $this->block($session);
        $http = $this->createMock(http::class);
        $http->method('ask')->willReturn(new answer(200, '{}'));
        \core\di::set(http::class, $http);
        $this->runAdhocTasks(\quizaccess_vigil\task\report_standing::class);
        $this->wait(1000);
        (new control($this->clock))->handle($this->typeid, json_encode([
            'user' => ['iss' => (new lti_bridge())->issuer(), 'sub' => (string)$session->userid],
            'resource_link' => ['id' => lti_bridge::link_id((int)$this->quiz->cmid)], 'attempt_number' => 1, 'action' => 'resume',
            'incident_time' => gmdate('Y-m-d\TH:i:s\Z', $this->clock->time()), 'incident_severity' => '0.0', 'request_id' => 'r1',
        ]));
        $this->assertSame([0, 300], [(int)$this->fresh($session)->pausedat, (int)$this->fresh($session)->returned]);
        $this->assertCount(1, \core\task\manager::get_adhoc_tasks(\quizaccess_vigil\task\report_standing::class));
    }

    /**
     * Under note and ask nobody is held, and the event is there.
     */
    public function test_note_and_ask_hold_nobody(): void {
        foreach (['note', 'ask'] as $policy) {
            $session = $this->ready($policy);
            $events = $this->redirectEvents();
            $nonce = $this->serve($session);
            for ($n = 0; $n < 10; $n++) {
                $this->wait(100);
                $this->assertSame(watch::UNWATCHED, $this->post($session, $nonce));
            }
            $this->assertFalse($this->held($session));
            $this->assertNotSame(0, (int)$this->fresh($session)->unwatchedat);
            $this->assertCount(1, array_filter(
                $events->get_events(),
                static fn($event) => $event instanceof \quizaccess_vigil\event\attempt_unwatched
            ));
        }
    }

    /**
     * A receipt of the waiting page ends the hold; one of the page before it, or of a decoy that was open before, does not.
     */
    public function test_the_waiting_pages_receipt_ends_a_hold(): void {
        $session = $this->ready();
        $decoy = $this->serve($session);
        $this->block($session);
        $this->wait(30);
        $send = function (string $receipt) use ($session): void {
            $row = $this->fresh($session);
            watch::instance()->sent($row, $receipt);
            hold::instance()->reconsider($row);
        };
        $send($this->receipt($session, $decoy, 300));
        $this->assertTrue($this->held($session));
        $waiting = $this->serve($session, watch::WAITING);
        $send('');
        $this->assertTrue($this->held($session));
        $this->wait(10);
        $send($this->receipt($session, $waiting, 5));
        $row = $this->fresh($session);
        $this->assertSame(0, (int)$row->pausedat);
        $this->assertSame([40, 40], [(int)$row->returned, (int)$row->heldseconds]);
        // From here on there are four minutes again.
        $nonce = $this->serve($session, 1);
        $this->wait(200);
        $this->post($session, $nonce, '', 1);
        $this->assertFalse($this->held($session));
    }

    /**
     * Holds give back five minutes in all: blocking buys no time. The attempt ends when they are used up.
     */
    public function test_the_cap(): void {
        global $DB;
        $session = $this->ready();
        $start = (int)$DB->get_field('quiz_attempts', 'timestart', ['id' => $session->attemptid]);
        $limit = fn(): int => (int)$DB->get_field('quiz_overrides', 'timelimit', ['quiz' => $this->quiz->id]);
        $resume = function (int $after) use ($session): void {
            $this->wait($after);
            $waiting = $this->serve($session, watch::WAITING);
            $row = $this->fresh($session);
            watch::instance()->sent($row, $this->receipt($session, $waiting));
            hold::instance()->reconsider($row);
            $this->assertFalse($this->held($session));
        };
        $this->block($session);
        $this->assertSame(3600 + 300, $limit());
        $resume(200);
        $this->assertSame(3600 + 200, $limit());
        $this->block($session);
        $this->assertSame(3600 + 300, $limit());
        $resume(900);
        $this->assertSame(3600 + 300, $limit());
        $this->block($session);
        $this->assertSame(3600 + 300, $limit());
        $resume(60);
        $row = $this->fresh($session);
        $this->assertSame([300, 300], [(int)$row->returned, (int)$row->heldseconds]);
        $attempt = $DB->get_record('quiz_attempts', ['id' => $session->attemptid]);
        $this->assertSame($start + 3900, time_grant::end($row, $attempt, $this->clock->time()));
    }

    /**
     * A proctor's resume ends a hold, with the time up to the cap; a proctor's pause takes it over, and no receipt ends that.
     */
    public function test_proctors_decide(): void {
        $session = $this->ready();
        $control = new control($this->clock);
        $ask = fn(string $action, string $id) => $control->handle($this->typeid, json_encode([
            'user' => ['iss' => (new lti_bridge())->issuer(), 'sub' => (string)$session->userid],
            'resource_link' => ['id' => lti_bridge::link_id((int)$session->cmid)],
            'attempt_number' => (int)$session->attempt, 'action' => $action, 'incident_time' => '2026-11-30T09:00:00Z',
            'incident_severity' => '0.0', 'request_id' => $id,
        ]));
        $this->block($session);
        $this->wait(1000);
        $this->assertSame('now', $ask('resume', 'r1')['applied']);
        $row = $this->fresh($session);
        $this->assertSame([0, 300], [(int)$row->pausedat, (int)$row->returned]);
        $this->block($session);
        $this->assertSame('now', $ask('pause', 'p1')['applied']);
        $this->assertFalse($this->held($session));
        $this->assertNotSame(0, (int)$this->fresh($session)->pausedat);
        $waiting = $this->serve($session, watch::WAITING);
        $row = $this->fresh($session);
        watch::instance()->sent($row, $this->receipt($session, $waiting));
        $this->assertFalse(hold::instance()->reconsider($row));
        $this->assertNotSame(0, (int)$this->fresh($session)->pausedat);
    }

    /**
     * Who looks while somebody else asks whether the tool answers is let go on only if it does not.
     */
    public function test_looking_at_the_same_moment_ends_no_hold(): void {
        global $CFG;
        require_once(__DIR__ . '/../fixtures/busy_lock_factory.php');
        $session = $this->ready();
        $this->block($session);
        $CFG->lock_factory = \quizaccess_vigil\busy_lock_factory::class;
        foreach ([true, false] as $up) {
            $this->wait(receipt_keys::ONCE_IN);
            $this->tool->up = $up;
            $asked = 0;
            \quizaccess_vigil\busy_lock_factory::$meanwhile = function () use (&$asked): void {
                $asked++;
                receipt_keys::instance()->fetch((new lti_bridge())->tool_by_id($this->typeid));
            };
            $this->assertSame(!$up, hold::instance()->reconsider($this->fresh($session)));
            $this->assertSame(1, $asked);
        }
        $this->assertFalse($this->held($session));
    }

    /**
     * A firewall that stops a whole room holds nobody, and lets those go on who were held before it was seen.
     */
    public function test_a_room_is_not_held(): void {
        $session = $this->ready();
        $this->block($session);
        $room = [$this->another(), $this->another(), $this->another()];
        $nonces = array_map(fn($one) => $this->serve($one), $room);
        for ($n = 0; $n < 6; $n++) {
            $this->wait(60);
            foreach ($room as $i => $one) {
                $this->post($one, $nonces[$i]);
                $this->assertFalse($this->held($one));
            }
        }
        $row = $this->fresh($session);
        $this->assertTrue(hold::instance()->reconsider($row));
        $this->assertFalse($this->held($session));
    }

    /**
     * Three of forty are not a room, and whoever has stopped working is not counted.
     */
    public function test_three_of_many_are_held(): void {
        $session = $this->ready();
        $others = array_map(fn() => $this->another(), range(1, 39));
        $blocked = [$session, $others[0], $others[1]];
        $fine = array_slice($others, 2);
        $nonces = array_map(fn($one) => $this->serve($one), $blocked);
        $theirs = array_map(fn($one) => $this->serve($one), $fine);
        for ($n = 0; $n < 5; $n++) {
            $this->wait(60);
            foreach ($fine as $i => $one) {
                $this->assertSame(watch::WATCHED, $this->post($one, $theirs[$i], $this->receipt($one, $theirs[$i], 60 * ($n + 1))));
            }
            foreach ($blocked as $i => $one) {
                $this->post($one, $nonces[$i]);
            }
        }
        $this->assertTrue($this->held($session));
    }

    /**
     * While the tool is down nobody is held, who is held goes on, and it is asked once in 30 seconds.
     */
    public function test_a_tool_that_is_down_holds_nobody(): void {
        $session = $this->ready();
        $this->block($session);
        $this->tool->up = false;
        $this->wait(receipt_keys::ONCE_IN);
        $asked = $this->tool->asked;
        $row = $this->fresh($session);
        $this->assertTrue(hold::instance()->reconsider($row));
        for ($n = 0; $n < 10; $n++) {
            $this->post($session, $this->serve($session));
        }
        $this->assertSame($asked + 1, $this->tool->asked);
    }

    /**
     * What the student's page sends by itself counts, and says how the attempt stands.
     */
    public function test_the_function(): void {
        $session = $this->ready();
        $this->block($session);
        $this->setUser((int)$session->userid);
        $send = static fn(string $receipts) => \core_external\external_api::clean_returnvalue(
            \quizaccess_vigil\external\send_receipts::execute_returns(),
            \quizaccess_vigil\external\send_receipts::execute((int)$session->attemptid, $receipts)
        );
        $this->assertSame(['status' => 'paused', 'proctored' => true], $send(''));
        $waiting = $this->serve($session, watch::WAITING);
        $this->assertSame(['status' => 'running', 'proctored' => true], $send($this->receipt($session, $waiting)));
        $this->setUser($this->getDataGenerator()->create_user());
        $this->expectException(\moodle_exception::class);
        $send('');
    }

    /**
     * What is kept of pages goes with the attempt, and with the number's next use.
     */
    public function test_pages_go_with_the_attempt(): void {
        global $DB;
        $session = $this->ready();
        $this->serve($session);
        $context = \context_module::instance($session->cmid);
        \quizaccess_vigil\privacy\provider::delete_data_for_all_users_in_context($context);
        $this->assertSame(0, $DB->count_records(watch::TABLE));
    }

    /**
     * The page names itself beside core's form, not in it.
     */
    public function test_the_field_of_a_page(): void {
        global $DB;
        $session = $this->ready();
        $this->setUser((int)$session->userid);
        (new session_store($this->clock))->check_in($session);
        page_stamp::ask($session, 3);
        $html = page_stamp::html([]);
        $page = $DB->get_record(watch::TABLE, ['sessionid' => $session->id], '*', MUST_EXIST);
        $this->assertSame('3', (string)$page->page);
        $this->assertStringContainsString('form="responseform" name="vigil_page" value="' . $page->nonce . '"', $html);
        page_stamp::ask($session, watch::WAITING);
        $this->assertStringNotContainsString('<input', page_stamp::html([]));
    }
}
