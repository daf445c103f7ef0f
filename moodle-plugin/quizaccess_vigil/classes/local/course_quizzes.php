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
 * The proctored quizzes of a course that a person may proctor.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class course_quizzes {
    /** @var int how many are told */
    private const MOST = 100;

    /**
     * The quizzes of the user at hand, as the tool that proctors knows them.
     *
     * @param int $courseid
     * @return array[] id of the resource link, and title
     */
    public static function of(int $courseid): array {
        global $DB;
        $proctored = $DB->get_records_sql_menu(
            "SELECT q.id, q.id AS same
               FROM {quiz} q
               JOIN {quizaccess_vigil} v ON v.quizid = q.id
              WHERE q.course = ? AND v.enabled = 1",
            [$courseid]
        );
        if (!$proctored) {
            return [];
        }
        $out = [];
        foreach (get_fast_modinfo($courseid)->get_instances_of('quiz') as $cm) {
            if (
                isset($proctored[$cm->instance]) && $cm->uservisible && !$cm->deletioninprogress
                    && has_capability('quizaccess/vigil:proctor', $cm->context)
            ) {
                $out[] = [
                    'id' => lti_bridge::link_id((int)$cm->id),
                    'title' => format_string($cm->name, true, ['context' => $cm->context, 'escape' => false]),
                ];
            }
        }
        return array_slice($out, 0, self::MOST);
    }
}
