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
 * Ends the watching of attempts whose quiz is not proctored any more.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class switching_off {
    /** @var int seconds to wait for a student whose answers are being saved: the teacher waits, too */
    private const PATIENCE = 1;

    /** @var int attempts in one run of the clean-up, at most */
    private const MOST = 5000;

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
     * Whether a quiz is proctored.
     *
     * @param int $quizid
     * @return bool
     */
    public static function is_proctored(int $quizid): bool {
        global $DB;
        return $DB->record_exists('quizaccess_vigil', ['quizid' => $quizid, 'enabled' => 1]);
    }

    /**
     * Ends the watching of a quiz's attempts. What cannot be ended at this moment is left to the clean-up.
     *
     * @param int $quizid
     * @return int how many were ended
     */
    public function of_quiz(int $quizid): int {
        global $DB;
        $rows = $DB->get_records_select(
            session_store::TABLE,
            'quizid = ? AND state = ? AND attemptid <> 0',
            [$quizid, session_store::OPEN],
            'id',
            'id, quizid, userid, attempt'
        );
        return $this->all($rows);
    }

    /**
     * Ends the watching of all attempts whose quiz is not proctored, however that came about.
     *
     * @return int how many were ended
     */
    public function sweep(): int {
        global $DB;
        return $this->all($DB->get_records_sql(
            "SELECT s.id, s.quizid, s.userid, s.attempt
               FROM {quizaccess_vigil_session} s
               JOIN {quiz} q ON q.id = s.quizid
          LEFT JOIN {quizaccess_vigil} v ON v.quizid = s.quizid AND v.enabled = 1
              WHERE s.state = ? AND s.attemptid <> 0 AND v.id IS NULL
           ORDER BY s.id",
            [session_store::OPEN],
            0,
            self::MOST
        ));
    }

    /**
     * Ends the watching of some attempts.
     *
     * @param stdClass[] $rows
     * @return int how many were ended
     */
    private function all(array $rows): int {
        $done = 0;
        foreach ($rows as $row) {
            try {
                $done += (int)$this->one((int)$row->quizid, (int)$row->userid, (int)$row->attempt);
            } catch (\Throwable $e) {
                // One student's trouble is not another's, nor the teacher's.
                debugging("Vigil: session {$row->id} is not switched off yet. {$e->getMessage()}", DEBUG_NORMAL, $e->getTrace());
            }
        }
        return $done;
    }

    /**
     * Ends the watching of an attempt.
     *
     * @param int $quizid
     * @param int $userid
     * @param int $attempt
     * @return bool whether it was watched
     */
    private function one(int $quizid, int $userid, int $attempt): bool {
        $lock = locks::take($quizid, $userid, self::PATIENCE);
        try {
            // It may have been switched on again meanwhile.
            $session = self::is_proctored($quizid) ? null : $this->sessions->find($quizid, $userid, $attempt);
            if (!$session || $session->state !== session_store::OPEN) {
                return false;
            }
            (new ending($this->clock))->switched_off($session);
            return true;
        } finally {
            $lock->release();
        }
    }
}
