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
use PHPUnit\Framework\Attributes\CoversClass;
use PHPUnit\Framework\Attributes\DataProvider;

/**
 * Tests of the health checks, against servers that answer as the test says.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\health
 */
#[CoversClass(health::class)]
final class health_test extends \advanced_testcase {
    /** @var string the tool's key set */
    private const KEYS = 'https://vigil.example/lti/keys';

    /** @var int the tool */
    private int $typeid;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->typeid = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_tool();
    }

    /**
     * A health check whose servers answer as they are told, by method and the end of the address.
     *
     * @param array $answers
     * @param string[] $blocked ends of addresses
     * @param \stdClass|null $log gets the requests
     * @return health
     */
    private function health(array $answers = [], array $blocked = [], ?\stdClass $log = null): health {
        $clock = $this->mock_clock_with_frozen(1795426800);
        $http = new class ($answers, $blocked, $log) extends http {
            /**
             * Constructor.
             *
             * @param array $answers
             * @param string[] $blocked
             * @param \stdClass|null $log
             */
            public function __construct(
                /** @var array answers */
                private readonly array $answers,
                /** @var string[] ends of addresses */
                private readonly array $blocked,
                /** @var \stdClass|null the requests */
                private readonly ?\stdClass $log,
            ) {
            }

            #[\Override]
            public function ask(
                string $method,
                string $url,
                array $headers = [],
                string $body = '',
                ?float $patience = null
            ): answer {
                if ($this->log) {
                    $this->log->requests[] = [$method, $url, $headers, $body];
                }
                foreach ($this->answers as $what => $answer) {
                    [$wanted, $end] = explode(' ', $what);
                    if ($wanted === $method && str_ends_with($url, $end)) {
                        return $answer;
                    }
                }
                return new answer(0, '', 'no route');
            }

            #[\Override]
            public function is_blocked(string $url): bool {
                foreach ($this->blocked as $end) {
                    if (str_ends_with($url, $end)) {
                        return true;
                    }
                }
                return false;
            }
        };
        return new health(new lti_setup(), $http, $clock);
    }

    /**
     * Looks, and checks that what was found is worded.
     *
     * @param health $health
     * @param string $topic
     * @param string $status
     * @param string $part of the words
     */
    private function assert_found(health $health, string $topic, string $status, string $part = ''): void {
        $result = $health->look($topic);
        $text = $result->get_summary() . ' ' . $result->get_details();
        $this->assertSame($status, $result->get_status(), $text);
        $this->assertStringNotContainsString('[[', $text);
        $this->assertStringNotContainsString('{$a', $text);
        if ($part !== '') {
            $this->assertStringContainsString($part, $text);
        }
        if (in_array($status, [result::ERROR, result::WARNING], true)) {
            $this->assertNotSame('', $result->get_details(), 'a fault without a word on what to do');
        }
    }

    /**
     * The tool: there and active, not active, none though quizzes need one, none and no quiz.
     */
    public function test_the_tool(): void {
        global $DB;
        $this->assert_found($this->health(), 'tool', result::OK, 'Vigil');
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_PENDING, ['id' => $this->typeid]);
        $this->assert_found($this->health(), 'tool', result::ERROR, 'Activate');
        set_config('typeid', 0, 'quizaccess_vigil');
        $this->assert_found($this->health(), 'tool', result::INFO);
        $this->assert_found($this->health(), 'socket', result::NA);
        $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil')->create_quiz();
        $this->assert_found($this->health(), 'tool', result::ERROR, '1 proctored');
    }

    /**
     * Both components have one version.
     */
    public function test_the_versions(): void {
        $this->assert_found($this->health(), 'versions', result::OK);
        set_config('version', 2020010100, 'ltiservice_vigil');
        $this->assert_found($this->health(), 'versions', result::ERROR, '2020010100');
        unset_config('version', 'ltiservice_vigil');
        $this->assert_found($this->health(), 'versions', result::ERROR, 'not installed');
    }

    /**
     * What the servers answer, and what is made of it.
     *
     * @return array[]
     */
    public static function answers(): array {
        $keys = '{"keys":[{"kid":"a"},{"kid":"b"}]}';
        return [
            'may be asked' => ['curl', [], [], result::OK, '443'],
            'may not be asked' => ['curl', [], ['/lti/keys'], result::ERROR, 'cURL blocked hosts'],
            'keys not asked for' => ['toolkeys', [], ['/lti/keys'], result::UNKNOWN, 'permission'],
            'time not asked for' => ['clock', [], ['/lti/keys'], result::UNKNOWN, 'permission'],
            'socket not asked for' => ['socket', [], ['/socket'], result::UNKNOWN, 'permission'],
            'keys' => ['toolkeys', ['GET /lti/keys' => new answer(200, $keys)], [], result::OK, '2 keys'],
            'no keys' => ['toolkeys', ['GET /lti/keys' => new answer(200, '{"keys":[]}')], [], result::ERROR, 'not a key set'],
            'an error page' => ['toolkeys', ['GET /lti/keys' => new answer(502, '<html>')], [], result::ERROR, '502'],
            'no answer' => ['toolkeys', [], [], result::ERROR, 'no route'],
            'the same version' => ['release',
                ['GET /api/v1/about' => new answer(200, '{"name":"Vigil","version":"0.3.0","assertion":3}')], [],
                result::OK, '0.3.0'],
            'an older tool' => ['release', ['GET /api/v1/about' => new answer(404, '{"code":"not_found"}')], [],
                result::WARNING, 'runs the Vigil server update it'],
            'a tool that says that it is older' => ['release', ['GET /api/v1/about' => new answer(200, '{"assertion":1}')], [],
                result::WARNING, 'older than this plugin'],
            'a tool that knows no groups' => ['release', ['GET /api/v1/about' => new answer(200, '{"assertion":2}')], [],
                result::WARNING, 'neither groups nor rights'],
            'a newer tool' => ['release', ['GET /api/v1/about' => new answer(200, '{"version":"9.0.0","assertion":4}')], [],
                result::WARNING, 'Update both plugins'],
            'a version of something else' => ['release', ['GET /api/v1/about' => new answer(200, '<html>')], [],
                result::ERROR, '/api/v1/about'],
            'a version that nobody tells' => ['release', ['GET /api/v1/about' => new answer(502)], [], result::ERROR, '502'],
            'a version not asked for' => ['release', [], ['/about'], result::UNKNOWN, 'permission'],
            'the same time' => ['clock', ['GET /lti/keys' => new answer(200, $keys, '', 1795426800)], [], result::OK, '0 s'],
            'late' => ['clock', ['GET /lti/keys' => new answer(200, $keys, '', 1795426790)], [], result::WARNING, '10 s'],
            'early' => ['clock', ['GET /lti/keys' => new answer(200, $keys, '', 1795426900)], [], result::ERROR, 'NTP'],
            'no time' => ['clock', ['GET /lti/keys' => new answer(200, $keys)], [], result::UNKNOWN, ''],
            'own keys of another' => ['ownkeys', ['GET /mod/lti/certs.php' => new answer(200, $keys)], [], result::ERROR, 'caches'],
            'own keys unreadable' => ['ownkeys', ['GET /mod/lti/certs.php' => new answer(404)], [], result::ERROR, 'wwwroot'],
            'own keys not asked for' => ['ownkeys', [], ['/certs.php'], result::UNKNOWN, 'no fault'],
            'control, no path' => ['control', ['GET /assessmentcontrol' => new answer(400)], [], result::ERROR, 'PATH_INFO'],
            'control down' => ['control', [], [], result::ERROR, 'no route'],
            'control not asked' => ['control', [], ['/assessmentcontrol'], result::UNKNOWN, 'no fault'],
            'control without its header' => ['control',
                ['GET /assessmentcontrol' => new answer(405), 'POST /assessmentcontrol' => new answer(401)], [],
                result::ERROR, 'CGIPassAuth'],
            'control broken' => ['control',
                ['GET /assessmentcontrol' => new answer(405), 'POST /assessmentcontrol' => new answer(500)], [],
                result::ERROR, '500'],
            'control' => ['control',
                ['GET /assessmentcontrol' => new answer(405), 'POST /assessmentcontrol' => new answer(400)], [],
                result::OK, ''],
            'trust' => ['trust', ['POST /attempts/ended' => new answer(404, '{"code":"not_found"}')], [], result::OK, 'believed'],
            'trust, another 404' => ['trust', ['POST /attempts/ended' => new answer(404, '<html>')], [], result::ERROR, '404'],
            'trust without keys' => ['trust',
                ['POST /attempts/ended' => new answer(503, '{"code":"unavailable","detail":"No keys."}')], [],
                result::ERROR, 'No keys.'],
            'no trust' => ['trust',
                ['POST /attempts/ended' => new answer(401, '{"code":"unauthorized","detail":"Not active."}')], [],
                result::ERROR, 'Not active.'],
            'trust not asked for' => ['trust', [], ['/attempts/ended'], result::UNKNOWN, 'permission'],
            'trust, nobody there' => ['trust', [], [], result::ERROR, 'no route'],
            'a socket' => ['socket', ['GET /socket' => new answer(401)], [], result::OK, ''],
            'a socket not for us' => ['socket', ['GET /socket' => new answer(403)], [], result::ERROR, 'vigil platform list'],
            'a socket behind a proxy' => ['socket', ['GET /socket' => new answer(426)], [], result::ERROR, 'Upgrade'],
            'no socket' => ['socket', ['GET /socket' => new answer(502)], [], result::ERROR, '502'],
        ];
    }

    /**
     * Each answer is understood.
     *
     * @param string $topic
     * @param array $answers
     * @param string[] $blocked
     * @param string $status
     * @param string $part
     * @dataProvider answers
     */
    #[DataProvider('answers')]
    public function test_what_is_found(string $topic, array $answers, array $blocked, string $status, string $part): void {
        $this->assert_found($this->health($answers, $blocked), $topic, $status, $part);
    }

    /**
     * This site's own key is recognised.
     */
    public function test_own_keys(): void {
        $kid = (new lti_setup())->key_id();
        $answers = ['GET /mod/lti/certs.php' => new answer(200, json_encode(['keys' => [['kid' => 'x'], ['kid' => $kid]]]))];
        $this->assert_found($this->health($answers), 'ownkeys', result::OK);
    }

    /**
     * The token with which the service is tried is one of the tool's, and is taken back.
     */
    public function test_the_trial_token_is_taken_back(): void {
        global $DB;
        $log = (object)['requests' => []];
        $answers = ['GET /assessmentcontrol' => new answer(405), 'POST /assessmentcontrol' => new answer(400)];
        $this->assert_found($this->health($answers, [], $log), 'control', result::OK);
        $this->assertMatchesRegularExpression('/^Authorization: Bearer \w{16,}$/', $log->requests[1][2][0]);
        $this->assertSame(0, $DB->count_records('lti_access_tokens'));
    }

    /**
     * A site with https needs a tool with https.
     */
    public function test_mixed_content(): void {
        global $CFG, $DB;
        $CFG->wwwroot = 'https://moodle.example';
        $DB->set_field('lti_types_config', 'value', 'http://vigil.example/lti/login', ['name' => 'initiatelogin']);
        $this->assert_found($this->health(), 'socket', result::ERROR, 'https');
    }

    /**
     * The site's status report has all of them.
     */
    public function test_the_status_report(): void {
        $checks = array_filter(
            \core\check\manager::get_status_checks(),
            static fn($check) => $check instanceof \quizaccess_vigil\check\link
        );
        $this->assertCount(count(health::TOPICS), $checks);
        foreach ($checks as $check) {
            $this->assertStringNotContainsString('[[', $check->get_name());
        }
    }
}
