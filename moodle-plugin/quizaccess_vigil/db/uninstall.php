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

/**
 * Uninstallation of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Leaves no paused attempt and no parking time behind: nobody could take them back any more.
 *
 * @return bool
 */
function xmldb_quizaccess_vigil_uninstall(): bool {
    (new \quizaccess_vigil\local\rescue(\core\di::get(\core\clock::class)))->leave();
    return true;
}
