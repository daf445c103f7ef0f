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

use moodle_exception;
use moodle_url;
use stdClass;

/**
 * The only caller of mod_lti: core plans to move LTI elsewhere, and this class is all that has to follow.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class lti_bridge {
    /** @var string what claims of the Proctoring Services begin with */
    public const CLAIM_AP = 'https://purl.imsglobal.org/spec/lti-ap/claim/';

    /** @var string what claims of LTI begin with */
    public const CLAIM_LTI = 'https://purl.imsglobal.org/spec/lti/claim/';

    /** @var string the message that begins a proctored attempt */
    public const START = 'LtiStartProctoring';

    /** @var string the message that ends it */
    public const END = 'LtiEndAssessment';

    /** @var string core's name of the message that opens the tool */
    public const LIVE = 'basic-lti-launch-request';

    /** @var string[] what the Assessment Control Service does */
    public const ACTIONS = ['flag', 'pause', 'resume', 'terminate', 'update'];

    /** @var int seconds for which a tool that let us wait is not asked again: a whole class would wait for it in turn */
    private const SILENCE = 3;

    /** @var float seconds from which on that is so: what refuses at once may be asked by everyone, and heard when it is back */
    private const LONG = 0.5;

    /**
     * Loads core's functions.
     */
    public function __construct() {
        global $CFG;
        require_once($CFG->dirroot . '/mod/lti/locallib.php');
    }

    /**
     * The LTI 1.3 tools of the site.
     *
     * @return string[] type id => name
     */
    public function tools(): array {
        global $DB;
        $tools = [];
        foreach ($DB->get_records('lti_types', ['ltiversion' => LTI_VERSION_1P3], 'name', 'id, name, state') as $type) {
            $tools[$type->id] = format_string($type->name, true, ['context' => \context_system::instance()]);
            if ((int)$type->state !== LTI_TOOL_STATE_CONFIGURED) {
                $tools[$type->id] = get_string('typeid_inactive', 'quizaccess_vigil', $tools[$type->id]);
            }
        }
        return $tools;
    }

    /**
     * The tool that proctors, as the settings have it.
     *
     * @return stdClass|null id, name, active, clientid, loginurl, toolurl, origin; null: none is chosen, or it is gone
     */
    public function tool(): ?stdClass {
        return $this->tool_by_id((int)get_config('quizaccess_vigil', 'typeid'));
    }

    /**
     * A tool.
     *
     * @param int $typeid
     * @return stdClass|null
     */
    public function tool_by_id(int $typeid): ?stdClass {
        $type = $typeid ? lti_get_type($typeid) : null;
        if (!$type || $type->ltiversion !== LTI_VERSION_1P3) {
            return null;
        }
        $config = lti_get_type_type_config($typeid);
        $parts = parse_url(trim($config->lti_initiatelogin ?? '')) ?: [];
        if (empty($parts['scheme']) || empty($parts['host'])) {
            return null;
        }
        return (object)[
            'id' => (int)$type->id,
            'name' => $type->name,
            'active' => (int)$type->state === LTI_TOOL_STATE_CONFIGURED,
            'clientid' => (string)$type->clientid,
            'loginurl' => trim($config->lti_initiatelogin),
            'toolurl' => trim($config->lti_toolurl),
            'keyseturl' => trim($config->lti_publickeyset ?? ''),
            'origin' => $parts['scheme'] . '://' . $parts['host'] . (isset($parts['port']) ? ':' . $parts['port'] : ''),
        ];
    }

    /**
     * Whether a client id is that of the tool that proctors, or of another registration of it.
     *
     * @param string $clientid
     * @return bool
     */
    public function is_client(string $clientid): bool {
        global $DB;
        if ($clientid === '') {
            return false;
        }
        $tool = $this->tool_by_id((int)$DB->get_field('lti_types', 'id', ['clientid' => $clientid]));
        return $tool && $tool->origin === $this->tool()?->origin;
    }

    /**
     * Whether people's names are shared with the tool that proctors, as its settings have it.
     *
     * @return bool
     */
    public function shares_names(): bool {
        $tool = $this->tool();
        $sent = $tool ? lti_get_type_config($tool->id)['sendname'] ?? LTI_SETTING_NEVER : LTI_SETTING_NEVER;
        // Where activities decide, launches of quizzes have the name.
        return (int)$sent !== LTI_SETTING_NEVER;
    }

    /**
     * The tool that proctors, ready for a launch.
     *
     * @return stdClass
     * @throws moodle_exception with a message for people: none is chosen, it is not active
     */
    public function ready_tool(): stdClass {
        $tool = $this->tool();
        if (!$tool) {
            throw new moodle_exception('errornotool', 'quizaccess_vigil');
        }
        if (!$tool->active) {
            throw new moodle_exception('errortoolinactive', 'quizaccess_vigil');
        }
        return $tool;
    }

    /**
     * Asks the tool's host for its keys, which a launch needs anyway, so that a student hears at once when it is down.
     *
     * @param stdClass $tool
     * @param int $patience seconds for an answer
     * @throws moodle_exception
     */
    public function require_answer(stdClass $tool, int $patience = 6): void {
        $cache = \cache::make('quizaccess_vigil', 'probe');
        $silent = $cache->get((string)$tool->id);
        if ($silent && $silent['url'] === $tool->keyseturl && $silent['time'] > time() - self::SILENCE) {
            throw new moodle_exception('errortooldown', 'quizaccess_vigil', '', null, 'asked a moment ago');
        }
        $begin = microtime(true);
        $answer = \core\di::get(http::class)->ask('GET', $tool->keyseturl, [], '', $patience);
        if ($answer->status !== 200) {
            if (microtime(true) - $begin > self::LONG) {
                $cache->set((string)$tool->id, ['url' => $tool->keyseturl, 'time' => time()]);
            }
            throw new moodle_exception('errortooldown', 'quizaccess_vigil', '', null, $answer->summary());
        }
    }

    /**
     * Begins a launch without a course module. The caller must keep the launch id: core keeps it in the session, until it is used.
     *
     * @param stdClass $tool
     * @param int $courseid
     * @param string $message
     * @return array the login's parameters, and the launch id
     */
    public function begin(stdClass $tool, int $courseid, string $message): array {
        $params = lti_build_login_request($courseid, 0, null, lti_get_type_type_config($tool->id), $message);
        return [$params, json_decode($params['lti_message_hint'])->launchid];
    }

    /**
     * Signs the message of a launch.
     *
     * @param stdClass $tool
     * @param stdClass $course
     * @param string $message
     * @param array $link id and title of the resource link
     * @param array $params of the message itself, by the names that ltiservice_vigil maps
     * @param string $returnurl
     * @param string $nonce
     * @param bool|null $proctor what the person is; null: as core sees it
     * @return string[] the fields to post
     */
    public function sign(
        stdClass $tool,
        stdClass $course,
        string $message,
        array $link,
        array $params,
        string $returnurl,
        string $nonce,
        ?bool $proctor = null
    ): array {
        $config = lti_get_type_config($tool->id);
        $fake = (object)[
            'id' => 0,
            'cmid' => 0,
            'course' => $course->id,
            'name' => $link['title'],
            'resource_link_id' => $link['id'],
            'instructorchoicesendname' => LTI_SETTING_ALWAYS,
            'instructorchoicesendemailaddr' => LTI_SETTING_NEVER,
        ];
        $all = array_merge(
            lti_build_request($fake, $config, $course, $tool->id, false, $message),
            lti_build_standard_message($fake, lti_get_organizationid($config), LTI_VERSION_1P3, $message),
            [
                'launch_presentation_document_target' => 'window',
                'launch_presentation_return_url' => $returnurl,
            ],
            $params
        );
        if ($proctor !== null) {
            // Core knows no course module here, and would make a non-editing teacher a learner.
            $all['roles'] = $proctor ? 'Instructor' : 'Learner';
        }
        return lti_sign_jwt($all, $tool->toolurl, $tool->clientid, $tool->id, $nonce);
    }

    /**
     * The address of our Assessment Control Service.
     *
     * @return string
     */
    public function control_url(): string {
        return (new \ltiservice_vigil\local\service\vigil())->get_control_url();
    }

    /**
     * Where the tool asks who may see and do what at a quiz.
     *
     * @param int $cmid
     * @return string
     */
    public function access_url(int $cmid): string {
        return (new \ltiservice_vigil\local\service\vigil())->get_access_url(self::link_id($cmid));
    }

    /**
     * Verifies what the tool signed. Signature, exp, nbf and iat only: the rest is the caller's affair.
     *
     * @param stdClass $tool
     * @param string $jwt
     * @return stdClass the payload
     * @throws moodle_exception
     */
    public function verify(stdClass $tool, string $jwt): stdClass {
        try {
            lti_verify_jwt_signature($tool->id, $tool->clientid, $jwt);
        } catch (\Throwable $e) {
            // Core throws many kinds of things here, among them a TypeError when the keys cannot be fetched.
            throw new moodle_exception('errorstartsignature', 'quizaccess_vigil', '', null, $e->getMessage());
        }
        return self::payload($jwt);
    }

    /**
     * Reads the payload of a JWT, verified or not.
     *
     * @param string $jwt
     * @return stdClass
     * @throws moodle_exception
     */
    public static function payload(string $jwt): stdClass {
        $parts = explode('.', $jwt);
        $payload = count($parts) === 3 ? json_decode(\Firebase\JWT\JWT::urlsafeB64Decode($parts[1])) : null;
        if (!$payload instanceof stdClass) {
            throw new moodle_exception('errorstartform', 'quizaccess_vigil');
        }
        return $payload;
    }

    /**
     * Signs claims with the site's LTI key.
     *
     * @param array $claims
     * @return string
     */
    public function sign_claims(array $claims): string {
        $key = \mod_lti\local\ltiopenid\jwks_helper::get_private_key();
        return \Firebase\JWT\JWT::encode($claims, $key['key'], 'RS256', $key['kid']);
    }

    /**
     * Who this platform is.
     *
     * @return string
     */
    public function issuer(): string {
        global $CFG;
        return $CFG->wwwroot;
    }

    /**
     * The id by which the tool knows a quiz.
     *
     * @param int $cmid
     * @return string
     */
    public static function link_id(int $cmid): string {
        return 'quiz-' . $cmid;
    }

    /**
     * The quiz that the tool knows by an id.
     *
     * @param string $linkid
     * @return int the course module; 0: it is none of ours
     */
    public static function cmid_of(string $linkid): int {
        return preg_match('/^quiz-([1-9]\d{0,17})$/D', $linkid, $found) ? (int)$found[1] : 0;
    }

    /**
     * Where the tool takes assertions.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function token_endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/socket/token';
    }

    /**
     * Where the tool takes WebSockets.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function socket_endpoint(stdClass $tool): string {
        return preg_replace('/^http/', 'ws', $tool->origin) . '/socket';
    }

    /**
     * Where the tool takes reports of opened attempts.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function opened_endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/attempts/opened';
    }

    /**
     * Where the tool takes reports of ended attempts.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function ended_endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/attempts/ended';
    }

    /**
     * Where the tool takes reports of how an attempt stands.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function standing_endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/attempts/standing';
    }

    /**
     * Where the tool takes reports of changed groups and rights.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function access_endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/access';
    }

    /**
     * Where the tool says what it is.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function about_endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/about';
    }

    /**
     * Asks the tool for all that it keeps of an attempt.
     *
     * @param stdClass $session
     * @return stdClass|null null: it keeps nothing, or the tool is gone
     * @throws moodle_exception when it does not answer
     */
    public function tool_copy(stdClass $session): ?stdClass {
        $tool = $this->tool_by_id((int)$session->typeid);
        if (!$tool) {
            return null;
        }
        $now = standing::milliseconds(\core\di::get(\core\clock::class));
        $claims = assertion::export($this->issuer(), $tool->clientid, $session, $now);
        $answer = \core\di::get(http::class)->tell(
            $tool->origin . '/api/v1/attempts/export',
            $this->sign_claims($claims),
            http::EXPORT_PATIENCE
        );
        if ($answer->status === 404 && $answer->code() === 'not_found') {
            return null;
        }
        $copy = json_decode($answer->body);
        if ($answer->status !== 200 || !$copy instanceof stdClass) {
            throw new moodle_exception('errortoolexport', 'quizaccess_vigil', '', null, $answer->summary());
        }
        return $copy;
    }
}
