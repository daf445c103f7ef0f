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

use stdClass;

/**
 * A receipt of the tool: that a page of an attempt was watched. The format, its checks and their order are those of the tool's
 * docs/receipts.md; both sides' tests have the same vectors.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class receipt {
    /** @var int bytes */
    private const LONGEST = 4096;

    /** @var int milliseconds that the tool's clock may be ahead */
    private const AHEAD = 60000;

    /** @var int integers that every side can read */
    private const MOST = 2 ** 53;

    /**
     * Constructor.
     *
     * @param string $reason
     * @param string $page
     * @param int $from
     * @param int $until
     * @param int $watched
     */
    private function __construct(
        /** @var string why it does not hold; '': it holds */
        public readonly string $reason,
        /** @var string the nonce of the page, if it could be read: of one that does not hold, too */
        public readonly string $page = '',
        /** @var int since when the page was watched without a break, in milliseconds */
        public readonly int $from = 0,
        /** @var int until when, in milliseconds */
        public readonly int $until = 0,
        /** @var int seconds of the attempt that were watched, as far as the tool's server knew */
        public readonly int $watched = 0,
    ) {
    }

    /**
     * What the receipts of an attempt have to say of it.
     *
     * @param string $issuer of this platform
     * @param stdClass $tool
     * @param stdClass $session
     * @return array
     */
    public static function expected(string $issuer, stdClass $tool, stdClass $session): array {
        return [
            'issuer' => $issuer,
            'client_id' => $tool->clientid,
            'deployment' => (string)(int)$session->typeid,
            'resource_link' => lti_bridge::link_id((int)$session->cmid),
            'sub' => (string)(int)$session->userid,
            'attempt_number' => (int)$session->attempt,
        ];
    }

    /**
     * Reads a receipt, and checks it.
     *
     * @param string $text
     * @param string[] $keys kid => public key, 32 bytes
     * @param array $expected
     * @param int $now in milliseconds
     * @return self
     */
    public static function read(string $text, array $keys, array $expected, int $now): self {
        $parts = explode('.', $text);
        if (strlen($text) > self::LONGEST || count($parts) !== 3) {
            return new self('receipt_form');
        }
        $raw = array_map([self::class, 'decode'], $parts);
        if (in_array('', $raw, true)) {
            return new self('receipt_form');
        }
        $head = json_decode($raw[0]);
        if (
            !$head instanceof stdClass || ($head->alg ?? null) !== 'EdDSA' || ($head->typ ?? null) !== 'vigil-receipt+jwt'
                || isset($head->crit)
        ) {
            return new self('receipt_form');
        }
        $claims = json_decode($raw[1]);
        $page = $claims instanceof stdClass && is_string($claims->page ?? null) ? $claims->page : '';
        $kid = $head->kid ?? null;
        $key = is_string($kid) ? ($keys[$kid] ?? '') : '';
        if (strlen($key) !== SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES) {
            return new self('receipt_key', $page);
        }
        if (
            strlen($raw[2]) !== SODIUM_CRYPTO_SIGN_BYTES
                || !sodium_crypto_sign_verify_detached($raw[2], "{$parts[0]}.{$parts[1]}", $key)
        ) {
            return new self('receipt_signature', $page);
        }
        if (!$claims instanceof stdClass) {
            return new self('receipt_form');
        }
        $reason = self::judge($claims, $expected, $now);
        return $reason !== '' ? new self($reason, $page)
            : new self('', $page, $claims->from, $claims->until, $claims->watched);
    }

    /**
     * Checks what a receipt says.
     *
     * @param stdClass $claims
     * @param array $expected
     * @param int $now in milliseconds
     * @return string the reason of the first check that fails
     */
    private static function judge(stdClass $claims, array $expected, int $now): string {
        $lti = lti_bridge::CLAIM_LTI;
        $integer = static fn(string $name): int =>
            is_int($claims->$name ?? null) && $claims->$name >= 0 && $claims->$name <= self::MOST ? $claims->$name : -1;
        $link = $claims->{$lti . 'resource_link'} ?? null;
        $page = $claims->page ?? null;
        $checks = [
            'receipt_use' => ($claims->token_use ?? null) === 'receipt' && $integer('vigil') >= 1,
            'receipt_issuer' => ($claims->iss ?? null) === $expected['client_id'],
            'receipt_audience' => ($claims->aud ?? null) === $expected['issuer'],
            'receipt_deployment' => ($claims->{$lti . 'deployment_id'} ?? null) === $expected['deployment'],
            'receipt_resource_link' => $link instanceof stdClass && ($link->id ?? null) === $expected['resource_link'],
            'receipt_subject' => ($claims->sub ?? null) === $expected['sub'],
            'receipt_attempt_number' =>
                ($claims->{lti_bridge::CLAIM_AP . 'attempt_number'} ?? null) === $expected['attempt_number'],
            'receipt_page' => is_string($page) && $page !== '' && strlen($page) <= 255,
            'receipt_times' => $integer('from') > 0 && $integer('until') >= $integer('from') && $integer('watched') >= 0,
            'receipt_clock' => $integer('until') <= $now + self::AHEAD,
        ];
        return (string)(array_search(false, $checks, true) ?: '');
    }

    /**
     * Reads base64url without padding, as strictly as the tool does.
     *
     * @param string $text
     * @return string '': it is not that
     */
    private static function decode(string $text): string {
        if (!preg_match('/^[A-Za-z0-9_-]+$/D', $text)) {
            return '';
        }
        $raw = base64_decode(strtr($text, '-_', '+/'), true);
        return $raw !== false && rtrim(strtr(base64_encode($raw), '+/', '-_'), '=') === $text ? $raw : '';
    }

    /**
     * The Ed25519 keys of a key set.
     *
     * @param string $json
     * @return string[]|null kid => 32 bytes; null: it is no key set
     */
    public static function keys(string $json): ?array {
        $set = json_decode($json)->keys ?? null;
        if (!is_array($set)) {
            return null;
        }
        $keys = [];
        foreach ($set as $key) {
            if (
                !$key instanceof stdClass || ($key->kty ?? null) !== 'OKP' || ($key->crv ?? null) !== 'Ed25519'
                    || !in_array($key->alg ?? 'EdDSA', ['EdDSA'], true) || !is_string($key->kid ?? null) || !is_string($key->x ?? null)
            ) {
                continue;
            }
            $raw = self::decode($key->x);
            if (strlen($raw) === SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES) {
                $keys[$key->kid] = $raw;
            }
        }
        return $keys;
    }
}
