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
 * How a proctored attempt stands, as this platform tells the tool: all of it read at one moment.
 *
 * The tool takes the later of two such statements for the newer one. So the time is taken first, and both are read under the
 * student's lock: what is told later was also read later.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class standing {
    /**
     * Constructor.
     *
     * @param stdClass $session
     * @param string $status running, paused, terminated or complete
     * @param int $toldat when it was read, in milliseconds
     * @param int $end when the attempt ends, in seconds, while paused as of the start of the pause; 0: it has no end
     * @param string[] $requests
     */
    private function __construct(
        /** @var stdClass the session */
        public readonly stdClass $session,
        /** @var string running, paused, terminated or complete */
        public readonly string $status,
        /** @var int when it was read, in milliseconds */
        public readonly int $toldat,
        /** @var int when the attempt ends, in seconds, while paused as of the start of the pause; 0: it has no end */
        public readonly int $end,
        /** @var string[] ids of the requests whose time the end holds */
        public readonly array $requests,
    ) {
    }

    /**
     * Reads how an attempt stands.
     *
     * @param stdClass $session names quiz and user; the rest is read again
     * @param clock $clock
     * @param int $patience seconds to wait for the student's lock
     * @return self|null null: the attempt is gone
     * @throws \moodle_exception when somebody else has the lock
     */
    public static function read(stdClass $session, clock $clock, int $patience = 15): ?self {
        global $DB;
        $lock = locks::take((int)$session->quizid, (int)$session->userid, $patience);
        try {
            $toldat = self::milliseconds($clock);
            $sessions = new session_store($clock);
            $session = $sessions->find((int)$session->quizid, (int)$session->userid, (int)$session->attempt);
            $attempt = $session ? $DB->get_record('quiz_attempts', ['id' => $session->attemptid]) : false;
            if (!$attempt) {
                return null;
            }
            return new self(
                $session,
                control::status($session, $attempt),
                $toldat,
                time_grant::end($session, $attempt, intdiv($toldat, 1000)),
                $sessions->requests((int)$session->id)
            );
        } finally {
            $lock->release();
        }
    }

    /**
     * Since when the attempt is paused, in seconds.
     *
     * @return int 0: it is not
     */
    public function paused_at(): int {
        return $this->status === 'paused' ? (int)$this->session->pausedat : 0;
    }

    /**
     * Whether the attempt can go on and is watched.
     *
     * @return bool
     */
    public function is_watched(): bool {
        return in_array($this->status, ['running', 'paused'], true) && $this->session->state === session_store::OPEN;
    }

    /**
     * What time it is.
     *
     * @param clock $clock
     * @return int milliseconds
     */
    public static function milliseconds(clock $clock): int {
        return (int)$clock->now()->format('Uv');
    }
}
