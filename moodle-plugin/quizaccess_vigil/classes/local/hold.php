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

use core\clock;
use quizaccess_vigil\event\attempt_paused;
use quizaccess_vigil\event\attempt_resumed;
use quizaccess_vigil\task\report_standing;
use stdClass;

/**
 * A pause because nobody watches, where the quiz's teacher wants that: "hold".
 *
 * It is ended by a receipt for the waiting page, or by a proctor. Of its time only so much is given back as the quiz allows: else
 * blocking would buy time. Answers are taken all the while, until the attempt's own end. Nobody is held on the first look, nor
 * while it is not the student alone: a firewall that stops a room, or a tool that is down.
 *
 * All is to be called under the student's lock, with the session as it is stored.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class hold {
    /** @var string why the attempt is paused */
    public const CAUSE = 'unwatched';

    /** @var int seconds from the first unwatched page that sent answers to the one that is held */
    public const AGAIN = 60;

    /** @var int seconds without a page that was watched, at least */
    public const AFTER = 240;

    /** @var int seconds without any receipt after which an attempt counts as one of a room that has none */
    public const ROOM_AFTER = 180;

    /** @var int seconds for which an attempt counts as worked in after the last request of its student */
    public const ACTIVE = 600;

    /** @var int so many attempts without receipts, and this share of those that are worked in, are no student's doing */
    public const ROOM = 3;

    /** @var float */
    public const ROOM_SHARE = 0.1;

    /**
     * Constructor.
     *
     * @param clock $clock
     * @param receipt_keys $keys
     * @param lti_bridge $bridge
     */
    public function __construct(
        /** @var clock what time it is */
        private readonly clock $clock,
        /** @var receipt_keys the tool's keys, and whether it answers */
        private readonly receipt_keys $keys,
        /** @var lti_bridge core's LTI */
        private readonly lti_bridge $bridge,
    ) {
    }

    /**
     * The one of this site.
     *
     * @return self
     */
    public static function instance(): self {
        return new self(\core\di::get(clock::class), receipt_keys::instance(), new lti_bridge());
    }

    /**
     * Whether an attempt is held.
     *
     * @param stdClass $session
     * @return bool
     */
    public static function is_held(stdClass $session): bool {
        return ($session->pausecause ?? null) === self::CAUSE && session_store::is_paused($session);
    }

    /**
     * Holds an attempt whose page was just found unwatched, if that is to be.
     *
     * @param stdClass $session
     * @param string $verdict
     * @return bool
     */
    public function consider(stdClass $session, string $verdict = watch::UNWATCHED): bool {
        $now = $this->clock->time();
        // Pages that are watched beside it say nothing for this one, and do not put it off.
        $again = $verdict === watch::BESIDE ? watch::was_beside($session, $now - self::AGAIN)
            : $session->unwatchedat && $now >= $session->unwatchedat + self::AGAIN && $now >= $session->watchedat + self::AFTER;
        if (session_store::is_paused($session) || !$again || !$this->may_hold($session)) {
            return false;
        }
        $session->pausedat = $now;
        $session->pausecause = self::CAUSE;
        $session->reason = null;
        time_grant::apply($session);
        (new session_store($this->clock))->save($session);
        report_standing::queue($session);
        attempt_paused::of($session, ['code' => self::CAUSE])->trigger();
        return true;
    }

    /**
     * Lets a held attempt go on if it is watched by now, or must not be held any more.
     *
     * @param stdClass $session
     * @return bool
     */
    public function reconsider(stdClass $session): bool {
        if (!self::is_held($session)) {
            return false;
        }
        if (!watch::instance()->is_watched_since($session, (int)$session->pausedat) && $this->may_hold($session)) {
            return false;
        }
        self::end_pause($session, $this->clock->time());
        time_grant::apply_or_leave($session);
        (new session_store($this->clock))->save($session);
        attempt_resumed::of($session, ['code' => self::CAUSE])->trigger();
        return true;
    }

    /**
     * The attempt of somebody who looks how it stands, after a hold that need not be any more was ended.
     *
     * @param own_attempt $own
     * @return own_attempt
     */
    public static function looked_at(own_attempt $own): own_attempt {
        if (!self::is_held($own->session)) {
            return $own;
        }
        $attemptid = (int)$own->session->attemptid;
        $lock = locks::take((int)$own->session->quizid, (int)$own->session->userid, 5);
        try {
            $session = (new session_store(\core\di::get(clock::class)))->of_attempt($attemptid);
            if ($session) {
                self::instance()->reconsider($session);
            }
        } finally {
            $lock->release();
        }
        return own_attempt::find($attemptid);
    }

    /**
     * Ends a pause of any cause in the session's row: its time is given back, of a hold so much as the quiz allows.
     *
     * @param stdClass $session
     * @param int $now
     */
    public static function end_pause(stdClass $session, int $now): void {
        $length = max(0, $now - (int)$session->pausedat);
        if (self::is_held($session)) {
            $length = min($length, self::left($session));
            $session->heldseconds += $length;
            $session->watchedat = $now;
            watch::clear($session);
            // The tool takes the whole pause for given back until it hears, and a proctor who ends it is answered without the end.
            report_standing::queue($session);
        }
        $session->returned += $length;
        $session->pausedat = 0;
        $session->pausecause = null;
        $session->reason = null;
    }

    /**
     * How much more time holds may give back in an attempt.
     *
     * @param stdClass $session
     * @return int seconds
     */
    public static function left(stdClass $session): int {
        return max(0, 60 * self::policy($session)['hold_cap'] - (int)$session->heldseconds);
    }

    /**
     * The policy of the session's quiz.
     *
     * @param stdClass $session
     * @return array
     */
    public static function policy(stdClass $session): array {
        global $DB;
        return policy::read($DB->get_field('quizaccess_vigil', 'policy', ['quizid' => $session->quizid]) ?: null);
    }

    /**
     * Whether somebody may be held at this quiz now. That the tool answers is asked last, for it may take two seconds.
     *
     * @param stdClass $session
     * @return bool
     */
    private function may_hold(stdClass $session): bool {
        $tool = $this->bridge->tool_by_id((int)$session->typeid);
        return self::policy($session)['unwatched'] === 'hold' && $tool && $tool->active && $this->keys->can_tell($tool)
            && !$this->is_room((int)$session->quizid) && $this->keys->is_up($tool);
    }

    /**
     * Whether so many attempts at a quiz have no receipts that it is no student's doing.
     *
     * @param int $quizid
     * @return bool
     */
    private function is_room(int $quizid): bool {
        global $DB;
        $now = $this->clock->time();
        $open = "FROM {quizaccess_vigil_session} s
                 JOIN {quiz_attempts} qa ON qa.id = s.attemptid
                WHERE s.quizid = ? AND s.state = ? AND qa.state IN ('inprogress', 'overdue') AND s.activeat >= ?";
        $params = [$quizid, session_store::OPEN, $now - self::ACTIVE];
        $lacking = $DB->count_records_sql(
            "SELECT COUNT(1) {$open} AND s.receiptat < ?",
            array_merge($params, [$now - self::ROOM_AFTER])
        );
        return $lacking >= self::ROOM
            && $lacking >= self::ROOM_SHARE * $DB->count_records_sql("SELECT COUNT(1) {$open}", $params);
    }
}
