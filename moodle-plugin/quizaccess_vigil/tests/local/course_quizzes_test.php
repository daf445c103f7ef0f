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

use PHPUnit\Framework\Attributes\CoversClass;

/**
 * Tests of the quizzes that a teacher can pick for a Vigil activity.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \quizaccess_vigil\local\course_quizzes
 */
#[CoversClass(course_quizzes::class)]
final class course_quizzes_test extends \advanced_testcase {
    /**
     * Only proctored quizzes of the course, for those who may proctor them.
     */
    public function test_the_quizzes_of_a_course(): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $generator = $this->getDataGenerator()->get_plugin_generator('quizaccess_vigil');
        [$quiz, $student] = $generator->create_quiz(['name' => 'Mid & <b>term</b>']);
        $generator->create_quiz();
        $this->getDataGenerator()->get_plugin_generator('mod_quiz')->create_instance(['course' => $quiz->course]);
        $teacher = $this->getDataGenerator()->create_and_enrol(get_course($quiz->course), 'teacher');
        $this->setUser($teacher);
        $found = course_quizzes::of((int)$quiz->course);
        $this->assertSame(['quiz-' . $quiz->cmid], array_column($found, 'id'));
        $this->assertStringContainsString('Mid & ', $found[0]['title']);
        $this->setUser($student);
        $this->assertSame([], course_quizzes::of((int)$quiz->course));
    }
}
