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
 * Connects this site with the tool that proctors: register, activate, choose, check.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use core\check\result;
use quizaccess_vigil\check\link;
use quizaccess_vigil\local\lti_bridge;
use quizaccess_vigil\local\lti_setup;

require_once(__DIR__ . '/../../../../config.php');
require_once($CFG->libdir . '/adminlib.php');

admin_externalpage_setup('quizaccess_vigil_setup');

$action = optional_param('action', '', PARAM_ALPHA);
$url = new moodle_url('/mod/quiz/accessrule/vigil/setup.php');
$lti = new lti_setup();
$tools = $lti->all();
$invitation = '';

if ($action !== '') {
    require_sesskey();
    if ($action === 'register') {
        $invitation = trim(required_param('invitation', PARAM_RAW_TRIMMED));
        if (!preg_match('#^https?://#i', $invitation) || clean_param($invitation, PARAM_URL) !== $invitation) {
            redirect($url, get_string('setup_badurl', 'quizaccess_vigil'), null, \core\output\notification::NOTIFY_ERROR);
        }
    } else {
        $tool = $tools[required_param('tool', PARAM_INT)] ?? null;
        if (!$tool) {
            redirect($url, get_string('setup_gone', 'quizaccess_vigil'), null, \core\output\notification::NOTIFY_ERROR);
        }
        if ($action === 'activate') {
            $lti->activate($tool->id);
        }
        // Whoever activates the only proctoring tool means to use it.
        if ($action === 'choose' || !$lti->tool()) {
            $old = (string)get_config('quizaccess_vigil', 'typeid');
            set_config('typeid', $tool->id, 'quizaccess_vigil');
            add_to_config_log('typeid', $old, (string)$tool->id, 'quizaccess_vigil');
        }
        redirect($url, get_string('changessaved'), null, \core\output\notification::NOTIFY_SUCCESS);
    }
}

$chosen = $lti->tool();
$rows = [];
foreach ($tools as $tool) {
    $rows[] = [
        'id' => $tool->id,
        'name' => format_string($tool->name, true, ['context' => context_system::instance()]),
        'url' => $tool->toolurl,
        'active' => $tool->active,
        'chosen' => $chosen && $chosen->id === $tool->id,
    ];
}
$checks = [];
if ($invitation === '') {
    foreach (link::all() as $check) {
        $result = $check->get_result();
        $checks[] = [
            'name' => $check->get_name(),
            'status' => $OUTPUT->check_result($result),
            'summary' => $result->get_summary(),
            'details' => $result->get_details(),
        ];
    }
}
if ($invitation !== '') {
    $PAGE->requires->js_call_amd('quizaccess_vigil/setup', 'awaitRegistration', [$url->out(false)]);
} else if ($chosen) {
    $PAGE->requires->js_call_amd('quizaccess_vigil/setup', 'tryBrowser', [
        lti_bridge::token_endpoint($chosen),
        lti_bridge::socket_endpoint($chosen),
    ]);
}

echo $OUTPUT->header();
echo $OUTPUT->heading(get_string('setup', 'quizaccess_vigil'));
echo $OUTPUT->render_from_template('quizaccess_vigil/setup', [
    'action' => $url->out(false),
    'sesskey' => sesskey(),
    'frame' => $invitation === '' ? '' : $lti->registration_url($invitation)->out(false),
    'tools' => $rows,
    'hastools' => $rows !== [],
    'checks' => $checks,
    'browser' => $chosen !== null,
    'good' => $OUTPUT->check_result(new result(result::OK, '')),
    'bad' => $OUTPUT->check_result(new result(result::ERROR, '')),
    'settings' => (new moodle_url('/admin/settings.php', ['section' => 'modsettingsquizcatvigil']))->out(false),
]);
echo $OUTPUT->footer();
