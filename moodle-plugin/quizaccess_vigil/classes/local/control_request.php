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
 * A request to the Assessment Control Service (LTI Proctoring Services 1.0, section 4), read strictly.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class control_request {
    /** @var int minutes, at most */
    private const LONGEST = 10080;

    /** @var string what a repeat of it has, too; '': the tool does not name its requests */
    public string $id;

    /** @var int the user's id */
    public int $userid;

    /** @var int the quiz's course module */
    public int $cmid;

    /** @var int the attempt's number */
    public int $attempt;

    /** @var string what to do */
    public string $action;

    /** @var int extra minutes */
    public int $minutes;

    /** @var string the incident's time, as it was written */
    public string $time;

    /** @var float its severity, 0 to 1 */
    public float $severity;

    /** @var string its code */
    public string $code;

    /** @var string what it is, in words */
    public string $message;

    /**
     * Reads a request.
     *
     * @param string $body
     * @param string $issuer who this platform is
     * @return self
     * @throws control_exception
     */
    public static function read(string $body, string $issuer): self {
        $in = json_decode($body, false, 16);
        if (!$in instanceof stdClass) {
            throw new control_exception(400, 'The request is not a JSON object.');
        }
        $request = new self();
        $id = $in->request_id ?? '';
        if (!is_string($id) || ($id === '' && isset($in->request_id)) || !preg_match('/^\P{C}{0,64}$/Du', $id)) {
            throw new control_exception(400, 'request_id is not a text of 1 to 64 characters.');
        }
        $request->id = $id;
        $issuerthere = $in->user->iss ?? null;
        if ($issuerthere !== null && $issuerthere !== $issuer) {
            throw new control_exception(400, 'user.iss is not this platform.');
        }
        $sub = $in->user->sub ?? null;
        // A user that Moodle cannot have is one that does not exist.
        $request->userid = is_string($sub) && preg_match('/^[1-9]\d{0,17}$/D', $sub) ? (int)$sub : 0;
        if (!is_string($sub) || $sub === '') {
            throw new control_exception(400, 'user.sub is missing.');
        }
        $link = $in->resource_link->id ?? null;
        if (!is_string($link) || $link === '') {
            throw new control_exception(400, 'resource_link.id is missing.');
        }
        $request->cmid = lti_bridge::cmid_of($link);
        $attempt = $in->attempt_number ?? null;
        if (!is_int($attempt) || $attempt < 1 || $attempt > 1000000) {
            throw new control_exception(400, 'attempt_number is not an integer from 1 to 1,000,000.');
        }
        $request->attempt = $attempt;
        $action = $in->action ?? null;
        if (!in_array($action, lti_bridge::ACTIONS, true)) {
            throw new control_exception(400, 'The action is unknown.');
        }
        $request->action = $action;
        $minutes = $in->extra_time ?? 0;
        if (!is_int($minutes) || $minutes < 0 || $minutes > self::LONGEST) {
            throw new control_exception(400, 'extra_time is not a number of minutes.');
        }
        $request->minutes = $minutes;
        $time = $in->incident_time ?? null;
        if (
            !is_string($time) || strlen($time) > 40 || !preg_match('/^\d{4}-\d\d-\d\dT\d\d:\d\d/', $time)
                || strtotime($time) === false
        ) {
            throw new control_exception(400, 'incident_time is not an ISO 8601 time.');
        }
        $request->time = $time;
        $severity = $in->incident_severity ?? 0;
        if (!is_numeric($severity) || $severity < 0 || $severity > 1) {
            throw new control_exception(400, 'incident_severity is not from 0 to 1.');
        }
        $request->severity = (float)$severity;
        $text = fn($value, int $most): string =>
            is_string($value) ? \core_text::substr(clean_param($value, PARAM_TEXT), 0, $most) : '';
        $request->code = $text($in->reason_code ?? '', 255);
        $request->message = $text($in->reason_msg ?? '', 4000);
        return $request;
    }
}
