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

/**
 * The stamp of a quiz page: signed like an assertion, it says when the page was asked for, when it was written, and how the
 * attempt stood. The page's monitor hands it to the tool.
 *
 * The page asks for it while it is set up, and it is made when the footer is: as late as this plugin is called, and before the
 * page's scripts run.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class page_stamp {
    /** @var string the id of the element that holds it */
    public const ELEMENT = 'quizaccess_vigil_page';

    /** @var int seconds to wait for the student's lock: a page without a stamp is better than a late page */
    private const PATIENCE = 2;

    /** @var int milliseconds before PHP's own start that a proxy's word is believed */
    private const LONGEST_WAIT = 3600000;

    /** @var string the field that tells, with the answers, which page they come from */
    public const FIELD = 'vigil_page';

    /** @var \stdClass|null the session whose page is being made in this request */
    private static ?\stdClass $session = null;

    /** @var int the page's number, as in watch */
    private static int $page = 0;

    /**
     * Asks for the stamp of the page that is being made.
     *
     * @param \stdClass $session
     * @param int $page its number, as in watch
     */
    public static function ask(\stdClass $session, int $page = 0): void {
        self::$session = $session;
        self::$page = $page;
    }

    /**
     * The element with the stamp, if this page is to have one. Nothing that goes wrong here keeps the page from being shown.
     *
     * @param array $server as in $_SERVER
     * @return string HTML
     */
    public static function html(array $server): string {
        $session = self::$session;
        self::$session = null;
        if (!$session) {
            return '';
        }
        return self::line() . self::element($session, $server);
    }

    /**
     * A line that says that the page is not connected, until the monitor is and takes it away. It needs no script: who blocks the
     * monitor, or whose network does, reads it. It keeps clear of the monitor's pill; on the waiting page it stands where it is, or it
     * would cover on a phone what is to be pressed there.
     *
     * @return string HTML
     */
    private static function line(): string {
        $style = self::$page === watch::WAITING ? 'margin-bottom: 4rem;' : 'position: sticky; bottom: 3.25rem;';
        return \html_writer::div(get_string('notconnected', 'quizaccess_vigil'), 'alert alert-warning', [
            'role' => 'status', 'data-vigil-line' => '', 'style' => $style,
        ]);
    }

    /**
     * The element with the stamp.
     *
     * @param \stdClass $session
     * @param array $server
     * @return string HTML
     */
    private static function element(\stdClass $session, array $server): string {
        try {
            $stamp = self::sign($session, $server);
        } catch (\Throwable $e) {
            debugging('Vigil: no stamp for this page. ' . $e->getMessage(), DEBUG_NORMAL, $e->getTrace());
            return '';
        }
        return $stamp === '' ? '' : \html_writer::tag(
            'script',
            json_encode(['stamp' => $stamp], JSON_HEX_TAG | JSON_THROW_ON_ERROR),
            ['type' => 'application/json', 'id' => self::ELEMENT]
        ) . self::field($stamp);
    }

    /**
     * The field that sends the page's nonce with the answers, without any script. It belongs to core's form and is not in it: core
     * looks each second whether a hidden field in the form has changed, and would save.
     *
     * @param string $stamp
     * @return string HTML
     */
    private static function field(string $stamp): string {
        return self::$page < 0 ? '' : \html_writer::empty_tag('input', [
            'type' => 'hidden', 'form' => 'responseform', 'name' => self::FIELD, 'value' => lti_bridge::payload($stamp)->jti,
        ]);
    }

    /**
     * Signs the stamp.
     *
     * @param \stdClass $session
     * @param array $server
     * @return string '': there is nothing to be told
     */
    private static function sign(\stdClass $session, array $server): string {
        $clock = \core\di::get(clock::class);
        $checkedin = (new session_store($clock))
            ->is_checked_in((int)$session->quizid, (int)$session->userid, (int)$session->attempt);
        $bridge = new lti_bridge();
        $tool = $bridge->tool_by_id((int)$session->typeid);
        if (!$checkedin || !$tool || !$tool->active) {
            return '';
        }
        $standing = standing::read($session, $clock, self::PATIENCE);
        if (!$standing || !$standing->is_watched()) {
            return '';
        }
        $answered = standing::milliseconds($clock);
        $trusted = (bool)get_config('quizaccess_vigil', 'requeststart');
        // However long a page took and whatever the clocks did: asked for before it was answered, and within an hour.
        $requested = min($answered, max($answered - self::LONGEST_WAIT, self::requested_at($server, $trusted, $answered)));
        $claims = assertion::page($bridge->issuer(), $tool->clientid, $standing, $requested, $answered);
        // Of attempts that were launched before the quiz asked for receipts, too.
        $claims['receipts'] = true;
        watch::served($standing->session, $claims['jti'], self::$page, $answered);
        return $bridge->sign_claims($claims);
    }

    /**
     * When the page was asked for.
     *
     * @param array $server as in $_SERVER
     * @param bool $trusted whether the administrator has said that the proxy sets X-Request-Start
     * @param int $now milliseconds, where PHP does not tell its own start
     * @return int milliseconds
     */
    public static function requested_at(array $server, bool $trusted, int $now): int {
        $php = isset($server['REQUEST_TIME_FLOAT']) ? (int)round($server['REQUEST_TIME_FLOAT'] * 1000) : $now;
        $header = $server['HTTP_X_REQUEST_START'] ?? '';
        $proxy = $trusted && is_string($header) ? self::parse($header) : 0;
        // A proxy whose clock is off, or a visitor who made the header up, is not believed.
        return $proxy > 0 && $proxy <= $php && $proxy >= $php - self::LONGEST_WAIT ? $proxy : $php;
    }

    /**
     * Reads X-Request-Start. There is no standard: proxies write seconds, milliseconds or microseconds, with "t=" before them or
     * without.
     *
     * @param string $header
     * @return int milliseconds; 0: it is none of these
     */
    public static function parse(string $header): int {
        if (!preg_match('/^\s*(?:t=)?(\d{9,16})(\.\d{1,9})?\s*$/D', $header, $found)) {
            return 0;
        }
        // Seconds have nine to ten digits until the year 2286, milliseconds three more, microseconds six more.
        $power = match (true) {
            strlen($found[1]) <= 10 => 3,
            strlen($found[1]) >= 12 && strlen($found[1]) <= 13 => 0,
            strlen($found[1]) >= 15 => -3,
            default => null,
        };
        return $power === null ? 0 : (int)round((float)($found[1] . ($found[2] ?? '')) * 10 ** $power);
    }
}
