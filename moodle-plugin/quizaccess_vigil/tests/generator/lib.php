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
}
