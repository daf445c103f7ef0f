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
 * Sends the user into the tool that proctors.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use mod_quiz\quiz_settings;
use quizaccess_vigil\local\launcher;

require_once(__DIR__ . '/../../../../config.php');
require_once($CFG->dirroot . '/mod/quiz/locallib.php');

$cmid = required_param('cmid', PARAM_INT);
$kind = required_param('kind', PARAM_ALPHA);
$attemptid = optional_param('attempt', 0, PARAM_INT);

$quizobj = quiz_settings::create_for_cmid($cmid, $USER->id);
$PAGE->set_url($quizobj->view_url());
$PAGE->set_cacheable(false);
require_login($quizobj->get_course(), false, $quizobj->get_cm());
require_sesskey();

if (!array_key_exists($kind, launcher::MESSAGES)) {
    throw new moodle_exception('errorlaunchgone', 'quizaccess_vigil', $quizobj->view_url());
}
if (empty($quizobj->get_quiz()->vigil_enabled) && $kind !== 'end') {
    throw new moodle_exception('errornotproctored', 'quizaccess_vigil', $quizobj->view_url());
}
try {
    [$url, $params] = launcher::instance()->begin($quizobj, $kind, $attemptid);
} catch (moodle_exception $e) {
    if ($kind === 'end') {
        // The end is reported by the server as well: the student goes on to the review.
        redirect($quizobj->review_url($attemptid));
    }
    throw new moodle_exception($e->errorcode, $e->module, $quizobj->view_url(), $e->a, $e->debuginfo);
}
if ($kind === 'live') {
    \quizaccess_vigil\event\dashboard_opened::of($quizobj->get_context(), (int)$quizobj->get_quizid())->trigger();
}
launcher::post_form($url, $params);
