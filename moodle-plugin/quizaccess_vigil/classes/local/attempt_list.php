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
use moodle_url;
use stdClass;

/**
 * The proctored attempts at a quiz, as its proctors see them.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class attempt_list {
    /** @var int attempts on a page */
    public const PAGE = 50;

    /** @var string the condition for the table s */
    private string $where;

    /** @var array its parameters */
    private array $params;

    /**
     * Constructor.
     *
     * @param quiz_settings $quizobj
     */
    public function __construct(
        /** @var quiz_settings the quiz */
        private readonly quiz_settings $quizobj,
    ) {
        global $DB;
        $this->where = 's.quizid = :quizid';
        $this->params = ['quizid' => $quizobj->get_quizid()];
        $cm = $quizobj->get_cm();
        if (
            groups_get_activity_groupmode($cm) == SEPARATEGROUPS
                && !has_capability('moodle/site:accessallgroups', $quizobj->get_context())
        ) {
            // Who sees their own groups only in Moodle sees no others here.
            $groups = array_keys(groups_get_activity_allowed_groups($cm)) ?: [0];
            [$in, $ids] = $DB->get_in_or_equal($groups, SQL_PARAMS_NAMED, 'group');
            $this->where .= " AND s.userid IN (SELECT gm.userid FROM {groups_members} gm WHERE gm.groupid {$in})";
            $this->params += $ids;
        }
    }

    /**
     * How many there are.
     *
     * @return int
     */
    public function count(): int {
        global $DB;
        return $DB->count_records_sql("SELECT COUNT(1) FROM {quizaccess_vigil_session} s WHERE {$this->where}", $this->params);
    }

    /**
     * Whether it has an attempt.
     *
     * @param int $attemptid
     * @return bool
     */
    public function has(int $attemptid): bool {
        global $DB;
        return $DB->record_exists_sql(
            "SELECT 1 FROM {quizaccess_vigil_session} s WHERE {$this->where} AND s.attemptid = :attemptid",
            $this->params + ['attemptid' => $attemptid]
        );
    }

    /**
     * One page, for the template: the newest first.
     *
     * @param int $page
     * @return array
     */
    public function page(int $page): array {
        global $DB;
        $names = \core_user\fields::for_name()->get_sql('u', false, '', '', false)->selects;
        $rows = $DB->get_records_sql(
            "SELECT s.*, {$names}
               FROM {quizaccess_vigil_session} s
               JOIN {user} u ON u.id = s.userid
              WHERE {$this->where}
           ORDER BY s.timecreated DESC, s.id DESC",
            $this->params,
            max(0, $page) * self::PAGE,
            self::PAGE
        );
        $release = has_capability('quizaccess/vigil:time', $this->quizobj->get_context());
        $out = [];
        foreach ($rows as $row) {
            $out[] = [
                'name' => fullname($row),
                'number' => (int)$row->attempt,
                'state' => self::state($row),
                'paused' => $release && session_store::is_paused($row) ? (int)$row->attemptid : 0,
                'began' => userdate($row->timecreated, get_string('strftimedatetimeshort', 'core_langconfig')),
                'ended' => $row->timeended ? userdate($row->timeended, get_string('strftimedatetimeshort', 'core_langconfig')) : '',
                'review' => $row->attemptid ? $this->quizobj->review_url($row->attemptid)->out(false) : '',
                'timeline' => self::has_timeline($row)
                    ? self::timeline_url((int)$this->quizobj->get_cmid(), (int)$row->attemptid)->out(false) : '',
            ];
        }
        return ['attempts' => $out, 'hasattempts' => $out !== [], 'haspaused' => array_filter(array_column($out, 'paused')) !== []];
    }

    /**
     * How an attempt stands, in words.
     *
     * @param stdClass $session
     * @return string
     */
    public static function state(stdClass $session): string {
        $name = match (true) {
            (bool)$session->terminated => 'terminated',
            $session->state !== session_store::OPEN => $session->outcome ?: 'submitted',
            (bool)$session->pausedat => 'paused',
            default => 'running',
        };
        return get_string('attempts_' . $name, 'quizaccess_vigil');
    }

    /**
     * Whether the tool that proctors now has the attempt. Restored ones it never saw, and deleted ones cannot be named.
     *
     * @param stdClass $session
     * @return bool
     */
    public static function has_timeline(stdClass $session): bool {
        return $session->attemptid && (int)$session->typeid !== 0
            && (int)$session->typeid === (int)get_config('quizaccess_vigil', 'typeid');
    }

    /**
     * Where the dashboard is opened.
     *
     * @param int $cmid
     * @return moodle_url
     */
    public static function live_url(int $cmid): moodle_url {
        return new moodle_url('/mod/quiz/accessrule/vigil/launch.php', ['cmid' => $cmid, 'kind' => 'live', 'sesskey' => sesskey()]);
    }

    /**
     * Where an attempt's timeline is opened.
     *
     * @param int $cmid
     * @param int $attemptid
     * @return moodle_url
     */
    public static function timeline_url(int $cmid, int $attemptid): moodle_url {
        $url = self::live_url($cmid);
        $url->param('attempt', $attemptid);
        return $url;
    }
}
