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

/**
 * What is done for the tool's requests: the one table of the Assessment Control Service. The tool's own tests hold the same one.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class control_table {
    /** @var string it is done */
    public const NOW = 'now';

    /** @var string it was done, by this request or so that it stands like that already */
    public const BEFORE = 'before';

    /** @var string it is not done */
    public const NO = 'no';

    /** @var string[] how an attempt may stand */
    public const STATES = ['not_begun', 'running', 'paused', 'ended', 'terminated', 'deleted', 'switched_off'];

    /**
     * @var array[] action => state => now, before, or why not. What is to be done may still turn out to be impossible: extra time
     * without an end that it could move (no_end), a reopening (cannot_reopen), times that core refuses (override).
     */
    public const ANSWERS = [
        'pause' => [
            'not_begun' => 'not_begun', 'running' => self::NOW, 'paused' => self::BEFORE, 'ended' => 'ended',
            'terminated' => 'ended', 'deleted' => 'gone', 'switched_off' => 'switched_off',
        ],
        'resume' => [
            'not_begun' => 'not_begun', 'running' => self::BEFORE, 'paused' => self::NOW, 'ended' => 'ended',
            'terminated' => self::NOW, 'deleted' => 'gone', 'switched_off' => 'switched_off',
        ],
        'terminate' => [
            'not_begun' => 'not_begun', 'running' => self::NOW, 'paused' => self::NOW, 'ended' => 'ended',
            'terminated' => self::BEFORE, 'deleted' => 'gone', 'switched_off' => 'switched_off',
        ],
        'update' => [
            'not_begun' => 'not_begun', 'running' => self::NOW, 'paused' => self::NOW, 'ended' => 'ended',
            'terminated' => 'ended', 'deleted' => 'gone', 'switched_off' => 'switched_off',
        ],
        'flag' => [
            'not_begun' => 'not_begun', 'running' => self::NOW, 'paused' => self::NOW, 'ended' => self::NOW,
            'terminated' => self::NOW, 'deleted' => 'gone', 'switched_off' => self::NOW,
        ],
    ];

    /**
     * The answer's members for what was done, or why it was not.
     *
     * @param string $outcome now, before, or why not
     * @return string[]
     */
    public static function members(string $outcome): array {
        return in_array($outcome, [self::NOW, self::BEFORE], true)
            ? ['applied' => $outcome] : ['applied' => self::NO, 'reason' => $outcome];
    }
}
