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

namespace quizaccess_vigil;

use quizaccess_vigil\local\access_store;
use quizaccess_vigil\local\ending;
use quizaccess_vigil\local\rescue;
use quizaccess_vigil\local\time_grant;

/**
 * Observers of core's events.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class observer {
    /**
     * Somebody was unenrolled, perhaps not for the last time: there may be other enrolments.
     *
     * @param \core\event\user_enrolment_deleted $event
     */
    public static function user_enrolment_deleted(\core\event\user_enrolment_deleted $event): void {
        (new ending(\core\di::get(\core\clock::class)))->unenrolled((int)$event->courseid, (int)$event->relateduserid);
    }

    /**
     * Somebody changed or removed a student's override, perhaps one that keeps a paused attempt from ending.
     *
     * @param \core\event\base $event
     */
    public static function user_override_changed(\core\event\base $event): void {
        if (!time_grant::is_writing()) {
            self::rescue()->override_changed((int)$event->other['quizid'], (int)$event->relateduserid);
        }
    }

    /**
     * The settings of an activity were saved.
     *
     * @param \core\event\course_module_updated $event
     */
    public static function course_module_updated(\core\event\course_module_updated $event): void {
        if ($event->other['modulename'] === 'quiz') {
            self::rescue()->quiz_changed((int)$event->other['instanceid']);
        }
    }

    /**
     * The override of a group was made, changed or removed.
     *
     * @param \core\event\base $event
     */
    public static function group_override_changed(\core\event\base $event): void {
        self::rescue()->quiz_changed((int)$event->other['quizid']);
    }

    /**
     * A course is about to be reset. Attempts that go by it go without a word, and dates may be moved before that is noticed.
     *
     * @param \core\event\course_reset_started $event
     */
    public static function course_reset_started(\core\event\course_reset_started $event): void {
        if (!empty($event->other['reset_options']['reset_quiz_attempts'])) {
            self::rescue()->course_is_reset((int)$event->courseid);
            (new access_store(\core\di::get(\core\clock::class)))->course_is_reset((int)$event->courseid);
        }
    }

    /**
     * What keeps pauses from outliving those who could end them.
     *
     * @return rescue
     */
    private static function rescue(): rescue {
        return new rescue(\core\di::get(\core\clock::class));
    }
}
