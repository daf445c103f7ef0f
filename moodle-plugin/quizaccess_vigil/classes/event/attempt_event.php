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

use stdClass;

/**
 * Something that happened to a proctored attempt.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class attempt_event extends \core\event\base {
    /**
     * An event about a session's attempt.
     *
     * @param stdClass $session
     * @param array $other
     * @return static
     */
    final public static function of(stdClass $session, array $other = []): static {
        return static::create([
            'objectid' => (int)$session->attemptid,
            'relateduserid' => (int)$session->userid,
            'context' => \context_module::instance($session->cmid),
            'other' => ['quizid' => (int)$session->quizid, 'attempt' => (int)$session->attempt] + $other,
        ]);
    }

    /**
     * Sets what all have in common.
     */
    protected function init() {
        $this->data['objecttable'] = 'quiz_attempts';
        $this->data['crud'] = 'u';
        $this->data['edulevel'] = self::LEVEL_TEACHING;
    }

    /**
     * What the event is called.
     *
     * @return string
     */
    public static function get_name() {
        $class = explode('\\', static::class);
        return get_string('event_' . end($class), 'quizaccess_vigil');
    }

    /**
     * What has been done, in the log's English.
     *
     * @return string
     */
    abstract protected function what(): string;

    /**
     * What happened.
     *
     * @return string
     */
    public function get_description() {
        return "The proctoring tool {$this->what()} the attempt with id '{$this->objectid}' of the user with id " .
            "'{$this->relateduserid}' at the quiz with course module id '{$this->contextinstanceid}'.";
    }

    /**
     * Where to look at it.
     *
     * @return \moodle_url
     */
    public function get_url() {
        return new \moodle_url('/mod/quiz/review.php', ['attempt' => $this->objectid]);
    }

    /**
     * Checks the event's data.
     */
    protected function validate_data() {
        parent::validate_data();
        if (!isset($this->relateduserid)) {
            throw new \coding_exception('The relateduserid must be set.');
        }
        if (!isset($this->other['quizid']) || !isset($this->other['attempt'])) {
            throw new \coding_exception('The quizid and the attempt must be set in other.');
        }
    }

    /**
     * How a restored log finds the attempt.
     *
     * @return array
     */
    public static function get_objectid_mapping() {
        return ['db' => 'quiz_attempts', 'restore' => 'quiz_attempt'];
    }

    /**
     * How a restored log finds the rest.
     *
     * @return array
     */
    public static function get_other_mapping() {
        return ['quizid' => ['db' => 'quiz', 'restore' => 'quiz']];
    }
}
