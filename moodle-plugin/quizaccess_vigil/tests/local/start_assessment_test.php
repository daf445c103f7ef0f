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
 * The message with which the tool sends a student back.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\start_assessment
 */
#[CoversClass(\quizaccess_vigil\local\start_assessment::class)]
final class start_assessment_test extends \advanced_testcase {
    /**
     * A message, and what judges it. The signature is taken for good: core's own function checks it.
     *
     * @param callable|null $change of the claims
     * @param bool $signed
     * @return array the judge, the launch, the message
     */
    private function message(?callable $change = null, bool $signed = true): array {
        $this->resetAfterTest();
        $clock = $this->mock_clock_with_frozen(1800000000);
        $typeid = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_tool();
        $launches = new launch_store($clock);
        $launch = $launches->begin([
            'kind' => 'start', 'typeid' => $typeid, 'quizid' => 1, 'cmid' => 2, 'userid' => 3, 'attempt' => 4,
        ]);
        $secret = $launches->send($launch);
        $bridge = new class ($signed) extends lti_bridge {
            /**
             * Constructor.
             *
             * @param bool $signed
             */
            public function __construct(
                /** @var bool whether signatures are good */
                private bool $signed,
            ) {
                parent::__construct();
            }

            #[\Override]
            public function verify(\stdClass $tool, string $jwt): \stdClass {
                if (!$this->signed) {
                    throw new \moodle_exception('errorstartsignature', 'quizaccess_vigil');
                }
                return self::payload($jwt);
            }
        };
        $claims = [
            'iss' => $bridge->tool()->clientid, 'aud' => $bridge->issuer(), 'iat' => 1799999995, 'exp' => 1800000060,
            'nonce' => 'n1',
            lti_bridge::CLAIM_LTI . 'deployment_id' => (string)$typeid,
            lti_bridge::CLAIM_LTI . 'message_type' => 'LtiStartAssessment',
            lti_bridge::CLAIM_LTI . 'version' => '1.3.0',
            lti_bridge::CLAIM_LTI . 'resource_link' => ['id' => 'quiz-2'],
            lti_bridge::CLAIM_AP . 'attempt_number' => 4,
            lti_bridge::CLAIM_AP . 'session_data' => $secret,
            lti_bridge::CLAIM_AP . 'end_assessment_return' => true,
        ];
        if ($change) {
            $claims = $change($claims);
        }
        $jwt = 'e30.' . rtrim(strtr(base64_encode(json_encode($claims)), '+/', '-_'), '=') . '.c2ln';
        return [new start_assessment($bridge, $launches, $clock), $launch, $jwt, $launches, $clock];
    }

    /**
     * A good message leads to a code, which leads to the launch.
     */
    public function test_a_good_message_gives_a_code(): void {
        [$judge, $launch, $jwt, $launches] = $this->message();
        [$accepted, $code] = $judge->accept($jwt);
        $this->assertEquals($launch->id, $accepted->id);
        $found = $launches->of_code($code);
        $this->assertEquals($launch->id, $found->id);
        $this->assertSame('answered', $found->state);
        $this->assertEquals(1, $found->endreturn);
        $this->assertNull($launches->of_code($code . '0'));
    }

    /**
     * A message is good once.
     */
    public function test_a_message_is_good_once(): void {
        [$judge, , $jwt] = $this->message();
        $judge->accept($jwt);
        $this->expectExceptionMessageMatches('/nonce/');
        $judge->accept($jwt);
    }

    /**
     * A launch that was spent, or has expired, takes no answer.
     */
    public function test_a_launch_has_its_time(): void {
        [$judge, $launch, $jwt, $launches, $clock] = $this->message();
        $launches->spend($launch);
        try {
            $judge->accept($jwt);
            $this->fail('a spent launch was answered');
        } catch (\moodle_exception $e) {
            $this->assertSame('errorstartlate', $e->errorcode);
        }
        [$judge, , $jwt, , $clock] = $this->message();
        $clock->bump(launch_store::LIFE);
        $this->expectExceptionMessage(get_string('errorstartlate', 'quizaccess_vigil'));
        $judge->accept($jwt);
    }

    /**
     * The code has its time as well.
     */
    public function test_a_code_has_its_time(): void {
        [$judge, , $jwt, $launches, $clock] = $this->message();
        [, $code] = $judge->accept($jwt);
        $clock->bump(launch_store::CODE_LIFE);
        $this->assertNull($launches->of_code($code));
    }

    /**
     * A bad signature is refused, whatever the claims.
     */
    public function test_a_bad_signature_is_refused(): void {
        [$judge, , $jwt] = $this->message(null, false);
        $this->expectExceptionMessage(get_string('errorstartsignature', 'quizaccess_vigil'));
        $judge->accept($jwt);
    }

    /**
     * What is no message is refused.
     */
    public function test_rubbish_is_refused(): void {
        [$judge] = $this->message();
        foreach (['', 'a.b', 'a.b.c', '..', str_repeat('a', 40000)] as $jwt) {
            try {
                $judge->accept($jwt);
                $this->fail('rubbish was accepted');
            } catch (\moodle_exception $e) {
                $this->assertSame('errorstartform', $e->errorcode);
            }
        }
    }

    /**
     * A tool that was switched off meanwhile sends nobody back.
     */
    public function test_an_inactive_tool_is_refused(): void {
        global $DB;
        [$judge, $launch, $jwt] = $this->message();
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_PENDING, ['id' => $launch->typeid]);
        $this->expectExceptionMessage(get_string('errortoolinactive', 'quizaccess_vigil'));
        $judge->accept($jwt);
    }

    /**
     * Each claim is checked.
     *
     * @param string $claim
     * @param mixed $value null: it is missing
     * @param string $named
     * @dataProvider wrong_claims
     */
    #[DataProvider('wrong_claims')]
    public function test_wrong_claims_are_refused(string $claim, $value, string $named): void {
        [$judge, , $jwt] = $this->message(function (array $claims) use ($claim, $value): array {
            $claims[$claim] = $value;
            return array_filter($claims, fn($one) => $one !== null);
        });
        try {
            $judge->accept($jwt);
            $this->fail("{$claim} was not checked");
        } catch (\moodle_exception $e) {
            $this->assertSame('errorstartclaim', $e->errorcode);
            $this->assertSame($named, $e->a);
        }
    }

    /**
     * Wrong claims.
     *
     * @return array
     */
    public static function wrong_claims(): array {
        $lti = 'https://purl.imsglobal.org/spec/lti/claim/';
        $ap = 'https://purl.imsglobal.org/spec/lti-ap/claim/';
        return [
            ['iss', 'somebody', 'iss'], ['iss', null, 'iss'],
            ['aud', 'https://elsewhere.example', 'aud'], ['aud', ['a', 'b'], 'aud'], ['aud', null, 'aud'],
            ['azp', 'https://elsewhere.example', 'azp'],
            ['iat', null, 'iat'], ['iat', 1800000061, 'iat'], ['iat', '1800000000', 'iat'],
            ['exp', null, 'exp'], ['exp', 1799999939, 'exp'], ['exp', 1800000596, 'exp'], ['exp', '1800000060', 'exp'],
            ['nonce', null, 'nonce'], ['nonce', '', 'nonce'], ['nonce', 5, 'nonce'],
            [$lti . 'deployment_id', '99999', 'deployment_id'], [$lti . 'deployment_id', null, 'deployment_id'],
            [$lti . 'message_type', 'LtiStartProctoring', 'message_type'], [$lti . 'message_type', null, 'message_type'],
            [$lti . 'version', '1.1', 'version'],
            [$lti . 'resource_link', ['id' => 'quiz-3'], 'resource_link'], [$lti . 'resource_link', null, 'resource_link'],
            [$lti . 'resource_link', 'quiz-2', 'resource_link'],
            [$ap . 'attempt_number', 5, 'attempt_number'], [$ap . 'attempt_number', '4', 'attempt_number'],
            [$ap . 'end_assessment_return', 'yes', 'end_assessment_return'],
        ];
    }

    /**
     * A message for another launch, or for none, is refused before anything else is looked at.
     */
    public function test_the_session_data_come_first(): void {
        [$judge, , $jwt] = $this->message(fn(array $c): array => [lti_bridge::CLAIM_AP . 'session_data' => 'guess'] + $c, false);
        $this->expectExceptionMessage(get_string('errorstartlate', 'quizaccess_vigil'));
        $judge->accept($jwt);
    }
}
