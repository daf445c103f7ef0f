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
use quizaccess_vigil\event\attempt_released;
use stdClass;

/**
 * Keeps pauses from outliving those who could end them, and running attempts from keeping a pause's parking time.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class rescue {
    /** @var session_store the proctored attempts */
    private readonly session_store $sessions;

    /**
     * Constructor.
     *
     * @param clock $clock
     */
    public function __construct(
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
        $this->sessions = new session_store($clock);
    }

    /**
     * Looks at all open sessions: lets those go on that nobody could let go on, and mends overrides that are not what they are to
     * be.
     */
    public function sweep(): void {
        global $DB;
        $rows = $DB->get_records_select(
            session_store::TABLE,
            'state IN (?, ?) AND attemptid <> 0 AND (pausedat > 0 OR override IS NOT NULL)',
            [session_store::OPEN, session_store::OFF],
            'id'
        );
        $tool = (new lti_bridge())->tool();
        foreach ($rows as $row) {
            $alone = session_store::is_paused($row) && (!$tool || !$tool->active || $tool->id !== (int)$row->typeid);
            if (!$alone && !time_grant::is_stale($row)) {
                continue;
            }
            try {
                $this->change($row, fn(stdClass $session) => $alone ? $this->release($session) : $this->mend($session));
            } catch (\Throwable $e) {
                debugging("Vigil: session {$row->id} is left as it is. {$e->getMessage()}", DEBUG_NORMAL, $e->getTrace());
            }
        }
    }

    /**
     * Lets a paused attempt go on without the tool.
     *
     * @param int $attemptid
     * @return bool false: it is not paused
     */
    public function release_attempt(int $attemptid): bool {
        $session = $this->sessions->of_attempt($attemptid);
        return $session && $this->change($session, fn(stdClass $row): bool => $this->release($row));
    }

    /**
     * Parks a paused attempt again whose override somebody has changed.
     *
     * @param int $quizid
     * @param int $userid
     */
    public function override_changed(int $quizid, int $userid): void {
        global $DB;
        $rows = $DB->get_records_select(
            session_store::TABLE,
            'quizid = ? AND userid = ? AND state = ? AND pausedat > 0',
            [$quizid, $userid, session_store::OPEN]
        );
        foreach ($rows as $row) {
            $this->change($row, fn(stdClass $session): bool => session_store::is_paused($session) && $this->mend($session));
        }
    }

    /**
     * Brings new times of a quiz to the students who were given time: their override has the old ones.
     *
     * @param int $quizid
     */
    public function quiz_changed(int $quizid): void {
        global $DB;
        $rows = $DB->get_records_select(
            session_store::TABLE,
            'quizid = ? AND state IN (?, ?) AND override IS NOT NULL',
            [$quizid, session_store::OPEN, session_store::OFF]
        );
        foreach ($rows as $row) {
            try {
                $this->change($row, fn(stdClass $session): bool => time_grant::is_stale($session) && $this->mend($session));
            } catch (\Throwable $e) {
                debugging("Vigil: session {$row->id} has the quiz's old times. {$e->getMessage()}", DEBUG_NORMAL, $e->getTrace());
            }
        }
    }

    /**
     * Puts back, before a course is reset, what attempts that are deleted by it hold.
     *
     * @param int $courseid
     */
    public function course_is_reset(int $courseid): void {
        global $DB;
        $rows = $DB->get_records_sql(
            "SELECT s.*
               FROM {quizaccess_vigil_session} s
               JOIN {quiz} q ON q.id = s.quizid
              WHERE q.course = ? AND s.override IS NOT NULL",
            [$courseid]
        );
        foreach ($rows as $row) {
            $this->change($row, static function (stdClass $session): bool {
                // A paused attempt would be parked again as soon as its override is seen to change.
                $session->pausedat = 0;
                time_grant::restore($session);
                return true;
            });
        }
    }

    /**
     * Leaves no parking time behind when the plugin goes: attempts that run keep what they were given, the others' overrides are
     * put back.
     */
    public function leave(): void {
        global $DB;
        $rows = $DB->get_records_sql(
            "SELECT s.*
               FROM {quizaccess_vigil_session} s
               JOIN {quiz} q ON q.id = s.quizid
              WHERE s.override IS NOT NULL
           ORDER BY s.attempt DESC"
        );
        foreach ($rows as $row) {
            try {
                $this->change($row, function (stdClass $session): bool {
                    if ($session->state === session_store::ENDED) {
                        time_grant::restore($session);
                        return true;
                    }
                    return $this->release($session) || $this->mend($session);
                });
            } catch (\Throwable $e) {
                debugging("Vigil: the override of session {$row->id} stays. {$e->getMessage()}", DEBUG_NORMAL, $e->getTrace());
            }
        }
    }

    /**
     * Changes a session under the student's lock.
     *
     * @param stdClass $row
     * @param callable $change gets the session as it is stored; true: it is to be stored again
     * @return bool whether it was changed
     */
    private function change(stdClass $row, callable $change): bool {
        $lock = locks::take((int)$row->quizid, (int)$row->userid);
        try {
            $session = $this->sessions->find((int)$row->quizid, (int)$row->userid, (int)$row->attempt);
            if (!$session || !$change($session)) {
                return false;
            }
            $this->sessions->save($session);
            return true;
        } finally {
            $lock->release();
        }
    }

    /**
     * Ends a pause.
     *
     * @param stdClass $session
     * @return bool
     */
    private function release(stdClass $session): bool {
        if (!session_store::is_paused($session)) {
            return false;
        }
        hold::end_pause($session, $this->clock->time());
        time_grant::apply_or_leave($session);
        attempt_released::of($session)->trigger();
        return true;
    }

    /**
     * Makes the override what it is to be.
     *
     * @param stdClass $session
     * @return bool
     */
    private function mend(stdClass $session): bool {
        return time_grant::apply_or_leave($session);
    }
}
