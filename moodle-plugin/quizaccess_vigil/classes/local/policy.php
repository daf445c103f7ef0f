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
 * What a quiz's teacher decides about proctoring.
 *
 * The form has one element for each choice, named vigil_…; the database and the tool have one JSON object.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class policy {
    /** @var string[] the groups of signals, in the order in which they are shown */
    public const WATCHES = ['focus', 'clipboard', 'fullscreen', 'display', 'window', 'idle'];

    /** @var string[] what is proposed for time lost by the student's own connection */
    public const LINK_LOSSES = ['ask', 'never'];

    /** @var string[] what is done about a page that nobody watches */
    public const UNWATCHED = ['note', 'ask', 'hold'];

    /** @var int minutes that holds may give back in an attempt */
    public const HOLD_CAP = 5;

    /** @var int minutes, at most */
    public const LONGEST_HOLD = 60;

    /** @var array yes or no choices and their defaults */
    public const SWITCHES = ['admission' => false, 'pause' => true, 'fullscreen' => false, 'end_message' => true];

    /** @var array days for which things are kept */
    public const RETENTION = ['signals' => 90, 'chat' => 90, 'sessions' => 400, 'audit' => 400];

    /** @var float[] the thresholds to choose from */
    public const ATTENTIONS = [0.1, 0.3, 0.6, 0.9];

    /** @var int minutes that may be proposed, at most */
    public const LONGEST_LOSS = 240;

    /** @var int days, at most */
    public const LONGEST_RETENTION = 3650;

    /**
     * What a quiz has whose teacher chose nothing.
     *
     * @return array
     */
    public static function defaults(): array {
        return self::SWITCHES + [
            'attention' => 0.3,
            'watch' => self::WATCHES,
            'link_loss' => 'ask',
            'lost_time_cap' => 15,
            'retention' => self::RETENTION,
            'unwatched' => 'note',
            'hold_cap' => self::HOLD_CAP,
        ];
    }

    /**
     * Reads a stored policy. What it does not say, or says wrongly, has its default.
     *
     * @param string|null $json
     * @return array
     */
    public static function read(?string $json): array {
        $stored = json_decode((string)$json, true);
        $stored = is_array($stored) ? $stored : [];
        $policy = self::defaults();
        foreach (array_keys(self::SWITCHES) as $name) {
            $policy[$name] = (bool)($stored[$name] ?? $policy[$name]);
        }
        $attention = $stored['attention'] ?? null;
        if (is_numeric($attention) && $attention >= 0.1 && $attention <= 1) {
            $policy['attention'] = (float)$attention;
        }
        if (isset($stored['watch']) && is_array($stored['watch'])) {
            $policy['watch'] = array_values(array_intersect(self::WATCHES, $stored['watch']));
        }
        if (in_array($stored['link_loss'] ?? null, self::LINK_LOSSES, true)) {
            $policy['link_loss'] = $stored['link_loss'];
        }
        $policy['lost_time_cap'] = self::within($stored['lost_time_cap'] ?? null, 0, self::LONGEST_LOSS, 15);
        if (in_array($stored['unwatched'] ?? null, self::UNWATCHED, true)) {
            $policy['unwatched'] = $stored['unwatched'];
        }
        $policy['hold_cap'] = self::within($stored['hold_cap'] ?? null, 0, self::LONGEST_HOLD, self::HOLD_CAP);
        foreach (self::RETENTION as $name => $days) {
            $policy['retention'][$name] = self::within($stored['retention'][$name] ?? null, 1, self::LONGEST_RETENTION, $days);
        }
        return $policy;
    }

    /**
     * An integer of a range.
     *
     * @param mixed $value
     * @param int $least
     * @param int $most
     * @param int $default
     * @return int
     */
    private static function within($value, int $least, int $most, int $default): int {
        return is_numeric($value) && $value >= $least && $value <= $most ? (int)$value : $default;
    }

    /**
     * The form's values for a policy.
     *
     * @param array $policy
     * @return array element name => value
     */
    public static function to_form(array $policy): array {
        $values = [
            'vigil_attention' => (string)$policy['attention'],
            'vigil_link_loss' => $policy['link_loss'],
            'vigil_lost_time_cap' => $policy['lost_time_cap'],
            'vigil_unwatched' => $policy['unwatched'],
            'vigil_hold_cap' => $policy['hold_cap'],
        ];
        foreach (array_keys(self::SWITCHES) as $name) {
            $values['vigil_' . $name] = (int)$policy[$name];
        }
        foreach (self::WATCHES as $name) {
            $values['vigil_watch_' . $name] = (int)in_array($name, $policy['watch'], true);
        }
        foreach (array_keys(self::RETENTION) as $name) {
            $values['vigil_retention_' . $name] = $policy['retention'][$name];
        }
        return $values;
    }

    /**
     * The policy that a submitted form asks for. Elements that the form did not have keep what was stored.
     *
     * @param stdClass $data
     * @param array $stored
     * @return array
     */
    public static function from_form(stdClass $data, array $stored): array {
        $values = array_merge(self::to_form($stored), array_intersect_key((array)$data, self::to_form($stored)));
        $policy = [
            'attention' => (float)$values['vigil_attention'],
            'link_loss' => $values['vigil_link_loss'],
            'lost_time_cap' => $values['vigil_lost_time_cap'],
            'unwatched' => $values['vigil_unwatched'],
            'hold_cap' => $values['vigil_hold_cap'],
            'watch' => array_values(array_filter(self::WATCHES, fn($name) => !empty($values['vigil_watch_' . $name]))),
            'retention' => [],
        ];
        foreach (array_keys(self::SWITCHES) as $name) {
            $policy[$name] = (bool)$values['vigil_' . $name];
        }
        foreach (array_keys(self::RETENTION) as $name) {
            $policy['retention'][$name] = $values['vigil_retention_' . $name];
        }
        return self::read(json_encode($policy));
    }

    /**
     * What is wrong with a submitted form.
     *
     * @param array $data
     * @return string[] element name => message
     */
    public static function errors(array $data): array {
        $errors = [];
        $number = function (string $name, int $least, int $most) use ($data, &$errors): void {
            $value = trim((string)($data[$name] ?? $least));
            if (!preg_match('/^\d{1,5}$/D', $value) || $value < $least || $value > $most) {
                $errors[$name] = get_string('errorrange', 'quizaccess_vigil', (object)['least' => $least, 'most' => $most]);
            }
        };
        $number('vigil_lost_time_cap', 0, self::LONGEST_LOSS);
        $number('vigil_hold_cap', 0, self::LONGEST_HOLD);
        foreach (array_keys(self::RETENTION) as $name) {
            $number('vigil_retention_' . $name, 1, self::LONGEST_RETENTION);
        }
        return $errors;
    }

    /**
     * The proctoring_settings claim's data.
     *
     * @param array $policy
     * @param int|null $started when the launched attempt began, in seconds; 0: it has yet to begin; null: none is launched
     * @param array $access access_url and access: where to ask who may see and do what, and what is to be said of the launched user
     * @return string
     */
    public static function claim(array $policy, ?int $started = null, array $access = []): string {
        $data = ['vigil' => assertion::VERSION, 'policy' => $policy];
        if ($started !== null) {
            $data['attempt_started'] = $started;
        }
        // It is put into another JSON text as a string: escapes would be escaped again, and names of groups are long.
        $flags = JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE;
        return json_encode($data + $access, $flags | JSON_THROW_ON_ERROR);
    }
}
