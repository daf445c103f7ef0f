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
namespace quizaccess_vigil\task;

use quizaccess_vigil\local\assertion;
use quizaccess_vigil\local\http;
use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\session_store;
use quizaccess_vigil\local\standing;
use stdClass;

/**
 * Tells the tool how an attempt stands that is held because nobody watches, or goes on after that: its student's browser may not
 * reach the tool, and a proctor has to see it. Core tries again when it fails.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class report_standing extends \core\task\adhoc_task {
    /**
     * Has an attempt reported.
     *
     * @param stdClass $session
     */
    public static function queue(stdClass $session): void {
        $task = new self();
        $task->set_custom_data(['sessionid' => (int)$session->id]);
        \core\task\manager::queue_adhoc_task($task, true);
    }

    /**
     * Runs the task.
     */
    public function execute() {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        $session = $DB->get_record(session_store::TABLE, ['id' => (int)$this->get_custom_data()->sessionid]);
        $bridge = new lti_bridge();
        $tool = $session ? $bridge->tool_by_id((int)$session->typeid) : null;
        $standing = $tool ? standing::read($session, \core\di::get(\core\clock::class)) : null;
        if (!$standing || !$standing->is_watched()) {
            return;
        }
        $jwt = $bridge->sign_claims(assertion::report($bridge->issuer(), $tool->clientid, $standing));
        $answer = \core\di::get(http::class)->tell(lti_bridge::standing_endpoint($tool), $jwt, http::TASK_PATIENCE);
        // A tool that does not know the attempt, or such reports, will not the next time either.
        if (!$answer->is_done() && $answer->status !== 404) {
            throw new \moodle_exception('errorendnottold', 'quizaccess_vigil', '', null, $answer->summary());
        }
    }
}
