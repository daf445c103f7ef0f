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
use quizaccess_vigil\local\locks;
use quizaccess_vigil\local\own_attempt;
use quizaccess_vigil\local\session_store;
use quizaccess_vigil\local\watch;

/**
 * Takes the receipts of a page that sends no answers.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class send_receipts extends external_api {
    /**
     * The parameters.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters(): external_function_parameters {
        return new external_function_parameters([
            'attemptid' => new external_value(PARAM_INT, 'Id of the quiz attempt'),
            'receipts' => new external_value(PARAM_RAW, 'What the tool signed, separated by spaces; none where there is none'),
        ]);
    }

    /**
     * Takes them. They may let a held attempt go on.
     *
     * @param int $attemptid
     * @param string $receipts
     * @return array
     */
    public static function execute(int $attemptid, string $receipts): array {
        ['attemptid' => $attemptid, 'receipts' => $receipts] = self::validate_parameters(
            self::execute_parameters(),
            ['attemptid' => $attemptid, 'receipts' => $receipts]
        );
        $own = own_attempt::find($attemptid);
        self::validate_context($own->attemptobj->get_quizobj()->get_context());
        if (!\core\session\manager::is_loggedinas() && $own->session->state === session_store::OPEN) {
            $lock = locks::take((int)$own->session->quizid, (int)$own->session->userid, 5);
            try {
                $session = (new session_store(\core\di::get(\core\clock::class)))->of_attempt($attemptid);
                if ($session && $session->state === session_store::OPEN) {
                    watch::instance()->sent($session, $receipts);
                    hold::instance()->reconsider($session);
                }
            } finally {
                $lock->release();
            }
        }
        $own = own_attempt::find($attemptid);
        return ['status' => $own->status(), 'proctored' => $own->is_proctored()];
    }

    /**
     * The answer.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'status' => new external_value(PARAM_ALPHA, 'running, paused, terminated or complete'),
            'proctored' => new external_value(PARAM_BOOL, 'Whether the attempt is watched; not any more once it was switched off'),
        ]);
    }
}
