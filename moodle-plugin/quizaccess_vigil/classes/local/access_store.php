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
 * Gives versions to what the tool is told of people's groups and rights.
 *
 * There is a row for each person who was told of at a quiz: one as a proctor, one as a student. Its version grows when what there
 * is to tell has changed, and only then. Two contents never have one version: a row is made once (its key is unique), and changed
 * only under the quiz's lock, to what was read under it.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class access_store {
    /** @var string the table */
    public const TABLE = 'quizaccess_vigil_access';

    /** @var int seconds for which somebody is kept who is not told of any more; the tool forgets proctors then, too */
    public const KEPT = 2 * DAYSECS;

    /** @var int seconds for which a student is kept at least who was in a proctored attempt: as long as tools show it by default */
    public const SHOWN = 400 * DAYSECS;

    /** @var int what a version grows by, at least: a report in which names had to be cut is of the one before */
    private const STEP = 2;

    /** @var int seconds in which the time of telling is noted once, at most */
    private const NOTED = HOURSECS;

    /** @var int rows that a statement names, at most */
    private const NAMED = 500;

    /** @var int times that making rows is tried while launches make some of them */
    private const TRIES = 5;

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
     * What a launch tells of a person.
     *
     * A whole class launches at once, so this takes the quiz's lock only if something has changed. Whoever changes groups or
     * rights looks for rows after that: what a new row tells is good if it is still so when the row is there.
     *
     * A browser carries it, and may stop on the way: what was yet to be reported still is.
     *
     * @param access $access
     * @param string $kind
     * @param int $userid
     * @return array version, and what access says
     */
    public function launch(access $access, string $kind, int $userid): array {
        global $DB;
        $content = $access->of($kind, [$userid])[$userid];
        $key = ['quizid' => $access->quiz->id, 'userid' => $userid, 'kind' => $kind];
        $row = $DB->get_record(self::TABLE, $key);
        if (!$row) {
            $row = $this->fresh($access, $kind, $userid, $content);
            try {
                $row->id = $DB->insert_record(self::TABLE, $row);
            } catch (\dml_write_exception $e) {
                // Another tab of the same person was faster.
                $row = null;
            }
            $content = $access->of($kind, [$userid])[$userid];
        }
        if (!$row || $row->digest !== self::digest($content)) {
            $lock = locks::take_access($access->quiz->id);
            try {
                $row = $this->bring_up($access, $kind, [$userid], true)[$userid];
                $content = $row->content;
            } finally {
                $lock->release();
            }
        }
        if (!$row->pending) {
            $this->told([$row]);
        }
        return ['version' => (int)$row->version] + $content;
    }

    /**
     * Makes rows say what there is to tell now. To be called under the quiz's lock: what is read here must not be older than what
     * somebody else tells meanwhile.
     *
     * @param access $access
     * @param string $kind
     * @param int[] $userids
     * @param bool $pending whether what has changed is yet to be told
     * @param bool|null $freshpending the same of who was not told of before; null: as of what has changed
     * @return stdClass[] userid => row, with what access says in content
     */
    public function bring_up(access $access, string $kind, array $userids, bool $pending, ?bool $freshpending = null): array {
        global $DB;
        $freshpending ??= $pending;
        if (!$userids) {
            return [];
        }
        $contents = $access->of($kind, $userids);
        for ($try = 1; true; $try++) {
            $rows = $this->rows($access, $kind, $userids);
            $fresh = [];
            foreach (array_diff_key($contents, $rows) as $userid => $content) {
                $fresh[] = $this->fresh($access, $kind, $userid, $content, $freshpending);
            }
            if (!$fresh) {
                break;
            }
            try {
                $DB->insert_records(self::TABLE, $fresh);
            } catch (\dml_write_exception $e) {
                // Launches take no lock to make a row.
                if ($try >= self::TRIES) {
                    throw $e;
                }
            }
        }
        foreach ($rows as $userid => $row) {
            $row->content = $contents[$userid];
            $digest = self::digest($row->content);
            if ($row->digest !== $digest) {
                $row->version = max((int)$row->version + self::STEP, standing::milliseconds($this->clock));
                $row->digest = $digest;
                $row->pending = (int)$pending;
                $DB->update_record(self::TABLE, (object)[
                    'id' => $row->id, 'version' => $row->version, 'digest' => $digest, 'pending' => $row->pending,
                ]);
            }
        }
        return $rows;
    }

    /**
     * The rows of some people at a quiz.
     *
     * @param access $access
     * @param string $kind
     * @param int[] $userids
     * @return stdClass[] userid => row
     */
    private function rows(access $access, string $kind, array $userids): array {
        global $DB;
        $select = 'quizid = :quizid AND kind = :kind';
        $params = ['quizid' => $access->quiz->id, 'kind' => $kind];
        if (count($userids) <= self::NAMED) {
            [$in, $users] = $DB->get_in_or_equal($userids, SQL_PARAMS_NAMED, 'user');
            $select .= " AND userid {$in}";
            $params += $users;
        }
        $rows = $DB->get_records_select(self::TABLE, $select, $params, 'userid');
        return array_intersect_key(array_column($rows, null, 'userid'), array_flip($userids));
    }

    /**
     * A row for somebody who was not told of yet.
     *
     * @param access $access
     * @param string $kind
     * @param int $userid
     * @param array $content
     * @param bool $pending
     * @return stdClass
     */
    private function fresh(access $access, string $kind, int $userid, array $content, bool $pending = false): stdClass {
        return (object)[
            'quizid' => $access->quiz->id, 'cmid' => $access->quiz->cmid, 'userid' => $userid, 'kind' => $kind,
            'version' => standing::milliseconds($this->clock), 'digest' => self::digest($content), 'pending' => (int)$pending,
            'timetold' => $this->clock->time(),
        ];
    }

    /**
     * What tells two contents apart.
     *
     * @param array $content
     * @return string
     */
    private static function digest(array $content): string {
        return hash('sha256', json_encode($content, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE));
    }

    /**
     * Notes that the tool has what rows say, unless they say something else by now.
     *
     * @param stdClass[] $rows
     */
    public function told(array $rows): void {
        global $DB;
        $now = $this->clock->time();
        $old = [];
        $taken = [];
        foreach ($rows as $row) {
            if ($row->pending) {
                $taken[(string)$row->version][] = $row->id;
            } else if ((int)$row->timetold < $now - self::NOTED) {
                $old[] = $row->id;
            }
        }
        $this->note($old, 'timetold = :now', ['now' => $now]);
        // What was changed together has one version, most often.
        foreach ($taken as $version => $ids) {
            $this->note($ids, 'pending = 0, timetold = :now', ['now' => $now, 'version' => $version], ' AND version = :version');
        }
    }

    /**
     * Changes some rows.
     *
     * @param int[] $ids
     * @param string $set
     * @param array $params
     * @param string $and a further condition
     */
    private function note(array $ids, string $set, array $params, string $and = ''): void {
        global $DB;
        foreach (array_chunk($ids, self::NAMED) as $some) {
            [$in, $named] = $DB->get_in_or_equal($some, SQL_PARAMS_NAMED);
            $DB->execute('UPDATE {' . self::TABLE . "} SET {$set} WHERE id {$in}{$and}", $params + $named);
        }
    }

    /**
     * Those who have to hear of changes: who was told of, and who works in a proctored attempt.
     *
     * @param int $quizid
     * @return array[] kind => user ids
     */
    public function concerned(int $quizid): array {
        global $DB;
        $out = [access::STAFF => [], access::STUDENT => []];
        foreach ($DB->get_records(self::TABLE, ['quizid' => $quizid], '', 'id, userid, kind') as $row) {
            $out[$row->kind][(int)$row->userid] = (int)$row->userid;
        }
        foreach ($this->working($quizid) as $userid) {
            $out[access::STUDENT][$userid] = $userid;
        }
        return array_map('array_values', $out);
    }

    /**
     * The students who work in a proctored attempt.
     *
     * @param int $quizid
     * @return int[]
     */
    public function working(int $quizid): array {
        global $DB;
        return array_map('intval', $DB->get_fieldset_sql(
            "SELECT DISTINCT userid FROM {quizaccess_vigil_session} WHERE quizid = ? AND state = ?",
            [$quizid, session_store::OPEN]
        ));
    }

    /**
     * Forgets whoever was not told of for long; students not while the tool may show an attempt of theirs, for a move to another
     * group is to reach it. Deleted people are forgotten when that was told, and everyone where the quiz is gone.
     */
    public function sweep(): void {
        global $DB;
        $table = '{' . self::TABLE . '}';
        $now = $this->clock->time();
        $DB->delete_records_select(
            self::TABLE,
            "timetold < :before AND (kind <> :student OR NOT EXISTS (
                SELECT 1
                  FROM {quizaccess_vigil_session} s
                 WHERE s.quizid = {$table}.quizid AND s.userid = {$table}.userid
                       AND (s.state = :open OR s.timecreated > :shown1 OR s.timeended > :shown2)))",
            [
                'before' => $now - self::KEPT, 'student' => access::STUDENT, 'open' => session_store::OPEN,
                'shown1' => $now - self::SHOWN, 'shown2' => $now - self::SHOWN,
            ]
        );
        $DB->delete_records_select(
            self::TABLE,
            "(pending = 0 OR timetold < :before)
                AND NOT EXISTS (SELECT 1 FROM {user} u WHERE u.id = {$table}.userid AND u.deleted = 0)",
            ['before' => $now - self::KEPT]
        );
        $DB->delete_records_select(self::TABLE, "NOT EXISTS (SELECT 1 FROM {quiz} q WHERE q.id = {$table}.quizid)");
    }

    /**
     * Forgets the students of a course's quizzes: it is reset.
     *
     * @param int $courseid
     */
    public function course_is_reset(int $courseid): void {
        global $DB;
        $DB->delete_records_select(
            self::TABLE,
            'kind = :kind AND quizid IN (SELECT q.id FROM {quiz} q WHERE q.course = :course)',
            ['kind' => access::STUDENT, 'course' => $courseid]
        );
    }

    /**
     * Forgets everyone at a quiz: it is deleted.
     *
     * @param int $quizid
     */
    public function forget(int $quizid): void {
        global $DB;
        $DB->delete_records(self::TABLE, ['quizid' => $quizid]);
    }
}
