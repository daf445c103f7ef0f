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

use mod_quiz\quiz_attempt;
use moodle_exception;

/**
 * An attempt of the user at hand, with its session: for the pages and functions that a proctored student's browser calls.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class own_attempt {
    /**
     * Constructor.
     *
     * @param quiz_attempt $attemptobj
     * @param \stdClass $session
     */
    private function __construct(
        /** @var quiz_attempt the attempt */
        public readonly quiz_attempt $attemptobj,
        /** @var \stdClass its session */
        public readonly \stdClass $session,
    ) {
    }

    /**
     * Finds the attempt. The caller has to require the login.
     *
     * @param int $attemptid
     * @return self
     * @throws moodle_exception
     */
    public static function find(int $attemptid): self {
        global $CFG, $USER;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        $session = (new session_store(\core\di::get(\core\clock::class)))->of_attempt($attemptid);
        if (!$session || (int)$session->userid !== (int)$USER->id) {
            throw new moodle_exception('errornosession', 'quizaccess_vigil');
        }
        return new self(quiz_attempt::create($attemptid), $session);
    }

    /**
     * How it stands, in the specification's words.
     *
     * @return string
     */
    public function status(): string {
        return control::status($this->session, $this->attemptobj->get_attempt());
    }

    /**
     * Whether it is watched: proctoring of its quiz may have been switched off.
     *
     * @return bool
     */
    public function is_proctored(): bool {
        return $this->session->state !== session_store::OFF && !empty($this->attemptobj->get_quiz()->vigil_enabled);
    }

    /**
     * When it ends, in seconds, while paused as of the start of the pause.
     *
     * @return int 0: it has no end
     */
    public function end(): int {
        return time_grant::end($this->session, $this->attemptobj->get_attempt(), \core\di::get(\core\clock::class)->time());
    }
}
