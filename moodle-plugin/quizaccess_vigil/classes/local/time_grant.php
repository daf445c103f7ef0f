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

use mod_quiz\quiz_settings;
use stdClass;

/**
 * Gives a student time, by a user override of the quiz, and takes it back when the attempt has ended.
 *
 * An override belongs to quiz and user, not to an attempt; a teacher may have made one before, or may change it meanwhile. So what
 * it was is kept with the session, and the values in force are always reckoned from there: doing the same twice changes nothing.
 *
 * While an attempt is paused the override holds a parking time as well, or cron would hand the attempt in.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class time_grant {
    /** @var string[] the settings that hold time */
    private const FIELDS = ['timelimit', 'timeclose'];

    /** @var int seconds that a paused attempt is kept from ending */
    public const PARKING = 43200;

    /** @var string[] all settings of an override that this plugin must carry over */
    private const CARRIED = ['timeopen', 'timeclose', 'timelimit', 'attempts', 'password', 'duedate', 'reason'];

    /**
     * Makes the override what the session says: extra minutes, returned pauses, parking. The session's row is changed and has to
     * be stored by the caller. To be called under the student's lock.
     *
     * @param stdClass $session
     */
    public static function apply(stdClass $session): void {
        $granted = 60 * (int)$session->extraminutes + (int)$session->returned;
        $parking = $session->pausedat ? self::PARKING : 0;
        $current = self::current($session);
        $state = self::state($session);
        if (!$state) {
            if (!$granted && !$parking) {
                return;
            }
            $state = self::first($session, $current);
        }
        $values = [];
        foreach (self::FIELDS as $field) {
            $now = $current->$field ?? null;
            if (array_key_exists($field, $state['applied']) && self::differ($now, $state['applied'][$field])) {
                // A teacher has changed it meanwhile, and saw what we had added by then: the new value is the base from here on.
                $state['original'][$field] = $now === null ? null : (int)$now;
                $state['base'][$field] = $now === null ? self::without($session, $field) : (int)$now;
                $state['since'][$field] = $now === null ? 0 : $state['granted'];
            }
            $base = $state['base'][$field];
            if (!$base) {
                $values[$field] = $current->$field ?? null;
                continue;
            }
            $more = $granted - $state['since'][$field] + $parking;
            $values[$field] = $more ? max(1, $base + $more) : $state['original'][$field];
        }
        $state['granted'] = $granted;
        $state['applied'] = $values;
        $session->override = json_encode($state);
        self::write($session, $current, $values);
    }

    /**
     * Puts back what was there before the session, except what a teacher has changed meanwhile.
     *
     * @param stdClass $session
     */
    public static function restore(stdClass $session): void {
        $state = self::state($session);
        if (!$state) {
            return;
        }
        $current = self::current($session);
        $values = [];
        foreach (self::FIELDS as $field) {
            $now = $current->$field ?? null;
            $ours = array_key_exists($field, $state['applied']) && !self::differ($now, $state['applied'][$field]);
            $values[$field] = $ours ? $state['original'][$field] : $now;
        }
        $session->override = null;
        self::write($session, $current, $values);
    }

    /**
     * When the attempt ends, without the parking time of a pause.
     *
     * @param stdClass $session
     * @param stdClass $attempt of quiz_attempts
     * @param int $now
     * @return int 0: it has no end
     */
    public static function end(stdClass $session, stdClass $attempt, int $now): int {
        $quizobj = quiz_settings::create((int)$session->quizid, (int)$session->userid);
        $end = (int)$quizobj->get_access_manager($now)->get_end_time($attempt);
        if (!$end || !$session->pausedat) {
            return $end;
        }
        // A pause moves the end with every second that it lasts.
        return $end - self::PARKING + max(0, $now - (int)$session->pausedat);
    }

    /**
     * What was noted about the override.
     *
     * @param stdClass $session
     * @return array|null
     */
    private static function state(stdClass $session): ?array {
        $state = json_decode((string)$session->override, true);
        return is_array($state) ? $state : null;
    }

    /**
     * What to note before the first change.
     *
     * @param stdClass $session
     * @param stdClass|null $current
     * @return array
     */
    private static function first(stdClass $session, ?stdClass $current): array {
        $quiz = quiz_settings::create((int)$session->quizid, (int)$session->userid)->get_quiz();
        $state = ['original' => [], 'base' => [], 'since' => [], 'applied' => [], 'granted' => 0];
        foreach (self::FIELDS as $field) {
            $now = $current->$field ?? null;
            $state['original'][$field] = $now === null ? null : (int)$now;
            $state['base'][$field] = (int)$quiz->$field;
            $state['since'][$field] = 0;
        }
        return $state;
    }

    /**
     * What would count if there were no user override.
     *
     * @param stdClass $session
     * @param string $field
     * @return int
     */
    private static function without(stdClass $session, string $field): int {
        // The override of that field is empty now, so the effective value is the group's or the quiz's.
        return (int)quiz_settings::create((int)$session->quizid, (int)$session->userid)->get_quiz()->$field;
    }

    /**
     * The user override in force.
     *
     * @param stdClass $session
     * @return stdClass|null
     */
    private static function current(stdClass $session): ?stdClass {
        global $DB;
        return $DB->get_record('quiz_overrides', ['quiz' => $session->quizid, 'userid' => $session->userid]) ?: null;
    }

    /**
     * Whether two values of an override differ; null and 0 do.
     *
     * @param int|string|null $a
     * @param int|string|null $b
     * @return bool
     */
    private static function differ($a, $b): bool {
        return ($a === null) !== ($b === null) || (int)$a !== (int)$b;
    }

    /**
     * Writes the override through core, or removes it when nothing is left in it.
     *
     * @param stdClass $session
     * @param stdClass|null $current
     * @param array $values
     */
    private static function write(stdClass $session, ?stdClass $current, array $values): void {
        global $CFG;
        require_once($CFG->dirroot . '/mod/quiz/locallib.php');
        $data = ['quiz' => (int)$session->quizid, 'userid' => (int)$session->userid];
        if ($current) {
            $data['id'] = (int)$current->id;
        }
        foreach (self::CARRIED as $field) {
            $value = array_key_exists($field, $values) ? $values[$field] : ($current->$field ?? null);
            $data[$field] = $value;
        }
        $changed = false;
        foreach (self::FIELDS as $field) {
            $changed = $changed || self::differ($current->$field ?? null, $data[$field]);
        }
        if (!$changed) {
            return;
        }
        // Without a user: the manager compares with the quiz's own values.
        $quizobj = quiz_settings::create((int)$session->quizid);
        $manager = $quizobj->get_override_manager();
        $left = array_filter(
            array_intersect_key($data, array_flip(self::CARRIED)),
            fn($value, $field) => $field === 'attempts' ? $value !== null : !empty($value),
            ARRAY_FILTER_USE_BOTH
        );
        foreach ($left as $field => $value) {
            // What equals the quiz's own value is no override for the manager.
            if (property_exists($quizobj->get_quiz(), $field) && $quizobj->get_quiz()->$field == $value) {
                unset($left[$field]);
            }
        }
        if ($left) {
            $manager->save_override($data);
        } else if ($current) {
            $manager->delete_overrides([$current]);
        }
        // Deleting does not move the time at which cron looks at running attempts.
        quiz_update_open_attempts(['quizid' => (int)$session->quizid, 'userid' => (int)$session->userid]);
    }
}
