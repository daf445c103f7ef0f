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

/**
 * What a server answered.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class answer {
    /**
     * Constructor.
     *
     * @param int $status 0: none
     * @param string $body
     * @param string $problem why there is no answer
     * @param int|null $date the server's clock
     */
    public function __construct(
        /** @var int the status */
        public readonly int $status,
        /** @var string the body */
        public readonly string $body = '',
        /** @var string why there is no answer */
        public readonly string $problem = '',
        /** @var int|null the server's clock */
        public readonly ?int $date = null,
    ) {
    }

    /**
     * Whether what was asked was done.
     *
     * @return bool
     */
    public function is_done(): bool {
        return $this->status >= 200 && $this->status < 300;
    }

    /**
     * The tool's code for a problem (docs/api.md).
     *
     * @return string '': it gave none
     */
    public function code(): string {
        $code = json_decode($this->body)->code ?? '';
        return is_string($code) ? $code : '';
    }

    /**
     * Says for the log what came.
     *
     * @return string
     */
    public function summary(): string {
        return implode(' ', array_filter(["status {$this->status}", $this->code(), $this->problem], 'strlen'));
    }

    /**
     * The ids of the keys in it.
     *
     * @return string[]|null null: it is no key set
     */
    public function key_ids(): ?array {
        $keys = json_decode($this->body)->keys ?? null;
        if (!is_array($keys)) {
            return null;
        }
        return array_values(array_filter(array_map(static fn($key) => (string)($key->kid ?? ''), $keys)));
    }
}
