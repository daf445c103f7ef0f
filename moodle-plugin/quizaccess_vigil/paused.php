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
 * Where a student waits while a proctor has paused the attempt.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use quizaccess_vigil\local\attempt_pages;
use quizaccess_vigil\local\hold;
use quizaccess_vigil\local\own_attempt;
use quizaccess_vigil\local\session_store;

require_once(__DIR__ . '/../../../../config.php');
require_once($CFG->dirroot . '/mod/quiz/locallib.php');

$attemptid = required_param('attempt', PARAM_INT);

$PAGE->set_url('/mod/quiz/accessrule/vigil/paused.php', ['attempt' => $attemptid]);
$PAGE->set_context(context_system::instance());
$PAGE->set_cacheable(false);
require_login(null, false);
$own = own_attempt::find($attemptid);
$attemptobj = $own->attemptobj;
require_login($attemptobj->get_course(), false, $attemptobj->get_cm());
if (\core\session\manager::is_loggedinas()) {
    throw new moodle_exception('errorloginas', 'quizaccess_vigil', $attemptobj->view_url());
}

$own = hold::looked_at($own);
switch ($own->status()) {
    case 'running':
        redirect($attemptobj->attempt_url());
        // No break: redirect ends the request.
    case 'terminated':
    case 'complete':
        redirect($attemptobj->review_url());
}

$PAGE->set_title(get_string('pausedtitle', 'quizaccess_vigil'));
$PAGE->set_heading($attemptobj->get_course()->fullname);
$PAGE->set_pagelayout('incourse');
$PAGE->activityheader->disable();
$PAGE->set_show_course_index(false);
if (method_exists($PAGE, 'set_show_navigation_footer')) {
    // Since Moodle 5.3 a course format may show one.
    $PAGE->set_show_navigation_footer(false);
}
if (empty($attemptobj->get_quiz()->showblocks)) {
    $PAGE->blocks->show_only_fake_blocks();
}
\core\session\manager::keepalive();
// In a browser that has not passed the check-in there is no monitor, but it goes on by itself as well.
$store = new session_store(\core\di::get(\core\clock::class));
$checked = $store->is_checked_in((int)$own->session->quizid, (int)$own->session->userid, (int)$own->session->attempt);
if ($checked) {
    attempt_pages::monitor($PAGE, $own, 'paused');
} else {
    $PAGE->set_periodic_refresh_delay(20);
}

echo $OUTPUT->header();
echo $OUTPUT->render_from_template('quizaccess_vigil/paused', [
    'quiz' => format_string($attemptobj->get_quiz_name(), true, ['context' => $attemptobj->get_quizobj()->get_context()]),
    'reason' => (string)$own->session->reason,
    'hasreason' => (string)$own->session->reason !== '',
    'held' => hold::is_held($own->session),
    'heldtext' => get_string('heldtext', 'quizaccess_vigil', (int)ceil(hold::left($own->session) / 60)),
    // In another browser than the attempt's the way on is the check-in.
    'againurl' => ($checked ? $PAGE->url : $attemptobj->view_url())->out(false),
    'viewurl' => $attemptobj->view_url()->out(false),
]);
echo $OUTPUT->footer();
