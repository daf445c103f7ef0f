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

/**
 * English strings of the Vigil quiz access rule.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['admission'] = 'A proctor admits each student';
$string['admission_help'] = 'Students wait after the check-in until a proctor lets them begin.';
$string['attention'] = 'Draw attention from';
$string['attention_1'] = 'Everything noticed';
$string['attention_3'] = 'Noticeable (recommended)';
$string['attention_6'] = 'Serious';
$string['attention_9'] = 'Grave only';
$string['attention_help'] = 'What the browser notices has a weight. From this weight on it is shown to proctors as an incident. Nothing ever ends an attempt by itself.';
$string['cachedef_probe'] = 'When the proctoring tool answered';
$string['enabled'] = 'Proctored with Vigil';
$string['enabled_help'] = 'Students pass a short check-in before the attempt, and a proctor can see whether they are connected, talk to them, and pause, extend or end the attempt. No camera and no microphone are used.';
$string['end_message'] = 'Tell Vigil in the browser, too, when the attempt ends';
$string['end_message_help'] = 'Vigil hears from this site when an attempt ends. With this setting the student\'s browser also passes by Vigil on its way to the review.';
$string['errorbrowser'] = 'This quiz is proctored with Vigil and can only be attempted in a web browser. Open the course in a browser and start the attempt there.';
$string['errorbusy'] = 'Your attempt is being worked on at this moment. Try again.';
$string['errorcodegone'] = 'This page works once, for a few minutes, in the browser that came from the check-in. Start the attempt again from the quiz.';
$string['errorended'] = 'This attempt has ended. Answers are no longer taken.';
$string['errorendnottold'] = 'The proctoring tool did not take the report that an attempt has ended.';
$string['errorlaunchgone'] = 'This launch was used already. Go back to the quiz and start from there.';
$string['errorloginas'] = 'You are logged in as another user. A proctored attempt can only be opened by the student.';
$string['errornopermit'] = 'The check-in opens when you start the attempt. Go back to the quiz and start from there.';
$string['errornosession'] = 'This is not a proctored attempt of yours.';
$string['errornotcheckedin'] = 'This browser has not passed the check-in of this attempt. Go back to the quiz and continue the attempt from there.';
$string['errornotool'] = 'This quiz is proctored, but no proctoring tool is set up on this site. Tell your teacher. An administrator chooses the tool in the settings of the Vigil quiz access rule.';
$string['errornotproctored'] = 'This quiz is not proctored.';
$string['errorothernumber'] = 'The attempt that you checked in for has ended meanwhile. Go back to the quiz.';
$string['errorotheruser'] = 'You have logged in as somebody else since the check-in. Log in as the student who passed it, or start the attempt again from the quiz.';
$string['errorpaused'] = 'A proctor has paused this attempt. What you save now is not taken; what was saved before is kept.';
$string['errorrange'] = 'Enter a whole number from {$a->least} to {$a->most}.';
$string['errorstartclaim'] = 'The message from the proctoring tool does not fit to your launch ({$a}). Start the attempt again from the quiz. If it happens again, tell your teacher.';
$string['errorstartform'] = 'The message from the proctoring tool cannot be read. Start the attempt again from the quiz.';
$string['errorstartlate'] = 'The way back from the check-in took too long, or was used already. Start the attempt again from the quiz.';
$string['errorstartsignature'] = 'The message from the proctoring tool could not be verified. Start the attempt again from the quiz. If it happens again, tell your teacher: this site may not be able to reach the tool\'s keys.';
$string['errorstarttool'] = 'The proctoring tool reports: {$a}';
$string['errortooldown'] = 'The proctoring tool does not answer at the moment, so the attempt was not started. Nothing is lost: wait a minute and try again, or tell your teacher.';
$string['errortoolinactive'] = 'This quiz is proctored, but the proctoring tool is switched off on this site. Tell your teacher. An administrator activates it among the external tools.';
$string['event_attempt_paused'] = 'Proctored attempt paused';
$string['event_attempt_resumed'] = 'Proctored attempt resumed';
$string['event_attempt_terminated'] = 'Proctored attempt ended by a proctor';
$string['event_dashboard_opened'] = 'Proctoring dashboard opened';
$string['event_incident_flagged'] = 'Proctored attempt flagged';
$string['event_session_started'] = 'Proctoring check-in passed';
$string['event_time_extended'] = 'Extra time given by a proctor';
$string['fullscreen'] = 'Ask students to stay in full screen';
$string['fullscreen_help'] = 'Leaving full screen is noticed, never prevented.';
$string['link_loss'] = 'Time lost by the student\'s own connection';
$string['link_loss_ask'] = 'Propose it to the proctor';
$string['link_loss_never'] = 'Do not give it back';
$string['live'] = 'Live proctoring';
$string['lost_time_cap'] = 'Minutes that may be proposed at most';
$string['notice'] = 'You are now taken to a short check-in. It says what your browser reports during the attempt, asks for your agreement, and checks your connection. No camera and no microphone are used. Then the attempt begins.';
$string['onemoment'] = 'One moment…';
$string['panel_about_connected'] = 'Your proctors can see that you are here. Write to them if you need anything.';
$string['panel_about_connecting'] = 'Looking for the proctoring server. You can go on working.';
$string['panel_about_elsewhere'] = 'This exam is open in another tab or on another device.';
$string['panel_about_ended'] = 'Proctoring of this attempt has ended.';
$string['panel_about_offline'] = 'Your proctors cannot reach you. You can go on working; what you write here is sent when the connection is back.';
$string['panel_about_paused'] = 'Your exam is paused.';
$string['panel_about_reconnecting'] = 'The connection broke off a moment ago. You can go on working.';
$string['panel_about_saving'] = 'You are connected. The server keeps what it could not save yet and saves it later.';
$string['panel_about_stopped'] = 'Proctoring could not be connected on this page. Your answers are not affected. Reload the page, or tell your proctor.';
$string['panel_admit_title'] = 'You may begin';
$string['panel_back'] = 'Connected again.';
$string['panel_chat_empty'] = 'No messages yet.';
$string['panel_chat_failed'] = 'Not sent';
$string['panel_chat_label'] = 'Your message';
$string['panel_chat_long'] = 'This message is too long.';
$string['panel_chat_proctor'] = 'Proctor';
$string['panel_chat_send'] = 'Send';
$string['panel_chat_sending'] = 'Sending…';
$string['panel_chat_title'] = 'Messages with your proctors';
$string['panel_chat_you'] = 'You';
$string['panel_close'] = 'Close';
$string['panel_elsewhere_here'] = 'Go on here';
$string['panel_elsewhere_text'] = 'Another tab or device has taken over. Work in one place only.';
$string['panel_elsewhere_title'] = 'This exam is open elsewhere';
$string['panel_extend_end'] = 'Your attempt now ends at {$a->time}.';
$string['panel_extend_text'] = '{$a->time} added by {$a->name}.';
$string['panel_extend_title'] = 'You have more time';
$string['panel_full_enter'] = 'Enter full screen';
$string['panel_full_refuse'] = 'Not now';
$string['panel_full_text'] = 'This exam asks to be shown in full screen.';
$string['panel_full_title'] = 'Full screen';
$string['panel_hand_down'] = 'Your hand is down.';
$string['panel_hand_lower'] = 'Lower hand';
$string['panel_hand_raise'] = 'Raise hand';
$string['panel_hand_up'] = 'Your hand is raised. A proctor will see it.';
$string['panel_message_ok'] = 'OK';
$string['panel_message_title'] = 'Message from {$a->name}';
$string['panel_name_proctor'] = 'your proctor';
$string['panel_open'] = 'Messages';
$string['panel_panel'] = 'Exam proctoring';
$string['panel_pause_left'] = 'Time left when you go on: {$a->time}';
$string['panel_pause_reason'] = 'Reason: {$a->reason}';
$string['panel_pause_text'] = 'A proctor paused your exam. Your time stands still and your answers are kept. Stay here: it goes on by itself.';
$string['panel_pause_title'] = 'Your exam is paused';
$string['panel_reactivate_title'] = 'Your attempt was opened again';
$string['panel_resume_text'] = 'You are back in.';
$string['panel_resume_title'] = 'Your exam goes on';
$string['panel_status_connected'] = 'Proctor connected';
$string['panel_status_connecting'] = 'Connecting…';
$string['panel_status_elsewhere'] = 'Open elsewhere';
$string['panel_status_ended'] = 'Ended';
$string['panel_status_offline'] = 'Offline since {$a->time}';
$string['panel_status_paused'] = 'Paused';
$string['panel_status_reconnecting'] = 'Reconnecting…';
$string['panel_status_saving'] = 'Connected, saving later';
$string['panel_status_stopped'] = 'Not connected';
$string['panel_terminate_back'] = 'Leave this page';
$string['panel_terminate_text'] = 'A proctor ended this attempt. What you had saved is kept. If you think that this is a mistake, talk to your teacher.';
$string['panel_terminate_title'] = 'Your attempt was ended';
$string['panel_time_h'] = '{$a->n} h';
$string['panel_time_min'] = '{$a->n} min';
$string['panel_time_s'] = '{$a->n} s';
$string['panel_unread_one'] = '{$a->n} new message';
$string['panel_unread_other'] = '{$a->n} new messages';
$string['panel_warn_ok'] = 'I understand';
$string['panel_warn_title'] = 'Warning from {$a->name}';
$string['pause'] = 'Proctors may pause attempts';
$string['pause_help'] = 'While an attempt is paused no answers are taken, and the time is given back afterwards.';
$string['pausedaccess'] = 'A proctor has paused your attempt.';
$string['pausedback'] = 'Back to the quiz';
$string['pausedlink'] = 'Wait for it to go on';
$string['pausedtext'] = 'A proctor has paused your attempt. Your answers are saved, and the time of the pause is given back. This page goes on by itself.';
$string['pausedtitle'] = 'Your attempt is paused';
$string['pluginname'] = 'Vigil quiz access rule';
$string['proctored'] = 'This quiz is proctored with Vigil.';
$string['retention_audit'] = 'Keep the record of proctors\' actions (days)';
$string['retention_chat'] = 'Keep chat (days)';
$string['retention_sessions'] = 'Keep attempts (days)';
$string['retention_signals'] = 'Keep what the browser noticed (days)';
$string['taskcleanup'] = 'Clean up proctoring launches, and find attempts that ended without a word';
$string['terminatedaccess'] = 'A proctor has ended your attempt.';
$string['typeid'] = 'Proctoring tool';
$string['typeid_desc'] = 'The external tool that proctors quizzes. It is given the right to pause, extend and end attempts.';
$string['typeid_inactive'] = '{$a} (not active)';
$string['typeid_none'] = 'None: proctored quizzes cannot be started';
$string['vigil:manage'] = 'Decide whether and how a quiz is proctored';
$string['vigil:proctor'] = 'Watch and control proctored attempts';
$string['watch'] = 'What the browser reports';
$string['watch_clipboard'] = 'Copying and pasting (lengths, never text)';
$string['watch_display'] = 'More than one screen';
$string['watch_focus'] = 'Leaving the page';
$string['watch_fullscreen'] = 'Leaving full screen';
$string['watch_help'] = 'The check-in tells the student exactly what is ticked here. The connection is always reported.';
$string['watch_idle'] = 'No input for long';
$string['watch_window'] = 'Resizing, context menu, printing, developer tools';
