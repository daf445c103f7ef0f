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
                $session->endtold = 0;
                $session->endsent = 0;
                $this->sessions->save($session);
            }
            return;
        }
        $this->end($session, $outcome);
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
     */
    private function end(stdClass $session, string $outcome): void {
        if ($session->state === session_store::ENDED && ($session->outcome === $outcome || $outcome !== 'deleted')) {
            return;
        }
        $session->state = session_store::ENDED;
        $session->outcome = $outcome;
        $session->timeended = $this->clock->time();
        $session->endtold = 0;
        if ($outcome === 'deleted') {
            $session->attemptid = 0;
        }
        $this->sessions->save($session);
        $task = new \quizaccess_vigil\task\report_end();
        $task->set_component('quizaccess_vigil');
        $task->set_custom_data(['sessionid' => (int)$session->id]);
        \core\task\manager::queue_adhoc_task($task, true);
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
              WHERE state = ? AND endtold = 0 AND timeended BETWEEN ? AND ?
           ORDER BY timemodified",
            [session_store::ENDED, $now - self::GIVEN_UP, $now - DAYSECS]
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
            "SELECT s.*, qa.state AS attemptstate
               FROM {quizaccess_vigil_session} s
          LEFT JOIN {quiz_attempts} qa ON qa.id = s.attemptid
              WHERE s.attemptid <> 0
                    AND (qa.id IS NULL OR s.state = :open AND qa.state NOT IN (:s1, :s2, :s3))
                    AND (:quizid = 0 OR s.quizid = :quizid2) AND (:userid = 0 OR s.userid = :userid2)",
            [
                'open' => session_store::OPEN, 's1' => 'notstarted', 's2' => quiz_attempt::IN_PROGRESS,
                's3' => quiz_attempt::OVERDUE, 'quizid' => $quizid, 'quizid2' => $quizid, 'userid' => $userid, 'userid2' => $userid,
            ],
            0,
            1000
        );
        foreach ($rows as $row) {
            $outcome = $row->attemptstate === null ? 'deleted' : self::outcome($row->attemptstate);
            unset($row->attemptstate);
            $this->end($row, $outcome);
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
            if ($DB->record_exists('quiz', ['id' => $quizid]) && \core_user::is_real_user($userid, true)) {
                time_grant::restore($row);
            }
            $row->override = null;
            $this->sessions->save($row);
        }
    }

    /**
     * Does what remains to be done for an ended session. May be called again.
     *
     * @param int $sessionid
     * @throws \moodle_exception so that the task is tried again
     */
    public function work_off(int $sessionid): void {
        global $DB;
        $session = $DB->get_record(session_store::TABLE, ['id' => $sessionid]);
        if (!$session || $session->state !== session_store::ENDED) {
            return;
        }
        $lock = locks::take((int)$session->quizid, (int)$session->userid);
        try {
            $this->restore_overrides((int)$session->quizid, (int)$session->userid);
        } finally {
            $lock->release();
        }
        $session = $DB->get_record(session_store::TABLE, ['id' => $sessionid], '*', MUST_EXIST);
        if ($session->endtold || $session->state !== session_store::ENDED) {
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
        global $CFG;
        require_once($CFG->libdir . '/filelib.php');
        $bridge = new lti_bridge();
        $tool = $bridge->tool_by_id((int)$session->typeid);
        if (!$tool) {
            mtrace("Vigil: the tool of session {$session->id} is gone, so its end is not reported.");
            $session->endtold = $this->clock->time();
            $this->sessions->save($session);
            return;
        }
        $jwt = $bridge->sign_claims(assertion::ended($bridge->issuer(), $tool->clientid, $session, $this->clock->time()));
        $curl = new \curl();
        $curl->setHeader(['Content-Type: application/json', 'Accept: application/json, application/problem+json']);
        $answer = $curl->post(lti_bridge::ended_endpoint($tool), json_encode(['assertion' => $jwt]), [
            'CURLOPT_CONNECTTIMEOUT' => 10, 'CURLOPT_TIMEOUT' => 30,
        ]);
        $status = (int)($curl->get_info()['http_code'] ?? 0);
        $code = json_decode((string)$answer)->code ?? '';
        // A tool that does not know the attempt will not know it the next time either.
        if (($status >= 200 && $status < 300) || ($status === 404 && $code === 'not_found')) {
            $session->endtold = $this->clock->time();
            $this->sessions->save($session);
            return;
        }
        throw new \moodle_exception('errorendnottold', 'quizaccess_vigil', '', null, "status {$status} {$code} {$curl->error}");
    }
}
