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
use quizaccess_vigil\event\attempt_event;
use stdClass;

/**
 * Does what the tool's proctors ask for.
 *
 * Every request takes the student's lock, as every save of answers does: a save in flight would write an old row over a new state.
 * A repeated request (same action and incident time) changes nothing and is answered alike. What the attempt's state does not
 * allow changes nothing either; the answer's status says how it stands.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class control {
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
     * Handles a request.
     *
     * @param int $typeid of the tool, which has shown its access token
     * @param string $body
     * @return array the answer
     * @throws control_exception
     */
    public function handle(int $typeid, string $body): array {
        global $CFG, $DB;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        $request = control_request::read($body, (new lti_bridge())->issuer());
        $quizid = $request->cmid && $request->userid ? $DB->get_field_sql(
            "SELECT cm.instance
               FROM {course_modules} cm
               JOIN {modules} m ON m.id = cm.module AND m.name = 'quiz'
              WHERE cm.id = ?",
            [$request->cmid]
        ) : 0;
        if (!$quizid) {
            throw new control_exception(404, 'There is no such attempt.');
        }
        $lock = locks::take((int)$quizid, $request->userid);
        try {
            return $this->under_lock($typeid, (int)$quizid, $request);
        } finally {
            $lock->release();
        }
    }

    /**
     * Handles a request under the student's lock.
     *
     * @param int $typeid
     * @param int $quizid
     * @param control_request $request
     * @return array
     */
    private function under_lock(int $typeid, int $quizid, control_request $request): array {
        global $DB;
        $session = $this->sessions->find($quizid, $request->userid, $request->attempt);
        if (!$session || (int)$session->typeid !== $typeid) {
            $begun = $DB->record_exists_select(
                launch_store::TABLE,
                "kind = 'start' AND quizid = ? AND userid = ? AND attempt = ? AND typeid = ? AND timeexpires > ?",
                [$quizid, $request->userid, $request->attempt, $typeid, $this->clock->time()]
            );
            if (!$session && $begun) {
                return ['status' => 'none', 'extra_time' => 0];
            }
            throw new control_exception(404, 'There is no such attempt.');
        }
        $attempt = $session->attemptid ? $DB->get_record('quiz_attempts', ['id' => $session->attemptid]) : false;
        if (!$attempt) {
            return ['status' => 'none', 'extra_time' => (int)$session->extraminutes];
        }
        $live = in_array($attempt->state, [quiz_attempt::IN_PROGRESS, quiz_attempt::OVERDUE], true);
        $repeat = $DB->record_exists('quizaccess_vigil_incident', [
            'sessionid' => $session->id, 'action' => $request->action, 'incidenttime' => $request->time,
        ]);
        if (!$repeat && $this->allowed($request, $session, $live)) {
            // Both or none: a request that was noted and not done would be taken for a repeat from then on.
            $transaction = $DB->start_delegated_transaction();
            try {
                $DB->insert_record('quizaccess_vigil_incident', (object)[
                    'sessionid' => $session->id, 'action' => $request->action, 'incidenttime' => $request->time,
                    'minutes' => $request->minutes, 'severity' => $request->severity, 'code' => $request->code,
                    'message' => $request->message, 'timecreated' => $this->clock->time(),
                ]);
                $this->{$request->action}($session, $request);
                $transaction->allow_commit();
            } catch (\Throwable $e) {
                $transaction->rollback($e);
            }
            $session = $this->sessions->find($quizid, $request->userid, $request->attempt);
            $attempt = $DB->get_record('quiz_attempts', ['id' => $session->attemptid]) ?: $attempt;
        }
        return ['status' => self::status($session, $attempt), 'extra_time' => (int)$session->extraminutes];
    }

    /**
     * How an attempt stands, in the specification's words.
     *
     * @param stdClass $session
     * @param stdClass $attempt
     * @return string
     */
    public static function status(stdClass $session, stdClass $attempt): string {
        if ($session->terminated) {
            return 'terminated';
        }
        if (!in_array($attempt->state, [quiz_attempt::IN_PROGRESS, quiz_attempt::OVERDUE], true)) {
            return 'complete';
        }
        return $session->pausedat ? 'paused' : 'running';
    }

    /**
     * Whether the state of an attempt allows what is asked for.
     *
     * @param control_request $request
     * @param stdClass $session
     * @param bool $live
     * @return bool
     */
    private function allowed(control_request $request, stdClass $session, bool $live): bool {
        $ended = !$live && $session->terminated;
        $live = $live && !$session->terminated && $session->state === session_store::OPEN;
        return match ($request->action) {
            'flag' => true,
            'pause' => $live && !$session->pausedat,
            'resume' => $ended || ($live && $session->pausedat),
            'terminate' => $live,
            'update' => $live && $request->minutes > 0,
        };
    }

    /**
     * Notes something about an attempt.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function flag(stdClass $session, control_request $request): void {
        $this->tell('incident_flagged', $session, $request);
    }

    /**
     * Pauses an attempt.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function pause(stdClass $session, control_request $request): void {
        $session->pausedat = $this->clock->time();
        $session->reason = $request->message;
        time_grant::apply($session);
        $this->sessions->save($session);
        $this->tell('attempt_paused', $session, $request);
    }

    /**
     * Lets a paused attempt go on, and gives the time of the pause back. A terminated one is opened again: the tool asks for that
     * only after an instructor has taken the termination back there.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function resume(stdClass $session, control_request $request): void {
        $since = (int)$session->pausedat ?: (int)$session->terminated;
        if ($session->terminated) {
            $session->terminated = 0;
            $this->sessions->save($session);
            reopening::reopen((int)$session->attemptid, $this->clock->time());
            // The hook has opened the session.
            $session = $this->sessions->find((int)$session->quizid, (int)$session->userid, (int)$session->attempt);
        }
        $session->returned += max(0, $this->clock->time() - $since);
        $session->pausedat = 0;
        $session->reason = null;
        time_grant::apply($session);
        $this->sessions->save($session);
        $this->tell('attempt_resumed', $session, $request);
    }

    /**
     * Gives extra time.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function update(stdClass $session, control_request $request): void {
        $session->extraminutes += $request->minutes;
        time_grant::apply($session);
        $this->sessions->save($session);
        $this->tell('time_extended', $session, $request);
    }

    /**
     * Ends an attempt with the answers that it has.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function terminate(stdClass $session, control_request $request): void {
        global $USER;
        $session->terminated = $this->clock->time();
        $session->reason = $request->message;
        $this->sessions->save($session);
        // The one who hands in is the student, for core's events and completion; our own event says who ended the attempt.
        $before = $USER;
        \core\session\manager::set_user(\core_user::get_user($session->userid, '*', MUST_EXIST));
        try {
            $attemptobj = quiz_attempt::create((int)$session->attemptid);
            $now = $this->clock->time();
            if (method_exists($attemptobj, 'process_submit')) {
                $attemptobj->process_submit($now, false);
                $attemptobj->process_grade_submission($now);
            } else {
                $attemptobj->process_finish($now, false);
            }
        } finally {
            \core\session\manager::set_user($before);
        }
        $this->tell('attempt_terminated', $session, $request);
    }

    /**
     * Triggers an event.
     *
     * @param string $name
     * @param stdClass $session
     * @param control_request $request
     */
    private function tell(string $name, stdClass $session, control_request $request): void {
        /** @var attempt_event $class */
        $class = "\\quizaccess_vigil\\event\\{$name}";
        $other = ['minutes' => $request->minutes, 'severity' => $request->severity, 'code' => $request->code];
        $class::of($session, $other)->trigger();
    }
}
