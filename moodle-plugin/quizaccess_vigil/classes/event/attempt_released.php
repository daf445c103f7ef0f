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

namespace quizaccess_vigil\event;

/**
 * A paused attempt goes on without the proctoring tool, which could not have let it go on any more.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class attempt_released extends attempt_event {
    /**
     * What has been done.
     *
     * @return string
     */
    protected function what(): string {
        return 'resumed';
    }

    /**
     * What happened.
     *
     * @return string
     */
    public function get_description() {
        return "The paused attempt with id '{$this->objectid}' of the user with id '{$this->relateduserid}' at the quiz with " .
            "course module id '{$this->contextinstanceid}' goes on without the proctoring tool. The user who had it go on is " .
            "the one with id '{$this->userid}' (0: the clean-up).";
    }
}
