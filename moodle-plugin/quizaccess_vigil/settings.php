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
 * Site settings of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$ADMIN->add('modsettingsquizcat', new admin_externalpage(
    'quizaccess_vigil_setup',
    new lang_string('setup', 'quizaccess_vigil'),
    new moodle_url('/mod/quiz/accessrule/vigil/setup.php'),
    'moodle/site:config'
));

if ($ADMIN->fulltree) {
    $settings->add(new admin_setting_heading(
        'quizaccess_vigil/setup',
        '',
        get_string('setup_link', 'quizaccess_vigil', (new moodle_url('/mod/quiz/accessrule/vigil/setup.php'))->out())
    ));
    $settings->add(new admin_setting_configselect(
        'quizaccess_vigil/typeid',
        new lang_string('typeid', 'quizaccess_vigil'),
        new lang_string('typeid_desc', 'quizaccess_vigil'),
        0,
        [0 => get_string('typeid_none', 'quizaccess_vigil')] + (new \quizaccess_vigil\local\lti_bridge())->tools()
    ));
    $settings->add(new admin_setting_configcheckbox(
        'quizaccess_vigil/requeststart',
        new lang_string('requeststart', 'quizaccess_vigil'),
        new lang_string('requeststart_desc', 'quizaccess_vigil'),
        0
    ));
}
