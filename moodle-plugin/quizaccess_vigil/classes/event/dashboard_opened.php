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

namespace quizaccess_vigil\event;

use context_module;

/**
 * Somebody opened the live dashboard of a quiz.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class dashboard_opened extends \core\event\base {
    /**
     * An event about a quiz.
     *
     * @param context_module $context
     * @param int $quizid
     * @return self
     */
    public static function of(context_module $context, int $quizid): self {
        return self::create(['context' => $context, 'objectid' => $quizid]);
    }

    /**
     * Sets what is always so.
     */
    protected function init() {
        $this->data['objecttable'] = 'quiz';
        $this->data['crud'] = 'r';
        $this->data['edulevel'] = self::LEVEL_TEACHING;
    }

    /**
     * What the event is called.
     *
     * @return string
     */
    public static function get_name() {
        return get_string('event_dashboard_opened', 'quizaccess_vigil');
    }

    /**
     * What happened.
     *
     * @return string
     */
    public function get_description() {
        return "The user with id '{$this->userid}' opened the proctoring dashboard of the quiz with course module id " .
            "'{$this->contextinstanceid}'.";
    }

    /**
     * Where to look at it.
     *
     * @return \moodle_url
     */
    public function get_url() {
        return new \moodle_url('/mod/quiz/view.php', ['id' => $this->contextinstanceid]);
    }

    /**
     * How a restored log finds the quiz.
     *
     * @return array
     */
    public static function get_objectid_mapping() {
        return ['db' => 'quiz', 'restore' => 'quiz'];
    }
}
