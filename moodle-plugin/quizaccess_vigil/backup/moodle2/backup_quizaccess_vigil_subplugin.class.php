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
 * Puts the rule's settings and proctored attempts into a quiz's backup.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

require_once($CFG->dirroot . '/mod/quiz/backup/moodle2/backup_mod_quiz_access_subplugin.class.php');

/**
 * Puts the rule's settings and proctored attempts into a quiz's backup.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class backup_quizaccess_vigil_subplugin extends backup_mod_quiz_access_subplugin {
    /**
     * The settings, which a quiz has without its attempts too.
     *
     * @return backup_subplugin_element
     */
    protected function define_quiz_subplugin_structure() {
        parent::define_quiz_subplugin_structure();
        $subplugin = $this->get_subplugin_element();
        $wrapper = new backup_nested_element($this->get_recommended_name());
        $settings = new backup_nested_element('quizaccess_vigil_settings', null, ['enabled', 'policy']);

        $subplugin->add_child($wrapper);
        $wrapper->add_child($settings);
        $settings->set_source_table('quizaccess_vigil', ['quizid' => backup::VAR_ACTIVITYID]);
        return $subplugin;
    }

    /**
     * What became of an attempt. Which tool proctored it is this site's affair, and so is what the tool was told of groups and
     * rights (quizaccess_vigil_access): it is told anew of the copy. What was done to the student's override has to be
     * taken from the copy of it.
     *
     * @return backup_subplugin_element
     */
    protected function define_attempt_subplugin_structure() {
        parent::define_attempt_subplugin_structure();
        $subplugin = $this->get_subplugin_element();
        $wrapper = new backup_nested_element($this->get_recommended_name());
        $session = new backup_nested_element('quizaccess_vigil_session', ['id'], [
            'userid', 'attemptnum', 'attemptid', 'outcome', 'terminated', 'reason', 'extraminutes', 'returned', 'override',
            'timecreated', 'timeopened', 'timeended', 'timemodified',
        ]);
        $incidents = new backup_nested_element('quizaccess_vigil_incidents');
        $incident = new backup_nested_element('quizaccess_vigil_incident', ['id'], [
            'requestid', 'action', 'incidenttime', 'minutes', 'severity', 'code', 'message', 'timecreated',
        ]);

        $subplugin->add_child($wrapper);
        $wrapper->add_child($session);
        $session->add_child($incidents);
        $incidents->add_child($incident);
        $session->set_source_table('quizaccess_vigil_session', ['attemptid' => backup::VAR_PARENTID]);
        $session->set_source_alias('attempt', 'attemptnum');
        $incident->set_source_table('quizaccess_vigil_incident', ['sessionid' => backup::VAR_PARENTID], 'id');
        $session->annotate_ids('user', 'userid');
        return $subplugin;
    }
}
