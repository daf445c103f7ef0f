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
 * Brings a student who has passed the check-in into the attempt.
 *
 * It begins the attempt itself: the page that normally does would ask the other rules' questions again.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use mod_quiz\quiz_settings;
use quizaccess_vigil\local\starter;

require_once(__DIR__ . '/../../../../config.php');
require_once($CFG->dirroot . '/mod/quiz/locallib.php');

$code = required_param('c', PARAM_ALPHANUM);

$PAGE->set_context(context_system::instance());
$PAGE->set_url('/mod/quiz/accessrule/vigil/continue.php', ['c' => $code]);
$PAGE->set_cacheable(false);

$starter = starter::instance();
$launch = $starter->launch($code);
if (!$launch) {
    require_login(null, false);
    throw new moodle_exception('errorcodegone', 'quizaccess_vigil', new moodle_url('/my/'));
}
[$course, $cm] = get_course_and_cm_from_cmid($launch->cmid, 'quiz');
require_login($course, false, $cm);
redirect($starter->go_on($code, quiz_settings::create((int)$launch->quizid, $USER->id)));
