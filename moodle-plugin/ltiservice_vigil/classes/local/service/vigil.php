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

namespace ltiservice_vigil\local\service;

use ltiservice_vigil\local\resources\access;
use ltiservice_vigil\local\resources\assessmentcontrol;
use mod_lti\local\ltiservice\service_base;

/**
 * Gives the tool that proctors quizzes the LTI Proctoring Services.
 *
 * It maps our launch parameters to the claims of that specification, and grants the scope of its Assessment Control Service to
 * the one tool that the settings of quizaccess_vigil name. Core makes this object for every launch of every tool, so it must be
 * cheap and must not fail.
 *
 * @package    ltiservice_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class vigil extends service_base {
    /** @var string the scope of the Assessment Control Service */
    public const SCOPE_CONTROL = 'https://purl.imsglobal.org/spec/lti-ap/scope/control.all';

    /** @var string what our launch parameters begin with */
    public const PREFIX = 'vigil_';

    /**
     * Constructor.
     */
    public function __construct() {
        parent::__construct();
        $this->id = 'vigil';
        $this->name = get_string('pluginname', 'ltiservice_vigil');
    }

    /**
     * The resources of the service.
     *
     * @return \mod_lti\local\ltiservice\resource_base[]
     */
    public function get_resources() {
        if ($this->resources === null) {
            $this->resources = [new assessmentcontrol($this), new access($this)];
        }
        return $this->resources;
    }

    /**
     * The scopes that the service knows. They are told to every tool that registers.
     *
     * @return string[]
     */
    public function get_scopes() {
        return [self::SCOPE_CONTROL];
    }

    /**
     * The scopes that the tool at hand may have: ours for the tool that proctors, while it is active.
     *
     * @return string[]
     */
    public function get_permitted_scopes() {
        $type = $this->get_type();
        if (empty($type->id) || (int)$type->id !== (int)get_config('quizaccess_vigil', 'typeid')) {
            return [];
        }
        return (int)$type->state === LTI_TOOL_STATE_CONFIGURED ? [self::SCOPE_CONTROL] : [];
    }

    /**
     * What the tool that proctors is told when a teacher picks what a new activity opens: the course's proctored quizzes.
     *
     * @param string $messagetype
     * @param string $courseid
     * @param string $user
     * @param string $typeid
     * @param string|null $modlti
     * @return string[] name of a custom parameter => value
     */
    public function get_launch_parameters($messagetype, $courseid, $user, $typeid, $modlti = null) {
        if (
            $messagetype !== 'ContentItemSelectionRequest' || (int)$typeid === 0
                || (int)$typeid !== (int)get_config('quizaccess_vigil', 'typeid')
                || !class_exists('\quizaccess_vigil\local\course_quizzes')
        ) {
            return [];
        }
        $quizzes = \quizaccess_vigil\local\course_quizzes::of((int)$courseid);
        return $quizzes ? ['vigil_quizzes' => json_encode($quizzes)] : [];
    }

    /**
     * Which launch parameter becomes which claim.
     *
     * @return array[]
     */
    public function get_jwt_claim_mappings(): array {
        $top = fn(string $claim): array => ['suffix' => 'ap', 'group' => '', 'claim' => $claim, 'isarray' => false];
        return [
            self::PREFIX . 'attempt_number' => $top('attempt_number'),
            self::PREFIX . 'start_assessment_url' => $top('start_assessment_url'),
            self::PREFIX . 'session_data' => $top('session_data'),
            self::PREFIX . 'errormsg' => $top('errormsg'),
            self::PREFIX . 'proctoring_settings_data' =>
                ['suffix' => 'ap', 'group' => 'proctoring_settings', 'claim' => 'data', 'isarray' => false],
            self::PREFIX . 'acs_actions' =>
                ['suffix' => 'ap', 'group' => 'acs', 'claim' => 'actions', 'isarray' => true],
            self::PREFIX . 'acs_assessment_control_url' =>
                ['suffix' => 'ap', 'group' => 'acs', 'claim' => 'assessment_control_url', 'isarray' => false],
        ];
    }

    /**
     * The address of the Assessment Control Service.
     *
     * @return string
     */
    public function get_control_url(): string {
        return $this->get_service_path() . $this->get_resources()[0]->get_template();
    }

    /**
     * Where the tool asks who may see and do what at a quiz.
     *
     * @param string $linkid by which it knows the quiz
     * @return string
     */
    public function get_access_url(string $linkid): string {
        return $this->get_service_path() . $this->get_resources()[1]->get_template() . '?resource_link=' . rawurlencode($linkid);
    }
}
