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
use PHPUnit\Framework\Attributes\CoversClass;

/**
 * Who may ask for groups and rights, and how it is answered.
 *
 * @package    ltiservice_vigil
 * @category   test
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \ltiservice_vigil\local\resources\access
 */
#[CoversClass(access::class)]
final class access_test extends \advanced_testcase {
    /** @var array what the request had before */
    private array $before;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->before = [$_GET, $_SERVER];
    }

    protected function tearDown(): void {
        [$_GET, $_SERVER] = $this->before;
        parent::tearDown();
    }

    /**
     * Asks.
     *
     * @param string $token
     * @param string $link
     * @param string $body
     * @return array status, the answer, and its media type
     */
    private function ask(string $token, string $link, string $body = '{"users":[]}'): array {
        $_SERVER['REQUEST_METHOD'] = 'POST';
        $_SERVER['HTTP_AUTHORIZATION'] = 'Bearer ' . $token;
        $_GET['resource_link'] = $link;
        $response = new \mod_lti\local\ltiservice\response();
        $response->set_request_data($body);
        (new access(new vigil()))->execute($response);
        return [$response->get_code(), json_decode((string)$response->get_body(), true), $response->get_content_type()];
    }

    /**
     * Makes an access token.
     *
     * @param int $typeid
     * @param string $scope
     * @return string
     */
    private function token(int $typeid, string $scope = vigil::SCOPE_CONTROL): string {
        global $CFG;
        require_once($CFG->dirroot . '/mod/lti/locallib.php');
        return lti_new_access_token($typeid, [$scope])->token;
    }

    /**
     * The tool that proctors is answered, at the address that launches tell.
     */
    public function test_the_tool_is_answered(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $typeid = $generator->create_tool();
        [$quiz, $student] = $generator->create_quiz(['name' => 'Midterm', 'groupmode' => SEPARATEGROUPS]);
        $group = $this->getDataGenerator()->create_group(['courseid' => $quiz->course, 'name' => 'Gruppe "Ä" / 1']);
        groups_add_member($group, $student);
        $link = 'quiz-' . $quiz->cmid;
        $this->assertStringEndsWith('/mod/lti/services.php/access?resource_link=' . $link, (new vigil())->get_access_url($link));
        $resource = new access(new vigil());
        $this->assertSame(['/access', ['POST']], [$resource->get_template(), $resource->get_methods()]);
        $this->assertSame(['application/vnd.vigil.access.v1+json', 'application/json'], $resource->get_formats());

        $body = json_encode(['users' => [(string)get_admin()->id]]);
        [$status, $answer, $type] = $this->ask($this->token($typeid), $link, $body);
        $this->assertSame([200, 'application/vnd.vigil.access.v1+json'], [$status, $type]);
        $this->assertSame([true, []], [$answer['staff'][0]['all'], $answer['staff'][0]['groups']]);
        $this->assertSame(
            [(string)$student->id, [['id' => (string)$group->id, 'name' => 'Gruppe "Ä" / 1']]],
            [$answer['students'][0]['user'], $answer['students'][0]['groups']]
        );
        $this->assertGreaterThan(1e12, $answer['students'][0]['version']);

        $this->assertSame(404, $this->ask($this->token($typeid), 'quiz-99999999')[0]);
        $this->assertSame(400, $this->ask($this->token($typeid), $link, '{}')[0]);
        $this->assertSame(400, $this->ask($this->token($typeid), $link, str_repeat(' ', 65537))[0]);
    }

    /**
     * Without a token of the tool that proctors, with the scope, while it is active, nothing is told.
     */
    public function test_others_are_refused(): void {
        global $DB;
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        $former = $generator->create_tool();
        $typeid = $generator->create_tool();
        [$quiz] = $generator->create_quiz();
        $link = 'quiz-' . $quiz->cmid;
        $this->assertSame(200, $this->ask($this->token($typeid), $link)[0]);
        $this->assertSame(401, $this->ask('nothing', $link)[0]);
        $this->assertSame(401, $this->ask($this->token($typeid, 'https://example.org/other'), $link)[0]);
        $this->assertSame(401, $this->ask($this->token($former), $link)[0]);
        $token = $this->token($typeid);
        $DB->set_field('lti_types', 'state', LTI_TOOL_STATE_PENDING, ['id' => $typeid]);
        $this->assertSame(401, $this->ask($token, $link)[0]);
    }
}
