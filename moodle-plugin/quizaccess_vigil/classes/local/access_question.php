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

/**
 * Answers the tool's question who may see and do what at a quiz.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class access_question {
    /** @var int people whose rights one question asks for, at most */
    public const MOST = 500;

    /** @var int students whose names one answer gives, at most: the tool takes no more */
    public const MOST_NAMES = 2000;

    /** @var int seconds to wait for what is told at the same time; the tool asks again soon */
    private const PATIENCE = 5;

    /** @var access_store the versions */
    private readonly access_store $store;

    /**
     * Constructor.
     *
     * @param clock $clock
     */
    public function __construct(
        /** @var clock what time it is */
        private readonly clock $clock,
        /** @var lti_bridge core's LTI */
        private readonly lti_bridge $bridge = new lti_bridge(),
    ) {
        $this->store = new access_store($clock);
    }

    /**
     * Answers. The rights are those of the people who are asked for, the groups those of everyone who may attempt the quiz or is
     * in an attempt. Where the tool asks on behalf of a proctor, and names are shared with it, those whom that proctor sees have
     * their names.
     *
     * @param string $linkid by which the tool knows the quiz
     * @param string $body
     * @return array staff and students
     * @throws control_exception
     */
    public function answer(string $linkid, string $body): array {
        [$users, $proctor] = self::read($body);
        $access = $this->access($linkid);
        if (!$access) {
            throw new control_exception(404, 'There is no such proctored quiz.');
        }
        [$known, $strangers] = $this->split($users);
        $lock = locks::take_access($access->quiz->id, self::PATIENCE);
        try {
            $students = array_unique(array_merge($access->attempters(), $this->store->working($access->quiz->id)));
            // Whoever asked may not have waited for the answer: what has changed is reported all the same.
            $staff = $this->store->bring_up($access, access::STAFF, $known, true, false);
            $students = $this->store->bring_up($access, access::STUDENT, array_values($students), true, false);
            foreach ([$staff, $students] as $rows) {
                $this->store->told(array_filter($rows, static fn(\stdClass $row): bool => !$row->pending));
            }
        } finally {
            $lock->release();
        }
        if (array_filter(array_column(array_merge($staff, $students), 'pending'))) {
            access_changes::note('quiz', $access->quiz->id);
        }
        $records = static fn(array $rows): array => array_map([access_changes::class, 'record'], $rows);
        $told = $records($students);
        foreach ($this->names($access, $proctor, array_column($students, 'content', 'userid')) as $userid => $name) {
            $told[$userid]['name'] = $name;
        }
        return ['staff' => array_merge(array_values($records($staff)), $this->nobody($strangers)), 'students' => array_values($told)];
    }

    /**
     * The names of students that a proctor may read.
     *
     * @param access $access
     * @param string $proctor '': the tool asks for nobody
     * @param array[] $students userid => groups
     * @return string[] userid => name
     */
    private function names(access $access, string $proctor, array $students): array {
        [$known] = $proctor === '' ? [[]] : $this->split([$proctor]);
        return $known && $this->bridge->shares_names() ? $access->names_for($known[0], $students, self::MOST_NAMES) : [];
    }

    /**
     * The users that a request asks for, and the proctor for whom it wants names.
     *
     * @param string $body
     * @return array users, and the proctor, '' where there is none
     * @throws control_exception
     */
    private static function read(string $body): array {
        $question = json_decode($body, false, 8);
        $users = $question->users ?? null;
        $proctor = $question->names_for ?? '';
        if (!is_array($users) || count($users) > self::MOST) {
            throw new control_exception(400, 'users is not a list of at most ' . self::MOST . ' users.');
        }
        foreach (array_merge($users, $proctor === '' ? [] : [$proctor]) as $user) {
            if (!is_string($user) || $user === '' || strlen($user) > 255) {
                throw new control_exception(400, 'A user is not a text of 1 to 255 characters.');
            }
        }
        return [array_values(array_unique($users)), $proctor];
    }

    /**
     * What there is to tell of a quiz.
     *
     * @param string $linkid
     * @return access|null
     */
    private function access(string $linkid): ?access {
        global $DB;
        $quizid = (int)$DB->get_field_sql(
            "SELECT cm.instance
               FROM {course_modules} cm
               JOIN {modules} m ON m.id = cm.module AND m.name = 'quiz'
              WHERE cm.id = ?",
            [lti_bridge::cmid_of($linkid)]
        );
        return $quizid ? access::at($quizid, $this->clock) : null;
    }

    /**
     * Tells the users of this site from ids that it never gave.
     *
     * @param string[] $users
     * @return array user ids, and the others
     */
    private function split(array $users): array {
        global $DB;
        $ids = array_filter($users, static fn(string $user): bool => (bool)preg_match('/^[1-9]\d{0,17}$/D', $user));
        $known = [];
        if ($ids) {
            [$in, $params] = $DB->get_in_or_equal(array_values($ids));
            $known = $DB->get_fieldset_select('user', 'id', "id {$in}", $params);
        }
        return [array_map('intval', $known), array_values(array_diff($users, $known))];
    }

    /**
     * Says of ids that belong to nobody that they may do nothing.
     *
     * @param string[] $users
     * @return array[]
     */
    private function nobody(array $users): array {
        $now = standing::milliseconds($this->clock);
        return array_map(
            static fn(string $user): array => ['user' => $user, 'version' => $now, 'all' => false, 'groups' => [], 'rights' => []],
            $users
        );
    }
}
