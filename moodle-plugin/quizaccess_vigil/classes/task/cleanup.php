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

namespace quizaccess_vigil\task;

use quizaccess_vigil\local\access_store;
use quizaccess_vigil\local\ending;
use quizaccess_vigil\local\launch_store;
use quizaccess_vigil\local\rescue;
use quizaccess_vigil\local\switching_off;

/**
 * Removes what has expired, finds attempts that went without a word, and those that nobody could let go on.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class cleanup extends \core\task\scheduled_task {
    /**
     * The task's name.
     *
     * @return string
     */
    public function get_name() {
        return get_string('taskcleanup', 'quizaccess_vigil');
    }

    /**
     * Runs the task.
     */
    public function execute() {
        $clock = \core\di::get(\core\clock::class);
        (new launch_store($clock))->sweep();
        $ending = new ending($clock);
        $ending->find_lost();
        (new switching_off($clock))->sweep();
        (new rescue($clock))->sweep();
        (new access_store($clock))->sweep();
        $ending->retry();
        $ending->purge();
    }
}
