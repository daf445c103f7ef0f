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
 * Core refuses an override whose closing time comes before its due date (since 5.3). The due date is lowered for as long as that
 * would be so.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class time_grant {
    /** @var string[] the settings that hold time */
    private const FIELDS = ['timelimit', 'timeclose'];

    /** @var int seconds that a paused attempt is kept from ending, at least half of them ahead */
    public const PARKING = 43200;

    /** @var string[] all settings of an override that this plugin must carry over */
    private const CARRIED = ['timeopen', 'timeclose', 'timelimit', 'attempts', 'password', 'duedate', 'reason'];

    /** @var string[] what core's manager gives back beside the settings */
    private const BESIDE = ['id', 'quiz', 'userid', 'groupid', 'reason', 'reasonformat'];

    /** @var bool an override is being written here */
    private static bool $writing = false;

    /**
     * Whether the override that is being changed in this request is changed here.
     *
     * @return bool
     */
    public static function is_writing(): bool {
        return self::$writing;
    }

    /**
     * Makes the override what the session says: extra minutes, returned pauses, parking. The session's row is changed and has to
     * be stored by the caller. To be called under the student's lock.
     *
     * @param stdClass $session
     * @throws override_refused when core does not take it; nothing is changed then
     */
    public static function apply(stdClass $session): void {
        $granted = 60 * (int)$session->extraminutes + (int)$session->returned;
        $parking = self::parking($session);
        $current = self::current($session);
        $state = self::state($session);
        if (!$state) {
            if (!$granted && !$parking) {
                return;
            }
            $state = self::first($session, $current);
        }
        $own = quiz_settings::create((int)$session->quizid)->get_quiz();
        $parked = self::parked($session, $state);
        $values = [];
        foreach (self::FIELDS as $field) {
            $now = $current->$field ?? null;
            if (array_key_exists($field, $state['applied']) && self::differ($now, $state['applied'][$field])) {
                // A teacher has changed it meanwhile, and saw what we had added by then: the new value is the base from here on.
                if ((int)$now && (int)$now > (int)$state['applied'][$field] - intdiv($parked, 2)) {
                    // The parking time was in what the teacher saw and moved.
                    $now = max(1, $now - $parked);
                }
                $state['original'][$field] = $now === null ? null : (int)$now;
                $state['base'][$field] = (int)$now;
                $state['since'][$field] = $now === null ? 0 : $state['granted'];
            }
            if ($state['original'][$field] === null) {
                // A change for everybody is one for this student, too.
                $state['base'][$field] = self::without($session, $field);
            }
            $base = $state['base'][$field];
            if (!$base) {
                $values[$field] = $state['original'][$field];
                continue;
            }
            $more = $granted - $state['since'][$field] + $parking;
            $values[$field] = $more ? max(1, $base + $more) : $state['original'][$field];
            if ($more && $values[$field] === (int)$own->$field) {
                // Core takes the quiz's own value for none, and the base may be a group's.
                $values[$field]++;
            }
        }
        $values += self::due_date($state, $current, $values['timeclose']);
        $row = self::write($session, $current, $values);
        $state['granted'] = $granted;
        $state['parked'] = $parking;
        foreach (array_keys($values) as $field) {
            $state['applied'][$field] = isset($row->$field) ? (int)$row->$field : null;
        }
        $session->override = json_encode($state);
    }

    /**
     * As apply(), for what must not fail: a student who goes on. Where core refuses, the override stays as it is, and is tried
     * again by the clean-up.
     *
     * @param stdClass $session
     * @return bool false: core refused
     */
    public static function apply_or_leave(stdClass $session): bool {
        try {
            self::apply($session);
            return true;
        } catch (override_refused $e) {
            debugging("Vigil: the time of session {$session->id} is not given back yet. {$e->getMessage()}", DEBUG_NORMAL);
            return false;
        }
    }

    /**
     * Whether what is in force is not what the session says: the parking time of a pause that has ended, or one that runs short, or
     * times of the quiz that are new.
     *
     * @param stdClass $session
     * @return bool
     */
    public static function is_stale(stdClass $session): bool {
        $state = self::state($session);
        if (!$state) {
            return false;
        }
        foreach (self::FIELDS as $field) {
            if ($state['original'][$field] === null && $state['base'][$field] !== self::without($session, $field)) {
                return true;
            }
        }
        return self::parked($session, $state) !== self::parking($session);
    }

    /**
     * Puts back what was there before the session, except what a teacher has changed meanwhile. Where core refuses that, the
     * teacher's change stands in its way, and stays.
     *
     * @param stdClass $session
     */
    public static function restore(stdClass $session): void {
        global $DB;
        $state = self::state($session);
        $session->override = null;
        if (
            !$state || !$DB->record_exists('quiz', ['id' => $session->quizid])
                || !\core_user::is_real_user((int)$session->userid, true)
        ) {
            return;
        }
        $current = self::current($session);
        $values = [];
        foreach (self::FIELDS as $field) {
            $now = $current->$field ?? null;
            $ours = array_key_exists($field, $state['applied']) && !self::differ($now, $state['applied'][$field]);
            $values[$field] = $ours ? $state['original'][$field] : $now;
        }
        $values += self::due_date($state, $current, $values['timeclose']);
        try {
            self::write($session, $current, $values);
        } catch (override_refused $e) {
            debugging("Vigil: the override of session {$session->id} stays as it is. {$e->getMessage()}", DEBUG_NORMAL);
        }
    }

    /**
     * The values of an override of another site, or of a copy of the quiz, without what a session added to them.
     *
     * @param string|null $override what was noted about it
     * @param stdClass $row the override
     * @param callable $moved a time as the copy has it
     * @return array the settings that change
     */
    public static function stripped(?string $override, stdClass $row, callable $moved): array {
        $state = json_decode((string)$override, true);
        $changes = [];
        foreach (is_array($state) ? array_merge(self::FIELDS, ['duedate']) : [] as $field) {
            $as = static fn($value) => $value === null || $field === 'timelimit' ? $value : $moved((int)$value);
            $applied = $state['applied'][$field] ?? null;
            if ($applied !== null && !self::differ($row->$field ?? null, $as($applied))) {
                $changes[$field] = $as($state['original'][$field] ?? null);
            }
        }
        return $changes;
    }

    /**
     * When the attempt ends, without the parking time of a pause: while it is paused, as of the start of the pause.
     *
     * @param stdClass $session
     * @param stdClass $attempt of quiz_attempts
     * @param int $now
     * @return int 0: it has no end
     */
    public static function end(stdClass $session, stdClass $attempt, int $now): int {
        $quizobj = quiz_settings::create((int)$session->quizid, (int)$session->userid);
        $state = self::state($session);
        $parked = $state ? self::parked($session, $state) : 0;
        $quiz = $quizobj->get_quiz();
        foreach ($parked ? self::FIELDS : [] as $field) {
            if ((int)$quiz->$field && !self::differ($quiz->$field, $state['applied'][$field] ?? null)) {
                // The rules read this object.
                $quiz->$field = max(1, $quiz->$field - $parked);
            }
        }
        return (int)$quizobj->get_access_manager($now)->get_end_time($attempt);
    }

    /**
     * Whether extra time would move anything.
     *
     * @param stdClass $session
     * @return bool
     */
    public static function can_move(stdClass $session): bool {
        $quiz = quiz_settings::create((int)$session->quizid, (int)$session->userid)->get_quiz();
        return $quiz->timelimit || $quiz->timeclose;
    }

    /**
     * The parking time that a session is to have. It grows with the pause.
     *
     * @param stdClass $session
     * @return int seconds
     */
    private static function parking(stdClass $session): int {
        if (!session_store::is_paused($session)) {
            return 0;
        }
        if (hold::is_held($session)) {
            // Its time is given back up to a cap, and the attempt ends when that is used up.
            return hold::left($session);
        }
        $half = intdiv(self::PARKING, 2);
        $since = max(0, \core\di::get(\core\clock::class)->time() - (int)$session->pausedat);
        return self::PARKING + $half * intdiv($since, $half);
    }

    /**
     * The parking time that the override in force holds.
     *
     * @param stdClass $session
     * @param array $state
     * @return int seconds
     */
    private static function parked(stdClass $session, array $state): int {
        // Before version 2 it was not noted.
        return $state['parked'] ?? (session_store::is_paused($session) ? self::PARKING : 0);
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
        $state = ['original' => [], 'base' => [], 'since' => [], 'applied' => [], 'granted' => 0, 'parked' => 0];
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
        global $DB;
        $quiz = $DB->get_record('quiz', ['id' => $session->quizid], 'id, course, timelimit, timeclose', MUST_EXIST);
        $groups = groups_get_user_groups($quiz->course, $session->userid)[0] ?? [];
        $values = [];
        if ($groups) {
            [$in, $params] = $DB->get_in_or_equal($groups, SQL_PARAMS_NAMED);
            $values = array_map('intval', $DB->get_fieldset_select(
                'quiz_overrides',
                $field,
                "quiz = :quiz AND groupid {$in} AND {$field} IS NOT NULL",
                $params + ['quiz' => $quiz->id]
            ));
        }
        if (!$values) {
            return (int)$quiz->$field;
        }
        // Of several groups the most generous one counts, and 0 is no limit at all.
        return in_array(0, $values, true) ? 0 : max($values);
    }

    /**
     * The due date that core takes with a closing time: the teacher's, or as late as it may be.
     *
     * @param array $state gets the teacher's
     * @param stdClass|null $current
     * @param int|string|null $close
     * @return array empty where overrides have no due date
     */
    private static function due_date(array &$state, ?stdClass $current, $close): array {
        if (!$current || !property_exists($current, 'duedate')) {
            return [];
        }
        $due = $current->duedate === null ? null : (int)$current->duedate;
        $known = array_key_exists('duedate', $state['applied']) && !self::differ($due, $state['applied']['duedate']);
        if ($known) {
            $due = $state['original']['duedate'];
        }
        $state['original']['duedate'] = $due;
        return ['duedate' => $due && $close ? min($due, (int)$close) : $due];
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
     * @return stdClass|null the override
     * @throws override_refused
     */
    private static function write(stdClass $session, ?stdClass $current, array $values): ?stdClass {
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
        foreach (array_keys($values) as $field) {
            $changed = $changed || self::differ($current->$field ?? null, $data[$field]);
        }
        if (!$changed) {
            return $current;
        }
        // Without a user: the manager compares with the quiz's own values.
        $manager = quiz_settings::create((int)$session->quizid)->get_override_manager();
        // What equals the quiz's own value is no override for the manager, nor is 0 before Moodle 5.3.
        $left = array_filter(
            array_diff_key($manager->parse_formdata($data), array_flip(self::BESIDE)),
            static fn($value) => $value !== null
        );
        self::$writing = true;
        try {
            if ($left) {
                $manager->save_override($data);
            } else if ($current) {
                $manager->delete_overrides([$current]);
            }
        } catch (\invalid_parameter_exception $e) {
            throw new override_refused($e->debuginfo ?: $e->getMessage(), 0, $e);
        } finally {
            self::$writing = false;
        }
        // Deleting does not move the time at which cron looks at running attempts.
        quiz_update_open_attempts(['quizid' => (int)$session->quizid, 'userid' => (int)$session->userid]);
        return self::current($session);
    }
}
