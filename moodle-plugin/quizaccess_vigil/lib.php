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
 * Callbacks of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Runs at every require_login() of the site, so it looks at the script's name first.
 *
 * On core's LTI authorization page it answers the launches that this plugin began, before core asks for a teacher's capabilities.
 * On the pages that save answers, which ask no access rule, it keeps answers out of attempts that are paused or ended.
 *
 * @param stdClass|int|null $courseorid
 * @param bool $autologinguest
 * @param stdClass|cm_info|null $cm
 */
function quizaccess_vigil_after_require_login($courseorid = null, $autologinguest = null, $cm = null): void {
    global $SCRIPT;
    switch ($SCRIPT) {
        case '/mod/lti/auth.php':
            \quizaccess_vigil\local\launcher::instance()->answer_authorization();
            break;
        case '/mod/quiz/processattempt.php':
        case '/mod/quiz/autosave.ajax.php':
            \quizaccess_vigil\local\save_guard::check($SCRIPT === '/mod/quiz/autosave.ajax.php');
            break;
    }
}

/**
 * The health checks, for the site's status report.
 *
 * @return \core\check\check[]
 */
function quizaccess_vigil_status_checks(): array {
    return \quizaccess_vigil\check\link::all();
}
