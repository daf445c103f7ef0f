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
 * Reports of openings.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\opening
 */
#[CoversClass(\quizaccess_vigil\local\opening::class)]
final class opening_test extends \advanced_testcase {
    /** @var array[] what was asked of the tool: URL, body, patience */
    private array $asked = [];

    /** @var int the status that the tool answers */
    private int $status = 200;

    /**
     * A session whose attempt is open.
     *
     * @return \stdClass
     */
    private function session(): \stdClass {
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz(['timelimit' => 3600]);
        $session = $generator->create_session($quiz, $student, $generator->create_tool());
        $asked = &$this->asked;
        $status = &$this->status;
        $tool = new class ($asked, $status) extends http {
            /**
             * Constructor.
             *
             * @param array $asked
             * @param int $status
             */
            public function __construct(
                /** @var array what was asked */
                private array &$asked,
                /** @var int what is answered */
                private int &$status,
            ) {
            }

            #[\Override]
            public function ask(
                string $method,
                string $url,
                array $headers = [],
                string $body = '',
                ?float $patience = null
            ): answer {
                $this->asked[] = [$url, $body, $patience];
                return new answer($this->status, '{}');
            }
        };
        \core\di::set(http::class, $tool);
        return $session;
    }

    /**
     * The stored session.
     *
     * @param \stdClass $session
     * @return \stdClass
     */
    private function stored(\stdClass $session): \stdClass {
        global $DB;
        return $DB->get_record(session_store::TABLE, ['id' => $session->id], '*', MUST_EXIST);
    }

    /**
     * How many reports wait.
     *
     * @return int
     */
    private function waiting(): int {
        return count(\core\task\manager::get_adhoc_tasks('\quizaccess_vigil\task\report_opening'));
    }

    /**
     * The first page is told once, when the request is over, in two seconds at most.
     */
    public function test_the_first_page_is_told_once(): void {
        $session = $this->session();
        opening::instance()->page_served($this->stored($session));
        $this->assertSame([], $this->asked, 'the page does not wait for it');
        opening::instance()->tell();
        $this->assertCount(1, $this->asked);
        [$url, $body, $patience] = $this->asked[0];
        $this->assertSame('https://vigil.example/api/v1/attempts/opened', $url);
        $this->assertLessThanOrEqual(2, $patience);
        $jwt = explode('.', json_decode($body)->assertion);
        $claims = json_decode(base64_decode(strtr($jwt[1], '-_', '+/')), true);
        $row = $this->stored($session);
        $this->assertSame(['opened', (int)$row->timeopened, 3], [$claims['token_use'], $claims['opened_at'], $claims['vigil']]);
        $this->assertGreaterThan(0, (int)$row->openedtold);
        // The vector that the tool's tests accept has the same members, of the same types.
        $vectors = json_decode(file_get_contents(__DIR__ . '/../fixtures/assertions.json'), true)['rows'];
        $vector = array_column($vectors, 'claims', 'name')['report of an opening, as short as can be'];
        foreach ($vector as $name => $value) {
            $this->assertSame(gettype($value), gettype($claims[$name] ?? null), $name);
        }
        opening::instance()->page_served($row);
        opening::instance()->tell();
        $this->assertCount(1, $this->asked);
        $this->assertSame(0, $this->waiting());
    }

    /**
     * A tool that is away is told by a task.
     */
    public function test_a_tool_that_is_away_is_told_by_a_task(): void {
        $session = $this->session();
        $this->status = 0;
        opening::instance()->page_served($this->stored($session));
        opening::instance()->tell();
        $opened = (int)$this->stored($session)->timeopened;
        $this->assertSame([1, 0], [$this->waiting(), (int)$this->stored($session)->openedtold]);
        // Further pages tell nothing by themselves, and no second task.
        opening::instance()->page_served($this->stored($session));
        opening::instance()->tell();
        $this->assertSame([1, 1], [$this->waiting(), count($this->asked)]);
        try {
            opening::instance()->work_off((int)$session->id);
            $this->fail('the task must be tried again');
        } catch (\moodle_exception $e) {
            $this->assertSame('erroropennottold', $e->errorcode);
        }
        $this->status = 200;
        opening::instance()->work_off((int)$session->id);
        $this->assertGreaterThan(0, (int)$this->stored($session)->openedtold);
        $this->assertSame($opened, (int)$this->stored($session)->timeopened);
        opening::instance()->work_off((int)$session->id);
        $this->assertCount(3, $this->asked);
    }

    /**
     * A tool that does not know the report, or the attempt, is not asked again.
     */
    public function test_an_older_tool_is_not_asked_again(): void {
        $session = $this->session();
        $this->status = 404;
        opening::instance()->page_served($this->stored($session));
        opening::instance()->tell();
        $this->assertSame(0, $this->waiting());
        $this->assertGreaterThan(0, (int)$this->stored($session)->openedtold);
    }

    /**
     * An attempt whose number is used again is opened again; one that has ended is not.
     */
    public function test_each_attempt_is_told_by_itself(): void {
        global $DB;
        $session = $this->session();
        opening::instance()->page_served($this->stored($session));
        opening::instance()->tell();
        $DB->set_field(session_store::TABLE, 'state', session_store::ENDED, ['id' => $session->id]);
        $again = (new session_store(\core\di::get(\core\clock::class)))->open((object)(array)$session);
        $this->assertEquals([$session->id, 0, 0], [$again->id, $again->timeopened, $again->openedtold]);
        $again->state = session_store::ENDED;
        opening::instance()->page_served($again);
        opening::instance()->tell();
        $this->assertCount(1, $this->asked);
    }
}
