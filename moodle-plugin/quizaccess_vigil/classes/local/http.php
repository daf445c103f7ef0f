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
 * Asks servers.
 *
 * @package    quizaccess_vigil
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class http {
    /** @var int seconds for an answer */
    private const PATIENCE = 8;
    /** @var int seconds that a task waits, for which nobody waits */
    public const TASK_PATIENCE = 30;
    /** @var int seconds for an answer that the tool has to collect first */
    public const EXPORT_PATIENCE = 60;

    /**
     * Asks.
     *
     * @param string $method GET or POST
     * @param string $url
     * @param string[] $headers
     * @param string $body
     * @param float|null $patience seconds for an answer; null: as long as the health check waits
     * @return answer
     */
    public function ask(
        string $method,
        string $url,
        array $headers = [],
        string $body = '',
        ?float $patience = null
    ): answer {
        $milliseconds = (int)(1000 * ($patience ?? self::PATIENCE));
        global $CFG;
        require_once($CFG->libdir . '/filelib.php');
        $curl = new \curl();
        $curl->setHeader($headers);
        $options = [
            'CURLOPT_CONNECTTIMEOUT_MS' => $milliseconds,
            'CURLOPT_TIMEOUT_MS' => $milliseconds,
            // What is tried includes an upgrade, which version 2 does not have.
            'CURLOPT_HTTP_VERSION' => CURL_HTTP_VERSION_1_1,
        ];
        $text = $method === 'POST' ? $curl->post($url, $body, $options) : $curl->get($url, [], $options);
        if ($curl->get_errno()) {
            return new answer(0, '', (string)$curl->error);
        }
        $date = null;
        foreach ($curl->getResponse() as $name => $value) {
            if (strtolower($name) === 'date') {
                $date = strtotime(is_array($value) ? end($value) : $value) ?: null;
            }
        }
        return new answer((int)($curl->get_info()['http_code'] ?? 0), (string)$text, '', $date);
    }

    /**
     * Tells the tool something that this site has signed.
     *
     * @param string $url
     * @param string $assertion
     * @param float|null $patience seconds for an answer; null: as long as the health check waits
     * @return answer
     */
    public function tell(string $url, string $assertion, ?float $patience = null): answer {
        $headers = ['Content-Type: application/json', 'Accept: application/json, application/problem+json'];
        return $this->ask('POST', $url, $headers, json_encode(['assertion' => $assertion]), $patience);
    }

    /**
     * Whether the site's own settings forbid to ask.
     *
     * @param string $url
     * @return bool
     */
    public function is_blocked(string $url): bool {
        return (new \core\files\curl_security_helper())->url_is_blocked($url);
    }
}
