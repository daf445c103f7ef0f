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
 * The proctored attempts.
 *
 * A row is made when a student comes back from the check-in. Attempt numbers are used again after an attempt was deleted: its
 * row then begins anew.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class session_store {
    /** @var string the table */
    public const TABLE = 'quizaccess_vigil_session';

    /** @var string the attempt can go on */
    public const OPEN = 'open';

    /** @var string it can go on, and is not watched: proctoring of the quiz was switched off */
    public const OFF = 'off';

    /** @var string it has ended */
    public const ENDED = 'ended';

    /** @var int requests that are named in what the tool is told, at most */
    private const REQUESTS = 200;

    /**
     * Constructor.
     *
     * @param clock $clock
     */
    public function __construct(
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
    }

    /**
     * The session of a numbered attempt.
     *
     * @param int $quizid
     * @param int $userid
     * @param int $attempt
     * @return stdClass|null
     */
    public function find(int $quizid, int $userid, int $attempt): ?stdClass {
        global $DB;
        $row = $DB->get_record(self::TABLE, ['quizid' => $quizid, 'userid' => $userid, 'attempt' => $attempt]);
        return $row ?: null;
    }

    /**
     * The session of a begun attempt.
     *
     * @param int $attemptid
     * @return stdClass|null
     */
    public function of_attempt(int $attemptid): ?stdClass {
        global $DB;
        $row = $attemptid ? $DB->get_record(self::TABLE, ['attemptid' => $attemptid], '*', IGNORE_MULTIPLE) : null;
        return $row ?: null;
    }

    /**
     * Whether an attempt is paused.
     *
     * @param stdClass $row
     * @return bool
     */
    public static function is_paused(stdClass $row): bool {
        return $row->pausedat && !$row->terminated && $row->state === self::OPEN;
    }

    /**
     * The ids of the tool's requests for extra time and for resuming that were done.
     *
     * @param int $sessionid
     * @return string[] the latest, in their order
     */
    public function requests(int $sessionid): array {
        global $DB;
        $ids = $DB->get_records_select_menu(
            'quizaccess_vigil_incident',
            "sessionid = ? AND requestid IS NOT NULL AND action IN ('update', 'resume')",
            [$sessionid],
            'id DESC',
            'id, requestid',
            0,
            self::REQUESTS
        );
        return array_reverse(array_values($ids));
    }

    /**
     * How many attempts at a quiz are being worked in under watch.
     *
     * @param int $quizid
     * @return int
     */
    public function count_open(int $quizid): int {
        global $DB;
        return $DB->count_records_sql(
            "SELECT COUNT(1)
               FROM {quizaccess_vigil_session} s
               JOIN {quiz_attempts} qa ON qa.id = s.attemptid
              WHERE s.quizid = ? AND s.state = ? AND qa.state IN ('inprogress', 'overdue')",
            [$quizid, self::OPEN]
        );
    }

    /**
     * Opens the session of an attempt whose check-in was verified, or finds it. To be called under the student's lock.
     *
     * One that went on while proctoring was switched off keeps what was done to its time, and needs a new check-in.
     *
     * @param stdClass $launch
     * @return stdClass
     */
    public function open(stdClass $launch): stdClass {
        global $DB;
        $now = $this->clock->time();
        $row = $this->find($launch->quizid, $launch->userid, $launch->attempt);
        if ($row && $row->state === self::OFF) {
            $row->state = self::OPEN;
            $row->outcome = null;
            $row->timeended = 0;
            $row->endtold = 0;
            $row->endsent = 0;
            $row->timeopened = 0;
            $row->openedtold = 0;
            $row->timecreated = max($now, (int)$row->timecreated + 1);
        }
        if ($row && $row->state === self::OPEN) {
            $row->typeid = $launch->typeid;
            $row->cmid = $launch->cmid;
            $row->endreturn = $launch->endreturn;
            $this->save($row);
            return $row;
        }
        $fresh = (object)[
            'quizid' => $launch->quizid, 'userid' => $launch->userid, 'attempt' => $launch->attempt, 'attemptid' => 0,
            'cmid' => $launch->cmid, 'typeid' => $launch->typeid, 'state' => self::OPEN, 'outcome' => null, 'pausedat' => 0,
            'terminated' => 0, 'reason' => null, 'extraminutes' => 0, 'returned' => 0, 'override' => null,
            'endreturn' => $launch->endreturn, 'endsent' => 0, 'endtold' => 0, 'timeopened' => 0, 'openedtold' => 0, 'timecreated' => $now, 'timeended' => 0,
            'timemodified' => $now, 'pausecause' => null, 'heldseconds' => 0, 'watchedat' => 0, 'receiptat' => 0,
            'activeat' => 0, 'unwatchedat' => 0, 'unwatchedpage' => 0,
        ];
        if ($row) {
            $fresh->id = $row->id;
            $DB->delete_records('quizaccess_vigil_incident', ['sessionid' => $row->id]);
            $DB->delete_records(watch::TABLE, ['sessionid' => $row->id]);
            $DB->update_record(self::TABLE, $fresh);
        } else {
            $fresh->id = $DB->insert_record(self::TABLE, $fresh);
        }
        return $this->find($launch->quizid, $launch->userid, $launch->attempt);
    }

    /**
     * Stores a changed session.
     *
     * @param stdClass $row
     */
    public function save(stdClass $row): void {
        global $DB;
        $row->timemodified = $this->clock->time();
        $DB->update_record(self::TABLE, $row);
    }

    /**
     * The number of the attempt that a student is in or would begin.
     *
     * @param int $quizid
     * @param int $userid
     * @param int|null $attemptid
     * @return int
     */
    public static function attempt_number(int $quizid, int $userid, ?int $attemptid): int {
        global $DB;
        if ($attemptid) {
            return (int)$DB->get_field('quiz_attempts', 'attempt', ['id' => $attemptid], MUST_EXIST);
        }
        // Since Moodle 5.0 attempts may be made before they are begun; those do not count yet.
        $last = $DB->get_field_sql(
            "SELECT MAX(attempt)
               FROM {quiz_attempts}
              WHERE quiz = ? AND userid = ? AND preview = 0 AND state <> 'notstarted'",
            [$quizid, $userid]
        );
        return (int)$last + 1;
    }

    /**
     * Whether this browser's session has passed the check-in of the attempt.
     *
     * @param int $quizid
     * @param int $userid
     * @param int $attempt
     * @return bool
     */
    public function is_checked_in(int $quizid, int $userid, int $attempt): bool {
        global $SESSION;
        $mark = $SESSION->quizaccess_vigil_checked[$quizid] ?? null;
        if (!$mark || $mark['attempt'] !== $attempt) {
            return false;
        }
        $row = $this->find($quizid, $userid, $attempt);
        return $row && (int)$row->timecreated === $mark['created'] && $row->state === self::OPEN && !$row->terminated;
    }

    /**
     * Marks this browser's session as checked in.
     *
     * @param stdClass $row
     */
    public function check_in(stdClass $row): void {
        global $SESSION;
        $SESSION->quizaccess_vigil_checked[(int)$row->quizid] = [
            'attempt' => (int)$row->attempt, 'created' => (int)$row->timecreated,
        ];
    }
}
