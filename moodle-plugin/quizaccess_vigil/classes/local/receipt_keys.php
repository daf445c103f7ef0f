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
use stdClass;

/**
 * The tool's receipt keys, as they were fetched last, and what that request showed: whether the tool answers, and how far its clock
 * is from ours.
 *
 * Fetched at a launch and by a scheduled task; while students work at most once in 30 seconds, by one request of at most 2 seconds.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class receipt_keys {
    /** @var int seconds in which the tool is asked once */
    public const ONCE_IN = 30;

    /** @var float seconds for its answer */
    public const PATIENCE = 2.0;

    /** @var int seconds from which on a launch fetches them again */
    private const OLD = 3600;

    /** @var int seconds that the clocks may be apart */
    private const APART = 60;

    /**
     * Constructor.
     *
     * @param clock $clock
     * @param http|null $http
     */
    public function __construct(
        /** @var clock what time it is */
        private readonly clock $clock,
        /** @var http|null asks */
        private readonly ?http $http = null,
    ) {
    }

    /**
     * The keys of this site's tools.
     *
     * @return self
     */
    public static function instance(): self {
        return \core\di::get(self::class);
    }

    /**
     * Where the tool publishes them.
     *
     * @param stdClass $tool
     * @return string
     */
    public static function endpoint(stdClass $tool): string {
        return $tool->origin . '/api/v1/receipts/keys';
    }

    /**
     * The keys that are known.
     *
     * @param stdClass $tool
     * @return string[] kid => 32 bytes
     */
    public function known(stdClass $tool): array {
        return array_map('base64_decode', $this->read($tool)['keys']);
    }

    /**
     * Whether anything can be told by receipts: keys are known, and the clocks are close.
     *
     * @param stdClass $tool
     * @return bool
     */
    public function can_tell(stdClass $tool): bool {
        $kept = $this->read($tool);
        return $kept['keys'] && abs($kept['offset']) <= self::APART;
    }

    /**
     * Whether the tool answers, by a request of the last 30 seconds, or one now. While somebody else asks that is waited for: else
     * whoever looks at the same moment would be let out of a hold.
     *
     * @param stdClass $tool
     * @return bool
     */
    public function is_up(stdClass $tool): bool {
        $kept = $this->read($tool);
        if ($this->is_old($kept)) {
            $lock = \core\lock\lock_config::get_lock_factory('quizaccess_vigil')
                ->get_lock('receiptkeys_' . $tool->id, (int)self::PATIENCE + 1);
            if (!$lock) {
                // Somebody asks, and has not heard. Until that is known, nobody is held.
                return false;
            }
            try {
                $kept = $this->read($tool);
                if ($this->is_old($kept)) {
                    $this->fetch($tool);
                }
            } finally {
                $lock->release();
            }
            $kept = $this->read($tool);
        }
        return $kept['up'];
    }

    /**
     * Whether the tool was asked longer ago than 30 seconds.
     *
     * @param array $kept
     * @return bool
     */
    private function is_old(array $kept): bool {
        return $kept['asked'] <= $this->clock->time() - self::ONCE_IN;
    }

    /**
     * Fetches them, unless that was done within the hour. Nothing that goes wrong here matters to a launch.
     *
     * @param stdClass $tool
     */
    public function refresh_if_old(stdClass $tool): void {
        if ($this->read($tool)['fetched'] <= $this->clock->time() - self::OLD) {
            $this->fetch($tool);
        }
    }

    /**
     * Fetches them. Those that were known stay known while the tool does not answer.
     *
     * @param stdClass $tool
     * @return bool
     */
    public function fetch(stdClass $tool): bool {
        $kept = $this->read($tool);
        $kept['url'] = self::endpoint($tool);
        $kept['asked'] = $this->clock->time();
        $answer = ($this->http ?? new http())->ask('GET', $kept['url'], [], '', self::PATIENCE);
        $keys = $answer->status === 200 ? receipt::keys($answer->body) : null;
        $kept['up'] = $keys !== null;
        if ($keys !== null) {
            $kept['keys'] = array_map('base64_encode', $keys);
            $kept['fetched'] = $kept['asked'];
            $kept['offset'] = $answer->date === null ? 0 : $answer->date - $this->clock->time();
        }
        \cache::make('quizaccess_vigil', 'receiptkeys')->set((string)$tool->id, $kept);
        return $kept['up'];
    }

    /**
     * What is kept.
     *
     * @param stdClass $tool
     * @return array
     */
    private function read(stdClass $tool): array {
        $kept = \cache::make('quizaccess_vigil', 'receiptkeys')->get((string)$tool->id);
        return is_array($kept) && $kept['url'] === self::endpoint($tool) ? $kept
            : ['url' => '', 'asked' => 0, 'fetched' => 0, 'up' => false, 'keys' => [], 'offset' => 0];
    }
}
