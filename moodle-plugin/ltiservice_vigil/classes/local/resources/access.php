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

namespace ltiservice_vigil\local\resources;

use ltiservice_vigil\local\service\vigil;
use mod_lti\local\ltiservice\resource_base;

/**
 * Tells the tool that proctors who may see and do what at a quiz: the question that it asks while a dashboard is open, and before
 * it lets somebody in whose launch did not say.
 *
 * It checks who asks; what is asked for is answered by quizaccess_vigil. Which quiz is meant stands in the address.
 *
 * @package    ltiservice_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class access extends resource_base {
    /** @var string the media type of question and answer */
    public const MEDIA = 'application/vnd.vigil.access.v1+json';

    /** @var int a longer question is not read */
    private const LONGEST = 65536;

    /**
     * Constructor.
     *
     * @param \mod_lti\local\ltiservice\service_base $service
     */
    public function __construct($service) {
        parent::__construct($service);
        $this->id = 'VigilAccess';
        $this->template = '/access';
        $this->formats = [self::MEDIA, 'application/json'];
        $this->methods[] = self::HTTP_POST;
    }

    /**
     * Answers a question.
     *
     * @param \mod_lti\local\ltiservice\response $response
     */
    public function execute($response) {
        $body = (string)$response->get_request_data();
        if (strlen($body) > self::LONGEST) {
            $this->refuse($response, 400, 'The request is too long.');
            return;
        }
        // A token outlives the choice of the tool by an hour, and what is answered here is about everybody.
        if (
            !$this->check_tool(null, $body, [vigil::SCOPE_CONTROL])
                || !in_array(vigil::SCOPE_CONTROL, $this->get_service()->get_permitted_scopes(), true)
        ) {
            $this->refuse($response, 401, 'An access token of the tool that proctors, with the scope of this service, is needed.');
            return;
        }
        if (!class_exists('\quizaccess_vigil\local\access_question')) {
            $this->refuse($response, 501, 'The quiz access rule quizaccess_vigil is not installed.');
            return;
        }
        try {
            $answer = (new \quizaccess_vigil\local\access_question(\core\di::get(\core\clock::class)))
                ->answer(optional_param('resource_link', '', PARAM_ALPHANUMEXT), $body);
        } catch (\quizaccess_vigil\local\control_exception $e) {
            $this->refuse($response, $e->status, $e->reason);
            return;
        } catch (\Throwable $e) {
            // The caller learns that it failed, the log what it was.
            debugging('The question of groups and rights failed: ' . $e->getMessage(), DEBUG_NORMAL, $e->getTrace());
            $this->refuse($response, 500, 'The request could not be done.');
            return;
        }
        $response->set_content_type(self::MEDIA);
        $response->set_body(json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE));
    }

    /**
     * Writes a refusal.
     *
     * @param \mod_lti\local\ltiservice\response $response
     * @param int $code
     * @param string $reason
     */
    private function refuse($response, int $code, string $reason): void {
        $response->set_code($code);
        $response->set_reason($reason);
    }
}
