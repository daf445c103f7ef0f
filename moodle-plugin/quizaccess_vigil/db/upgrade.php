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
    return true;
}
