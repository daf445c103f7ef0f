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

use quizaccess_vigil\local\access;
use quizaccess_vigil\local\access_changes;

/**
 * Observers of what may change who may see and do what. They note where to look, when the change is final.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class access_observer {
    /**
     * Something about one person in a course: a group, an enrolment.
     *
     * @param \core\event\base $event
     */
    public static function person_in_course(\core\event\base $event): void {
        access_changes::note('course', (int)$event->courseid, (int)$event->relateduserid);
    }

    /**
     * Something about a whole course: its groups, groupings, group mode, sections, ways of enrolment.
     *
     * @param \core\event\base $event
     */
    public static function course(\core\event\base $event): void {
        access_changes::note('course', (int)$event->courseid);
    }

    /**
     * A role was given or taken, somewhere.
     *
     * @param \core\event\base $event
     */
    public static function role(\core\event\base $event): void {
        access_changes::note('context', (int)$event->contextid, (int)$event->relateduserid);
    }

    /**
     * What a role may do was changed, somewhere.
     *
     * @param \core\event\base $event
     */
    public static function capability(\core\event\base $event): void {
        $ours = array_merge(array_values(access::RIGHTS), [
            access::ALL_GROUPS, access::HIDDEN_GROUPS, access::VIEW_COURSE, access::VIEW_QUIZ,
            access::HIDDEN_QUIZ, access::HIDDEN_COURSE, access::RESTRICTED_QUIZ,
        ]);
        if (in_array($event->other['capability'] ?? '', $ours, true)) {
            access_changes::note('context', (int)$event->contextid);
        }
    }

    /**
     * A place was frozen or thawed, which takes capabilities from everyone there and gives them back; or a category was moved, with
     * all that is in it, away from the roles of those above it.
     *
     * @param \core\event\base $event
     */
    public static function place(\core\event\base $event): void {
        access_changes::note('context', (int)$event->contextid);
    }

    /**
     * The settings of an activity were saved: group mode and grouping are among them.
     *
     * @param \core\event\base $event
     */
    public static function module(\core\event\base $event): void {
        if ($event->other['modulename'] === 'quiz') {
            access_changes::note('quiz', (int)$event->other['instanceid']);
        }
    }

    /**
     * Somebody's account was changed or deleted; it may be suspended now.
     *
     * @param \core\event\base $event
     */
    public static function user(\core\event\base $event): void {
        access_changes::note('user', (int)$event->objectid);
    }
}
