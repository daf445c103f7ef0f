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

use mod_quiz\hook\attempt_state_changed;
use mod_quiz\quiz_attempt;
use stdClass;

/**
 * Opens an attempt again that a proctor has ended: the exact inverse of what ending it did.
 *
 * Core opens only attempts again that were never submitted. Ending an attempt adds a step to each of its questions that was not
 * finished by then; those steps are removed, and nothing that the student did. Whatever came after them (a teacher's marks, a
 * later attempt) makes it impossible.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class reopening {
    /**
     * Opens an attempt again. To be called under the student's lock, in a transaction.
     *
     * @param int $attemptid
     * @param int $now
     * @throws control_exception when it is not possible
     */
    public static function reopen(int $attemptid, int $now): void {
        global $DB;
        $attemptobj = quiz_attempt::create($attemptid);
        $attempt = $attemptobj->get_attempt();
        if ($attempt->state !== quiz_attempt::FINISHED) {
            throw new control_exception(403, 'Only an attempt that was ended can be opened again.');
        }
        $later = $DB->record_exists_select(
            'quiz_attempts',
            "quiz = ? AND userid = ? AND preview = 0 AND attempt > ? AND state <> 'notstarted'",
            [$attempt->quiz, $attempt->userid, $attempt->attempt]
        );
        if ($later) {
            throw new control_exception(403, 'The student has begun a later attempt; this one cannot be opened again.');
        }
        self::unfinish($attempt);
        $old = clone $attempt;
        $attempt->state = quiz_attempt::IN_PROGRESS;
        $attempt->timefinish = 0;
        $attempt->timemodified = $now;
        $attempt->timecheckstate = null;
        $attempt->sumgrades = null;
        $attempt->gradednotificationsenttime = null;
        $DB->update_record('quiz_attempts', $attempt);
        $attemptobj->get_quizobj()->get_grade_calculator()->recompute_final_grade((int)$attempt->userid);
        self::announce($attemptobj, $old, $attempt);
        // What cron goes by.
        quiz_update_open_attempts(['quizid' => (int)$attempt->quiz, 'userid' => (int)$attempt->userid]);
    }

    /**
     * Removes the steps that ended the questions.
     *
     * @param stdClass $attempt
     */
    private static function unfinish(stdClass $attempt): void {
        global $DB;
        $steps = [];
        $quba = \question_engine::load_questions_usage_by_activity($attempt->uniqueid);
        foreach ($quba->get_attempt_iterator() as $question) {
            $last = $question->get_num_steps() - 1;
            foreach ($question->get_step_iterator() as $n => $step) {
                if (!$step->has_behaviour_var('finish')) {
                    continue;
                }
                if ($n !== $last) {
                    throw new control_exception(403, 'The attempt was marked since it was ended; it cannot be opened again.');
                }
                $steps[] = $step->get_id();
            }
        }
        $DB->delete_records_list('question_attempt_step_data', 'attemptstepid', $steps);
        $DB->delete_records_list('question_attempt_steps', 'id', $steps);
    }

    /**
     * Says so to whoever listens, as core does for the attempts that it opens again.
     *
     * @param quiz_attempt $attemptobj
     * @param stdClass $old
     * @param stdClass $new
     */
    private static function announce(quiz_attempt $attemptobj, stdClass $old, stdClass $new): void {
        $event = \mod_quiz\event\attempt_reopened::create([
            'context' => $attemptobj->get_quizobj()->get_context(),
            'courseid' => $attemptobj->get_courseid(),
            'objectid' => $new->id,
            'relateduserid' => $new->userid,
            // Nobody of this site: the tool asked for it.
            'other' => ['submitterid' => null, 'quizid' => $attemptobj->get_quizid(), 'studentisonline' => false],
        ]);
        $event->add_record_snapshot('quiz', $attemptobj->get_quiz());
        $event->add_record_snapshot('quiz_attempts', $new);
        $event->trigger();
        \core\di::get(\core\hook\manager::class)->dispatch(new attempt_state_changed($old, $new));
    }
}
