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

use core\check\result;
use core\clock;
use stdClass;

/**
 * Looks whether this site and the tool that proctors can work together. Every fault says what to change, and where.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class health {
    /** @var string[] what is looked at, in the order in which faults are best mended */
    public const TOPICS = ['tool', 'versions', 'curl', 'toolkeys', 'release', 'clock', 'ownkeys', 'trust', 'control', 'socket'];

    /** @var int seconds: signatures with a larger difference may be refused */
    private const DRIFT_WARNING = 3;

    /** @var int seconds: nothing works with a larger difference */
    private const DRIFT_ERROR = 30;

    /** @var answer|null what the tool's key set answered */
    private ?answer $keys = null;

    /**
     * Constructor.
     *
     * @param lti_setup $lti
     * @param http $http
     * @param clock $clock
     */
    public function __construct(
        /** @var lti_setup mod_lti */
        private readonly lti_setup $lti,
        /** @var http the way to servers */
        private readonly http $http,
        /** @var clock what time it is */
        private readonly clock $clock,
    ) {
    }

    /**
     * The one that the site uses.
     *
     * @return self
     */
    public static function instance(): self {
        static $instance = null;
        return $instance ??= new self(new lti_setup(), new http(), \core\di::get(clock::class));
    }

    /**
     * Looks at one thing.
     *
     * @param string $topic
     * @return result
     */
    public function look(string $topic): result {
        $tool = $this->lti->tool();
        if ($topic === 'tool') {
            return $this->tool($tool);
        }
        if ($topic === 'versions') {
            return $this->versions();
        }
        if (!$tool) {
            return new result(result::NA, get_string('health_notool', 'quizaccess_vigil'));
        }
        $asked = match ($topic) {
            'socket' => $tool->origin . '/socket',
            'release' => lti_bridge::about_endpoint($tool),
            'trust' => lti_bridge::ended_endpoint($tool),
            default => $tool->keyseturl,
        };
        if (in_array($topic, ['toolkeys', 'release', 'clock', 'trust', 'socket'], true) && $this->http->is_blocked($asked)) {
            return self::result(result::UNKNOWN, 'forbidden');
        }
        return match ($topic) {
            'curl' => $this->curl($tool),
            'toolkeys' => $this->toolkeys($tool),
            'release' => $this->release($tool),
            'clock' => $this->clock($tool),
            'ownkeys' => $this->ownkeys(),
            'trust' => $this->trust($tool),
            'control' => $this->control($tool),
            'socket' => $this->socket($tool),
        };
    }

    /**
     * A result in words.
     *
     * @param string $status
     * @param string $name of the strings: the summary, and with _desc what to do
     * @param mixed $a
     * @return result
     */
    private static function result(string $status, string $name, $a = null): result {
        $details = get_string_manager()->string_exists("health_{$name}_desc", 'quizaccess_vigil')
            ? get_string("health_{$name}_desc", 'quizaccess_vigil', $a) : '';
        return new result($status, get_string("health_{$name}", 'quizaccess_vigil', $a), $details);
    }

    /**
     * Is there a tool, and is it active?
     *
     * @param stdClass|null $tool
     * @return result
     */
    private function tool(?stdClass $tool): result {
        global $DB;
        if ($tool) {
            return $tool->active
                ? self::result(result::OK, 'tool_ok', s($tool->name))
                : self::result(result::ERROR, 'tool_inactive', s($tool->name));
        }
        $quizzes = $DB->count_records('quizaccess_vigil', ['enabled' => 1]);
        return $quizzes ? self::result(result::ERROR, 'tool_none', $quizzes) : self::result(result::INFO, 'tool_unused');
    }

    /**
     * Do both components belong together?
     *
     * @return result
     */
    private function versions(): result {
        $ours = get_config('quizaccess_vigil', 'version');
        $service = get_config('ltiservice_vigil', 'version');
        if (!$service) {
            return self::result(result::ERROR, 'versions_missing');
        }
        $a = (object)['rule' => $ours, 'service' => $service];
        return (int)$ours === (int)$service
            ? self::result(result::OK, 'versions_ok', $a) : self::result(result::ERROR, 'versions_differ', $a);
    }

    /**
     * May this site ask the tool at all?
     *
     * @param stdClass $tool
     * @return result
     */
    private function curl(stdClass $tool): result {
        $parts = parse_url($tool->keyseturl) ?: [];
        $scheme = $parts['scheme'] ?? 'https';
        $a = (object)[
            'host' => s($parts['host'] ?? ''),
            'port' => $parts['port'] ?? ($scheme === 'https' ? 443 : 80),
            'url' => s($tool->keyseturl),
        ];
        return $this->http->is_blocked($tool->keyseturl)
            ? self::result(result::ERROR, 'curl_blocked', $a) : self::result(result::OK, 'curl_ok', $a);
    }

    /**
     * What the tool's key set answers.
     *
     * @param stdClass $tool
     * @return answer
     */
    private function keys(stdClass $tool): answer {
        return $this->keys ??= $this->http->ask('GET', $tool->keyseturl, ['Accept: application/json']);
    }

    /**
     * Can this site read the tool's keys?
     *
     * @param stdClass $tool
     * @return result
     */
    private function toolkeys(stdClass $tool): result {
        $answer = $this->keys($tool);
        $a = (object)['url' => s($tool->keyseturl), 'status' => $answer->status, 'problem' => s($answer->problem)];
        if (!$answer->status) {
            return self::result(result::ERROR, 'toolkeys_down', $a);
        }
        $ids = $answer->status === 200 ? $answer->key_ids() : null;
        if (!$ids) {
            return self::result(result::ERROR, 'toolkeys_bad', $a);
        }
        $a->count = count($ids);
        return self::result(result::OK, 'toolkeys_ok', $a);
    }

    /**
     * Do this plugin and the tool speak the same version of what they tell each other?
     *
     * @param stdClass $tool
     * @return result
     */
    private function release(stdClass $tool): result {
        $url = lti_bridge::about_endpoint($tool);
        $answer = $this->http->ask('GET', $url, ['Accept: application/json']);
        $about = json_decode($answer->body);
        $theirs = $about->assertion ?? null;
        $a = (object)[
            'url' => s($url),
            'status' => $answer->status,
            'problem' => s($answer->problem),
            'version' => s(is_string($about->version ?? null) ? $about->version : ''),
            'ours' => assertion::VERSION,
            'theirs' => is_int($theirs) ? $theirs : 1,
            'release' => s((string)get_config('quizaccess_vigil', 'version')),
        ];
        if ($answer->status !== 404 && ($answer->status !== 200 || !is_int($theirs))) {
            return self::result(result::ERROR, 'release_down', $a);
        }
        // Before version 2 the tool was not asked.
        return match ($a->theirs <=> $a->ours) {
            -1 => self::result(result::WARNING, 'release_old', $a),
            1 => self::result(result::WARNING, 'release_new', $a),
            default => self::result(result::OK, 'release_ok', $a),
        };
    }

    /**
     * Do both clocks agree?
     *
     * @param stdClass $tool
     * @return result
     */
    private function clock(stdClass $tool): result {
        $before = $this->clock->time();
        $date = $this->http->ask('GET', $tool->keyseturl, ['Accept: application/json'])->date;
        if (!$date) {
            return self::result(result::UNKNOWN, 'clock_unknown');
        }
        // The tool looked at its clock between these two.
        $after = $this->clock->time();
        $drift = $date < $before ? $before - $date : max(0, $date - $after);
        if ($drift <= self::DRIFT_WARNING) {
            return self::result(result::OK, 'clock_ok', $drift);
        }
        return self::result($drift > self::DRIFT_ERROR ? result::ERROR : result::WARNING, 'clock_drift', $drift);
    }

    /**
     * Are this site's keys where the tool looks for them?
     *
     * @return result
     */
    private function ownkeys(): result {
        $url = $this->lti->keyset_url();
        if ($this->http->is_blocked($url)) {
            // The site may not ask itself; that says nothing about the tool.
            return self::result(result::UNKNOWN, 'ownkeys_blocked', s($url));
        }
        $answer = $this->http->ask('GET', $url, ['Accept: application/json']);
        $ids = $answer->status === 200 ? $answer->key_ids() : null;
        $a = (object)['url' => s($url), 'status' => $answer->status, 'problem' => s($answer->problem)];
        if ($ids === null) {
            return self::result(result::ERROR, 'ownkeys_bad', $a);
        }
        return in_array($this->lti->key_id(), $ids, true)
            ? self::result(result::OK, 'ownkeys_ok', $a) : self::result(result::ERROR, 'ownkeys_other', $a);
    }

    /**
     * Can the tool read this site's keys, and does it believe what they signed? It is told the end of an attempt that there is
     * not: it has looked at the signature before it says so.
     *
     * @param stdClass $tool
     * @return result
     */
    private function trust(stdClass $tool): result {
        $now = $this->clock->time();
        $nobody = (object)[
            'userid' => 0, 'typeid' => $tool->id, 'cmid' => 0, 'attempt' => 1, 'outcome' => 'submitted', 'timeended' => $now,
        ];
        $jwt = $this->lti->sign_claims(
            assertion::ended($this->lti->issuer(), $tool->clientid, $nobody, standing::milliseconds($this->clock))
        );
        $url = lti_bridge::ended_endpoint($tool);
        $answer = $this->http->tell($url, $jwt);
        $problem = json_decode($answer->body);
        $detail = is_string($problem->detail ?? null) ? $problem->detail : $answer->problem;
        $a = (object)['url' => s($url), 'status' => $answer->status, 'detail' => s($detail), 'keys' => s($this->lti->keyset_url())];
        return match (true) {
            $answer->status === 404 && $answer->code() === 'not_found' => self::result(result::OK, 'trust_ok', $a),
            $answer->status === 503 && $answer->code() === 'unavailable' => self::result(result::ERROR, 'trust_keys', $a),
            $answer->status === 401 || $answer->status === 403 => self::result(result::ERROR, 'trust_refused', $a),
            default => self::result(result::ERROR, 'trust_down', $a),
        };
    }

    /**
     * Does the Assessment Control Service hear the tool? It needs the path after the script's name, and the token's header.
     *
     * @param stdClass $tool
     * @return result
     */
    private function control(stdClass $tool): result {
        $url = $this->lti->control_url();
        if ($this->http->is_blocked($url)) {
            return self::result(result::UNKNOWN, 'control_blocked', s($url));
        }
        $answer = $this->http->ask('GET', $url, ['Accept: */*']);
        $a = (object)['url' => s($url), 'status' => $answer->status, 'problem' => s($answer->problem)];
        if ($answer->status !== 405) {
            // The service takes POST only: that is what it says when it was found.
            return self::result(result::ERROR, $answer->status ? 'control_path' : 'control_down', $a);
        }
        if (!$tool->active) {
            return self::result(result::WARNING, 'control_inactive', $a);
        }
        $token = $this->lti->control_token($tool);
        try {
            $answer = $this->http->ask('POST', $url, [
                'Authorization: Bearer ' . $token,
                'Content-Type: ' . \ltiservice_vigil\local\resources\assessmentcontrol::MEDIA,
            ], '[]');
        } finally {
            $this->lti->revoke($token);
        }
        $a->status = $answer->status;
        // A request that says nothing is refused as such, after the token was accepted.
        return match ($answer->status) {
            400 => self::result(result::OK, 'control_ok', $a),
            401 => self::result(result::ERROR, 'control_header', $a),
            default => self::result(result::ERROR, 'control_down', $a),
        };
    }

    /**
     * Would the tool take a WebSocket of a page of this site? Without a token it says that one is missing, if the request for an
     * upgrade reaches it.
     *
     * @param stdClass $tool
     * @return result
     */
    private function socket(stdClass $tool): result {
        global $CFG;
        $parts = parse_url($CFG->wwwroot);
        $origin = $parts['scheme'] . '://' . $parts['host'] . (isset($parts['port']) ? ':' . $parts['port'] : '');
        $a = (object)['url' => s($tool->origin . '/socket'), 'origin' => s($origin)];
        if ($parts['scheme'] === 'https' && !str_starts_with($tool->origin, 'https:')) {
            return self::result(result::ERROR, 'socket_mixed', $a);
        }
        $answer = $this->http->ask('GET', $tool->origin . '/socket', [
            'Origin: ' . $origin,
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Version: 13',
            'Sec-WebSocket-Key: ' . base64_encode(random_bytes(16)),
            'Sec-WebSocket-Protocol: vigil.v1',
        ]);
        $a->status = $answer->status;
        $a->problem = s($answer->problem);
        return match ($answer->status) {
            401 => self::result(result::OK, 'socket_ok', $a),
            403 => self::result(result::ERROR, 'socket_origin', $a),
            426 => self::result(result::ERROR, 'socket_upgrade', $a),
            default => self::result(result::ERROR, 'socket_down', $a),
        };
    }
}
