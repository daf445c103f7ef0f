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
 * External functions of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$functions = [
    'quizaccess_vigil_get_socket_token' => [
        'classname' => 'quizaccess_vigil\external\get_socket_token',
        'description' => 'Signs that the user is in a proctored attempt now, for the proctoring tool.',
        'type' => 'read',
        'ajax' => true,
        'readonlysession' => true,
        'capabilities' => 'mod/quiz:attempt',
    ],
    'quizaccess_vigil_get_attempt_status' => [
        'classname' => 'quizaccess_vigil\external\get_attempt_status',
        'description' => 'Tells whether a proctored attempt of the user runs, is paused or has ended, and when it ends.',
        'type' => 'read',
        'ajax' => true,
        'readonlysession' => true,
        'capabilities' => 'mod/quiz:attempt',
    ],
    'quizaccess_vigil_send_receipts' => [
        'classname' => 'quizaccess_vigil\external\send_receipts',
        'description' => 'Takes what the proctoring tool signed about the page that the user has open.',
        'type' => 'write',
        'ajax' => true,
        'readonlysession' => true,
        'capabilities' => 'mod/quiz:attempt',
    ],
];
