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

namespace quizaccess_vigil\external;

use core_external\external_api;
use core_external\external_function_parameters;
use core_external\external_single_structure;
use core_external\external_value;
use quizaccess_vigil\local\hold;
use quizaccess_vigil\local\own_attempt;

/**
 * Tells how a proctored attempt of the user stands.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class get_attempt_status extends external_api {
    /**
     * The parameters.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters(): external_function_parameters {
        return new external_function_parameters([
            'attemptid' => new external_value(PARAM_INT, 'Id of the quiz attempt'),
        ]);
    }

    /**
     * Looks at the attempt.
     *
     * @param int $attemptid
     * @return array
     */
    public static function execute(int $attemptid): array {
        ['attemptid' => $attemptid] = self::validate_parameters(self::execute_parameters(), ['attemptid' => $attemptid]);
        $own = own_attempt::find($attemptid);
        self::validate_context($own->attemptobj->get_quizobj()->get_context());
        $own = hold::looked_at($own);
        return [
            'status' => $own->status(),
            'end' => $own->end(),
            'now' => \core\di::get(\core\clock::class)->time(),
            'proctored' => $own->is_proctored(),
        ];
    }

    /**
     * The answer.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'status' => new external_value(PARAM_ALPHA, 'running, paused, terminated or complete'),
            'end' => new external_value(
                PARAM_INT,
                'When the attempt ends, in seconds, while paused as of the start of the pause; 0: it has no end'
            ),
            'now' => new external_value(PARAM_INT, 'The time of this server, in seconds'),
            'proctored' => new external_value(PARAM_BOOL, 'Whether the attempt is watched; not any more once it was switched off'),
        ]);
    }
}
