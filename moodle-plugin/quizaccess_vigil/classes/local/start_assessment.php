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

use core\clock;
use moodle_exception;
use stdClass;

/**
 * Judges the message with which the tool sends a student back into the quiz (LTI Proctoring Services 1.0, section 3.3).
 *
 * The session data come first, so that a stray message costs no fetch of keys. Then the signature; then everything that core does
 * not look at, one check after the other.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class start_assessment {
    /** @var int bytes */
    public const LONGEST = 32768;

    /** @var int seconds that a message may live */
    public const LIFE = 600;

    /** @var int seconds by which clocks may differ */
    public const SKEW = 60;

    /**
     * Constructor.
     *
     * @param lti_bridge $bridge
     * @param launch_store $launches
     * @param clock $clock
     */
    public function __construct(
        /** @var lti_bridge core's LTI */
        private readonly lti_bridge $bridge,
        /** @var launch_store the launches */
        private readonly launch_store $launches,
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
    }

    /**
     * Judges a message and uses it up.
     *
     * @param string $jwt
     * @return array the launch, and the one-time code that leads its student on
     * @throws moodle_exception
     */
    public function accept(string $jwt): array {
        if ($jwt === '' || strlen($jwt) > self::LONGEST) {
            throw new moodle_exception('errorstartform', 'quizaccess_vigil');
        }
        $data = lti_bridge::payload($jwt)->{lti_bridge::CLAIM_AP . 'session_data'} ?? null;
        $launch = is_string($data) && $data !== '' ? $this->launches->sent($data) : null;
        if (!$launch) {
            throw new moodle_exception('errorstartlate', 'quizaccess_vigil');
        }
        $tool = $this->bridge->tool_by_id((int)$launch->typeid);
        if (!$tool) {
            throw new moodle_exception('errornotool', 'quizaccess_vigil');
        }
        if (!$tool->active) {
            throw new moodle_exception('errortoolinactive', 'quizaccess_vigil');
        }
        $claims = $this->bridge->verify($tool, $jwt);
        $wrong = $this->wrong($claims, $tool, $launch);
        if ($wrong !== '') {
            throw new moodle_exception('errorstartclaim', 'quizaccess_vigil', '', $wrong, $wrong);
        }
        if (!$this->launches->use_nonce($tool->id, $claims->nonce, $claims->exp + self::SKEW)) {
            throw new moodle_exception('errorstartclaim', 'quizaccess_vigil', '', 'nonce', 'nonce used before');
        }
        $message = $claims->{lti_bridge::CLAIM_AP . 'errormsg'} ?? '';
        if (is_string($message) && $message !== '') {
            throw new moodle_exception('errorstarttool', 'quizaccess_vigil', '', s(shorten_text($message, 500)));
        }
        $endreturn = $claims->{lti_bridge::CLAIM_AP . 'end_assessment_return'} ?? false;
        return [$launch, $this->launches->answered($launch, $endreturn)];
    }

    /**
     * Names the first claim that is wrong.
     *
     * @param stdClass $claims
     * @param stdClass $tool
     * @param stdClass $launch
     * @return string '': none
     */
    private function wrong(stdClass $claims, stdClass $tool, stdClass $launch): string {
        $now = $this->clock->time();
        $aud = $claims->aud ?? null;
        $aud = is_array($aud) && count($aud) === 1 ? $aud[0] : $aud;
        $link = $claims->{lti_bridge::CLAIM_LTI . 'resource_link'} ?? null;
        $iat = $claims->iat ?? null;
        $exp = $claims->exp ?? null;
        $nonce = $claims->nonce ?? null;
        $checks = [
            'iss' => ($claims->iss ?? null) === $tool->clientid,
            'aud' => $aud === $this->bridge->issuer(),
            'azp' => !isset($claims->azp) || $claims->azp === $this->bridge->issuer(),
            'iat' => is_int($iat) && $iat <= $now + self::SKEW,
            'exp' => is_int($exp) && is_int($iat) && $exp > $iat && $exp - $iat <= self::LIFE && $exp >= $now - self::SKEW,
            'nonce' => is_string($nonce) && $nonce !== '' && strlen($nonce) <= 255,
            'deployment_id' => ($claims->{lti_bridge::CLAIM_LTI . 'deployment_id'} ?? null) === (string)$tool->id,
            'message_type' => ($claims->{lti_bridge::CLAIM_LTI . 'message_type'} ?? null) === 'LtiStartAssessment',
            'version' => ($claims->{lti_bridge::CLAIM_LTI . 'version'} ?? null) === '1.3.0',
            'resource_link' => ($link->id ?? null) === lti_bridge::link_id((int)$launch->cmid),
            'attempt_number' => ($claims->{lti_bridge::CLAIM_AP . 'attempt_number'} ?? null) === (int)$launch->attempt,
            'end_assessment_return' => is_bool($claims->{lti_bridge::CLAIM_AP . 'end_assessment_return'} ?? false),
        ];
        return (string)array_search(false, $checks, true);
    }
}
