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

use core\lock\lock;
use moodle_exception;

/**
 * One lock for each student of a quiz: whatever starts, saves, pauses, extends or ends the student's attempt takes it. And one for
 * each quiz, for what the tool is told of groups and rights there.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class locks {
    /** @var int seconds to wait for it */
    private const PATIENCE = 15;

    /**
     * Takes the lock.
     *
     * @param int $quizid
     * @param int $userid
     * @param int $patience seconds to wait for it
     * @return lock to be released by the caller
     * @throws moodle_exception
     */
    public static function take(int $quizid, int $userid, int $patience = self::PATIENCE): lock {
        return self::get("attempt_{$quizid}_{$userid}", $patience);
    }

    /**
     * Takes the lock on what the tool is told of groups and rights at a quiz. Who has it takes no other.
     *
     * @param int $quizid
     * @param int $patience seconds to wait for it
     * @return lock to be released by the caller
     * @throws moodle_exception
     */
    public static function take_access(int $quizid, int $patience = self::PATIENCE): lock {
        return self::get("access_{$quizid}", $patience);
    }

    /**
     * Takes a lock.
     *
     * @param string $name
     * @param int $patience
     * @return lock
     * @throws moodle_exception
     */
    private static function get(string $name, int $patience): lock {
        $lock = \core\lock\lock_config::get_lock_factory('quizaccess_vigil')->get_lock($name, $patience);
        if (!$lock) {
            throw new moodle_exception('errorbusy', 'quizaccess_vigil');
        }
        return $lock;
    }
}
