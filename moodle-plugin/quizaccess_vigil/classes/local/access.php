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

use context_course;
use context_module;
use core\clock;
use stdClass;

/**
 * What this site says of who may see and do what at a quiz: whose students a proctor sees, what they may do, and which groups a
 * student belongs to.
 *
 * It is read from the database, for any number of people by a fixed number of queries, and depends on nobody but those asked of:
 * not on who is logged in, on switched roles, or on what a cache or a session still holds. So each web server, cron and the
 * tool's question get the same.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class access {
    /** @var string somebody who proctors, or did */
    public const STAFF = 'staff';

    /** @var string somebody who attempts the quiz */
    public const STUDENT = 'student';

    /** @var string the right without which the others do not count */
    public const WATCH = 'watch';

    /** @var string[] right, as the tool calls it => capability, in the order in which they are told */
    public const RIGHTS = [
        self::WATCH => 'quizaccess/vigil:proctor',
        'talk' => 'quizaccess/vigil:talk',
        'time' => 'quizaccess/vigil:time',
        'end' => 'quizaccess/vigil:end',
        'reopen' => 'quizaccess/vigil:reopen',
        'review' => 'quizaccess/vigil:review',
        'export' => 'quizaccess/vigil:export',
    ];

    /** @var string the capability to see every group */
    public const ALL_GROUPS = 'moodle/site:accessallgroups';

    /** @var string the capability to know of groups that only their members know of */
    public const HIDDEN_GROUPS = 'moodle/course:viewhiddengroups';

    /** @var string the capability to be in a course without being enrolled */
    public const VIEW_COURSE = 'moodle/course:view';

    /** @var string the capability to open the quiz, and those that open it where it is hidden, its course is, or it is for others */
    public const VIEW_QUIZ = 'mod/quiz:view';

    /** @var string see VIEW_QUIZ */
    public const HIDDEN_QUIZ = 'moodle/course:viewhiddenactivities';

    /** @var string see VIEW_QUIZ */
    public const HIDDEN_COURSE = 'moodle/course:viewhiddencourses';

    /** @var string see VIEW_QUIZ */
    public const RESTRICTED_QUIZ = 'moodle/course:ignoreavailabilityrestrictions';

    /** @var int groups of one person, at most: the tool takes no more */
    public const MOST_GROUPS = 1000;

    /** @var int people who may attempt a quiz that are told, at most */
    public const MOST_STUDENTS = 10000;

    /** @var int people that a query names, at most: databases have their bounds. For more it asks of everybody */
    private const NAMED = 500;

    /** @var context_module the quiz's context */
    private readonly context_module $context;

    /** @var string[] the names of groups as they are told, by the names as they are stored */
    private array $names = [];

    /**
     * Constructor.
     *
     * @param stdClass $quiz
     * @param clock $clock
     */
    private function __construct(
        /** @var stdClass id, course, cmid, groupmode (the effective one), groupingid, visible, coursevisible */
        public readonly stdClass $quiz,
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
        $this->context = context_module::instance($quiz->cmid);
    }

    /**
     * That of a quiz.
     *
     * One whose proctoring was switched off is told of all the same: what was kept of it can still be looked at.
     *
     * @param int $quizid
     * @param clock $clock
     * @return self|null null: there is no such quiz, or it was never proctored
     */
    public static function at(int $quizid, clock $clock): ?self {
        global $DB;
        $quiz = $DB->get_record_sql(
            "SELECT q.id, q.course, cm.id AS cmid, cm.groupmode, cm.groupingid, cm.visible,
                    c.groupmode AS coursemode, c.groupmodeforce, c.visible AS coursevisible
               FROM {quiz} q
               JOIN {quizaccess_vigil} v ON v.quizid = q.id
               JOIN {modules} m ON m.name = 'quiz'
               JOIN {course_modules} cm ON cm.module = m.id AND cm.instance = q.id AND cm.deletioninprogress = 0
               JOIN {course} c ON c.id = q.course
              WHERE q.id = ?",
            [$quizid],
            IGNORE_MULTIPLE
        );
        if (!$quiz) {
            return null;
        }
        return new self((object)[
            'id' => (int)$quiz->id, 'course' => (int)$quiz->course, 'cmid' => (int)$quiz->cmid,
            'groupmode' => (int)($quiz->groupmodeforce ? $quiz->coursemode : $quiz->groupmode),
            'groupingid' => (int)$quiz->groupingid, 'visible' => (bool)$quiz->visible, 'coursevisible' => (bool)$quiz->coursevisible,
        ], $clock);
    }

    /**
     * What is told of people, as one kind.
     *
     * @param string $kind
     * @param int[] $userids
     * @return array[] userid => what is told
     */
    public function of(string $kind, array $userids): array {
        return $kind === self::STAFF ? $this->staff($userids) : $this->students($userids);
    }

    /**
     * Whose students some people see, and what they may do. Who may do nothing (any more) has no rights and sees nobody.
     *
     * @param int[] $userids
     * @return array[] userid => all, groups, rights
     */
    public function staff(array $userids): array {
        $out = array_fill_keys($userids, ['all' => false, 'groups' => [], 'rights' => []]);
        $may = [];
        foreach (self::RIGHTS as $right => $capability) {
            $may[$right] = $this->able($capability, $this->context, $userids);
            if ($right === self::WATCH) {
                $userids = $this->shown($this->there(array_keys($may[self::WATCH])));
            }
            if (!$userids) {
                return $out;
            }
        }
        $everyone = $this->quiz->groupmode !== SEPARATEGROUPS ? array_flip($userids)
            : $this->able(self::ALL_GROUPS, $this->context, $userids);
        $groups = $this->groups(array_keys(array_diff_key(array_flip($userids), $everyone)));
        // Who sees everyone need not know of each group: of hidden ones as Moodle shows them.
        $groups += $this->hidden(array_keys($everyone));
        foreach ($userids as $userid) {
            $out[$userid] = [
                'all' => isset($everyone[$userid]),
                'groups' => $groups[$userid] ?? [],
                'rights' => array_keys(array_filter($may, static fn(array $able): bool => isset($able[$userid]))),
            ];
        }
        return $out;
    }

    /**
     * Which groups some students belong to.
     *
     * @param int[] $userids
     * @return array[] userid => groups
     */
    public function students(array $userids): array {
        $groups = $this->quiz->groupmode === NOGROUPS ? [] : $this->groups($userids);
        $out = [];
        foreach ($userids as $userid) {
            $out[$userid] = ['groups' => $groups[$userid] ?? []];
        }
        return $out;
    }

    /**
     * The names of those students whom somebody sees as a proctor.
     *
     * @param int $userid the proctor
     * @param array[] $students userid => groups, as students() has them
     * @param int $most names, at most
     * @return string[] userid => name
     */
    public function names_for(int $userid, array $students, int $most): array {
        global $DB;
        $proctor = $this->staff([$userid])[$userid];
        if (!in_array(self::WATCH, $proctor['rights'], true)) {
            return [];
        }
        if (!$proctor['all']) {
            $seen = array_flip(array_column($proctor['groups'], 'id'));
            $students = array_filter(
                $students,
                static fn(array $told): bool => (bool)array_intersect_key($seen, array_flip(array_column($told['groups'], 'id')))
            );
        }
        $out = [];
        $fields = implode(',', \core_user\fields::get_name_fields());
        foreach (array_chunk(array_slice(array_keys($students), 0, $most), self::NAMED) as $some) {
            foreach ($DB->get_records_list('user', 'id', $some, '', "id,{$fields}") as $user) {
                $out[(int)$user->id] = fullname($user);
            }
        }
        return $out;
    }

    /**
     * Everyone who may attempt the quiz.
     *
     * @return int[]
     */
    public function attempters(): array {
        global $DB;
        $join = get_with_capability_join($this->context, 'mod/quiz:attempt', 'u.id');
        if ($join->cannotmatchanyrows) {
            return [];
        }
        $able = $DB->get_fieldset_sql(
            "SELECT DISTINCT u.id FROM {user} u {$join->joins} WHERE u.deleted = 0 AND u.suspended = 0 AND {$join->wheres}",
            $join->params
        );
        if ($this->quiz->course !== (int)SITEID) {
            // Two plain queries: one that says it all takes seconds where the database has no statistics yet.
            [$enrolled, $params] = $this->enrolled();
            $able = array_intersect($able, $DB->get_fieldset_sql("SELECT ue.userid {$enrolled}", $params));
        }
        sort($able, SORT_NUMERIC);
        return array_map('intval', array_slice($able, 0, self::MOST_STUDENTS));
    }

    /**
     * Those who have a capability by their roles. Administrators have each.
     *
     * @param string $capability
     * @param \context $context
     * @param int[] $userids
     * @return array userid => true
     */
    private function able(string $capability, \context $context, array $userids): array {
        global $CFG, $DB;
        $able = [];
        if (!$context->locked || empty($CFG->contextlocking) || empty($CFG->contextlockappliestoadmin)) {
            $able = array_fill_keys(array_filter($userids, 'is_siteadmin'), true);
        }
        $join = get_with_capability_join($context, $capability, 'u.id');
        if ($join->cannotmatchanyrows) {
            return $able;
        }
        foreach (array_chunk($userids, self::NAMED) as $some) {
            [$in, $params] = $DB->get_in_or_equal($some, SQL_PARAMS_NAMED, 'user');
            $able += array_fill_keys($DB->get_fieldset_sql(
                "SELECT DISTINCT u.id FROM {user} u {$join->joins} WHERE u.id {$in} AND {$join->wheres}",
                $params + $join->params
            ), true);
        }
        return $able;
    }

    /**
     * Those who can come into the course: neither deleted nor suspended, and enrolled, or free to come without that.
     *
     * @param int[] $userids
     * @return int[]
     */
    private function there(array $userids): array {
        global $DB;
        if (!$userids) {
            return [];
        }
        $site = $this->quiz->course === (int)SITEID;
        $free = $site ? [] : $this->able(self::VIEW_COURSE, context_course::instance($this->quiz->course), $userids);
        [$enrolled, $params] = $this->enrolled();
        $out = [];
        foreach (array_chunk($userids, self::NAMED) as $some) {
            [$in, $users] = $DB->get_in_or_equal($some, SQL_PARAMS_NAMED, 'user');
            $alive = $DB->get_fieldset_select('user', 'id', "id {$in} AND deleted = 0 AND suspended = 0", $users);
            $inside = $site ? [] : array_flip($DB->get_fieldset_sql(
                "SELECT ue.userid {$enrolled} AND ue.userid {$in}",
                $params + $users
            ));
            foreach ($alive as $userid) {
                if ($site || isset($inside[$userid]) || isset($free[$userid])) {
                    $out[] = (int)$userid;
                }
            }
        }
        return $out;
    }

    /**
     * Those whom Moodle lets open the quiz: it may be hidden from them, or restricted to others. Conditions that end by themselves
     * (a date, a grade) keep nobody out, as in core's own lists of people.
     *
     * @param int[] $userids
     * @return int[]
     */
    private function shown(array $userids): array {
        $able = array_flip($userids);
        $keep = function (string $capability, \context $context) use (&$able): void {
            $able = $able ? $this->able($capability, $context, array_keys($able)) : [];
        };
        $keep(self::VIEW_QUIZ, $this->context);
        if (!$this->quiz->visible) {
            $keep(self::HIDDEN_QUIZ, $this->context);
        }
        if (!$this->quiz->coursevisible) {
            $keep(self::HIDDEN_COURSE, context_course::instance($this->quiz->course));
        }
        $free = $able ? $this->able(self::RESTRICTED_QUIZ, $this->context, array_keys($able)) : [];
        $bound = array_diff_key($able, $free);
        if ($bound) {
            $cm = get_fast_modinfo($this->quiz->course)->get_cm($this->quiz->cmid);
            $free += (new \core_availability\info_module($cm))->filter_user_list($bound);
        }
        return array_values(array_filter($userids, static fn(int $userid): bool => isset($free[$userid])));
    }

    /**
     * The enrolments that are good at this moment. Core's own list rounds the time by up to fifty seconds, so that somebody who
     * was enrolled just now is not in it yet.
     *
     * @return array the query from FROM on, and its parameters
     */
    private function enrolled(): array {
        $now = $this->clock->time();
        return [
            "FROM {user_enrolments} ue
             JOIN {enrol} e ON e.id = ue.enrolid
            WHERE e.courseid = :encourse AND e.status = :enenabled AND ue.status = :enactive
                  AND ue.timestart <= :ennow1 AND (ue.timeend = 0 OR ue.timeend > :ennow2)",
            [
                'encourse' => $this->quiz->course, 'enenabled' => ENROL_INSTANCE_ENABLED, 'enactive' => ENROL_USER_ACTIVE,
                'ennow1' => $now, 'ennow2' => $now,
            ],
        ];
    }

    /**
     * The hidden groups that some people may know of: those they are in, and all with the capability for it.
     *
     * @param int[] $userids
     * @return array[] userid => groups
     */
    private function hidden(array $userids): array {
        global $DB;
        $params = ['courseid' => $this->quiz->course, 'participation' => 1];
        $rows = $DB->get_records_select(
            'groups',
            'courseid = :courseid AND participation = :participation AND visibility <> ' . GROUPS_VISIBILITY_ALL,
            $params,
            'id',
            'id, name, visibility',
            0,
            self::MOST_GROUPS
        );
        if (!$rows || !$userids) {
            return [];
        }
        $all = array_map(fn(stdClass $row): array => $this->told($row), array_values($rows));
        // As core asks for it: a role at the quiz alone shows no groups of the course.
        $able = $this->able(self::HIDDEN_GROUPS, context_course::instance($this->quiz->course), $userids);
        $own = $this->groups(array_keys(array_diff_key(array_flip($userids), $able)));
        $ofhidden = static fn(array $group): bool => isset($group['hidden']);
        return array_map(static fn(): array => $all, $able)
            + array_map(static fn(array $groups): array => array_values(array_filter($groups, $ofhidden)), $own);
    }

    /**
     * A group as it is told.
     *
     * @param stdClass $row
     * @return array
     */
    private function told(stdClass $row): array {
        $hidden = (int)$row->visibility !== GROUPS_VISIBILITY_ALL;
        return ['id' => (string)$row->id, 'name' => $this->name($row->name)] + ($hidden ? ['hidden' => true] : []);
    }

    /**
     * The groups of the quiz's grouping, if it has one, that some people are members of. Groups that are not for activities do
     * not count, as in core's own lists.
     *
     * @param int[] $userids
     * @return array[] userid => groups
     */
    private function groups(array $userids): array {
        global $DB;
        if (!$userids) {
            return [];
        }
        $where = 'g.courseid = :course AND g.participation = 1';
        $params = ['course' => $this->quiz->course];
        if ($this->quiz->groupingid) {
            $where .= ' AND EXISTS (SELECT 1 FROM {groupings_groups} gg WHERE gg.groupid = g.id AND gg.groupingid = :grouping)';
            $params['grouping'] = $this->quiz->groupingid;
        }
        if (count($userids) <= self::NAMED) {
            [$in, $users] = $DB->get_in_or_equal($userids, SQL_PARAMS_NAMED, 'user');
            $where .= " AND gm.userid {$in}";
            $params += $users;
        }
        $wanted = array_flip($userids);
        $out = [];
        $rows = $DB->get_recordset_sql(
            "SELECT gm.userid, g.id, g.name, g.visibility
               FROM {groups_members} gm
               JOIN {groups} g ON g.id = gm.groupid
              WHERE {$where}
           ORDER BY g.id",
            $params
        );
        foreach ($rows as $row) {
            if (isset($wanted[$row->userid]) && count($out[$row->userid] ?? []) < self::MOST_GROUPS) {
                $out[$row->userid][$row->id] = $this->told($row);
            }
        }
        $rows->close();
        return array_map('array_values', $out);
    }

    /**
     * A group's name as people read it, in the site's language: it must not depend on who happens to ask.
     *
     * @param string $name
     * @return string
     */
    private function name(string $name): string {
        global $CFG;
        if (!isset($this->names[$name])) {
            $before = force_current_language($CFG->lang);
            $this->names[$name] = format_string($name, true, ['context' => $this->context, 'escape' => false]);
            force_current_language($before);
        }
        return $this->names[$name];
    }
}
