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
     * What we sign has the claims of an accepted vector: the same names, and values of the same types.
     */
    public function test_claims_are_those_of_an_accepted_vector(): void {
        $vectors = self::vectors();
        $accepted = array_values(array_filter(
            $vectors['rows'],
            fn($row) => $row['result'] === 'accepted' && isset($row['claims']['attempt_end'])
        ));
        $this->assertNotEmpty($accepted);
        $want = $accepted[0]['claims'];
        preg_match('/^quiz-(\d+)$/', $want[lti_bridge::CLAIM_LTI . 'resource_link']['id'], $found);
        $session = (object)[
            'userid' => $want['sub'], 'typeid' => $want[lti_bridge::CLAIM_LTI . 'deployment_id'],
            'cmid' => $found[1], 'attempt' => (string)$want[lti_bridge::CLAIM_AP . 'attempt_number'],
        ];
        $got = assertion::socket($want['iss'], $want['aud'], $session, $want['attempt_end'], $want['iat']);
        $this->assertNotSame('', $got['jti']);
        $got['jti'] = $want['jti'];
        $got['exp'] = $want['exp'];
        ksort($got);
        ksort($want);
        $this->assertSame($want, $got);
    }

    /**
     * Every assertion has an id of its own, lives for a minute, and cannot be taken for an id_token.
     */
    public function test_assertions_differ_and_are_short(): void {
        $session = (object)['userid' => '3', 'typeid' => '1', 'cmid' => '2', 'attempt' => '1'];
        $a = assertion::socket('https://lms.example', 'client-1', $session, 0, 1000);
        $b = assertion::socket('https://lms.example', 'client-1', $session, 0, 1000);
        $this->assertNotSame($a['jti'], $b['jti']);
        $this->assertSame(60, $a['exp'] - $a['iat']);
        $this->assertArrayNotHasKey('attempt_end', $a);
        $this->assertArrayNotHasKey('nonce', $a);
        $this->assertArrayNotHasKey(lti_bridge::CLAIM_LTI . 'message_type', $a);
    }

    /**
     * The vectors' own signatures pass the library that we sign with, where they are good.
     */
    public function test_signing_gives_tokens_like_the_vectors(): void {
        $this->resetAfterTest();
        $session = (object)['userid' => '3', 'typeid' => '1', 'cmid' => '2', 'attempt' => '1'];
        $bridge = new lti_bridge();
        $claims = assertion::socket($bridge->issuer(), 'client-1', $session, 0, time());
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
        $claims = assertion::ended('https://lms.example', 'client-1', $session, 1000);
        $this->assertSame(['ended', 'deleted', 900], [$claims['token_use'], $claims['outcome'], $claims['ended_at']]);
    }
}
