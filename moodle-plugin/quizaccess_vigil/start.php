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
 * Takes the message with which the tool sends a student back into the quiz.
 *
 * The browser posts it from the tool's site, so it may come without Moodle's cookie: nothing here knows who the browser belongs to.
 * A one-time code leads on to continue.php, which does.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use quizaccess_vigil\local\launch_store;
use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\start_assessment;

define('NO_MOODLE_COOKIES', true);

// phpcs:ignore moodle.Files.RequireLogin.Missing -- See above: the message itself is what proves its right.
require_once(__DIR__ . '/../../../../config.php');

$PAGE->set_context(context_system::instance());
$PAGE->set_url('/mod/quiz/accessrule/vigil/start.php');
$PAGE->set_pagelayout('login');
$PAGE->set_cacheable(false);

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    throw new moodle_exception('errorstartform', 'quizaccess_vigil');
}
$clock = \core\di::get(\core\clock::class);
$start = new start_assessment(new lti_bridge(), new launch_store($clock), $clock);
[, $code] = $start->accept(required_param('JWT', PARAM_RAW_TRIMMED));

header('Cache-Control: no-store');
header('Location: ' . (new moodle_url('/mod/quiz/accessrule/vigil/continue.php', ['c' => $code]))->out(false), true, 303);
