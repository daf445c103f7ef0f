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
use moodle_exception;
use quizaccess_vigil\local\assertion;
use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\own_attempt;
use quizaccess_vigil\local\session_store;
use quizaccess_vigil\local\standing;

/**
 * Signs that the user is in a proctored attempt now.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class get_socket_token extends external_api {
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
     * Signs an assertion.
     *
     * @param int $attemptid
     * @return array
     */
    public static function execute(int $attemptid): array {
        ['attemptid' => $attemptid] = self::validate_parameters(self::execute_parameters(), ['attemptid' => $attemptid]);
        if (\core\session\manager::is_loggedinas()) {
            throw new moodle_exception('errorloginas', 'quizaccess_vigil');
        }
        $own = own_attempt::find($attemptid);
        self::validate_context($own->attemptobj->get_quizobj()->get_context());
        $session = $own->session;
        $clock = \core\di::get(\core\clock::class);
        $store = new session_store($clock);
        if (!in_array($own->status(), ['running', 'paused'], true)) {
            throw new moodle_exception('errorended', 'quizaccess_vigil');
        }
        if (!$own->is_proctored()) {
            throw new moodle_exception('errorswitchedoff', 'quizaccess_vigil');
        }
        if (!$store->is_checked_in((int)$session->quizid, (int)$session->userid, (int)$session->attempt)) {
            throw new moodle_exception('errornotcheckedin', 'quizaccess_vigil');
        }
        $bridge = new lti_bridge();
        $tool = $bridge->tool_by_id((int)$session->typeid);
        if (!$tool || !$tool->active) {
            throw new moodle_exception('errortoolinactive', 'quizaccess_vigil');
        }
        // What was looked at before may have changed since: this is what is signed.
        $standing = standing::read($session, $clock);
        if (!$standing || !$standing->is_watched()) {
            throw new moodle_exception('errorended', 'quizaccess_vigil');
        }
        $claims = assertion::socket($bridge->issuer(), $tool->clientid, $standing);
        return [
            'url' => lti_bridge::token_endpoint($tool),
            'token' => $bridge->sign_claims($claims),
            'expires' => $claims['exp'],
        ];
    }

    /**
     * The answer.
     *
     * @return external_single_structure
     */
    public static function execute_returns(): external_single_structure {
        return new external_single_structure([
            'url' => new external_value(PARAM_URL, 'Where the token is exchanged'),
            'token' => new external_value(PARAM_RAW, 'A signed assertion, good for one exchange'),
            'expires' => new external_value(PARAM_INT, 'When it expires, in seconds'),
        ]);
    }
}
