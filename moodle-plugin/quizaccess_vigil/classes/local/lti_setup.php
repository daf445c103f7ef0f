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

use moodle_url;
use stdClass;

/**
 * What administrators need of mod_lti: the bridge's other half.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class lti_setup extends lti_bridge {
    /**
     * The site's LTI 1.3 tools.
     *
     * @return stdClass[] as tool_by_id() has them, by id
     */
    public function all(): array {
        $tools = [];
        foreach (array_keys($this->tools()) as $id) {
            $tool = $this->tool_by_id((int)$id);
            if ($tool) {
                $tools[$tool->id] = $tool;
            }
        }
        return $tools;
    }

    /**
     * Activates a tool.
     *
     * @param int $typeid
     */
    public function activate(int $typeid): void {
        lti_set_state_for_type($typeid, LTI_TOOL_STATE_CONFIGURED);
    }

    /**
     * Where core begins a Dynamic Registration.
     *
     * @param string $invitation the tool's registration address
     * @return moodle_url
     */
    public function registration_url(string $invitation): moodle_url {
        return new moodle_url('/mod/lti/startltiadvregistration.php', ['url' => $invitation, 'sesskey' => sesskey()]);
    }

    /**
     * An access token of a tool for our service, to try the service with.
     *
     * @param stdClass $tool
     * @return string
     */
    public function control_token(stdClass $tool): string {
        return lti_new_access_token($tool->id, [\ltiservice_vigil\local\service\vigil::SCOPE_CONTROL])->token;
    }

    /**
     * Takes a token back.
     *
     * @param string $token
     */
    public function revoke(string $token): void {
        global $DB;
        $DB->delete_records('lti_access_tokens', ['token' => $token]);
    }

    /**
     * The id of the key that this site signs with.
     *
     * @return string
     */
    public function key_id(): string {
        return (string)\mod_lti\local\ltiopenid\jwks_helper::get_private_key()['kid'];
    }

    /**
     * Where this site's keys are.
     *
     * @return string
     */
    public function keyset_url(): string {
        return (new moodle_url('/mod/lti/certs.php'))->out(false);
    }
}
