<?php
// Checks a Moodle tree against what the plugins need of it (needs.txt), and the list against the plugins' code.
//
// Exits 1 when something is missing, 2 when the list or the arguments are wrong.

declare(strict_types=1);

require __DIR__ . '/declarations.php';

const USAGE = <<<'TXT'
    Checks Moodle trees against what the Vigil plugins need of core, as needs.txt lists it. Nothing of them is run.

      php contract.php [--partial] MOODLE...   print what is missing; --partial: files that are not there are not looked at
      php contract.php --unlisted              print what the plugins use of core and needs.txt does not list, as far as
                                               that can be told without knowing types: methods of objects are listed by hand
      --needs FILE                             another list

    MOODLE is a directory with Moodle's version.php, or with public/version.php (5.1 and later).

    TXT;

/** One line of the list. */
final class Need {
    /**
     * @param string[] $files where it may be
     * @param string[][] $ways each a list of words: one of them is enough
     */
    public function __construct(public readonly array $files, public readonly array $ways, public readonly int $line) {
    }

    public function where(): string {
        return implode(' or ', $this->files);
    }
}

/** @return Need[] */
function needs(string $path): array {
    $needs = [];
    $files = [];
    foreach (file($path, FILE_IGNORE_NEW_LINES) as $n => $text) {
        $text = rtrim(preg_replace('/(^|\s)#.*/', '', $text));
        if ($text === '') {
            continue;
        }
        if ($text[0] !== ' ') {
            $files = explode(' | ', $text);
            continue;
        }
        $ways = array_map(static fn($way) => preg_split('/\s+/', trim($way)), explode(' | ', $text));
        $needs[] = new Need($files, $ways, $n + 1);
    }
    return $needs;
}

/** A tree, whose files are read once. */
final class Tree {
    /** @var array<string, Declarations> */
    private array $declared = [];

    public function __construct(private readonly string $root) {
    }

    public function version(): string {
        $text = $this->text('version.php') ?? '';
        return preg_match('/\$release\s*=\s*[\'"]([^\'"]+)/', $text, $found) ? $found[1] : 'of an unknown release';
    }

    /** A file of the web root, which is below public/ from 5.1 on; some, as lib of the installation, are not. */
    public function text(string $file): ?string {
        foreach (['public/', ''] as $below) {
            $path = "{$this->root}/{$below}{$file}";
            if (is_file($path)) {
                return file_get_contents($path);
            }
        }
        return null;
    }

    /** @param string[] $files */
    public function has_any(array $files): bool {
        return array_filter($files, fn($file) => $this->text($file) !== null) !== [];
    }

    /** @param string[] $files */
    private function declared(array $files): Declarations {
        $all = new Declarations();
        foreach ($files as $file) {
            $all->add($this->declared[$file] ??= Declarations::of($this->text($file) ?? ''));
        }
        return $all;
    }

    /** @return string '': it is there; else what is missing */
    public function lacks(Need $need): string {
        $problems = [];
        foreach ($need->ways as $words) {
            $problem = $this->lacks_way($need, $words);
            if ($problem === '') {
                return '';
            }
            $problems[] = $problem;
        }
        return implode('; ', $problems);
    }

    /** @param string[] $words */
    private function lacks_way(Need $need, array $words): string {
        $kind = array_shift($words);
        $name = (string)array_shift($words);
        switch ($kind) {
            case 'class':
                return $this->declared($need->files)->has_class($name) ? '' : "class {$name} is not declared";
            case 'const':
                return $this->declared($need->files)->has_constant($name) ? '' : "constant {$name} is not declared";
            case 'call':
                return $this->lacks_call($need->files, $name, $words);
            case 'override':
                // A method of ours: core may not have given the one that it stands for another parameter.
                $signature = $this->declared($need->files)->signature_of($name);
                if (!$signature) {
                    return "{$name}() is not declared";
                }
                return $signature->most !== null && $signature->most <= (int)$words[0] ? ''
                    : "{$name}() takes {$signature} arguments, ours {$words[0]}";
            case 'table':
                return self::lacks_table((string)$this->text($need->files[0]), $name, $words);
            case 'text':
                $wanted = implode(' ', [$name, ...$words]);
                return str_contains(implode('', array_map(fn($file) => (string)$this->text($file), $need->files)), $wanted)
                    ? '' : "there is no \"{$wanted}\"";
            default:
                fail("line {$need->line} of the list: \"{$kind}\" is none of class, const, call, override, table, text");
        }
    }

    /**
     * @param string[] $files
     * @param string[] $counts
     */
    private function lacks_call(array $files, string $name, array $counts): string {
        $signature = $this->declared($files)->signature_of($name);
        if (!$signature) {
            return "{$name}() is not declared";
        }
        if (!$signature->public) {
            return "{$name}() is private";
        }
        $wrong = array_filter($counts, static fn($count) => !$signature->takes((int)$count));
        return $wrong ? "{$name}() takes {$signature} arguments, is called with " . implode(' and ', $wrong) : '';
    }

    /** @param string[] $fields */
    private static function lacks_table(string $xml, string $name, array $fields): string {
        $previous = libxml_use_internal_errors(true);
        $document = simplexml_load_string($xml);
        libxml_use_internal_errors($previous);
        $table = $document ? ($document->xpath("TABLES/TABLE[@NAME='{$name}']")[0] ?? null) : null;
        if (!$table) {
            return "there is no table {$name}";
        }
        $there = array_map('strval', $table->xpath('FIELDS/FIELD/@NAME'));
        $missing = array_diff($fields, $there);
        return $missing ? "table {$name} has no field " . implode(', ', $missing) : '';
    }
}

/** Functions of PHP that only some of its programs have. */
const OF_PHP = ['fastcgi_finish_request'];

function fail(string $message): never {
    fwrite(STDERR, "contract: {$message}\n");
    exit(2);
}

/** @return string[] the plugins' PHP files, tests left out */
function plugin_files(): array {
    $found = [];
    $walk = new RecursiveIteratorIterator(new RecursiveDirectoryIterator(dirname(__DIR__, 2) . '/moodle-plugin'));
    foreach ($walk as $file) {
        if (str_ends_with((string)$file, '.php') && !str_contains((string)$file, '/tests/')) {
            $found[] = (string)$file;
        }
    }
    sort($found);
    return $found;
}

/** @return string[] lines of needs.txt that are missing, sorted */
function unlisted(array $needs): array {
    $listed = [];
    foreach ($needs as $need) {
        foreach ($need->ways as $words) {
            $kind = $words[0];
            foreach ($kind === 'call' ? (array_slice($words, 2) ?: ['']) : [''] as $count) {
                $listed[rtrim("{$kind} " . ($words[1] ?? '') . " {$count}")] = true;
            }
        }
    }
    $ours = new Declarations();
    $used = [];
    foreach (plugin_files() as $file) {
        $php = file_get_contents($file);
        $here = Declarations::of($php);
        $ours->functions += $here->functions;
        $ours->classes += $here->classes;
        $ours->constants += $here->constants;
        $used[] = Uses::of($php);
    }
    $is_ours = static fn(string $name) => str_contains($name, 'quizaccess_vigil') || str_contains($name, 'ltiservice_vigil');
    $missing = [];
    foreach ($used as $uses) {
        foreach (array_keys($uses->classes) as $class) {
            if (!$is_ours($class) && !class_exists($class) && !interface_exists($class) && !in_array($class, ['self', 'parent', 'static'], true)) {
                $missing["class {$class}"] = true;
            }
        }
        foreach ($uses->calls as $name => $counts) {
            [$class] = explode('::', $name . '::');
            $builtin = function_exists($name) || in_array($name, OF_PHP, true) || str_contains($name, '::') && class_exists($class);
            if ($is_ours($name) || $builtin || in_array($class, ['self', 'parent', 'static'], true) || isset($ours->functions[$name])) {
                continue;
            }
            foreach (array_unique($counts) as $count) {
                $missing["call {$name} {$count}"] = true;
            }
        }
        foreach (array_keys($uses->constants) as $name) {
            [$class] = explode('::', $name . '::');
            $builtin = defined($name) || str_contains($name, '::') && class_exists($class) || str_ends_with($name, '::class');
            if (!$is_ours($name) && !$builtin && !in_array($class, ['self', 'parent', 'static'], true) && !isset($ours->constants[$name])) {
                $missing["const {$name}"] = true;
            }
        }
    }
    $missing = array_keys(array_diff_key($missing, $listed));
    sort($missing);
    return $missing;
}

$arguments = array_slice($argv, 1);
if (!$arguments || array_intersect($arguments, ['-h', '--help'])) {
    echo USAGE;
    exit($arguments ? 0 : 2);
}
$list = __DIR__ . '/needs.txt';
$at = array_search('--needs', $arguments, true);
if ($at !== false) {
    [, $list] = array_splice($arguments, $at, 2) + [1 => ''];
}
if (!is_file($list)) {
    fail("there is no list \"{$list}\"");
}
$needs = needs($list);
if ($arguments === ['--unlisted']) {
    $missing = unlisted($needs);
    echo implode('', array_map(static fn($line) => "{$line}\n", $missing));
    exit($missing ? 1 : 0);
}
$partial = in_array('--partial', $arguments, true);
$status = 0;
foreach (array_diff($arguments, ['--partial']) as $root) {
    if (str_starts_with($root, '-')) {
        fail("there is no option {$root}; see --help");
    }
    if (!is_dir($root)) {
        fail("{$root} is not a directory");
    }
    $tree = new Tree($root);
    $looked = 0;
    $absent = [];
    $missing = [];
    foreach ($needs as $need) {
        if (!$tree->has_any($need->files)) {
            $absent[$need->where()] = true;
            continue;
        }
        $looked++;
        $problem = $tree->lacks($need);
        if ($problem !== '') {
            $missing[] = "{$need->where()}: {$problem}";
        }
    }
    if (!$partial) {
        $missing = [...array_map(static fn($file) => "{$file}: there is no such file", array_keys($absent)), ...$missing];
    }
    echo "Moodle {$tree->version()} in {$root}: looked at {$looked} of " . count($needs) . ' needs, ' . count($missing) . " missing\n";
    foreach ($missing as $line) {
        echo "  {$line}\n";
    }
    $status = $missing || !$looked ? 1 : $status;
}
exit($status);
