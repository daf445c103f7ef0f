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

/**
 * Upgrades of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Upgrades the plugin's tables.
 *
 * @param int $oldversion
 * @return bool
 */
function xmldb_quizaccess_vigil_upgrade($oldversion) {
    global $DB;
    $dbman = $DB->get_manager();

    if ($oldversion < 2026112800) {
        // A request has a name since version 2 of the assertion; two may have one time.
        $table = new xmldb_table('quizaccess_vigil_incident');
        $field = new xmldb_field('requestid', XMLDB_TYPE_CHAR, '64', null, null, null, null, 'sessionid');
        if (!$dbman->field_exists($table, $field)) {
            $dbman->add_field($table, $field);
        }
        $columns = ['sessionid', 'action', 'incidenttime'];
        $unique = array_filter(
            $DB->get_indexes('quizaccess_vigil_incident'),
            static fn($index) => $index['unique'] && $index['columns'] === $columns
        );
        if ($unique) {
            $dbman->drop_key($table, new xmldb_key('once', XMLDB_KEY_UNIQUE, $columns));
        }
        $index = new xmldb_index('request', XMLDB_INDEX_UNIQUE, ['sessionid', 'requestid']);
        if (!$dbman->index_exists($table, $index)) {
            $dbman->add_index($table, $index);
        }
        $index = new xmldb_index('asked', XMLDB_INDEX_NOTUNIQUE, $columns);
        if (!$dbman->index_exists($table, $index)) {
            $dbman->add_index($table, $index);
        }
        upgrade_plugin_savepoint(true, 2026112800, 'quizaccess', 'vigil');
    }
    if ($oldversion < 2026120100) {
        // What the tool was told of groups and rights. Nothing was told yet: the next launches and questions fill it.
        $table = new xmldb_table('quizaccess_vigil_access');
        $table->add_field('id', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, XMLDB_SEQUENCE);
        $table->add_field('quizid', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL);
        $table->add_field('cmid', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL);
        $table->add_field('userid', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL);
        $table->add_field('kind', XMLDB_TYPE_CHAR, '10', null, XMLDB_NOTNULL);
        $table->add_field('version', XMLDB_TYPE_INTEGER, '18', null, XMLDB_NOTNULL);
        $table->add_field('digest', XMLDB_TYPE_CHAR, '64', null, XMLDB_NOTNULL);
        $table->add_field('pending', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '0');
        $table->add_field('timetold', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL);
        $table->add_key('primary', XMLDB_KEY_PRIMARY, ['id']);
        $table->add_key('person', XMLDB_KEY_UNIQUE, ['quizid', 'userid', 'kind']);
        $table->add_index('userid', XMLDB_INDEX_NOTUNIQUE, ['userid']);
        $table->add_index('cmid', XMLDB_INDEX_NOTUNIQUE, ['cmid']);
        $table->add_index('timetold', XMLDB_INDEX_NOTUNIQUE, ['timetold']);
        if (!$dbman->table_exists($table)) {
            $dbman->create_table($table);
        }
        upgrade_plugin_savepoint(true, 2026120100, 'quizaccess', 'vigil');
    }
    if ($oldversion < 2026120200) {
        // When the first page of an attempt was served, which the tool is told once. Attempts that are open now are told when
        // their next page is.
        $table = new xmldb_table('quizaccess_vigil_session');
        foreach (['timeopened' => 'timecreated', 'openedtold' => 'timeopened'] as $name => $before) {
            $field = new xmldb_field($name, XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0', $before);
            if (!$dbman->field_exists($table, $field)) {
                $dbman->add_field($table, $field);
            }
        }
        upgrade_plugin_savepoint(true, 2026120200, 'quizaccess', 'vigil');
    }
    if ($oldversion < 2026120300) {
        // Receipts, and what is done about pages that nobody watches. Attempts at hand are judged by pages served from now on.
        $table = new xmldb_table('quizaccess_vigil_session');
        $integer = static fn($name, $after) => new xmldb_field($name, XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0', $after);
        $before = 'pausecause';
        $fields = [new xmldb_field('pausecause', XMLDB_TYPE_CHAR, '12', null, null, null, null, 'returned')];
        foreach (['heldseconds', 'watchedat', 'receiptat', 'activeat', 'unwatchedat', 'unwatchedpage'] as $name) {
            $fields[] = $integer($name, $before);
            $before = $name;
        }
        foreach ($fields as $field) {
            if (!$dbman->field_exists($table, $field)) {
                $dbman->add_field($table, $field);
            }
        }
        $table = new xmldb_table('quizaccess_vigil_page');
        $table->add_field('id', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, XMLDB_SEQUENCE);
        $table->add_field('sessionid', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL);
        $table->add_field('nonce', XMLDB_TYPE_CHAR, '64', null, XMLDB_NOTNULL);
        $table->add_field('page', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL);
        $table->add_field('timeserved', XMLDB_TYPE_INTEGER, '18', null, XMLDB_NOTNULL);
        $table->add_field('stretches', XMLDB_TYPE_TEXT);
        $table->add_field('watcheduntil', XMLDB_TYPE_INTEGER, '18', null, XMLDB_NOTNULL, null, '0');
        $table->add_field('verdict', XMLDB_TYPE_CHAR, '10');
        $table->add_field('timejudged', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0');
        $table->add_key('primary', XMLDB_KEY_PRIMARY, ['id']);
        $table->add_key('sessionid', XMLDB_KEY_FOREIGN, ['sessionid'], 'quizaccess_vigil_session', ['id']);
        $table->add_index('nonce', XMLDB_INDEX_UNIQUE, ['sessionid', 'nonce']);
        if (!$dbman->table_exists($table)) {
            $dbman->create_table($table);
        }
        upgrade_plugin_savepoint(true, 2026120300, 'quizaccess', 'vigil');
    }
    return true;
}
