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
use mod_quiz\quiz_attempt;
use stdClass;

/**
 * Ends of proctored attempts: noted at once, and worked off by a task, so that nothing of ours can break a submission.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class ending {
    /** @var int reports that a run of the clean-up tries again, at most */
    private const RETRIES = 100;

    /** @var int seconds after which a report that the tool never took is given up */
    private const GIVEN_UP = 30 * DAYSECS;

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
     * Notes what became of an attempt.
     *
     * @param stdClass|null $old the attempt before; null: it was made
     * @param stdClass|null $new the attempt now; null: it is deleted
     */
    public function attempt_changed(?stdClass $old, ?stdClass $new): void {
        $attempt = $new ?? $old;
        if (empty($attempt->id) || !empty($attempt->preview)) {
            return;
        }
        $session = $this->sessions->of_attempt((int)$attempt->id);
        if (!$session) {
            return;
        }
        $outcome = $new ? self::outcome((string)$new->state) : 'deleted';
        if ($outcome === '') {
            // An attempt goes overdue as well; only one that had ended is opened again.
            $wasover = $old && self::outcome((string)$old->state) !== '';
            if ($wasover && $session->state === session_store::ENDED && !$session->terminated) {
                $session->state = session_store::OPEN;
                $session->outcome = null;
                $session->timeended = 0;
                $session->endtold = 0;
                $session->endsent = 0;
                // A pause ended with the attempt: nobody would let the student go on from it.
                $session->pausedat = 0;
                $session->reason = null;
                $this->sessions->save($session);
            }
            return;
        }
        $this->end($session, $outcome, self::when($old, $new, $outcome));
    }

    /**
     * When an attempt ended. Cron may see it much later.
     *
     * @param stdClass|null $old
     * @param stdClass|null $new
     * @param string $outcome
     * @return int 0: now
     */
    private static function when(?stdClass $old, ?stdClass $new, string $outcome): int {
        return (int)match ($outcome) {
            'submitted' => $new->timefinish ?? 0,
            // It had no end of its own if nothing says when cron was to look at it.
            'abandoned' => $old->timecheckstate ?? 0,
            default => 0,
        };
    }

    /**
     * What a state of an attempt means.
     *
     * @param string $state
     * @return string '': it has not ended
     */
    private static function outcome(string $state): string {
        if (in_array($state, ['notstarted', quiz_attempt::IN_PROGRESS, quiz_attempt::OVERDUE], true)) {
            return '';
        }
        return $state === quiz_attempt::ABANDONED ? 'abandoned' : 'submitted';
    }

    /**
     * Ends a session, and has the task do the rest.
     *
     * @param stdClass $session
     * @param string $outcome
     * @param int $when 0: now
     */
    private function end(stdClass $session, string $outcome, int $when = 0): void {
        if ($session->state === session_store::ENDED && ($session->outcome === $outcome || $outcome !== 'deleted')) {
            return;
        }
        $now = $this->clock->time();
        // An attempt that is deleted after it ended has ended then, whether or not the tool has heard of that.
        $ended = $session->state === session_store::ENDED ? (int)$session->timeended : 0;
        $session->state = session_store::ENDED;
        $session->outcome = $outcome;
        // For the tool an end before the check-in is one of an earlier attempt.
        $session->timeended = $ended ?: ($when > 0 ? max((int)$session->timecreated, min($when, $now)) : $now);
        $session->endtold = 0;
        if ($outcome === 'deleted') {
            $session->attemptid = 0;
        }
        $this->sessions->save($session);
        self::queue((int)$session->id);
    }

    /**
     * Has a task do what remains to be done for a session.
     *
     * @param int $sessionid
     * @param int $off when proctoring was switched off, if that is to be told; else 0
     */
    private static function queue(int $sessionid, int $off = 0): void {
        $task = new \quizaccess_vigil\task\report_end();
        $task->set_component('quizaccess_vigil');
        $task->set_custom_data(['sessionid' => $sessionid, 'off' => $off]);
        \core\task\manager::queue_adhoc_task($task, true);
    }

    /**
     * Ends the watching of an open session, for proctoring of its quiz was switched off: the attempt goes on, with the time of a
     * pause given back. To be called under the student's lock, with a row that was read under it.
     *
     * What was granted stays until the attempt ends.
     *
     * @param stdClass $session
     */
    public function switched_off(stdClass $session): void {
        if ($session->state !== session_store::OPEN || !$session->attemptid) {
            return;
        }
        $now = $this->clock->time();
        if (session_store::is_paused($session)) {
            hold::end_pause($session, $now);
        }
        $session->pausedat = 0;
        $session->reason = null;
        $session->state = session_store::OFF;
        $session->outcome = 'switched_off';
        $session->timeended = $now;
        $session->endtold = 0;
        time_grant::apply_or_leave($session);
        $this->sessions->save($session);
        self::queue((int)$session->id, $now);
    }

    /**
     * Ends the sessions of a student who is not enrolled in a course any more: the attempt stays as it is, and nobody can work in
     * it.
     *
     * @param int $courseid
     * @param int $userid
     */
    public function unenrolled(int $courseid, int $userid): void {
        global $DB;
        $context = \context_course::instance($courseid, IGNORE_MISSING);
        if ($context && is_enrolled($context, $userid)) {
            return;
        }
        $rows = $DB->get_records_sql(
            "SELECT s.*
               FROM {quizaccess_vigil_session} s
               JOIN {quiz} q ON q.id = s.quizid
              WHERE q.course = ? AND s.userid = ? AND s.state = ?",
            [$courseid, $userid, session_store::OPEN]
        );
        foreach ($rows as $row) {
            $this->end($row, 'abandoned');
        }
    }

    /**
     * Reports ends again that a task has given up on: the tool was away for days.
     *
     * @return int how many the tool took
     */
    public function retry(): int {
        global $DB;
        $now = $this->clock->time();
        $ids = $DB->get_fieldset_sql(
            "SELECT id
               FROM {quizaccess_vigil_session}
              WHERE state IN (?, ?) AND endtold = 0 AND timeended BETWEEN ? AND ?
           ORDER BY timemodified",
            [session_store::ENDED, session_store::OFF, $now - self::GIVEN_UP, $now - DAYSECS]
        );
        $done = 0;
        foreach (array_slice($ids, 0, self::RETRIES) as $id) {
            try {
                $this->work_off((int)$id);
                $done++;
            } catch (\moodle_exception $e) {
                mtrace("Vigil: the end of session {$id} was not taken: {$e->debuginfo}");
                // The tool is away, or refuses them all alike: the next run asks about the next one first.
                $DB->set_field(session_store::TABLE, 'timemodified', $now, ['id' => $id]);
                break;
            }
        }
        return $done;
    }

    /**
     * Removes the sessions of quizzes that are gone, once the tool has heard of their end.
     */
    public function purge(): void {
        global $DB;
        $gone = "SELECT s.id
                   FROM {quizaccess_vigil_session} s
              LEFT JOIN {quiz} q ON q.id = s.quizid
                  WHERE q.id IS NULL AND (s.attemptid = 0 AND s.state = :open OR s.state = :ended AND s.endtold > 0)";
        $ids = $DB->get_fieldset_sql($gone, ['open' => session_store::OPEN, 'ended' => session_store::ENDED]);
        foreach (array_chunk($ids, 1000) as $some) {
            $DB->delete_records_list('quizaccess_vigil_incident', 'sessionid', $some);
            $DB->delete_records_list(watch::TABLE, 'sessionid', $some);
            $DB->delete_records_list(session_store::TABLE, 'id', $some);
        }
    }

    /**
     * Ends the sessions whose attempts are gone or over without anybody having told us: course resets, bulk deletions.
     *
     * @param int $quizid 0: of all quizzes
     * @param int $userid 0: of all users
     * @return int how many
     */
    public function find_lost(int $quizid = 0, int $userid = 0): int {
        global $DB;
        $rows = $DB->get_records_sql(
            "SELECT s.*, qa.state AS attemptstate, qa.timefinish AS attemptfinish
               FROM {quizaccess_vigil_session} s
          LEFT JOIN {quiz_attempts} qa ON qa.id = s.attemptid
              WHERE s.attemptid <> 0
                    AND (qa.id IS NULL OR s.state IN (:open, :off) AND qa.state NOT IN (:s1, :s2, :s3))
                    AND (:quizid = 0 OR s.quizid = :quizid2) AND (:userid = 0 OR s.userid = :userid2)",
            [
                'open' => session_store::OPEN, 'off' => session_store::OFF, 's1' => 'notstarted',
                's2' => quiz_attempt::IN_PROGRESS, 's3' => quiz_attempt::OVERDUE,
                'quizid' => $quizid, 'quizid2' => $quizid, 'userid' => $userid, 'userid2' => $userid,
            ],
            0,
            1000
        );
        foreach ($rows as $row) {
            $outcome = $row->attemptstate === null ? 'deleted' : self::outcome($row->attemptstate);
            $when = $outcome === 'submitted' ? (int)$row->attemptfinish : 0;
            unset($row->attemptstate, $row->attemptfinish);
            $this->end($row, $outcome, $when);
        }
        return count($rows);
    }

    /**
     * Puts the overrides of a student's ended attempts back. To be called under the student's lock.
     *
     * @param int $quizid
     * @param int $userid
     */
    public function restore_overrides(int $quizid, int $userid): void {
        global $DB;
        $rows = $DB->get_records_select(
            session_store::TABLE,
            'quizid = ? AND userid = ? AND state = ?',
            [$quizid, $userid, session_store::ENDED],
            'attempt DESC'
        );
        foreach ($rows as $row) {
            if ($row->override === null) {
                continue;
            }
            time_grant::restore($row);
            $this->sessions->save($row);
        }
    }

    /**
     * Does what remains to be done for a session that has ended or is not watched any more. May be called again.
     *
     * @param int $sessionid
     * @param int $off when proctoring was switched off, if that is to be told; else 0
     * @throws \moodle_exception so that the task is tried again
     */
    public function work_off(int $sessionid, int $off = 0): void {
        global $DB;
        $session = $DB->get_record(session_store::TABLE, ['id' => $sessionid]);
        if (!$session || $session->state === session_store::OPEN) {
            return;
        }
        $lock = locks::take((int)$session->quizid, (int)$session->userid);
        try {
            $this->restore_overrides((int)$session->quizid, (int)$session->userid);
        } finally {
            $lock->release();
        }
        $session = $DB->get_record(session_store::TABLE, ['id' => $sessionid], '*', MUST_EXIST);
        if ($off && $session->state === session_store::ENDED) {
            // Its end is told by itself. Nobody was watched before that, which the tool must not hold against the student.
            $session->state = session_store::OFF;
            $session->outcome = 'switched_off';
            $session->timeended = $off;
            $this->tell_tool($session);
            return;
        }
        if ($session->endtold || $session->state === session_store::OPEN) {
            return;
        }
        $this->tell_tool($session);
    }

    /**
     * Reports the end to the tool.
     *
     * @param stdClass $session
     */
    private function tell_tool(stdClass $session): void {
        $bridge = new lti_bridge();
        $tool = $bridge->tool_by_id((int)$session->typeid);
        if (!$tool) {
            mtrace("Vigil: the tool of session {$session->id} is gone, so its end is not reported.");
            $this->told($session);
            return;
        }
        $jwt = $bridge->sign_claims(
            assertion::ended($bridge->issuer(), $tool->clientid, $session, standing::milliseconds($this->clock))
        );
        $answer = \core\di::get(http::class)->tell(lti_bridge::ended_endpoint($tool), $jwt, http::TASK_PATIENCE);
        if (!self::is_taken($session, $answer->status, $answer->code())) {
            throw new \moodle_exception('errorendnottold', 'quizaccess_vigil', '', null, $answer->summary());
        }
        $this->told($session);
    }

    /**
     * Whether a report need not be made again.
     *
     * @param stdClass $session
     * @param int $status of the tool's answer
     * @param string $code
     * @return bool
     */
    public static function is_taken(stdClass $session, int $status, string $code): bool {
        return match (true) {
            $status >= 200 && $status < 300 => true,
            // A tool that does not know the attempt will not know it the next time either.
            $status === 404 => $code === 'not_found',
            // One of version 1 does not know what "switched off" is. It hears of the attempt's end later.
            $session->state === session_store::OFF => $status >= 400 && $status < 500
                && in_array($code, ['invalid', 'ended_outcome'], true),
            default => false,
        };
    }

    /**
     * Notes that nothing more is to be reported, unless the session has changed meanwhile.
     *
     * @param stdClass $session
     */
    private function told(stdClass $session): void {
        global $DB;
        $DB->set_field(session_store::TABLE, 'endtold', $this->clock->time(), [
            'id' => $session->id, 'state' => $session->state, 'timeended' => $session->timeended,
        ]);
    }
}
