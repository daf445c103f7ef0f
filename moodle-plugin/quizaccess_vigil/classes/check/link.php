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

namespace quizaccess_vigil\check;

use action_link;
use core\check\check;
use core\check\result;
use moodle_url;
use quizaccess_vigil\local\health;

/**
 * A health check of the link between this site and the tool that proctors.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class link extends check {
    /**
     * Constructor.
     *
     * @param string $topic one of health::TOPICS
     */
    public function __construct(
        /** @var string what it looks at */
        private readonly string $topic,
    ) {
        $this->set_component('quizaccess_vigil');
    }

    /**
     * Its name.
     *
     * @return string
     */
    public function get_name(): string {
        return get_string('health_' . $this->topic . '_name', 'quizaccess_vigil');
    }

    /**
     * Its id.
     *
     * @return string
     */
    public function get_id(): string {
        return $this->topic;
    }

    /**
     * Where to mend it.
     *
     * @return action_link|null
     */
    public function get_action_link(): ?action_link {
        return new action_link(
            new moodle_url('/mod/quiz/accessrule/vigil/setup.php'),
            get_string('setup', 'quizaccess_vigil')
        );
    }

    /**
     * Looks.
     *
     * @return result
     */
    public function get_result(): result {
        return health::instance()->look($this->topic);
    }

    /**
     * All of them.
     *
     * @return self[]
     */
    public static function all(): array {
        return array_map(static fn($topic) => new self($topic), health::TOPICS);
    }
}
