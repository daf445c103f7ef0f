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

use quizaccess_vigil\local\session_store;

/**
 * Makes proctored quizzes and attempts for tests.
 *
 * @package    quizaccess_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class quizaccess_vigil_generator extends component_generator_base {
    /**
     * Makes a tool, and chooses it in the settings.
     *
     * @param array $fields
     * @return int the type's id
     */
    public function create_tool(array $fields = []): int {
        global $CFG;
        require_once($CFG->dirroot . '/mod/lti/locallib.php');
        $id = lti_add_type((object)['state' => $fields['state'] ?? LTI_TOOL_STATE_CONFIGURED], (object)[
            'lti_typename' => 'Vigil', 'lti_toolurl' => 'https://vigil.example/lti/launch', 'lti_ltiversion' => LTI_VERSION_1P3,
            'lti_keytype' => 'JWK_KEYSET', 'lti_publickeyset' => 'https://vigil.example/lti/keys',
            'lti_initiatelogin' => 'https://vigil.example/lti/login', 'lti_redirectionuris' => 'https://vigil.example/lti/launch',
            'lti_sendname' => 1, 'lti_sendemailaddr' => 0, 'lti_acceptgrades' => 0, 'lti_clientid' => '',
            'lti_launchcontainer' => LTI_LAUNCH_CONTAINER_WINDOW, 'lti_coursevisible' => 1,
        ]);
        set_config('typeid', $id, 'quizaccess_vigil');
        return $id;
    }

    /**
     * Makes a proctored quiz with one question, and a student.
     *
     * @param array $fields of the quiz
     * @return array quiz, student
     */
    public function create_quiz(array $fields = []): array {
        global $DB;
        $generator = $this->datagenerator;
        $course = $generator->create_course();
        $student = $generator->create_and_enrol($course, 'student');
        $quiz = $generator->get_plugin_generator('mod_quiz')->create_instance($fields + [
            'course' => $course->id, 'grade' => 10, 'sumgrades' => 1, 'questionsperpage' => 0,
        ]);
        $questions = $generator->get_plugin_generator('core_question');
        $category = $questions->create_question_category();
        $question = $questions->create_question('truefalse', null, ['category' => $category->id]);
        quiz_add_quiz_question($question->id, $quiz);
        $DB->insert_record('quizaccess_vigil', (object)[
            'quizid' => $quiz->id, 'enabled' => 1, 'policy' => null, 'timemodified' => time(),
        ]);
        return [$quiz, $student];
    }

    /**
     * Begins an attempt that has passed the check-in.
     *
     * @param stdClass $quiz
     * @param stdClass $student
     * @param int $typeid
     * @return stdClass the session
     */
    public function create_session(stdClass $quiz, stdClass $student, int $typeid = 1): stdClass {
        global $USER;
        $quizobj = \mod_quiz\quiz_settings::create($quiz->id, $student->id);
        $before = $USER;
        \core\session\manager::set_user($student);
        $number = session_store::attempt_number($quiz->id, $student->id, null);
        $attempt = quiz_prepare_and_start_new_attempt($quizobj, $number, false, false, [], [], $student->id);
        \core\session\manager::set_user($before);
        $store = new session_store(\core\di::get(\core\clock::class));
        $session = $store->open((object)[
            'quizid' => $quiz->id, 'userid' => $student->id, 'attempt' => $number, 'cmid' => $quiz->cmid, 'typeid' => $typeid,
            'endreturn' => 0,
        ]);
        $session->attemptid = $attempt->id;
        $store->save($session);
        return $session;
    }

    /**
     * Has the tool answer with a key set for receipts.
     *
     * @return \quizaccess_vigil\local\http with up, off (seconds that its clock is ahead) and asked
     */
    public function serve_receipt_keys(): \quizaccess_vigil\local\http {
        $clock = \core\di::get(\core\clock::class);
        $http = new class ($clock) extends \quizaccess_vigil\local\http {
            /** @var bool it answers */
            public bool $up = true;
            /** @var int seconds that its clock is ahead */
            public int $off = 0;
            /** @var int how often it was asked */
            public int $asked = 0;
            /** @var string the id of its key */
            public string $kid = 'good';

            /**
             * Constructor.
             *
             * @param \core\clock $clock
             */
            public function __construct(
                /** @var \core\clock ours */
                private readonly \core\clock $clock,
            ) {
            }

            /**
             * Answers.
             *
             * @param string $method
             * @param string $url
             * @param string[] $headers
             * @param string $body
             * @param float|null $patience
             * @return \quizaccess_vigil\local\answer
             */
            public function ask(
                string $method,
                string $url,
                array $headers = [],
                string $body = '',
                ?float $patience = null
            ): \quizaccess_vigil\local\answer {
                $this->asked++;
                if (!$this->up) {
                    return new \quizaccess_vigil\local\answer(0, '', 'down');
                }
                $public = sodium_crypto_sign_publickey(sodium_crypto_sign_seed_keypair(str_repeat("\1", 32)));
                $x = rtrim(strtr(base64_encode($public), '+/', '-_'), '=');
                $key = ['kty' => 'OKP', 'crv' => 'Ed25519', 'alg' => 'EdDSA', 'kid' => $this->kid, 'x' => $x];
                return new \quizaccess_vigil\local\answer(
                    200,
                    json_encode(['keys' => [$key]]),
                    '',
                    $this->clock->time() + $this->off
                );
            }
        };
        \core\di::set(
            \quizaccess_vigil\local\receipt_keys::class,
            new \quizaccess_vigil\local\receipt_keys($clock, $http)
        );
        return $http;
    }

    /**
     * Signs a receipt as the tool does.
     *
     * @param stdClass $session
     * @param string $nonce
     * @param int $from in milliseconds
     * @param int $until
     * @param array $edit of the claims
     * @param string $kid
     * @return string
     */
    public function receipt(
        stdClass $session,
        string $nonce,
        int $from,
        int $until,
        array $edit = [],
        string $kid = 'good'
    ): string {
        $bridge = new \quizaccess_vigil\local\lti_bridge();
        $lti = \quizaccess_vigil\local\lti_bridge::CLAIM_LTI;
        $claims = $edit + [
            'iss' => $bridge->tool_by_id((int)$session->typeid)->clientid, 'aud' => $bridge->issuer(),
            'sub' => (string)$session->userid, 'iat' => intdiv($until, 1000), 'token_use' => 'receipt', 'vigil' => 1,
            $lti . 'deployment_id' => (string)$session->typeid,
            $lti . 'resource_link' => ['id' => \quizaccess_vigil\local\lti_bridge::link_id((int)$session->cmid)],
            \quizaccess_vigil\local\lti_bridge::CLAIM_AP . 'attempt_number' => (int)$session->attempt,
            'page' => $nonce, 'from' => $from, 'until' => $until, 'watched' => 1,
        ];
        $part = static fn($raw) => rtrim(strtr(base64_encode($raw), '+/', '-_'), '=');
        $head = ['alg' => 'EdDSA', 'typ' => 'vigil-receipt+jwt', 'kid' => $kid];
        $input = $part(json_encode($head)) . '.' . $part(json_encode($claims));
        $secret = sodium_crypto_sign_secretkey(sodium_crypto_sign_seed_keypair(str_repeat("\1", 32)));
        return $input . '.' . $part(sodium_crypto_sign_detached($input, $secret));
    }
}
