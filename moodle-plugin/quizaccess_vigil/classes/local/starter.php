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
use mod_quiz\quiz_settings;
use moodle_exception;
use moodle_url;
use quizaccess_vigil\event\session_started;
use stdClass;

/**
 * Starts or resumes the attempt of a student whose check-in was verified.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class starter {
    /**
     * Constructor.
     *
     * @param launch_store $launches
     * @param session_store $sessions
     * @param ending $ending
     */
    public function __construct(
        /** @var launch_store the launches */
        private readonly launch_store $launches,
        /** @var session_store the proctored attempts */
        private readonly session_store $sessions,
        /** @var ending ends of attempts */
        private readonly ending $ending,
    ) {
    }

    /**
     * The starter of this site.
     *
     * @return self
     */
    public static function instance(): self {
        $clock = \core\di::get(clock::class);
        return new self(new launch_store($clock), new session_store($clock), new ending($clock));
    }

    /**
     * The launch of a code.
     *
     * @param string $code
     * @return stdClass|null
     */
    public function launch(string $code): ?stdClass {
        return $this->launches->of_code($code);
    }

    /**
     * Spends a code of the user at hand and begins or resumes the attempt.
     *
     * @param string $code
     * @param quiz_settings $quizobj
     * @return moodle_url where to go
     * @throws moodle_exception
     */
    public function go_on(string $code, quiz_settings $quizobj): moodle_url {
        global $USER;
        if (\core\session\manager::is_loggedinas()) {
            throw new moodle_exception('errorloginas', 'quizaccess_vigil', $quizobj->view_url());
        }
        // Two browsers of one student may come at the same moment.
        $lock = locks::take((int)$quizobj->get_quizid(), (int)$USER->id);
        try {
            $launch = $this->launches->of_code($code);
            if (!$launch || (int)$launch->quizid !== (int)$quizobj->get_quizid()) {
                throw new moodle_exception('errorcodegone', 'quizaccess_vigil', $quizobj->view_url());
            }
            if ((int)$launch->userid !== (int)$USER->id) {
                throw new moodle_exception('errorotheruser', 'quizaccess_vigil', $quizobj->view_url());
            }
            if ($launch->state === 'spent') {
                return $this->again($launch, $quizobj);
            }
            if (empty($quizobj->get_quiz()->vigil_enabled)) {
                // It was switched off while the student was at the check-in: nothing stands between student and attempt.
                $this->launches->spend($launch);
                return (int)$launch->attemptid ? $quizobj->attempt_url($launch->attemptid) : $quizobj->view_url();
            }
            $this->ending->find_lost((int)$quizobj->get_quizid(), (int)$USER->id);
            $this->ending->restore_overrides((int)$quizobj->get_quizid(), (int)$USER->id);
            return $this->start($launch, quiz_settings::create((int)$quizobj->get_quizid(), (int)$USER->id));
        } finally {
            $lock->release();
        }
    }

    /**
     * Where a code leads that was spent already: in the browser that spent it back into the attempt.
     *
     * @param stdClass $launch
     * @param quiz_settings $quizobj
     * @return moodle_url
     */
    private function again(stdClass $launch, quiz_settings $quizobj): moodle_url {
        $session = $this->sessions->find((int)$launch->quizid, (int)$launch->userid, (int)$launch->attempt);
        if (
            !$session || !$session->attemptid
                || !$this->sessions->is_checked_in((int)$launch->quizid, (int)$launch->userid, (int)$launch->attempt)
        ) {
            throw new moodle_exception('errorcodegone', 'quizaccess_vigil', $quizobj->view_url());
        }
        return $quizobj->attempt_url($session->attemptid);
    }

    /**
     * Starts or resumes the attempt.
     *
     * @param stdClass $launch
     * @param quiz_settings $quizobj
     * @return moodle_url
     */
    private function start(stdClass $launch, quiz_settings $quizobj): moodle_url {
        global $PAGE;
        if (!$quizobj->has_questions()) {
            throw new moodle_exception('cannotstartnoquestions', 'quiz', $quizobj->view_url());
        }
        $accessmanager = $quizobj->get_access_manager(time());
        [$attemptid, $number, $last, $messages, $page] =
            quiz_validate_new_attempt($quizobj, $accessmanager, false, (int)$launch->page, true);
        if ($attemptid) {
            $number = (int)$last->attempt;
        }
        if ((int)$number !== (int)$launch->attempt) {
            throw new moodle_exception('errorothernumber', 'quizaccess_vigil', $quizobj->view_url());
        }
        $known = $this->sessions->find((int)$launch->quizid, (int)$launch->userid, (int)$launch->attempt);
        $paused = $known && session_store::is_paused($known);
        if ($messages && !$paused) {
            throw new moodle_exception(
                'attempterror',
                'quiz',
                $quizobj->view_url(),
                $PAGE->get_renderer('mod_quiz')->access_messages($messages)
            );
        }
        $this->launches->spend($launch);
        $session = $this->sessions->open($launch);
        $begun = $attemptid && $last->state !== 'notstarted';
        if (!$begun) {
            // Since 5.0 an attempt may have been made beforehand; this begins it, or makes one.
            $attemptid = quiz_prepare_and_start_new_attempt($quizobj, $number, $last)->id;
        }
        $session->attemptid = $attemptid;
        $this->sessions->save($session);
        $this->sessions->check_in($session);
        session_started::of($session)->trigger();
        if ($paused) {
            return new moodle_url('/mod/quiz/accessrule/vigil/paused.php', ['attempt' => $attemptid]);
        }
        if ($begun && $last->state === quiz_attempt::OVERDUE) {
            return $quizobj->summary_url($attemptid);
        }
        return $quizobj->attempt_url($attemptid, max(0, (int)$page));
    }
}
