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
 * A repeated request changes nothing. What the attempt's state does not allow (control_table) changes nothing either; the answer
 * says how the attempt stands, and, where the tool names its requests, what was done and why not.
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
        global $CFG;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        $request = control_request::read($body, (new lti_bridge())->issuer());
        $quizid = $request->cmid && $request->userid ? $this->quiz($request, $typeid) : 0;
        if (!$quizid) {
            throw new control_exception(404, 'There is no such attempt.');
        }
        $lock = locks::take($quizid, $request->userid);
        try {
            return $this->under_lock($typeid, $quizid, $request);
        } finally {
            $lock->release();
        }
    }

    /**
     * The quiz that a request is about.
     *
     * @param control_request $request
     * @param int $typeid
     * @return int 0: there is none
     */
    private function quiz(control_request $request, int $typeid): int {
        global $DB;
        $quizid = (int)$DB->get_field_sql(
            "SELECT cm.instance
               FROM {course_modules} cm
               JOIN {modules} m ON m.id = cm.module AND m.name = 'quiz'
              WHERE cm.id = ?",
            [$request->cmid]
        );
        if ($quizid || $request->id === '') {
            return $quizid;
        }
        // The session of a deleted quiz is kept until the tool has heard of its end.
        return (int)$DB->get_field(session_store::TABLE, 'quizid', [
            'cmid' => $request->cmid, 'userid' => $request->userid, 'attempt' => $request->attempt, 'typeid' => $typeid,
        ], IGNORE_MULTIPLE);
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
        $launched = $this->is_launched($typeid, $quizid, $request, (int)($session->timeended ?? 0));
        if ($session ? (int)$session->typeid !== $typeid : !$launched) {
            throw new control_exception(404, 'There is no such attempt.');
        }
        $attempt = $session && $session->attemptid ? $DB->get_record('quiz_attempts', ['id' => $session->attemptid]) : false;
        if ($attempt && $session->state === session_store::OPEN && !switching_off::is_proctored($quizid)) {
            // It was switched off a moment ago, or in a way that nobody told us of.
            (new ending($this->clock))->switched_off($session);
        }
        $state = self::state($session, $attempt ?: null, $launched);
        $outcome = $session && $this->is_repeat($session, $request)
            ? control_table::BEFORE : $this->outcome($session, $state, $request);
        if ($session && $attempt) {
            $session = $this->sessions->find($quizid, $request->userid, $request->attempt);
            $attempt = $DB->get_record('quiz_attempts', ['id' => $session->attemptid]) ?: $attempt;
        }
        $answer = [
            'status' => $session && $attempt ? self::status($session, $attempt) : 'none',
            'extra_time' => (int)($session->extraminutes ?? 0),
        ];
        if ($request->id === '') {
            return $answer;
        }
        if ($outcome === 'ended' && in_array($answer['status'], ['running', 'paused'], true)) {
            // The student was unenrolled: the attempt is as it was, and nobody works in it.
            $answer['status'] = 'complete';
        }
        return $answer + control_table::members($outcome);
    }

    /**
     * Whether the student is at the check-in of the attempt, or on the way there or back.
     *
     * @param int $typeid
     * @param int $quizid
     * @param control_request $request
     * @param int $since of a session of the same number that has ended
     * @return bool
     */
    private function is_launched(int $typeid, int $quizid, control_request $request, int $since): bool {
        global $DB;
        return $DB->record_exists_select(
            launch_store::TABLE,
            "kind = 'start' AND quizid = ? AND userid = ? AND attempt = ? AND typeid = ? AND timeexpires > ? AND timecreated >= ?",
            [$quizid, $request->userid, $request->attempt, $typeid, $this->clock->time(), $since]
        );
    }

    /**
     * How an attempt stands, for the table.
     *
     * @param stdClass|null $session
     * @param stdClass|null $attempt
     * @param bool $launched
     * @return string one of control_table::STATES
     */
    private static function state(?stdClass $session, ?stdClass $attempt, bool $launched): string {
        $gone = $session && !$attempt && ($session->attemptid || $session->state === session_store::ENDED);
        return match (true) {
            $gone && !$launched => 'deleted',
            !$attempt, $attempt->state === 'notstarted' => 'not_begun',
            (bool)$session->terminated => 'terminated',
            $session->state === session_store::ENDED, self::status($session, $attempt) === 'complete' => 'ended',
            $session->state === session_store::OFF => 'switched_off',
            default => self::status($session, $attempt),
        };
    }

    /**
     * Whether a request was done before. One that names itself is known by its name; of those that were done before the plugin
     * knew names, and of tools that give none, action and incident time are the same.
     *
     * @param stdClass $session
     * @param control_request $request
     * @return bool
     */
    private function is_repeat(stdClass $session, control_request $request): bool {
        global $DB;
        $same = ['sessionid' => $session->id, 'action' => $request->action, 'incidenttime' => $request->time];
        if ($request->id === '') {
            return $DB->record_exists('quizaccess_vigil_incident', $same);
        }
        if ($DB->record_exists('quizaccess_vigil_incident', ['sessionid' => $session->id, 'requestid' => $request->id])) {
            return true;
        }
        $unnamed = $DB->get_field('quizaccess_vigil_incident', 'id', $same + ['requestid' => null], IGNORE_MULTIPLE);
        if ($unnamed) {
            $DB->set_field('quizaccess_vigil_incident', 'requestid', $request->id, ['id' => $unnamed]);
        }
        return (bool)$unnamed;
    }

    /**
     * Does what is asked for, if it can be done.
     *
     * @param stdClass|null $session
     * @param string $state
     * @param control_request $request
     * @return string now, before, or why it was not done
     * @throws control_exception where the tool does not name its requests
     */
    private function outcome(?stdClass $session, string $state, control_request $request): string {
        $outcome = control_table::ANSWERS[$request->action][$state];
        if ($request->action === 'pause' && $state === 'paused' && hold::is_held($session)) {
            // From here on it is the proctor's, and no receipt ends it.
            $outcome = control_table::NOW;
        }
        if ($outcome === control_table::NOW && $request->action === 'update') {
            if (!$request->minutes) {
                $outcome = control_table::BEFORE;
            } else if ($request->id !== '' && !time_grant::can_move($session)) {
                $outcome = 'no_end';
            }
        }
        if ($outcome === control_table::BEFORE && $request->id !== '') {
            // A late copy of this request must not do what it does not do now.
            $this->note($session, $request);
        }
        if ($outcome !== control_table::NOW) {
            return $outcome;
        }
        try {
            $this->carry_out($session, $request);
        } catch (control_exception $e) {
            if ($request->id === '') {
                throw $e;
            }
            return 'cannot_reopen';
        } catch (override_refused $e) {
            if ($request->id === '') {
                throw new control_exception(403, 'The new times of the quiz contradict each other.');
            }
            return 'override';
        }
        return control_table::NOW;
    }

    /**
     * Does a request and notes it. Both or none: one that was noted and not done would be taken for a repeat from then on.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function carry_out(stdClass $session, control_request $request): void {
        global $DB;
        $transaction = $DB->start_delegated_transaction();
        try {
            $this->note($session, $request);
            $this->{$request->action}($session, $request);
            $transaction->allow_commit();
        } catch (\Throwable $e) {
            $transaction->rollback($e);
        }
    }

    /**
     * Notes a request.
     *
     * @param stdClass $session
     * @param control_request $request
     */
    private function note(stdClass $session, control_request $request): void {
        global $DB;
        $DB->insert_record('quizaccess_vigil_incident', (object)[
            'sessionid' => $session->id, 'requestid' => $request->id === '' ? null : $request->id,
            'action' => $request->action, 'incidenttime' => $request->time,
            'minutes' => $request->minutes, 'severity' => $request->severity, 'code' => $request->code,
            'message' => $request->message, 'timecreated' => $this->clock->time(),
        ]);
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
        return session_store::is_paused($session) ? 'paused' : 'running';
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
        if (hold::is_held($session)) {
            hold::end_pause($session, $this->clock->time());
        }
        $session->pausedat = $this->clock->time();
        $session->pausecause = null;
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
        $held = hold::is_held($session);
        $since = (int)$session->pausedat ?: (int)$session->terminated;
        if ($session->terminated) {
            $session->terminated = 0;
            $this->sessions->save($session);
            reopening::reopen((int)$session->attemptid, $this->clock->time());
            // The hook has opened the session.
            $session = $this->sessions->find((int)$session->quizid, (int)$session->userid, (int)$session->attempt);
        }
        if ($held) {
            hold::end_pause($session, $this->clock->time());
        } else {
            $session->returned += max(0, $this->clock->time() - $since);
            $session->pausedat = 0;
            $session->reason = null;
        }
        // Whatever became of the quiz's times meanwhile: nobody stays paused for it.
        time_grant::apply_or_leave($session);
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
