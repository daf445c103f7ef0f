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
use quizaccess_vigil\task\report_access;
use stdClass;

/**
 * Tells the tool of changed groups and rights, as soon as they have changed.
 *
 * Observers of core's events note what changed, which costs no query. When the request is over, the people concerned are looked
 * at again, and those of whom there is something else to tell are reported: many in one report. What cannot be told at once is
 * left to a task, and what changes without an event to the tool's question.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class access_changes {
    /** @var float seconds that the end of a request may take */
    private const PATIENCE = 2.0;

    /** @var float seconds that a task waits for one answer */
    private const TASK_PATIENCE = 30.0;

    /** @var int people in one report, at most */
    public const MOST = 200;

    /** @var int bytes of what a report says of people, at most: signed it has a third more, and the tool takes 60,000 */
    public const LONGEST = 42000;

    /** @var int[] characters of each group's name, where one person's groups alone are too long for a report */
    private const SHORTER = [40, 10];

    /** @var int[] the contexts that quizzes may be in */
    private const LEVELS = [CONTEXT_SYSTEM, CONTEXT_COURSECAT, CONTEXT_COURSE, CONTEXT_MODULE];

    /** @var int seconds of changes that one task does at once */
    private const SLICE = 10;

    /** @var array[] what has changed in this request: course, context, quiz or user => id => user ids, or true for everyone */
    private static array $notes = [];

    /** @var bool the end of this request looks at the notes */
    private static bool $armed = false;

    /** @var access_store the versions */
    private readonly access_store $store;

    /**
     * Constructor.
     *
     * @param lti_bridge $bridge
     * @param http $http
     * @param clock $clock
     */
    public function __construct(
        /** @var lti_bridge core's LTI */
        private readonly lti_bridge $bridge,
        /** @var http the way to the tool */
        private readonly http $http,
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
        $this->store = new access_store($clock);
    }

    /**
     * The one of this site.
     *
     * @return self
     */
    public static function instance(): self {
        return new self(new lti_bridge(), \core\di::get(http::class), \core\di::get(clock::class));
    }

    /**
     * Notes that groups or rights may have changed.
     *
     * @param string $where course, context, quiz or user
     * @param int $id of it
     * @param int $userid whose; 0: everyone's there
     */
    public static function note(string $where, int $id, int $userid = 0): void {
        if (!$userid) {
            self::$notes[$where][$id] = true;
        } else if ((self::$notes[$where][$id] ?? []) !== true) {
            self::$notes[$where][$id][$userid] = $userid;
        }
        if (PHPUNIT_TEST) {
            return;
        }
        if (CLI_SCRIPT) {
            // The end of this process may be far: cron runs many tasks, and some of them change thousands of people.
            self::instance()->hand_over();
        } else if (!self::$armed) {
            self::$armed = true;
            // It runs after core's own handler: open transactions are rolled back by then, and the session is free.
            register_shutdown_function([self::class, 'at_end']);
        }
    }

    /**
     * Runs when the request is over.
     */
    public static function at_end(): void {
        if (function_exists('fastcgi_finish_request')) {
            // Whoever changed something need not wait for the tool.
            fastcgi_finish_request();
        }
        try {
            self::instance()->tell();
        } catch (\Throwable $e) {
            debugging('Vigil: changed groups and rights were not told: ' . $e->getMessage(), DEBUG_NORMAL, $e->getTrace());
        }
    }

    /**
     * What was noted, once.
     *
     * @return array[]
     */
    private static function take_notes(): array {
        $notes = self::$notes;
        self::$notes = [];
        self::$armed = false;
        return $notes;
    }

    /**
     * Tells the tool what has changed in this request, as far as that goes in a moment, and leaves the rest to a task.
     */
    public function tell(): void {
        $until = microtime(true) + self::PATIENCE;
        $left = [];
        foreach ($this->quizzes(self::take_notes()) as $quizid => $userids) {
            try {
                $done = microtime(true) < $until && $this->report($quizid, $userids === true ? null : $userids, $until);
            } catch (\moodle_exception $e) {
                $done = false;
            }
            if (!$done) {
                $left[] = $quizid;
            }
        }
        $this->queue($left);
    }

    /**
     * Leaves all that was noted to tasks.
     */
    private function hand_over(): void {
        $this->queue(array_keys($this->quizzes(self::take_notes())));
    }

    /**
     * Has tasks report quizzes. A task begins when what it was queued for is over, so that one does for many changes.
     *
     * @param int[] $quizids
     */
    private function queue(array $quizids): void {
        $from = intdiv($this->clock->time(), self::SLICE) * self::SLICE;
        foreach ($quizids as $quizid) {
            $task = new report_access();
            $task->set_component('quizaccess_vigil');
            $task->set_custom_data(['quizid' => $quizid, 'from' => $from]);
            $task->set_next_run_time($from + self::SLICE);
            \core\task\manager::queue_adhoc_task($task, true);
        }
    }

    /**
     * Reports everyone at a quiz of whom there is something new to tell, for a task.
     *
     * @param int $quizid
     * @throws \moodle_exception so that the task is tried again
     */
    public function work_off(int $quizid): void {
        $this->report($quizid, null, null);
    }

    /**
     * The quizzes of what was noted at which somebody was told of, or works in a proctored attempt.
     *
     * @param array[] $notes
     * @return array quiz id => user ids, or true for everyone
     */
    private function quizzes(array $notes): array {
        global $DB;
        $out = [];
        $add = static function (int $quizid, $userids) use (&$out): void {
            $before = $out[$quizid] ?? [];
            $out[$quizid] = $before === true || $userids === true ? true : $before + $userids;
        };
        foreach (['course' => 'q.course', 'quiz' => 'q.id'] as $where => $column) {
            foreach (array_chunk($notes[$where] ?? [], 500, true) as $some) {
                [$in, $params] = $DB->get_in_or_equal(array_keys($some));
                foreach ($this->find("{$column} {$in}", $params) as $quiz) {
                    $add((int)$quiz->id, $some[$where === 'course' ? $quiz->course : $quiz->id]);
                }
            }
        }
        foreach ($notes['context'] ?? [] as $contextid => $userids) {
            $context = \context::instance_by_id($contextid, IGNORE_MISSING);
            if (!$context || !in_array((int)$context->contextlevel, self::LEVELS, true)) {
                continue;
            }
            // Roles and capabilities are of staff: of students only groups are told.
            $below = $this->find(
                '(ctx.id = ? OR ' . $DB->sql_like('ctx.path', '?') . ")
                    AND EXISTS (SELECT 1 FROM {quizaccess_vigil_access} a WHERE a.quizid = q.id AND a.kind = ?)",
                [$context->id, $DB->sql_like_escape($context->path) . '/%', access::STAFF]
            );
            foreach ($below as $quiz) {
                $add((int)$quiz->id, $userids);
            }
        }
        foreach (array_chunk($notes['user'] ?? [], 500, true) as $some) {
            [$in, $params] = $DB->get_in_or_equal(array_keys($some));
            $rows = $DB->get_recordset_sql(
                "SELECT quizid, userid FROM {quizaccess_vigil_access} WHERE userid {$in}
                  UNION
                 SELECT quizid, userid FROM {quizaccess_vigil_session} WHERE userid {$in} AND state = ?",
                array_merge($params, $params, [session_store::OPEN])
            );
            foreach ($rows as $row) {
                $add((int)$row->quizid, [(int)$row->userid => (int)$row->userid]);
            }
            $rows->close();
        }
        return $out;
    }

    /**
     * Proctored quizzes at which somebody was told of, or works in a proctored attempt.
     *
     * @param string $where of the quiz q and its context ctx
     * @param array $params
     * @return stdClass[] id and course
     */
    private function find(string $where, array $params): array {
        global $DB;
        return $DB->get_records_sql(
            "SELECT q.id, q.course
               FROM {quizaccess_vigil} v
               JOIN {quiz} q ON q.id = v.quizid
               JOIN {modules} m ON m.name = 'quiz'
               JOIN {course_modules} cm ON cm.module = m.id AND cm.instance = q.id
               JOIN {context} ctx ON ctx.instanceid = cm.id AND ctx.contextlevel = ?
              WHERE ({$where})
                    AND (EXISTS (SELECT 1 FROM {quizaccess_vigil_access} a WHERE a.quizid = q.id)
                         OR EXISTS (SELECT 1 FROM {quizaccess_vigil_session} s WHERE s.quizid = q.id AND s.state = ?))",
            array_merge([CONTEXT_MODULE], $params, [session_store::OPEN])
        );
    }

    /**
     * Reports those at a quiz of whom there is something new to tell.
     *
     * @param int $quizid
     * @param int[]|null $userids null: everyone there
     * @param float|null $until the end of patience; null: that of a task
     * @return bool false: the tool did not take all of it
     * @throws \moodle_exception
     */
    private function report(int $quizid, ?array $userids, ?float $until): bool {
        $access = access::at($quizid, $this->clock);
        $tool = $this->bridge->tool();
        if (!$access || !$tool || !$tool->active) {
            return true;
        }
        $rows = $this->pending($access, $userids, $until);
        foreach (self::split($rows) as $some) {
            $patience = $until === null ? self::TASK_PATIENCE : $until - microtime(true);
            if ($patience < 0.1) {
                return false;
            }
            $problem = $this->send($tool, $access, $some, $patience);
            if ($problem !== '' && $until === null) {
                throw new \moodle_exception('erroraccessnottold', 'quizaccess_vigil', '', null, $problem);
            }
            if ($problem !== '') {
                return false;
            }
            $this->store->told($some);
        }
        return true;
    }

    /**
     * Looks at people again, and returns those of whom the tool does not have the latest.
     *
     * @param access $access
     * @param int[]|null $userids
     * @param float|null $until
     * @return stdClass[] rows, those of staff first: what is taken from them matters most
     */
    private function pending(access $access, ?array $userids, ?float $until): array {
        $lock = locks::take_access($access->quiz->id, $until === null ? 15 : (int)max(0, $until - microtime(true)));
        try {
            $rows = [];
            foreach ($this->store->concerned($access->quiz->id) as $kind => $people) {
                $people = $userids === null ? $people : array_values(array_intersect($people, $userids));
                $rows = array_merge($rows, array_values($this->store->bring_up($access, $kind, $people, true)));
            }
        } finally {
            $lock->release();
        }
        return array_values(array_filter($rows, static fn(stdClass $row): bool => (bool)$row->pending));
    }

    /**
     * What the tool is told of a row's person.
     *
     * @param stdClass $row with its content
     * @return array
     */
    public static function record(stdClass $row): array {
        return ['user' => (string)$row->userid, 'version' => (int)$row->version] + $row->content;
    }

    /**
     * Splits rows into reports.
     *
     * @param stdClass[] $rows
     * @return array[] lists of rows, with what is told in record
     */
    private static function split(array $rows): array {
        $out = [];
        $length = self::LONGEST;
        foreach ($rows as $row) {
            [$row->record, $own] = self::fitting(self::record($row));
            $length += $own;
            if ($length > self::LONGEST || count(end($out)) >= self::MOST) {
                $out[] = [];
                $length = $own;
            }
            $out[count($out) - 1][] = $row;
        }
        return $out;
    }

    /**
     * A record that a report has room for. Where one person's groups do not fit, their names are cut: the ids are what counts. It is
     * of a version of its own then, which is older than that of the answer to the tool's question, which has the whole names.
     *
     * @param array $record
     * @return array the record, and its length
     */
    private static function fitting(array $record): array {
        // As the signed text will have it.
        $length = static fn(array $record): int => strlen(json_encode($record, JSON_UNESCAPED_SLASHES)) + 1;
        $version = $record['version'];
        foreach (self::SHORTER as $most) {
            if ($length($record) <= self::LONGEST) {
                break;
            }
            $record['version'] = $version - 1;
            foreach ($record['groups'] as &$group) {
                $group['name'] = \core_text::substr($group['name'], 0, $most);
            }
            unset($group);
        }
        return [$record, $length($record)];
    }

    /**
     * Sends one report.
     *
     * @param stdClass $tool
     * @param access $access
     * @param stdClass[] $rows
     * @param float $patience
     * @return string why it was not taken; '': it was
     */
    private function send(stdClass $tool, access $access, array $rows, float $patience): string {
        $people = [access::STAFF => [], access::STUDENT => []];
        foreach ($rows as $row) {
            $people[$row->kind][] = $row->record;
        }
        $jwt = $this->bridge->sign_claims(assertion::access(
            $this->bridge->issuer(),
            $tool,
            $access->quiz->cmid,
            $this->clock->time(),
            $people[access::STAFF],
            $people[access::STUDENT]
        ));
        $answer = $this->http->tell(lti_bridge::access_endpoint($tool), $jwt, $patience);
        // A tool that does not know the quiz asks when it does, and one of version 2 takes no such reports.
        return $answer->is_done() || $answer->status === 404 ? '' : $answer->summary();
    }
}
