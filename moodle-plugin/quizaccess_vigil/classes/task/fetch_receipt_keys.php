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

use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\receipt_keys;

/**
 * Fetches the keys that the tool signs receipts with. A new one is published for a day before it is used.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class fetch_receipt_keys extends \core\task\scheduled_task {
    /**
     * The task's name.
     *
     * @return string
     */
    public function get_name() {
        return get_string('taskreceiptkeys', 'quizaccess_vigil');
    }

    /**
     * Runs the task.
     */
    public function execute() {
        $tool = (new lti_bridge())->tool();
        if ($tool && $tool->active && !receipt_keys::instance()->fetch($tool)) {
            mtrace('The tool did not answer with its receipt keys. They are tried again.');
        }
    }
}
