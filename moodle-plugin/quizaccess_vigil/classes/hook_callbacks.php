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

namespace quizaccess_vigil;

use quizaccess_vigil\local\ending;
use quizaccess_vigil\local\launcher;
use quizaccess_vigil\local\page_stamp;

/**
 * Callbacks of core's hooks.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class hook_callbacks {
    /**
     * An attempt was made, has changed its state, or was deleted: in whatever request that happened, cron's among them.
     *
     * @param \mod_quiz\hook\attempt_state_changed $hook
     */
    public static function attempt_state_changed(\mod_quiz\hook\attempt_state_changed $hook): void {
        (new ending(\core\di::get(\core\clock::class)))
            ->attempt_changed($hook->get_original_attempt(), $hook->get_updated_attempt());
    }

    /**
     * Sends somebody who reloads or goes back to a launch that was answered already back to the course, in place of core's
     * "Invalid request". Runs for every request, so it looks at the script's name first.
     *
     * @param \core\hook\after_config $hook
     */
    public static function after_config(\core\hook\after_config $hook): void {
        global $SCRIPT, $SESSION, $USER;
        if (($SCRIPT ?? '') !== '/mod/lti/auth.php' || empty($USER->id) || during_initial_install()) {
            return;
        }
        $hint = json_decode(optional_param('lti_message_hint', '', PARAM_TEXT));
        $launchid = is_object($hint) && is_string($hint->launchid ?? null) ? $hint->launchid : '';
        if (launcher::is_ours($launchid) && !isset($SESSION->$launchid)) {
            throw new \moodle_exception('errorlaunchgone', 'quizaccess_vigil', new \moodle_url('/my/'));
        }
    }

    /**
     * Puts the stamp on a page of a proctored attempt. Runs for every page of the site; only those that asked get one.
     *
     * @param \core\hook\output\before_footer_html_generation $hook
     */
    public static function before_footer(\core\hook\output\before_footer_html_generation $hook): void {
        $hook->add_html(page_stamp::html($_SERVER));
    }
}
