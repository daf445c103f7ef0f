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
 * The launches that were begun, each until it is spent. What proves a launch (session data, one-time code) is kept as a hash.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class launch_store {
    /** @var string the table */
    public const TABLE = 'quizaccess_vigil_launch';

    /** @var string[] the states, in their order */
    public const STATES = ['begun', 'sent', 'answered', 'spent'];

    /** @var int seconds from the launch to the tool's answer; the tool's own limit is half an hour */
    public const LIFE = 2100;

    /** @var int seconds from the tool's answer to the student's return; a login may lie between them */
    public const CODE_LIFE = 900;

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
     * A secret of 256 bits.
     *
     * @return string
     */
    private static function secret(): string {
        return bin2hex(random_bytes(32));
    }

    /**
     * How a secret is kept.
     *
     * @param string $secret
     * @return string
     */
    private static function hash(string $secret): string {
        return hash('sha256', $secret);
    }

    /**
     * Begins a launch.
     *
     * @param array $fields kind, typeid, quizid, cmid, userid, attempt, attemptid, page
     * @return stdClass the row
     */
    public function begin(array $fields): stdClass {
        global $DB;
        $now = $this->clock->time();
        $row = (object)($fields + [
            'state' => 'begun', 'attempt' => 0, 'attemptid' => 0, 'page' => -1, 'sessiondata' => self::hash(self::secret()),
            'code' => null, 'endreturn' => 0, 'timecreated' => $now, 'timeexpires' => $now + self::LIFE,
        ]);
        $row->id = $DB->insert_record(self::TABLE, $row);
        return $row;
    }

    /**
     * A launch that has not expired.
     *
     * @param int $id
     * @return stdClass|null
     */
    public function get(int $id): ?stdClass {
        global $DB;
        return $this->live($DB->get_record(self::TABLE, ['id' => $id]));
    }

    /**
     * Marks a launch as sent, and returns its session data: the only time that anybody sees it.
     *
     * @param stdClass $row
     * @return string
     */
    public function send(stdClass $row): string {
        global $DB;
        $secret = self::secret();
        $row->state = 'sent';
        $row->sessiondata = self::hash($secret);
        $row->timeexpires = $this->clock->time() + self::LIFE;
        $DB->update_record(self::TABLE, $row);
        return $secret;
    }

    /**
     * The sent launch whose session data the tool brought.
     *
     * @param string $sessiondata
     * @return stdClass|null
     */
    public function sent(string $sessiondata): ?stdClass {
        global $DB;
        $row = $this->live($DB->get_record(self::TABLE, ['sessiondata' => self::hash($sessiondata)]));
        // A tool may answer again, after the student went back; not after the answer was used.
        return $row && $row->kind === 'start' && in_array($row->state, ['sent', 'answered'], true) ? $row : null;
    }

    /**
     * Records the tool's verified answer.
     *
     * @param stdClass $row
     * @param bool $endreturn
     * @return string the one-time code
     */
    public function answered(stdClass $row, bool $endreturn): string {
        global $DB;
        $code = self::secret();
        $row->state = 'answered';
        $row->code = self::hash($code);
        $row->endreturn = (int)$endreturn;
        $row->timeexpires = $this->clock->time() + self::CODE_LIFE;
        $DB->update_record(self::TABLE, $row);
        return $code;
    }

    /**
     * The launch of a one-time code, answered or spent.
     *
     * @param string $code
     * @return stdClass|null
     */
    public function of_code(string $code): ?stdClass {
        global $DB;
        $row = $this->live($DB->get_record(self::TABLE, ['code' => self::hash($code)], '*', IGNORE_MULTIPLE));
        return $row && in_array($row->state, ['answered', 'spent'], true) ? $row : null;
    }

    /**
     * Spends a launch. To be called under the student's lock, with a row that was read under it.
     *
     * @param stdClass $row
     */
    public function spend(stdClass $row): void {
        global $DB;
        $row->state = 'spent';
        $DB->update_record(self::TABLE, $row);
    }

    /**
     * A row that has not expired.
     *
     * @param stdClass|false $row
     * @return stdClass|null
     */
    private function live($row): ?stdClass {
        return $row && $row->timeexpires > $this->clock->time() ? $row : null;
    }

    /**
     * Uses up a nonce of the tool.
     *
     * @param int $typeid
     * @param string $nonce
     * @param int $expires until when its message would be accepted
     * @return bool false: it was used before
     */
    public function use_nonce(int $typeid, string $nonce, int $expires): bool {
        global $DB;
        $key = self::hash($typeid . "\0" . $nonce);
        if ($DB->record_exists('quizaccess_vigil_nonce', ['nonce' => $key])) {
            return false;
        }
        try {
            // The index lets one of two at the same moment through.
            $DB->insert_record('quizaccess_vigil_nonce', (object)['nonce' => $key, 'timeexpires' => $expires]);
        } catch (\dml_write_exception $e) {
            return false;
        }
        return true;
    }

    /**
     * Removes what has expired.
     */
    public function sweep(): void {
        global $DB;
        $DB->delete_records_select(self::TABLE, 'timeexpires < ?', [$this->clock->time() - HOURSECS]);
        $DB->delete_records_select('quizaccess_vigil_nonce', 'timeexpires < ?', [$this->clock->time()]);
    }
}
