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

use mod_quiz_mod_form;
use MoodleQuickForm;

/**
 * The part of a quiz's settings form that is about proctoring.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class settings_form {
    /**
     * Adds the elements.
     *
     * @param mod_quiz_mod_form $quizform
     * @param MoodleQuickForm $mform
     */
    public static function add(mod_quiz_mod_form $quizform, MoodleQuickForm $mform): void {
        global $DB;
        $stored = $quizform->get_instance() ? $DB->get_record('quizaccess_vigil', ['quizid' => $quizform->get_instance()]) : false;
        if (!has_capability('quizaccess/vigil:manage', $quizform->get_context())) {
            // What is not in the form is not changed.
            $mform->addElement(
                'static',
                'vigil_shown',
                self::text('enabled'),
                empty($stored->enabled) ? get_string('no') : get_string('yes')
            );
            return;
        }
        $mform->addElement('selectyesno', 'vigil_enabled', self::text('enabled'));
        $mform->addHelpButton('vigil_enabled', 'enabled', 'quizaccess_vigil');
        $mform->setDefault('vigil_enabled', (int)($stored->enabled ?? 0));
        $open = empty($stored->enabled)
            ? 0 : (new session_store(\core\di::get(\core\clock::class)))->count_open((int)$stored->quizid);
        if ($open) {
            $mform->addElement('static', 'vigil_open', '', \html_writer::div(
                get_string($open === 1 ? 'enabled_open_one' : 'enabled_open', 'quizaccess_vigil', $open),
                'alert alert-warning'
            ));
        }
        foreach (['admission', 'pause', 'fullscreen'] as $name) {
            $mform->addElement('selectyesno', 'vigil_' . $name, self::text($name));
            $mform->addHelpButton('vigil_' . $name, $name, 'quizaccess_vigil');
        }
        $mform->addElement('select', 'vigil_attention', self::text('attention'), array_combine(
            array_map('strval', policy::ATTENTIONS),
            array_map(fn($value) => self::text('attention_' . (int)(10 * $value)), policy::ATTENTIONS)
        ));
        $mform->addHelpButton('vigil_attention', 'attention', 'quizaccess_vigil');
        $boxes = [];
        foreach (policy::WATCHES as $name) {
            $boxes[] = $mform->createElement('advcheckbox', 'vigil_watch_' . $name, '', self::text('watch_' . $name));
        }
        $mform->addGroup($boxes, 'vigil_watch', self::text('watch'), '<div class="w-100"></div>', false);
        $mform->addHelpButton('vigil_watch', 'watch', 'quizaccess_vigil');
        $mform->addElement('select', 'vigil_link_loss', self::text('link_loss'), array_combine(
            policy::LINK_LOSSES,
            array_map(fn($value) => self::text('link_loss_' . $value), policy::LINK_LOSSES)
        ));
        $mform->addElement('text', 'vigil_lost_time_cap', self::text('lost_time_cap'), ['size' => 4]);
        $mform->setType('vigil_lost_time_cap', PARAM_RAW_TRIMMED);
        $mform->addElement('select', 'vigil_unwatched', self::text('unwatched'), array_combine(
            policy::UNWATCHED,
            array_map(fn($value) => self::text('unwatched_' . $value), policy::UNWATCHED)
        ));
        $mform->addHelpButton('vigil_unwatched', 'unwatched', 'quizaccess_vigil');
        $mform->addElement('text', 'vigil_hold_cap', self::text('hold_cap'), ['size' => 4]);
        $mform->setType('vigil_hold_cap', PARAM_RAW_TRIMMED);
        $mform->addHelpButton('vigil_hold_cap', 'hold_cap', 'quizaccess_vigil');
        $mform->addElement('selectyesno', 'vigil_end_message', self::text('end_message'));
        $mform->addHelpButton('vigil_end_message', 'end_message', 'quizaccess_vigil');
        foreach (array_keys(policy::RETENTION) as $name) {
            $mform->addElement('text', 'vigil_retention_' . $name, self::text('retention_' . $name), ['size' => 4]);
            $mform->setType('vigil_retention_' . $name, PARAM_RAW_TRIMMED);
        }
        // None is "advanced": the form would show those above the switch, away from the others.
        foreach (policy::to_form(policy::read($stored->policy ?? null)) as $name => $value) {
            $mform->setDefault($name, $value);
            if (strpos($name, 'vigil_watch_') !== 0) {
                $mform->hideIf($name, 'vigil_enabled', 'eq', 0);
            }
        }
        $mform->hideIf('vigil_watch', 'vigil_enabled', 'eq', 0);
        $mform->hideIf('vigil_hold_cap', 'vigil_unwatched', 'neq', 'hold');
    }

    /**
     * A label.
     *
     * @param string $name
     * @return string
     */
    private static function text(string $name): string {
        return get_string($name, 'quizaccess_vigil');
    }
}
