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

namespace quizaccess_vigil\local;

use context_module;
use core\clock;
use mod_quiz\quiz_settings;
use moodle_exception;
use moodle_url;
use stdClass;

/**
 * Launches into the tool that proctors: begins them, and answers core's authorization page for them.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class launcher {
    /** @var string[] kind of launch => message; core signs nothing else without a course module but deep links */
    public const MESSAGES = ['start' => lti_bridge::START, 'end' => lti_bridge::END, 'live' => lti_bridge::LIVE];

    /** @var int seconds between the check of the form and the launch */
    private const PERMIT_LIFE = 300;

    /**
     * Constructor.
     *
     * @param lti_bridge $bridge
     * @param launch_store $launches
     * @param session_store $sessions
     * @param clock $clock
     */
    public function __construct(
        /** @var lti_bridge core's LTI */
        private readonly lti_bridge $bridge,
        /** @var launch_store the launches */
        private readonly launch_store $launches,
        /** @var session_store the proctored attempts */
        private readonly session_store $sessions,
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
    }

    /**
     * The launcher of this site.
     *
     * @return self
     */
    public static function instance(): self {
        $clock = \core\di::get(clock::class);
        return new self(new lti_bridge(), new launch_store($clock), new session_store($clock), $clock);
    }

    /**
     * Lets the user launch into the check-in of an attempt: every access rule has been passed.
     *
     * @param int $quizid
     * @param int|null $attemptid
     * @param int $page
     */
    public function permit(int $quizid, ?int $attemptid, int $page): void {
        global $SESSION;
        $SESSION->quizaccess_vigil_permit[$quizid] = [
            'attemptid' => (int)$attemptid, 'page' => $page, 'until' => $this->clock->time() + self::PERMIT_LIFE,
        ];
    }

    /**
     * Begins a launch of the user at hand.
     *
     * @param quiz_settings $quizobj
     * @param string $kind start, end or live
     * @param int $attemptid whose end it is, or whose timeline is opened; 0: the whole dashboard
     * @return array where to post to, and the fields
     * @throws moodle_exception
     */
    public function begin(quiz_settings $quizobj, string $kind, int $attemptid = 0): array {
        global $SESSION, $USER;
        if (\core\session\manager::is_loggedinas()) {
            throw new moodle_exception('errorloginas', 'quizaccess_vigil', $quizobj->view_url());
        }
        $fields = [
            'kind' => $kind, 'quizid' => $quizobj->get_quizid(), 'cmid' => $quizobj->get_cmid(), 'userid' => $USER->id,
        ];
        $fields += match ($kind) {
            'start' => $this->start_fields($quizobj),
            'end' => $this->end_fields($quizobj, $attemptid),
            'live' => $this->live_fields($quizobj, $attemptid),
            default => throw new \coding_exception('unknown kind of launch'),
        };
        $tool = $this->bridge->ready_tool();
        $this->bridge->require_answer($tool);
        if ($kind === 'start') {
            receipt_keys::instance()->refresh_if_old($tool);
        }
        $launch = $this->launches->begin($fields + ['typeid' => $tool->id]);
        [$params, $launchid] = $this->bridge->begin($tool, (int)$quizobj->get_courseid(), self::MESSAGES[$kind]);
        $SESSION->quizaccess_vigil_launch[$launchid] = (int)$launch->id;
        return [$tool->loginurl, $params];
    }

    /**
     * What a launch into the check-in is about: the attempt that every access rule has permitted.
     *
     * @param quiz_settings $quizobj
     * @return array
     * @throws moodle_exception
     */
    private function start_fields(quiz_settings $quizobj): array {
        global $SESSION, $USER;
        $permit = $SESSION->quizaccess_vigil_permit[$quizobj->get_quizid()] ?? null;
        unset($SESSION->quizaccess_vigil_permit[$quizobj->get_quizid()]);
        if (!$permit || $permit['until'] < $this->clock->time()) {
            throw new moodle_exception('errornopermit', 'quizaccess_vigil', $quizobj->view_url());
        }
        return [
            'attemptid' => $permit['attemptid'],
            'page' => $permit['page'],
            'attempt' => session_store::attempt_number($quizobj->get_quizid(), $USER->id, $permit['attemptid'] ?: null),
        ];
    }

    /**
     * What a launch after the end is about. That it was sent is noted.
     *
     * @param quiz_settings $quizobj
     * @param int $attemptid
     * @return array
     * @throws moodle_exception
     */
    private function end_fields(quiz_settings $quizobj, int $attemptid): array {
        global $USER;
        $session = $this->sessions->of_attempt($attemptid);
        if (!$session || (int)$session->userid !== (int)$USER->id || $session->state !== session_store::ENDED) {
            throw new moodle_exception('errornosession', 'quizaccess_vigil', $quizobj->view_url());
        }
        $session->endsent = $this->clock->time();
        $this->sessions->save($session);
        return ['attemptid' => $attemptid, 'attempt' => $session->attempt];
    }

    /**
     * What a proctor's launch is about: the quiz, or one attempt that they may look at.
     *
     * @param quiz_settings $quizobj
     * @param int $attemptid 0: the quiz
     * @return array
     * @throws moodle_exception
     */
    private function live_fields(quiz_settings $quizobj, int $attemptid): array {
        require_capability('quizaccess/vigil:proctor', $quizobj->get_context());
        return $attemptid ? ['attemptid' => $attemptid, 'attempt' => $this->session_of($attemptid, $quizobj)->attempt] : [];
    }

    /**
     * The session of an attempt at a quiz that the user at hand may look at. One of a group that they do not see is none.
     *
     * @param int $attemptid
     * @param quiz_settings $quizobj
     * @return stdClass
     * @throws moodle_exception
     */
    private function session_of(int $attemptid, quiz_settings $quizobj): stdClass {
        $session = $this->sessions->of_attempt($attemptid);
        if (!$session || !(new attempt_list($quizobj))->has($attemptid)) {
            throw new moodle_exception('errornosession', 'quizaccess_vigil', $quizobj->view_url());
        }
        return $session;
    }

    /**
     * Answers core's authorization page, if the launch is one of ours; prints the answer and ends the request then.
     *
     * Core has checked client, user, redirect address and mode. A launch that carries our name and is not known here must end here
     * as well: for a teacher core would go on and sign a deep link.
     */
    public function answer_authorization(): void {
        global $SESSION, $USER;
        $hint = json_decode(optional_param('lti_message_hint', '', PARAM_TEXT));
        $launchid = is_object($hint) && is_string($hint->launchid ?? null) ? $hint->launchid : '';
        if (!self::is_ours($launchid)) {
            $this->refuse_core_launch(optional_param('client_id', '', PARAM_TEXT));
            return;
        }
        $id = $SESSION->quizaccess_vigil_launch[$launchid] ?? 0;
        unset($SESSION->quizaccess_vigil_launch[$launchid]);
        $launch = $id ? $this->launches->get($id) : null;
        if (!$launch || $launch->state !== 'begun' || (int)$launch->userid !== (int)$USER->id) {
            throw new moodle_exception('errorlaunchgone', 'quizaccess_vigil');
        }
        if (\core\session\manager::is_loggedinas()) {
            throw new moodle_exception('errorloginas', 'quizaccess_vigil');
        }
        $fields = $this->message($launch, required_param('nonce', PARAM_TEXT));
        $fields['state'] = optional_param('state', '', PARAM_TEXT);
        self::post_form(required_param('redirect_uri', PARAM_URL), $fields);
        die;
    }

    /**
     * Refuses a launch of core's own into the tool (of an activity of the course, or to pick one) by somebody who is logged in as
     * another user. The tool would take them for that user: for hours, in the same browser, and in its records.
     *
     * @param string $clientid
     * @throws moodle_exception
     */
    private function refuse_core_launch(string $clientid): void {
        if (\core\session\manager::is_loggedinas() && $this->bridge->is_client($clientid)) {
            throw new moodle_exception('errorloginas', 'quizaccess_vigil');
        }
    }

    /**
     * Whether core's name of a launch is one that this plugin gives.
     *
     * @param string $launchid
     * @return bool
     */
    public static function is_ours(string $launchid): bool {
        foreach (self::MESSAGES as $message) {
            if (strpos($launchid, 'ltilaunch_' . $message) === 0) {
                return true;
            }
        }
        return false;
    }

    /**
     * The signed message of a launch.
     *
     * @param stdClass $launch
     * @param string $nonce
     * @return string[]
     */
    public function message(stdClass $launch, string $nonce): array {
        $quizobj = quiz_settings::create((int)$launch->quizid);
        $tool = $this->bridge->tool_by_id((int)$launch->typeid);
        if (!$tool || !$tool->active) {
            throw new moodle_exception('errortoolinactive', 'quizaccess_vigil', $quizobj->view_url());
        }
        $context = context_module::instance($launch->cmid);
        $settings = $launch->kind === 'end' ? '' : policy::claim(
            policy::read($quizobj->get_quiz()->vigil_policy ?? null),
            $launch->kind === 'start' ? self::started($launch) : null,
            $this->access($launch)
        );
        $params = [];
        $proctor = false;
        $return = $quizobj->view_url();
        if ($launch->kind === 'live') {
            require_capability('quizaccess/vigil:proctor', $context);
            $proctor = true;
            // Proctors may come before the first student: the exam is to have the quiz's policy then.
            $params['custom_vigil_settings'] = $settings;
            if ((int)$launch->attemptid) {
                $session = $this->session_of((int)$launch->attemptid, $quizobj);
                $params['custom_vigil_user'] = (string)$session->userid;
                $params['custom_vigil_attempt'] = (string)$session->attempt;
            }
        } else {
            $params['vigil_attempt_number'] = (int)$launch->attempt;
        }
        if ($launch->kind === 'end') {
            $return = $quizobj->review_url((int)$launch->attemptid);
        }
        $secret = $this->launches->send($launch);
        if ($launch->kind === 'start') {
            $params += [
                'vigil_session_data' => $secret,
                'vigil_start_assessment_url' => (new moodle_url('/mod/quiz/accessrule/vigil/start.php'))->out(false),
                'vigil_proctoring_settings_data' => $settings,
                'vigil_acs_actions' => implode(',', lti_bridge::ACTIONS),
                'vigil_acs_assessment_control_url' => $this->bridge->control_url(),
            ];
        }
        return $this->bridge->sign(
            $tool,
            $quizobj->get_course(),
            self::MESSAGES[$launch->kind],
            [
                'id' => lti_bridge::link_id((int)$launch->cmid),
                'title' => format_string($quizobj->get_quiz_name(), true, ['context' => $context, 'escape' => false]),
            ],
            $params,
            $return->out(false),
            $nonce,
            $proctor
        );
    }

    /**
     * What a launch tells of its user's groups and rights.
     *
     * @param stdClass $launch
     * @return array members of the proctoring settings
     */
    private function access(stdClass $launch): array {
        $access = access::at((int)$launch->quizid, $this->clock);
        if (!$access) {
            return [];
        }
        $kind = $launch->kind === 'start' ? access::STUDENT : access::STAFF;
        return [
            'access_url' => $this->bridge->access_url((int)$launch->cmid),
            'access' => (new access_store($this->clock))->launch($access, $kind, (int)$launch->userid),
        ];
    }

    /**
     * When the attempt of a launch began.
     *
     * @param stdClass $launch
     * @return int seconds; 0: it has yet to begin
     */
    private static function started(stdClass $launch): int {
        global $DB;
        return (int)$DB->get_field_select(
            'quiz_attempts',
            'timestart',
            "quiz = ? AND userid = ? AND attempt = ? AND preview = 0 AND state <> 'notstarted'",
            [$launch->quizid, $launch->userid, $launch->attempt],
            IGNORE_MULTIPLE
        );
    }

    /**
     * Prints a page that posts itself.
     *
     * @param string $action
     * @param array $fields
     */
    public static function post_form(string $action, array $fields): void {
        $inputs = '';
        foreach ($fields as $name => $value) {
            $inputs .= \html_writer::empty_tag('input', ['type' => 'hidden', 'name' => $name, 'value' => $value]) . "\n";
        }
        header('Content-Type: text/html; charset=utf-8');
        header('Cache-Control: no-store');
        echo '<!DOCTYPE html>', \html_writer::start_tag('html', ['lang' => str_replace('_', '-', current_language())]),
            '<head><meta charset="utf-8"><title>', get_string('onemoment', 'quizaccess_vigil'), '</title></head><body>',
            \html_writer::start_tag('form', ['action' => $action, 'method' => 'post', 'id' => 'vigilform']), "\n",
            $inputs,
            \html_writer::tag(
                'noscript',
                \html_writer::tag('button', get_string('continue'), ['type' => 'submit'])
            ),
            '</form><script>document.getElementById("vigilform").submit();</script></body></html>';
    }
}
