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
 * Event observers of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$observers = [
    [
        'eventname' => '\core\event\user_enrolment_deleted',
        'callback' => '\quizaccess_vigil\observer::user_enrolment_deleted',
    ],
    [
        'eventname' => '\core\event\course_reset_started',
        'callback' => '\quizaccess_vigil\observer::course_reset_started',
    ],
    [
        'eventname' => '\core\event\course_module_updated',
        'callback' => '\quizaccess_vigil\observer::course_module_updated',
    ],
    [
        'eventname' => '\mod_quiz\event\group_override_created',
        'callback' => '\quizaccess_vigil\observer::group_override_changed',
    ],
    [
        'eventname' => '\mod_quiz\event\group_override_updated',
        'callback' => '\quizaccess_vigil\observer::group_override_changed',
    ],
    [
        'eventname' => '\mod_quiz\event\group_override_deleted',
        'callback' => '\quizaccess_vigil\observer::group_override_changed',
    ],
    [
        'eventname' => '\mod_quiz\event\user_override_created',
        'callback' => '\quizaccess_vigil\observer::user_override_changed',
    ],
    [
        'eventname' => '\mod_quiz\event\user_override_updated',
        'callback' => '\quizaccess_vigil\observer::user_override_changed',
    ],
    [
        'eventname' => '\mod_quiz\event\user_override_deleted',
        'callback' => '\quizaccess_vigil\observer::user_override_changed',
    ],
];

// What may change who sees whom and may do what. It is told only when it is final: after the transaction.
$concerns = [
    'person_in_course' => [
        'group_member_added',
        'group_member_removed',
        'user_enrolment_created',
        'user_enrolment_updated',
        'user_enrolment_deleted',
    ],
    'course' => [
        'group_created',
        'group_updated',
        'group_deleted',
        'grouping_updated',
        'grouping_deleted',
        'grouping_group_assigned',
        'grouping_group_unassigned',
        'course_updated',
        'course_section_updated',
        'enrol_instance_updated',
        'enrol_instance_deleted',
    ],
    'role' => [
        'role_assigned',
        'role_unassigned',
    ],
    'capability' => [
        'capability_assigned',
        'capability_unassigned',
    ],
    'place' => [
        'context_locked',
        'context_unlocked',
        'course_category_updated',
    ],
    'module' => [
        'course_module_updated',
    ],
    'user' => [
        'user_updated',
        'user_deleted',
    ],
];
foreach ($concerns as $callback => $events) {
    foreach ($events as $event) {
        $observers[] = [
            'eventname' => '\core\event\\' . $event,
            'callback' => '\quizaccess_vigil\access_observer::' . $callback,
            'internal' => false,
        ];
    }
}
