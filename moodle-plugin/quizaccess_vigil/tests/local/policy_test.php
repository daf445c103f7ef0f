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
 * The policy: what is stored, sent and refused.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\policy
 */
#[CoversClass(\quizaccess_vigil\local\policy::class)]
final class policy_test extends \advanced_testcase {
    /**
     * Whatever is stored, what is read is a policy.
     */
    public function test_reading_gives_a_policy_always(): void {
        $this->assertSame(policy::defaults(), policy::read(null) + policy::defaults());
        foreach (['', 'null', '[]', '{"attention":7,"watch":"all","retention":5}', '{"watch":["camera"]}'] as $json) {
            $policy = policy::read($json);
            $this->assertEqualsCanonicalizing(array_keys(policy::defaults()), array_keys($policy));
            $this->assertGreaterThanOrEqual(0.1, $policy['attention']);
            $this->assertLessThanOrEqual(1, $policy['attention']);
            $this->assertSame([], array_diff($policy['watch'], policy::WATCHES));
        }
    }

    /**
     * A form that is stored and shown again says the same.
     */
    public function test_a_form_comes_back(): void {
        $policy = policy::read(json_encode([
            'admission' => true, 'pause' => false, 'attention' => 0.6, 'watch' => ['focus', 'idle'], 'link_loss' => 'never',
            'lost_time_cap' => 0, 'retention' => ['signals' => 1, 'chat' => 3650, 'sessions' => 5, 'audit' => 6],
        ]));
        $this->assertEquals($policy, policy::from_form((object)policy::to_form($policy), policy::defaults()));
    }

    /**
     * What a form does not have stays as it was.
     */
    public function test_missing_elements_change_nothing(): void {
        $stored = policy::read('{"admission":true,"lost_time_cap":7}');
        $this->assertEquals($stored, policy::from_form((object)[], $stored));
    }

    /**
     * Numbers out of their range are refused at their element.
     *
     * @param string $value
     * @dataProvider bad_numbers
     */
    #[DataProvider('bad_numbers')]
    public function test_bad_numbers_are_refused(string $value): void {
        $data = array_map('strval', policy::to_form(policy::defaults()));
        $this->assertSame([], policy::errors($data));
        $data['vigil_retention_chat'] = $value;
        $this->assertSame(['vigil_retention_chat'], array_keys(policy::errors($data)));
    }

    /**
     * Bad numbers of days.
     *
     * @return array
     */
    public static function bad_numbers(): array {
        return [['0'], ['-1'], ['3651'], ['1.5'], ['ten'], ['999999999999']];
    }

    /**
     * The claim is one that the tool takes: the numbers are numbers, the switches booleans.
     */
    public function test_the_claim(): void {
        $claim = json_decode(policy::claim(policy::read(null)), true);
        $this->assertSame(3, $claim['vigil']);
        $this->assertArrayNotHasKey('attempt_started', $claim);
        $this->assertSame(0, json_decode(policy::claim(policy::read(null), 0))->attempt_started);
        $this->assertSame(0.3, $claim['policy']['attention']);
        $this->assertTrue($claim['policy']['pause']);
        $this->assertSame(policy::WATCHES, $claim['policy']['watch']);
        $this->assertSame(90, $claim['policy']['retention']['chat']);
    }
}
