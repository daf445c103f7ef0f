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
use quizaccess_vigil\event\attempt_unwatched;
use stdClass;

/**
 * What is known of who watches the pages of an attempt: which pages were served, which parts of them the tool's receipts cover, and
 * what that says of a page that sends answers.
 *
 * A page is judged by its own nonce: neither another tab's receipt, nor a classmate's, nor one of an hour ago counts for it. It is
 * unwatched only if it was open for 90 seconds and no receipt of it was valid when it sent answers. What cannot be told (a key that
 * is not known, clocks that are apart, a tool that does not answer) is never taken for that.
 *
 * All but served() is to be called under the student's lock, with the session as it is stored, which is stored again here.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class watch {
    /** @var string the table of the pages */
    public const TABLE = 'quizaccess_vigil_page';

    /** @var string a receipt of the page was valid */
    public const WATCHED = 'watched';

    /** @var string none was */
    public const UNWATCHED = 'unwatched';

    /** @var string none ever was, and another page was watched meanwhile: that is no bad line */
    public const BESIDE = 'beside';

    /** @var string that cannot be told */
    public const UNTOLD = 'untold';

    /** @var string the page was not open for long enough to be judged, or is none */
    public const NONE = '';

    /** @var int the number of the summary, as that of a page */
    public const SUMMARY = -1;

    /** @var int the number of the waiting page */
    public const WAITING = -2;

    /** @var int milliseconds for which a page must have been open */
    public const OPEN = 90000;

    /** @var int milliseconds for which a receipt is valid: there is one each minute, two may be lost or late */
    public const VALID = 180000;

    /** @var int milliseconds for which the page before may still be watched while a page is on its way */
    private const LOADING = 30000;

    /** @var int receipts that are read of one request, at most */
    private const MOST = 8;

    /** @var int stretches of one page that are kept, at most: the latest */
    private const STRETCHES = 50;

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
        /** @var receipt_keys the tool's keys */
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
     * Notes that a page was served.
     *
     * @param stdClass $session
     * @param string $nonce of its stamp
     * @param int $page its number, SUMMARY or WAITING
     * @param int $at in milliseconds
     */
    public static function served(stdClass $session, string $nonce, int $page, int $at): void {
        global $DB;
        $DB->insert_record(self::TABLE, (object)[
            'sessionid' => $session->id, 'nonce' => $nonce, 'page' => $page, 'timeserved' => $at, 'stretches' => null,
            'watcheduntil' => 0, 'verdict' => null, 'timejudged' => 0,
        ], false);
        // Not the whole row: another request may be changing it.
        $seconds = intdiv($at, 1000);
        $DB->set_field(session_store::TABLE, 'activeat', $seconds, ['id' => $session->id]);
        foreach (['watchedat', 'receiptat'] as $field) {
            $DB->set_field(session_store::TABLE, $field, $seconds, ['id' => $session->id, $field => 0]);
        }
    }

    /**
     * Answers have come from a page of an attempt: stores the receipts that came with them, and judges the page.
     *
     * @param stdClass $session
     * @param string $nonce as the page says; '': it says none
     * @param int[] $pages the numbers of the pages whose answers came: one, unless the request was made by hand
     * @param string $receipts
     * @param int $requested when the request came, in milliseconds
     * @return string the verdict, of several pages the worst
     */
    public function posted(stdClass $session, string $nonce, array $pages, string $receipts, int $requested): string {
        $session->activeat = $this->clock->time();
        $untold = $this->take($session, $receipts);
        $judged = [];
        foreach ($pages as $number) {
            $row = $this->page($session, $nonce, $number);
            if ($row && ($requested - $row->timeserved >= self::OPEN || $row->watcheduntil)) {
                $judged[$this->verdict($session, $row, $requested, in_array($row->nonce, $untold, true))][$row->id] = $row;
            }
        }
        $verdict = self::NONE;
        foreach ([self::BESIDE, self::UNWATCHED, self::UNTOLD, self::WATCHED] as $worst) {
            if (isset($judged[$worst])) {
                $verdict = $worst;
                break;
            }
        }
        foreach ($judged[$verdict] ?? [] as $row) {
            $this->note($session, $row, $verdict);
        }
        (new session_store($this->clock))->save($session);
        return $verdict;
    }

    /**
     * Stores receipts that came by themselves. They may end a hold.
     *
     * @param stdClass $session
     * @param string $receipts
     */
    public function sent(stdClass $session, string $receipts): void {
        global $DB;
        $session->activeat = $this->clock->time();
        $this->take($session, $receipts);
        $page = $session->unwatchedpage ? $DB->get_record(self::TABLE, ['id' => $session->unwatchedpage]) : false;
        if ($page && $this->is_valid($page, standing::milliseconds($this->clock))) {
            // The page that was found unwatched is watched again: after a sleep, say.
            self::clear($session);
        }
        (new session_store($this->clock))->save($session);
    }

    /**
     * Forgets that pages were found unwatched.
     *
     * @param stdClass $session
     */
    public static function clear(stdClass $session): void {
        $session->unwatchedat = 0;
        $session->unwatchedpage = 0;
    }

    /**
     * Whether the student's waiting page is watched, or another page that was served since a time.
     *
     * @param stdClass $session
     * @param int $since in seconds
     * @return bool
     */
    public function is_watched_since(stdClass $session, int $since): bool {
        global $DB;
        return $DB->record_exists_select(
            self::TABLE,
            'sessionid = ? AND timeserved >= ? AND watcheduntil >= ?',
            [$session->id, 1000 * $since, standing::milliseconds($this->clock) - self::VALID]
        );
    }

    /**
     * How long an attempt was watched.
     *
     * @param int $sessionid
     * @return int seconds
     */
    public static function seconds(int $sessionid): int {
        global $DB;
        $stretches = [];
        foreach ($DB->get_fieldset_select(self::TABLE, 'stretches', 'sessionid = ? AND stretches IS NOT NULL', [$sessionid]) as $json) {
            $stretches = array_merge($stretches, json_decode($json, true) ?: []);
        }
        sort($stretches);
        $sum = 0;
        $end = 0;
        foreach ($stretches as [$from, $until]) {
            // Two tabs at once watch no longer than one.
            $sum += max(0, $until - max($from, $end));
            $end = max($end, $until);
        }
        return intdiv($sum, 1000);
    }

    /**
     * Stores receipts. Those that do not hold are left out.
     *
     * @param stdClass $session
     * @param string $receipts separated by spaces
     * @return string[] nonces of pages of which a receipt came that tells nothing
     */
    private function take(stdClass $session, string $receipts): array {
        global $DB;
        $tool = $this->bridge->tool_by_id((int)$session->typeid);
        $texts = array_slice(preg_split('/\s+/', $receipts, -1, PREG_SPLIT_NO_EMPTY), -self::MOST);
        if (!$tool || !$texts) {
            return [];
        }
        $expected = receipt::expected($this->bridge->issuer(), $tool, $session);
        $now = standing::milliseconds($this->clock);
        $read = fn(string $text): receipt => receipt::read($text, $this->keys->known($tool), $expected, $now);
        $untold = [];
        foreach ($texts as $text) {
            $receipt = $read($text);
            if ($receipt->reason === 'receipt_key' && $this->keys->is_up($tool)) {
                // It may be new. The question is asked once in 30 seconds for all.
                $receipt = $read($text);
            }
            // By a key that is unknown nothing can be told, but where all were fetched just now it is not the tool's: anybody can
            // write such a receipt, for any page.
            if ($receipt->reason === 'receipt_key' ? !$this->keys->is_up($tool) : $receipt->reason === 'receipt_clock') {
                $untold[] = $receipt->page;
            }
            $page = $receipt->reason === ''
                ? $DB->get_record(self::TABLE, ['sessionid' => $session->id, 'nonce' => $receipt->page]) : false;
            if (!$page) {
                continue;
            }
            $page->stretches = self::with($page->stretches, $receipt);
            $page->watcheduntil = max((int)$page->watcheduntil, $receipt->until);
            $DB->update_record(self::TABLE, $page);
            if ($this->is_valid($page, $now)) {
                $session->receiptat = $this->clock->time();
            }
        }
        return $untold;
    }

    /**
     * The stretches of a page with one more.
     *
     * @param string|null $json
     * @param receipt $receipt
     * @return string
     */
    private static function with(?string $json, receipt $receipt): string {
        $stretches = json_decode((string)$json, true) ?: [];
        foreach ($stretches as $i => [$from, $until]) {
            if ($from === $receipt->from) {
                $stretches[$i][1] = max($until, $receipt->until);
                return json_encode($stretches);
            }
        }
        $stretches[] = [$receipt->from, $receipt->until];
        return json_encode(array_slice($stretches, -self::STRETCHES));
    }

    /**
     * The page that answers came from: the one with its nonce, if that is the page with its number; else the last one that was
     * served with this number, or with any if there is none. What a page leaves out of its form does not keep it from being judged.
     *
     * @param stdClass $session
     * @param string $nonce
     * @param int $number
     * @return stdClass|null null: none was served with a stamp
     */
    private function page(stdClass $session, string $nonce, int $number): ?stdClass {
        global $DB;
        $params = ['sessionid' => $session->id, 'page' => $number];
        $row = $nonce === '' ? false : ($number < 0
            ? $DB->get_record_select(self::TABLE, 'sessionid = ? AND nonce = ? AND page >= 0', [$session->id, $nonce])
            : $DB->get_record(self::TABLE, $params + ['nonce' => $nonce]));
        if (!$row && $number >= 0) {
            $rows = $DB->get_records(self::TABLE, $params, 'timeserved DESC, id DESC', '*', 0, 1);
            $row = reset($rows);
        }
        if (!$row) {
            $last = 'timeserved DESC, id DESC';
            $rows = $DB->get_records_select(self::TABLE, 'sessionid = ? AND page >= 0', [$session->id], $last, '*', 0, 1);
            $row = reset($rows);
        }
        return $row ?: null;
    }

    /**
     * Whether a receipt of a page is valid at a time.
     *
     * @param stdClass $page
     * @param int $at in milliseconds
     * @return bool
     */
    private function is_valid(stdClass $page, int $at): bool {
        return $page->watcheduntil > 0 && $page->watcheduntil >= $at - self::VALID;
    }

    /**
     * Judges a page.
     *
     * @param stdClass $session
     * @param stdClass $page
     * @param int $requested in milliseconds
     * @param bool $untold a receipt of it came that tells nothing
     * @return string
     */
    private function verdict(stdClass $session, stdClass $page, int $requested, bool $untold): string {
        if ($this->is_valid($page, $requested)) {
            return self::WATCHED;
        }
        if ($requested - $page->timeserved < self::OPEN) {
            return self::NONE;
        }
        $tool = $this->bridge->tool_by_id((int)$session->typeid);
        if ($untold || !$tool || !$tool->active || !$this->keys->is_up($tool) || !$this->keys->can_tell($tool)) {
            return self::UNTOLD;
        }
        return $this->is_beside($page, $requested) ? self::BESIDE : self::UNWATCHED;
    }

    /**
     * Whether a page that was never watched was open beside one that was.
     *
     * @param stdClass $page
     * @param int $requested in milliseconds
     * @return bool
     */
    private function is_beside(stdClass $page, int $requested): bool {
        global $DB;
        // A tab that was left for another one had its first receipt.
        return !$page->watcheduntil && $DB->record_exists_select(
            self::TABLE,
            'sessionid = ? AND id <> ? AND watcheduntil >= ?',
            [$page->sessionid, $page->id, max($page->timeserved + self::LOADING, $requested - self::VALID)]
        );
    }

    /**
     * Whether a verdict is that nobody watched.
     *
     * @param string $verdict
     * @return bool
     */
    public static function is_unwatched(string $verdict): bool {
        return $verdict === self::UNWATCHED || $verdict === self::BESIDE;
    }

    /**
     * Whether a page was found unwatched beside a watched one, by a time.
     *
     * @param stdClass $session
     * @param int $by in seconds
     * @return bool
     */
    public static function was_beside(stdClass $session, int $by): bool {
        global $DB;
        $select = 'sessionid = ? AND verdict = ? AND timejudged <= ?';
        return $DB->record_exists_select(self::TABLE, $select, [$session->id, self::BESIDE, $by]);
    }

    /**
     * Keeps a verdict.
     *
     * @param stdClass $session
     * @param stdClass $page
     * @param string $verdict
     */
    private function note(stdClass $session, stdClass $page, string $verdict): void {
        global $DB;
        if ($verdict === self::NONE) {
            return;
        }
        $now = $this->clock->time();
        // That a page was once found unwatched stays with it.
        if (!self::is_unwatched((string)$page->verdict) || $verdict === self::BESIDE && $page->verdict !== self::BESIDE) {
            $DB->update_record(self::TABLE, (object)['id' => $page->id, 'verdict' => $verdict, 'timejudged' => $now]);
        }
        if ($verdict === self::WATCHED) {
            // Until then it was watched; that the receipt is valid for a while more is not the same.
            $session->watchedat = max((int)$session->watchedat, min($now, intdiv((int)$page->watcheduntil, 1000)));
            self::clear($session);
        } else if (self::is_unwatched($verdict) && !$session->unwatchedat) {
            $session->unwatchedat = $now;
            $session->unwatchedpage = $page->id;
            attempt_unwatched::of($session)->trigger();
        }
    }
}
