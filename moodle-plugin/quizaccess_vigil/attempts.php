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
 * Lists the proctored attempts at a quiz, each with a way to its timeline.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use mod_quiz\quiz_settings;
use quizaccess_vigil\local\attempt_list;
use quizaccess_vigil\local\rescue;

require_once(__DIR__ . '/../../../../config.php');
require_once($CFG->dirroot . '/mod/quiz/locallib.php');

$cmid = required_param('cmid', PARAM_INT);
$page = optional_param('page', 0, PARAM_INT);
$release = optional_param('release', 0, PARAM_INT);

$quizobj = quiz_settings::create_for_cmid($cmid);
$url = new moodle_url('/mod/quiz/accessrule/vigil/attempts.php', ['cmid' => $cmid]);
$PAGE->set_url($url, $page ? ['page' => $page] : []);
require_login($quizobj->get_course(), false, $quizobj->get_cm());
require_capability('quizaccess/vigil:proctor', $quizobj->get_context());

$title = get_string('attempts', 'quizaccess_vigil');
$PAGE->set_title(format_string($quizobj->get_quiz_name()) . ': ' . $title);
$PAGE->set_heading(format_string($quizobj->get_course()->fullname));
$PAGE->activityheader->disable();

$list = new attempt_list($quizobj);
if ($release) {
    require_sesskey();
    require_capability('quizaccess/vigil:time', $quizobj->get_context());
    if ($list->has($release) && (new rescue(\core\di::get(\core\clock::class)))->release_attempt($release)) {
        redirect($PAGE->url, get_string('attempts_released', 'quizaccess_vigil'), null, \core\output\notification::NOTIFY_SUCCESS);
    }
    redirect($PAGE->url, get_string('attempts_notpaused', 'quizaccess_vigil'), null, \core\output\notification::NOTIFY_WARNING);
}
echo $OUTPUT->header();
echo $OUTPUT->heading($title);
echo $OUTPUT->render_from_template('quizaccess_vigil/attempts', $list->page($page) + [
    'live' => attempt_list::live_url($cmid)->out(false),
    'back' => $quizobj->view_url()->out(false),
    'action' => $PAGE->url->out(false),
    'sesskey' => sesskey(),
]);
echo $OUTPUT->paging_bar($list->count(), $page, attempt_list::PAGE, $url);
echo $OUTPUT->footer();
