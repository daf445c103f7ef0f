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
 * Receipts, by the vectors that the tool's own tests have, too.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\receipt
 */
#[CoversClass(\quizaccess_vigil\local\receipt::class)]
final class receipt_test extends \advanced_testcase {
    /**
     * The vectors.
     *
     * @return \stdClass
     */
    private static function vectors(): \stdClass {
        return json_decode(file_get_contents(__DIR__ . '/../fixtures/receipts.json'));
    }

    /**
     * A row of the vectors.
     *
     * @param int $number
     * @dataProvider rows
     */
    #[DataProvider('rows')]
    public function test_vector(int $number): void {
        $vectors = self::vectors();
        $row = $vectors->rows[$number];
        $keys = receipt::keys(json_encode($vectors->key_set));
        $got = receipt::read($row->jwt, $keys, (array)$vectors->expected, 1000 * $vectors->clock);
        $this->assertSame($row->result === 'accepted' ? '' : $row->result, $got->reason, $row->name);
        if ($row->result === 'accepted') {
            $this->assertEquals($row->want, (object)[
                'page' => $got->page, 'from' => $got->from, 'until' => $got->until, 'watched' => $got->watched,
            ]);
        }
    }

    /**
     * The rows.
     *
     * @return array
     */
    public static function rows(): array {
        $rows = [];
        foreach (self::vectors()->rows as $number => $row) {
            $rows[$row->name] = [$number];
        }
        return $rows;
    }

    /**
     * What is no key set has no keys, which is not the same as one without any.
     */
    public function test_keys(): void {
        $this->assertNull(receipt::keys(''));
        $this->assertNull(receipt::keys('{"keys":1}'));
        $this->assertSame([], receipt::keys('{"keys":[1,null,{"kty":"RSA"}]}'));
    }
}
