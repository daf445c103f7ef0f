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
use quizaccess_vigil\local\standing;

/**
 * Tells the tool to erase what it keeps of an attempt whose student's data was deleted here. Core tries again when it fails.
 *
 * The session's row is gone by then, so the task carries what the report needs.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class report_erasure extends \core\task\adhoc_task {
    /**
     * Queues the reports.
     *
     * @param \stdClass[] $sessions rows of quizaccess_vigil_session
     */
    public static function queue(array $sessions): void {
        foreach ($sessions as $session) {
            $task = new self();
            $task->set_component('quizaccess_vigil');
            $task->set_custom_data([
                'typeid' => (int)$session->typeid,
                'userid' => (int)$session->userid,
                'cmid' => (int)$session->cmid,
                'attempt' => (int)$session->attempt,
                'outcome' => 'erased',
                'timeended' => (int)$session->timeended ?: \core\di::get(\core\clock::class)->time(),
            ]);
            \core\task\manager::queue_adhoc_task($task);
        }
    }

    /**
     * Runs the task.
     */
    public function execute() {
        $session = $this->get_custom_data();
        $bridge = new lti_bridge();
        $tool = $bridge->tool_by_id((int)$session->typeid);
        if (!$tool) {
            mtrace('Vigil: the tool of a deleted attempt is gone, so its deletion is not reported.');
            return;
        }
        $jwt = $bridge->sign_claims(assertion::ended(
            $bridge->issuer(),
            $tool->clientid,
            $session,
            standing::milliseconds(\core\di::get(\core\clock::class))
        ));
        $answer = \core\di::get(http::class)->tell(lti_bridge::ended_endpoint($tool), $jwt, http::TASK_PATIENCE);
        if (!$answer->is_done() && !($answer->status === 404 && $answer->code() === 'not_found')) {
            throw new \moodle_exception('errorendnottold', 'quizaccess_vigil', '', null, $answer->summary());
        }
    }
}
