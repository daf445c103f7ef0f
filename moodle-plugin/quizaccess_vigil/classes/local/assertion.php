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

use stdClass;

/**
 * The word of this platform that a user is in an attempt now (or that the attempt has ended, or who may see and do what), for the
 * tool that proctors.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class assertion {
    /** @var int the version of the format */
    public const VERSION = 3;

    /** @var int seconds that it lives */
    public const LIFE = 60;

    /** @var int seconds that a page's stamp lives: as long as the page may be open */
    public const PAGE_LIFE = DAYSECS;

    /**
     * The claims that let a quiz page have a socket.
     *
     * @param string $issuer
     * @param string $clientid
     * @param standing $standing
     * @return array
     */
    public static function socket(string $issuer, string $clientid, standing $standing): array {
        return self::claims('socket', $issuer, $clientid, $standing->session, $standing->toldat) + self::standing($standing);
    }

    /**
     * The claims that report how an attempt stands.
     *
     * @param string $issuer
     * @param string $clientid
     * @param standing $standing
     * @return array
     */
    public static function report(string $issuer, string $clientid, standing $standing): array {
        return self::claims('standing', $issuer, $clientid, $standing->session, $standing->toldat) + self::standing($standing);
    }

    /**
     * The claims of a quiz page's stamp.
     *
     * @param string $issuer
     * @param string $clientid
     * @param standing $standing
     * @param int $requestedat when the page was asked for, in milliseconds
     * @param int $answeredat when it was written, in milliseconds
     * @return array
     */
    public static function page(string $issuer, string $clientid, standing $standing, int $requestedat, int $answeredat): array {
        $claims = self::claims('page', $issuer, $clientid, $standing->session, $standing->toldat);
        $claims['exp'] = $claims['iat'] + self::PAGE_LIFE;
        return $claims + self::standing($standing) + ['page_requested_at' => $requestedat, 'page_answered_at' => $answeredat];
    }

    /**
     * The claims that report that an attempt was opened.
     *
     * @param string $issuer
     * @param string $clientid
     * @param stdClass $session
     * @param int $toldat when that was read, in milliseconds
     * @return array
     */
    public static function opened(string $issuer, string $clientid, stdClass $session, int $toldat): array {
        return self::claims('opened', $issuer, $clientid, $session, $toldat) + ['opened_at' => (int)$session->timeopened];
    }

    /**
     * The claims that report the end of an attempt.
     *
     * @param string $issuer
     * @param string $clientid
     * @param stdClass $session
     * @param int $toldat when that was read, in milliseconds
     * @return array
     */
    public static function ended(string $issuer, string $clientid, stdClass $session, int $toldat): array {
        return self::claims('ended', $issuer, $clientid, $session, $toldat) + [
            'outcome' => $session->outcome,
            'ended_at' => (int)$session->timeended,
        ];
    }

    /**
     * The claims that ask for all that the tool keeps of an attempt.
     *
     * @param string $issuer
     * @param string $clientid
     * @param stdClass $session
     * @param int $toldat when that was read, in milliseconds
     * @return array
     */
    public static function export(string $issuer, string $clientid, stdClass $session, int $toldat): array {
        return self::claims('export', $issuer, $clientid, $session, $toldat);
    }

    /**
     * The claims that report changed groups and rights at a quiz. They are about no attempt, and each person's version says which
     * of two reports is the newer one.
     *
     * @param string $issuer
     * @param stdClass $tool
     * @param int $cmid
     * @param int $now in seconds
     * @param array[] $staff
     * @param array[] $students
     * @return array
     */
    public static function access(string $issuer, stdClass $tool, int $cmid, int $now, array $staff, array $students): array {
        return self::quiz_claims('access', $issuer, $tool->clientid, (int)$tool->id, $cmid, $now)
            + ['staff' => $staff, 'students' => $students];
    }

    /**
     * The claims that all about an attempt have.
     *
     * @param string $use
     * @param string $issuer
     * @param string $clientid
     * @param stdClass $session
     * @param int $toldat
     * @return array
     */
    private static function claims(string $use, string $issuer, string $clientid, stdClass $session, int $toldat): array {
        $typeid = (int)$session->typeid;
        return self::quiz_claims($use, $issuer, $clientid, $typeid, (int)$session->cmid, intdiv($toldat, 1000)) + [
            'sub' => (string)$session->userid,
            'told_at' => $toldat,
            lti_bridge::CLAIM_AP . 'attempt_number' => (int)$session->attempt,
        ];
    }

    /**
     * The claims that all have.
     *
     * @param string $use
     * @param string $issuer
     * @param string $clientid
     * @param int $typeid
     * @param int $cmid
     * @param int $now in seconds
     * @return array
     */
    private static function quiz_claims(string $use, string $issuer, string $clientid, int $typeid, int $cmid, int $now): array {
        return [
            'iss' => $issuer,
            'aud' => $clientid,
            'iat' => $now,
            'exp' => $now + self::LIFE,
            'jti' => bin2hex(random_bytes(16)),
            'token_use' => $use,
            'vigil' => self::VERSION,
            lti_bridge::CLAIM_LTI . 'deployment_id' => (string)$typeid,
            lti_bridge::CLAIM_LTI . 'resource_link' => ['id' => lti_bridge::link_id($cmid)],
        ];
    }

    /**
     * The claims that say how the attempt stands.
     *
     * @param standing $standing
     * @return array
     */
    private static function standing(standing $standing): array {
        return ['requests' => $standing->requests]
            + array_filter([
                'attempt_end' => $standing->end,
                'attempt_paused_at' => $standing->paused_at(),
                'attempt_pause_cause' => $standing->paused_at() ? (string)($standing->session->pausecause ?? '') : '',
            ]);
    }
}
