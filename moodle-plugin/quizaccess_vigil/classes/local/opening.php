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

use core\clock;
use stdClass;

/**
 * The beginning of proctored attempts, as the tool is told of it: from the first page that was served on somebody must watch.
 *
 * It is told when that request is over, which keeps the student waiting for nothing, and by a task where that fails.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class opening {
    /** @var float seconds that the end of a request may take */
    private const PATIENCE = 2.0;

    /** @var float seconds that a task waits for the answer */
    private const TASK_PATIENCE = 30.0;

    /** @var int[] sessions to tell of when this request is over */
    private static array $served = [];

    /**
     * Constructor.
     *
     * @param lti_bridge $bridge
     * @param http $http
     * @param clock $clock
     */
    public function __construct(
        /** @var lti_bridge core's LTI */
        private readonly lti_bridge $bridge,
        /** @var http the way to the tool */
        private readonly http $http,
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
    }

    /**
     * The one of this site.
     *
     * @return self
     */
    public static function instance(): self {
        return new self(new lti_bridge(), \core\di::get(http::class), \core\di::get(clock::class));
    }

    /**
     * Notes that a page of an open attempt is served to its student.
     *
     * @param stdClass $session
     */
    public function page_served(stdClass $session): void {
        global $DB;
        if ($session->openedtold || $session->state !== session_store::OPEN) {
            return;
        }
        if ($session->timeopened) {
            // The request that was to tell it did not live to do so, or its task waits.
            self::queue((int)$session->id);
            return;
        }
        $now = $this->clock->time();
        $DB->set_field_select(session_store::TABLE, 'timeopened', $now, 'id = ? AND timeopened = 0', [$session->id]);
        self::$served[] = (int)$session->id;
        if (count(self::$served) === 1 && !PHPUNIT_TEST) {
            \core_shutdown_manager::register_function([self::class, 'at_end']);
        }
    }

    /**
     * Runs when the request is over.
     */
    public static function at_end(): void {
        if (function_exists('fastcgi_finish_request')) {
            \core\session\manager::write_close();
            fastcgi_finish_request();
        }
        try {
            self::instance()->tell();
        } catch (\Throwable $e) {
            debugging('Vigil: the opening of an attempt was not told: ' . $e->getMessage(), DEBUG_NORMAL, $e->getTrace());
        }
    }

    /**
     * Tells the tool what was served in this request; what it does not take at once is left to a task.
     */
    public function tell(): void {
        $served = self::$served;
        self::$served = [];
        foreach ($served as $sessionid) {
            try {
                $this->report($sessionid, self::PATIENCE);
            } catch (\moodle_exception $e) {
                self::queue($sessionid);
            }
        }
    }

    /**
     * Has a task tell.
     *
     * @param int $sessionid
     */
    private static function queue(int $sessionid): void {
        $task = new \quizaccess_vigil\task\report_opening();
        $task->set_component('quizaccess_vigil');
        $task->set_custom_data(['sessionid' => $sessionid]);
        \core\task\manager::queue_adhoc_task($task, true);
    }

    /**
     * Tells the tool that an attempt was opened, for a task. May be called again.
     *
     * @param int $sessionid
     * @throws \moodle_exception so that the task is tried again
     */
    public function work_off(int $sessionid): void {
        $this->report($sessionid, self::TASK_PATIENCE);
    }

    /**
     * Tells the tool that an attempt was opened, unless it knows.
     *
     * @param int $sessionid
     * @param float $patience seconds
     */
    private function report(int $sessionid, float $patience): void {
        global $DB;
        $session = $DB->get_record(session_store::TABLE, ['id' => $sessionid]);
        if (!$session || !$session->timeopened || $session->openedtold) {
            return;
        }
        $tool = $this->bridge->tool_by_id((int)$session->typeid);
        if ($tool) {
            $jwt = $this->bridge->sign_claims(
                assertion::opened($this->bridge->issuer(), $tool->clientid, $session, standing::milliseconds($this->clock))
            );
            $answer = $this->http->tell(lti_bridge::opened_endpoint($tool), $jwt, $patience);
            // An older tool does not know the report, and one that does not know the attempt will not know it the next time.
            if (!$answer->is_done() && $answer->status !== 404) {
                throw new \moodle_exception('erroropennottold', 'quizaccess_vigil', '', null, $answer->summary());
            }
        }
        $DB->set_field(session_store::TABLE, 'openedtold', $this->clock->time(), [
            'id' => $session->id, 'timeopened' => $session->timeopened,
        ]);
    }
}
