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
 * How control requests are read.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\control_request
 */
#[CoversClass(\quizaccess_vigil\local\control_request::class)]
final class control_request_test extends \advanced_testcase {
    /** @var string[] the actions of the specification */
    public const ACTIONS = ['pause', 'resume', 'terminate', 'update', 'flag'];

    /**
     * A good request.
     *
     * @return array
     */
    private static function good(): array {
        return [
            'user' => ['iss' => 'https://lms.example', 'sub' => '3'], 'resource_link' => ['id' => 'quiz-2'], 'attempt_number' => 1,
            'action' => 'pause', 'incident_time' => '2026-11-23T09:33:16.364Z', 'incident_severity' => 0.5,
        ];
    }

    /**
     * What a request says is read; a severity may come as text, and the issuer may be missing.
     */
    public function test_good_requests(): void {
        $request = control_request::read(json_encode(self::good()), 'https://lms.example');
        $this->assertSame([3, 2, 1, 'pause', 0], [
            $request->userid, $request->cmid, $request->attempt, $request->action, $request->minutes,
        ]);
        $body = ['incident_severity' => '1.00', 'user' => ['sub' => '3'], 'action' => 'update', 'extra_time' => 5] + self::good();
        $request = control_request::read(json_encode($body), 'https://lms.example');
        $this->assertSame([1.0, 5, ''], [$request->severity, $request->minutes, $request->id]);
        $id = '01988f5e-7c1a-7000-8000-00000000000a';
        $this->assertSame($id, control_request::read(json_encode(['request_id' => $id] + self::good()), 'https://lms.example')->id);
    }

    /**
     * Bad requests are refused.
     *
     * @param string $field
     * @param mixed $value
     * @dataProvider bad_fields
     */
    #[DataProvider('bad_fields')]
    public function test_bad_requests(string $field, $value): void {
        try {
            control_request::read(json_encode([$field => $value] + self::good()), 'https://lms.example');
            $this->fail('it was read');
        } catch (control_exception $e) {
            $this->assertSame(400, $e->status);
        }
    }

    /**
     * Bad fields.
     *
     * @return array
     */
    public static function bad_fields(): array {
        return [
            ['user', null], ['user', 'x'], ['user', ['sub' => 3]], ['user', ['sub' => '']],
            ['user', ['iss' => 'https://elsewhere.example', 'sub' => '3']],
            ['resource_link', null], ['resource_link', ['id' => 2]],
            ['attempt_number', 0], ['attempt_number', '1'], ['attempt_number', 1.5], ['attempt_number', 1000001],
            ['action', 'delete'], ['action', null], ['action', ['pause']], ['action', 'handle'],
            ['extra_time', -1], ['extra_time', '5'], ['extra_time', 10081], ['extra_time', 0.5],
            ['incident_time', null], ['incident_time', 'yesterday'], ['incident_time', 5],
            ['incident_time', '2026-11-23T09:33:16.364Z' . str_repeat('0', 30)],
            ['request_id', ''], ['request_id', 5], ['request_id', ['a']], ['request_id', str_repeat('a', 65)],
            ['request_id', "a\0b"], ['request_id', "a\n"],
            ['incident_severity', 2], ['incident_severity', -0.1], ['incident_severity', 'high'], ['incident_severity', 'NAN'],
        ];
    }

    /**
     * What is no object is refused.
     */
    public function test_rubbish(): void {
        foreach (['', 'null', '[]', '"x"', '{', str_repeat('[', 100)] as $body) {
            try {
                control_request::read($body, 'https://lms.example');
                $this->fail('it was read');
            } catch (control_exception $e) {
                $this->assertSame(400, $e->status);
            }
        }
    }
}
