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

namespace quizaccess_vigil\privacy;

use context;
use context_module;
use context_system;
use core_privacy\local\metadata\collection;
use core_privacy\local\request\approved_contextlist;
use core_privacy\local\request\approved_userlist;
use core_privacy\local\request\contextlist;
use core_privacy\local\request\transform;
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;
use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\time_grant;
use quizaccess_vigil\task\report_erasure;

/**
 * What is kept about people, given out and deleted.
 *
 * Proctored attempts belong to their quiz's context. Those of a quiz that is gone are found in the system's. What is deleted here
 * is reported to the tool that proctored.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class provider implements
    \core_privacy\local\request\core_userlist_provider,
    \core_privacy\local\metadata\provider,
    \core_privacy\local\request\plugin\provider
{
    /** @var string[] the tables that name a user and a course module */
    private const TABLES = ['quizaccess_vigil_session', 'quizaccess_vigil_launch', 'quizaccess_vigil_access'];

    /**
     * What is kept, and where.
     *
     * @param collection $collection
     * @return collection
     */
    public static function get_metadata(collection $collection): collection {
        $describe = static function (string $table, array $fields) use ($collection): void {
            $summary = 'privacy:metadata:' . $table;
            $collection->add_database_table(
                $table,
                array_combine($fields, array_map(static fn($field) => $summary . ':' . $field, $fields)),
                $summary
            );
        };
        $describe('quizaccess_vigil_session', [
            'userid', 'attempt', 'state', 'outcome', 'pausedat', 'terminated', 'reason', 'extraminutes', 'returned', 'override',
            'timecreated', 'timeopened', 'timeended', 'pausecause', 'heldseconds', 'watchedat', 'receiptat', 'activeat', 'unwatchedat',
        ]);
        $describe('quizaccess_vigil_page', ['page', 'timeserved', 'stretches', 'verdict', 'timejudged']);
        $describe('quizaccess_vigil_incident', [
            'requestid', 'action', 'incidenttime', 'minutes', 'severity', 'code', 'message', 'timecreated',
        ]);
        $describe('quizaccess_vigil_launch', ['userid', 'kind', 'attempt', 'timecreated', 'timeexpires']);
        $describe('quizaccess_vigil_access', ['userid', 'kind', 'version', 'digest', 'pending', 'timetold']);
        $collection->add_external_location_link('tool', [
            'userid' => 'privacy:metadata:tool:userid',
            'name' => 'privacy:metadata:tool:name',
            'role' => 'privacy:metadata:tool:role',
            'groups' => 'privacy:metadata:tool:groups',
            'rights' => 'privacy:metadata:tool:rights',
            'course' => 'privacy:metadata:tool:course',
            'attempt' => 'privacy:metadata:tool:attempt',
            'signals' => 'privacy:metadata:tool:signals',
            'chat' => 'privacy:metadata:tool:chat',
        ], 'privacy:metadata:tool');
        return $collection;
    }

    /**
     * The contexts that hold something about a user.
     *
     * @param int $userid
     * @return contextlist
     */
    public static function get_contexts_for_userid(int $userid): contextlist {
        $contextlist = new contextlist();
        foreach (self::TABLES as $table) {
            $contextlist->add_from_sql(
                "SELECT DISTINCT ctx.id
                   FROM {{$table}} t
                   JOIN {context} ctx ON ctx.instanceid = t.cmid AND ctx.contextlevel = :level
                  WHERE t.userid = :userid",
                ['level' => CONTEXT_MODULE, 'userid' => $userid]
            );
            $contextlist->add_from_sql(
                "SELECT DISTINCT ctx.id
                   FROM {{$table}} t
                   JOIN {context} ctx ON ctx.contextlevel = :system
                  WHERE t.userid = :userid AND " . self::gone(),
                ['system' => CONTEXT_SYSTEM, 'level' => CONTEXT_MODULE, 'userid' => $userid]
            );
        }
        return $contextlist;
    }

    /**
     * The users of whom a context holds something.
     *
     * @param userlist $userlist
     */
    public static function get_users_in_context(userlist $userlist) {
        [$where, $params] = self::in_context($userlist->get_context());
        if ($where === '') {
            return;
        }
        foreach (self::TABLES as $table) {
            $userlist->add_from_sql('userid', "SELECT t.userid FROM {{$table}} t WHERE {$where}", $params);
        }
    }

    /**
     * Gives out what is kept about a user.
     *
     * @param approved_contextlist $contextlist
     */
    public static function export_user_data(approved_contextlist $contextlist) {
        global $DB;
        $userid = (int)$contextlist->get_user()->id;
        foreach ($contextlist->get_contexts() as $context) {
            [$where, $params] = self::in_context($context);
            if ($where === '') {
                continue;
            }
            $params['userid'] = $userid;
            $root = [get_string('privacy:path', 'quizaccess_vigil')];
            $sessions = $DB->get_records_sql(
                "SELECT t.* FROM {quizaccess_vigil_session} t WHERE {$where} AND t.userid = :userid ORDER BY t.attempt, t.id",
                $params
            );
            foreach ($sessions as $session) {
                $name = get_string('privacy:attempt', 'quizaccess_vigil', $session->attempt);
                if ($context->contextlevel == CONTEXT_SYSTEM) {
                    $name = get_string('privacy:attemptgone', 'quizaccess_vigil', $session);
                }
                writer::with_context($context)->export_data(array_merge($root, [$name]), self::session($session));
                self::export_tool_copy($context, array_merge($root, [$name]), $session);
            }
            $launches = $DB->get_records_sql(
                "SELECT t.id, t.kind, t.attempt, t.timecreated, t.timeexpires
                   FROM {quizaccess_vigil_launch} t
                  WHERE {$where} AND t.userid = :userid
               ORDER BY t.id",
                $params
            );
            if ($launches) {
                writer::with_context($context)->export_related_data($root, 'launches', array_values(array_map(
                    static fn($launch) => (object)[
                        'kind' => $launch->kind,
                        'attempt' => (int)$launch->attempt,
                        'timecreated' => transform::datetime($launch->timecreated),
                        'timeexpires' => transform::datetime($launch->timeexpires),
                    ],
                    $launches
                )));
            }
            $told = $DB->get_records_sql(
                "SELECT t.* FROM {quizaccess_vigil_access} t WHERE {$where} AND t.userid = :userid ORDER BY t.id",
                $params
            );
            if ($told) {
                writer::with_context($context)->export_related_data($root, 'access', array_values(array_map(
                    static fn($row) => (object)[
                        'kind' => $row->kind,
                        'version' => (int)$row->version,
                        'digest' => $row->digest,
                        'pending' => transform::yesno($row->pending),
                        'timetold' => transform::datetime($row->timetold),
                    ],
                    $told
                )));
            }
        }
    }

    /**
     * Gives out what the tool keeps of an attempt. That it did not answer is said, so that nobody takes silence for nothing.
     *
     * @param context $context
     * @param string[] $path
     * @param \stdClass $session
     */
    private static function export_tool_copy(context $context, array $path, \stdClass $session): void {
        if (!(int)$session->typeid) {
            return;
        }
        try {
            $copy = (new lti_bridge())->tool_copy($session);
        } catch (\moodle_exception $e) {
            debugging('Vigil: ' . $e->getMessage() . ' ' . $e->debuginfo, DEBUG_NORMAL);
            $copy = (object)['notice' => get_string('privacy:toolsilent', 'quizaccess_vigil')];
        }
        if ($copy) {
            writer::with_context($context)->export_related_data($path, 'tool', $copy);
        }
    }

    /**
     * A proctored attempt as it is given out.
     *
     * @param \stdClass $session
     * @return \stdClass
     */
    private static function session(\stdClass $session): \stdClass {
        global $DB;
        $time = static fn($value) => (int)$value ? transform::datetime($value) : null;
        $incidents = $DB->get_records('quizaccess_vigil_incident', ['sessionid' => $session->id], 'id');
        return (object)[
            'attempt' => (int)$session->attempt,
            'state' => $session->state,
            'outcome' => $session->outcome,
            'pausedat' => $time($session->pausedat),
            'terminated' => $time($session->terminated),
            'reason' => $session->reason,
            'extraminutes' => (int)$session->extraminutes,
            'returned' => (int)$session->returned,
            'override' => $session->override,
            'timecreated' => $time($session->timecreated),
            'timeopened' => $time($session->timeopened),
            'timeended' => $time($session->timeended),
            'pausecause' => $session->pausecause,
            'heldseconds' => (int)$session->heldseconds,
            'watchedat' => $time($session->watchedat),
            'receiptat' => $time($session->receiptat),
            'activeat' => $time($session->activeat),
            'unwatchedat' => $time($session->unwatchedat),
            'pages' => array_values(array_map(static fn($page) => (object)[
                'page' => (int)$page->page,
                'timeserved' => $time(intdiv((int)$page->timeserved, 1000)),
                'stretches' => array_map(
                    static fn($stretch) => [$time(intdiv($stretch[0], 1000)), $time(intdiv($stretch[1], 1000))],
                    json_decode((string)$page->stretches, true) ?: []
                ),
                'verdict' => $page->verdict,
                'timejudged' => $time($page->timejudged),
            ], $DB->get_records('quizaccess_vigil_page', ['sessionid' => $session->id], 'id'))),
            'incidents' => array_values(array_map(static fn($incident) => (object)[
                'requestid' => $incident->requestid,
                'action' => $incident->action,
                'incidenttime' => $incident->incidenttime,
                'minutes' => (int)$incident->minutes,
                'severity' => (float)$incident->severity,
                'code' => $incident->code,
                'message' => $incident->message,
                'timecreated' => $time($incident->timecreated),
            ], $incidents)),
        ];
    }

    /**
     * Deletes everybody's data in a context.
     *
     * @param context $context
     */
    public static function delete_data_for_all_users_in_context(context $context) {
        [$where, $params] = self::in_context($context);
        if ($where !== '') {
            self::delete($where, $params);
        }
    }

    /**
     * Deletes a user's data in some contexts.
     *
     * @param approved_contextlist $contextlist
     */
    public static function delete_data_for_user(approved_contextlist $contextlist) {
        foreach ($contextlist->get_contexts() as $context) {
            [$where, $params] = self::in_context($context);
            if ($where !== '') {
                self::delete($where . ' AND t.userid = :userid', $params + ['userid' => $contextlist->get_user()->id]);
            }
        }
    }

    /**
     * Deletes some users' data in a context.
     *
     * @param approved_userlist $userlist
     */
    public static function delete_data_for_users(approved_userlist $userlist) {
        global $DB;
        [$where, $params] = self::in_context($userlist->get_context());
        if ($where === '' || !$userlist->get_userids()) {
            return;
        }
        [$in, $users] = $DB->get_in_or_equal($userlist->get_userids(), SQL_PARAMS_NAMED);
        self::delete($where . ' AND t.userid ' . $in, $params + $users);
    }

    /**
     * Deletes rows, and has the tool told.
     *
     * @param string $where of the table t
     * @param array $params
     */
    private static function delete(string $where, array $params): void {
        global $DB;
        $transaction = $DB->start_delegated_transaction();
        $sessions = $DB->get_records_sql("SELECT t.* FROM {quizaccess_vigil_session} t WHERE {$where}", $params);
        foreach ($sessions as $session) {
            // Nothing would know any more what to put back.
            time_grant::restore($session);
        }
        report_erasure::queue(array_filter($sessions, static fn($session) => (int)$session->typeid !== 0));
        foreach (array_chunk(array_keys($sessions), 1000) as $ids) {
            $DB->delete_records_list('quizaccess_vigil_incident', 'sessionid', $ids);
            $DB->delete_records_list('quizaccess_vigil_page', 'sessionid', $ids);
            $DB->delete_records_list('quizaccess_vigil_session', 'id', $ids);
        }
        foreach (['quizaccess_vigil_launch', 'quizaccess_vigil_access'] as $table) {
            $rows = $DB->get_fieldset_sql("SELECT t.id FROM {{$table}} t WHERE {$where}", $params);
            foreach (array_chunk($rows, 1000) as $ids) {
                $DB->delete_records_list($table, 'id', $ids);
            }
        }
        $transaction->allow_commit();
    }

    /**
     * The condition for rows of a context.
     *
     * @param context $context
     * @return array the condition on the table t, '' if the context has none, and its parameters
     */
    private static function in_context(context $context): array {
        if ($context instanceof context_module) {
            return ['t.cmid = :cmid', ['cmid' => $context->instanceid]];
        }
        if ($context instanceof context_system) {
            return [self::gone(), ['level' => CONTEXT_MODULE]];
        }
        return ['', []];
    }

    /**
     * The condition for rows whose quiz is gone.
     *
     * @return string
     */
    private static function gone(): string {
        return 'NOT EXISTS (SELECT 1 FROM {context} gone WHERE gone.instanceid = t.cmid AND gone.contextlevel = :level)';
    }
}
