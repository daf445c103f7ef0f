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
 * The assertion, held against the vectors that the tool's own tests use.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\assertion
 */
#[CoversClass(\quizaccess_vigil\local\assertion::class)]
final class assertion_test extends \advanced_testcase {
    /**
     * The vectors.
     *
     * @return array
     */
    private static function vectors(): array {
        return json_decode(file_get_contents(__DIR__ . '/../fixtures/assertions.json'), true, 512, JSON_THROW_ON_ERROR);
    }

    /**
     * Accepted vectors of one use, of the versions that have all claims: version 3 is like version 2 but for its number.
     *
     * @param string $use
     * @return array[] name => row
     */
    private static function accepted(string $use): array {
        $rows = array_filter(self::vectors()['rows'], static fn($row) => $row['result'] === 'accepted'
            && ($row['claims']['token_use'] ?? '') === $use && in_array($row['claims']['vigil'] ?? 1, [2, 3], true));
        return array_column($rows, null, 'name');
    }

    /**
     * A session with an attempt at a quiz that is proctored, as it stands at a moment.
     *
     * @param array $fields of the quiz
     * @return array session, clock, generator
     */
    private function ready(array $fields = ['timelimit' => 3600]): array {
        $this->resetAfterTest();
        $this->setAdminUser();
        $clock = $this->mock_clock_with_frozen(time());
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz($fields);
        return [$generator->create_session($quiz, $student), $clock];
    }

    /**
     * What we sign has the claims of an accepted vector, of the same types; those that may be left out are each in one of them.
     *
     * @param string $use
     * @param string $model the vector that has what is needed
     * @dataProvider uses
     */
    #[DataProvider('uses')]
    public function test_claims_are_those_of_an_accepted_vector(string $use, string $model): void {
        [$session, $clock] = $this->ready();
        $session->pausedat = $clock->time();
        (new session_store($clock))->save($session);
        $session->outcome = 'switched_off';
        $session->timeended = $clock->time();
        $standing = standing::read($session, $clock);
        $ms = $standing->toldat;
        $got = match ($use) {
            'socket' => assertion::socket('https://lms.example', 'client-1', $standing),
            'page' => assertion::page('https://lms.example', 'client-1', $standing, $ms - 20, $ms + 30),
            'ended' => assertion::ended('https://lms.example', 'client-1', $session, $ms),
            'export' => assertion::export('https://lms.example', 'client-1', $session, $ms),
            'access' => assertion::access(
                'https://lms.example',
                (object)['id' => $session->typeid, 'clientid' => 'client-1'],
                (int)$session->cmid,
                $clock->time(),
                [],
                []
            ),
        };
        $types = static function (array $claims): array {
            ksort($claims);
            return array_map('gettype', $claims);
        };
        $rows = self::accepted($use);
        $this->assertSame([], array_diff_assoc($types($rows[$model]['claims']), $types($got)));
        $all = [];
        foreach ($rows as $row) {
            $all += $types($row['claims']);
        }
        $this->assertSame([], array_diff_assoc($types($got), $all), 'claims that no vector has');
        if ($use === 'ended') {
            $outcomes = array_column(array_column($rows, 'claims'), 'outcome');
            $this->assertContains('switched_off', $outcomes);
        }
    }

    /**
     * The uses of a token.
     *
     * @return array[]
     */
    public static function uses(): array {
        return [
            'an assertion' => ['socket', 'version 2'],
            'a page stamp' => ['page', 'page'],
            'a report of an end' => ['ended', 'report of an end, as short as can be'],
            'a question' => ['export', 'question for what is kept, as short as can be'],
            'a report of groups and rights' => ['access', 'report of groups and rights, nobody'],
        ];
    }

    /**
     * The content of a vector, signed here from the same facts, is the same.
     */
    public function test_the_same_facts_give_the_same_claims(): void {
        [$session, $clock] = $this->ready();
        $want = self::accepted('socket')['version 2']['claims'];
        preg_match('/^quiz-(\d+)$/', $want[lti_bridge::CLAIM_LTI . 'resource_link']['id'], $found);
        foreach ($want['requests'] as $id) {
            $this->add_request($session, 'update', $id);
        }
        $standing = standing::read($session, $clock);
        $standing->session->userid = $want['sub'];
        $standing->session->cmid = $found[1];
        $standing->session->typeid = $want[lti_bridge::CLAIM_LTI . 'deployment_id'];
        $standing->session->attempt = (string)$want[lti_bridge::CLAIM_AP . 'attempt_number'];
        $got = assertion::socket($want['iss'], $want['aud'], $standing);
        // What differs is when it was read and signed, its id, and that the vector is of version 2.
        $got['vigil'] = $want['vigil'];
        foreach (['iat', 'exp', 'jti', 'told_at', 'attempt_end'] as $claim) {
            $this->assertSame(gettype($want[$claim]), gettype($got[$claim]), $claim);
            $got[$claim] = $want[$claim];
        }
        ksort($got);
        ksort($want);
        $this->assertSame($want, $got);
    }

    /**
     * Notes a request that was done.
     *
     * @param \stdClass $session
     * @param string $action
     * @param string|null $id
     */
    private function add_request(\stdClass $session, string $action, ?string $id): void {
        global $DB;
        $DB->insert_record('quizaccess_vigil_incident', (object)[
            'sessionid' => $session->id, 'action' => $action, 'requestid' => $id, 'incidenttime' => '2026-11-28T09:00:00Z',
            'timecreated' => time(),
        ]);
    }

    /**
     * Every assertion has an id of its own, lives for a minute, and cannot be taken for an id_token.
     */
    public function test_assertions_differ_and_are_short(): void {
        [$session, $clock] = $this->ready(['timelimit' => 0]);
        $standing = standing::read($session, $clock);
        $a = assertion::socket('https://lms.example', 'client-1', $standing);
        $b = assertion::socket('https://lms.example', 'client-1', $standing);
        $this->assertNotSame($a['jti'], $b['jti']);
        $this->assertSame(60, $a['exp'] - $a['iat']);
        $this->assertSame([3, []], [$a['vigil'], $a['requests']]);
        $this->assertArrayNotHasKey('attempt_end', $a);
        $this->assertArrayNotHasKey('attempt_paused_at', $a);
        $this->assertArrayNotHasKey('nonce', $a);
        $this->assertArrayNotHasKey(lti_bridge::CLAIM_LTI . 'message_type', $a);
    }

    /**
     * When it was read is told in milliseconds, by the clock by which the seconds are told.
     */
    public function test_the_time_is_told_in_milliseconds(): void {
        [$session, $clock] = $this->ready();
        $clock->time = new \DateTimeImmutable('@1900000000.987654');
        $claims = assertion::socket('https://lms.example', 'client-1', standing::read($session, $clock));
        $this->assertSame([1900000000987, 1900000000], [$claims['told_at'], $claims['iat']]);
    }

    /**
     * While paused the end is told as of the start of the pause, and stands still however long the pause is.
     */
    public function test_a_paused_attempts_end_stands_still(): void {
        global $DB;
        [$session, $clock] = $this->ready();
        $session->pausedat = $clock->time();
        time_grant::apply($session);
        (new session_store($clock))->save($session);
        $start = (int)$DB->get_field('quiz_attempts', 'timestart', ['id' => $session->attemptid]);
        foreach ([0, 600, 30000] as $later) {
            $clock->set_to($session->pausedat + $later);
            $claims = assertion::socket('https://lms.example', 'client-1', standing::read($session, $clock));
            $this->assertSame([$start + 3600, (int)$session->pausedat], [$claims['attempt_end'], $claims['attempt_paused_at']]);
        }
    }

    /**
     * The requests whose time the end holds are named: the latest two hundred, in their order, and only such as give time.
     */
    public function test_requests_are_named(): void {
        [$session, $clock] = $this->ready();
        $this->add_request($session, 'update', null);
        $this->add_request($session, 'pause', 'p');
        $this->add_request($session, 'flag', 'f');
        $this->add_request($session, 'terminate', 't');
        for ($n = 1; $n <= 205; $n++) {
            $this->add_request($session, $n % 2 ? 'update' : 'resume', "r{$n}");
        }
        $claims = assertion::socket('https://lms.example', 'client-1', standing::read($session, $clock));
        $this->assertSame(array_map(static fn($n) => "r{$n}", range(6, 205)), $claims['requests']);
    }

    /**
     * What is read is read under the student's lock, so that what is told later was read later.
     */
    public function test_it_is_read_under_the_lock(): void {
        global $CFG;
        [$session, $clock] = $this->ready();
        // The database's own locks know their owner and let it in again.
        $CFG->lock_factory = '\\core\\lock\\file_lock_factory';
        $lock = locks::take((int)$session->quizid, (int)$session->userid);
        try {
            standing::read($session, $clock, 0);
            $this->fail('it was read without the lock');
        } catch (\moodle_exception $e) {
            $this->assertSame('errorbusy', $e->errorcode);
        } finally {
            $lock->release();
        }
        $this->assertSame('running', standing::read($session, $clock, 0)->status);
    }

    /**
     * The vectors' own signatures pass the library that we sign with, where they are good.
     */
    public function test_signing_gives_tokens_like_the_vectors(): void {
        $this->resetAfterTest();
        $bridge = new lti_bridge();
        $claims = ['jti' => 'one', 'iat' => time(), 'exp' => time() + 60];
        $jwt = $bridge->sign_claims($claims);
        $header = json_decode(\Firebase\JWT\JWT::urlsafeB64Decode(explode('.', $jwt)[0]));
        $this->assertSame('RS256', $header->alg);
        $keys = \mod_lti\local\ltiopenid\jwks_helper::get_jwks()['keys'];
        $this->assertContains($header->kid, array_column($keys, 'kid'));
        $decoded = \Firebase\JWT\JWT::decode($jwt, \Firebase\JWT\JWK::parseKeySet(['keys' => $keys]));
        $this->assertSame($claims['jti'], $decoded->jti);
    }

    /**
     * The report of an end is no assertion of a quiz page.
     */
    public function test_ended_is_another_use(): void {
        $session = (object)[
            'userid' => '3', 'typeid' => '1', 'cmid' => '2', 'attempt' => '1', 'outcome' => 'deleted', 'timeended' => '900',
        ];
        $claims = assertion::ended('https://lms.example', 'client-1', $session, 1000500);
        $this->assertSame(['ended', 'deleted', 900], [$claims['token_use'], $claims['outcome'], $claims['ended_at']]);
        $this->assertSame([1000, 1000500, 3], [$claims['iat'], $claims['told_at'], $claims['vigil']]);
        $this->assertArrayNotHasKey('requests', $claims);
    }
}
