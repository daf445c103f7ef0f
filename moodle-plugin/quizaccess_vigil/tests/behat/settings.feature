@mod @mod_quiz @quizaccess @quizaccess_vigil
Feature: Decide whether and how a quiz is proctored
  In order to have a quiz proctored
  As a teacher
  I need to choose it and its policy in the quiz settings

  Background:
    Given the following "users" exist:
      | username | firstname | lastname |
      | teacher  | Tina      | Teacher  |
      | proctor  | Paul      | Proctor  |
      | student  | Sam       | Student  |
    And the following "courses" exist:
      | fullname | shortname |
      | Course 1 | C1        |
    And the following "course enrolments" exist:
      | user    | course | role           |
      | teacher | C1     | editingteacher |
      | proctor | C1     | teacher        |
      | student | C1     | student        |
    And the following "activities" exist:
      | activity | course | name   | idnumber |
      | quiz     | C1     | Quiz 1 | quiz1    |

  Scenario: A teacher has a quiz proctored, and what cannot be is refused
    Given I am on the "Quiz 1" "quiz activity editing" page logged in as "teacher"
    And I set the following fields to these values:
      | Proctored with Vigil                 | Yes  |
      | Minutes that may be proposed at most | 9999 |
    When I press "Save and display"
    Then I should see "Enter a whole number from 0 to 240."
    And I set the field "Minutes that may be proposed at most" to "20"
    And I press "Save and display"
    And I should see "This quiz is proctored with Vigil."
    And "Live proctoring" "link" should exist
    And I follow "Proctored attempts"
    And I should see "No attempt has been proctored yet."
    And I am on the "Quiz 1" "quiz activity editing" page
    And the field "Minutes that may be proposed at most" matches value "20"

  Scenario: Non-editing teachers proctor, students do not
    Given I am on the "Quiz 1" "quiz activity editing" page logged in as "teacher"
    And I set the field "Proctored with Vigil" to "Yes"
    And I press "Save and display"
    When I am on the "Quiz 1" "quiz activity" page logged in as "proctor"
    Then "Live proctoring" "link" should exist
    And I am on the "Quiz 1" "quiz activity" page logged in as "student"
    And I should see "This quiz is proctored with Vigil."
    And "Live proctoring" "link" should not exist
