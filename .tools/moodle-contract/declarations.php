<?php
// What a PHP file declares, and what it uses of others, as PHP's own tokenizer sees it. Nothing of the file is run.

declare(strict_types=1);

/** Parameters of a function: how many a call must have, and may have (null: any number). */
final class Signature {
    public function __construct(
        public readonly int $required,
        public readonly ?int $most,
        public readonly bool $public = true,
    ) {
    }

    public function takes(int $count): bool {
        return $count >= $this->required && ($this->most === null || $count <= $this->most);
    }

    public function __toString(): string {
        return $this->most === null ? "{$this->required} or more" : ($this->required === $this->most
            ? "{$this->most}" : "{$this->required} to {$this->most}");
    }
}

/** What a file declares. Names of classes and functions are qualified, without the first backslash. */
final class Declarations {
    /** @var array<string, Signature> by name; a method is Class::method */
    public array $functions = [];
    /** @var array<string, string> classes, interfaces, traits and enums, with what they extend */
    public array $classes = [];
    /** @var array<string, true> by name; one of a class is Class::NAME */
    public array $constants = [];
    /** @var array<string, string> other names of classes (class_alias), with the class that each is */
    public array $aliases = [];

    /** Takes what another file declares, too. */
    public function add(self $other): void {
        $this->functions += $other->functions;
        $this->classes += $other->classes;
        $this->constants += $other->constants;
        $this->aliases += $other->aliases;
    }

    public function has_class(string $name): bool {
        return isset($this->classes[$this->aliases[$name] ?? $name]);
    }

    public function has_constant(string $name): bool {
        return $this->of_class($this->constants, $name) !== null;
    }

    public function signature_of(string $name): ?Signature {
        [$class, $member] = explode('::', $name) + [1 => ''];
        // A class need not declare how it is made.
        $implied = $member === '__construct' && $this->has_class($class) ? new Signature(0, 0) : null;
        return $this->of_class($this->functions, $name) ?? $implied;
    }

    /**
     * A member of a class or what it extends, if that is declared here, too; or what is none of a class.
     *
     * @template T
     * @param array<string, T> $list
     * @return T|null
     */
    private function of_class(array $list, string $name): mixed {
        [$class, $member] = explode('::', $name) + [1 => null];
        if ($member === null) {
            return $list[$name] ?? null;
        }
        for ($n = 0; $class !== '' && $n < 9; $n++) {
            $class = $this->aliases[$class] ?? $class;
            if (isset($list["{$class}::{$member}"])) {
                return $list["{$class}::{$member}"];
            }
            $class = $this->classes[$class] ?? '';
        }
        return null;
    }

    public static function of(string $php): self {
        $found = new self();
        $tokens = array_values(array_filter(
            PhpToken::tokenize($php),
            static fn(PhpToken $t) => !$t->is([T_WHITESPACE, T_COMMENT, T_DOC_COMMENT, T_OPEN_TAG])
        ));
        $namespace = '';
        $class = '';
        $depth = 0;
        $classdepth = -1;
        $public = true;
        $imports = [];
        $count = count($tokens);
        for ($i = 0; $i < $count; $i++) {
            $token = $tokens[$i];
            $next = $tokens[$i + 1] ?? null;
            if ($token->is(['{', T_CURLY_OPEN, T_DOLLAR_OPEN_CURLY_BRACES])) {
                $depth++;
            } else if ($token->is('}')) {
                $depth--;
                if ($depth === $classdepth) {
                    [$class, $classdepth] = ['', -1];
                }
            } else if ($token->is(T_NAMESPACE) && $next?->is([T_STRING, T_NAME_QUALIFIED])) {
                $namespace = $next->text . '\\';
            } else if ($token->is([T_CLASS, T_INTERFACE, T_TRAIT, T_ENUM]) && $next?->is(T_STRING) && !($tokens[$i - 1] ?? null)?->is([T_DOUBLE_COLON, T_NEW])) {
                [$class, $classdepth] = [$namespace . $next->text, $depth];
                $parent = ($tokens[$i + 2] ?? null)?->is(T_EXTENDS) ? self::qualify($tokens[$i + 3]->text, $namespace, $imports) : '';
                $found->classes[$class] = $parent;
            } else if ($token->is(T_USE) && $class === '' && $next?->is([T_STRING, T_NAME_QUALIFIED, T_NAME_FULLY_QUALIFIED])) {
                $name = ltrim($next->text, '\\');
                $imports[$tokens[$i + 2]->is(T_AS) ? $tokens[$i + 3]->text : basename(str_replace('\\', '/', $name))] = $name;
            } else if ($token->is([T_STRING, T_NAME_FULLY_QUALIFIED]) && ltrim($token->text, '\\') === 'class_alias' && $next?->is('(')) {
                $names = [];
                for ($j = $i + 2; $j < $count && !$tokens[$j]->is(')'); $j++) {
                    if ($tokens[$j]->is(T_CONSTANT_ENCAPSED_STRING)) {
                        $names[] = ltrim(stripslashes(trim($tokens[$j]->text, '\'"')), '\\');
                    } else if ($tokens[$j]->is([T_STRING, T_NAME_QUALIFIED, T_NAME_FULLY_QUALIFIED])) {
                        $names[] = self::qualify($tokens[$j]->text, $namespace, $imports);
                    }
                }
                if (count($names) >= 2) {   // A third argument says whether to load it.
                    $found->aliases[$names[1]] = $names[0];
                }
            } else if ($token->is([T_PUBLIC, T_PROTECTED, T_PRIVATE])) {
                $public = !$token->is(T_PRIVATE);
            } else if ($token->is([T_CONST])) {
                for ($j = $i + 1; $j < $count && !$tokens[$j]->is(['=', ';']); $j++) {
                    $name = $tokens[$j]->text;
                }
                $found->constants[($class === '' ? $namespace : $class . '::') . ($name ?? '')] = true;
            } else if ($token->is(T_STRING) && $token->text === 'define' && $next?->is('(')
                    && $tokens[$i + 2]->is(T_CONSTANT_ENCAPSED_STRING)) {
                $found->constants[trim($tokens[$i + 2]->text, '\'"')] = true;
            } else if ($token->is(T_FUNCTION)) {
                $at = $i + 1;
                if ($tokens[$at]->text === '&') {
                    $at++;
                }
                if ($tokens[$at]->is('(')) {
                    continue;   // A closure.
                }
                $name = ($class === '' ? $namespace : $class . '::') . $tokens[$at]->text;
                $found->functions[$name] ??= self::signature($tokens, $at + 1, $public);
                $public = true;
            } else if ($token->is([';'])) {
                $public = true;
            }
        }
        return $found;
    }

    /** @param array<string, string> $imports */
    public static function qualify(string $name, string $namespace, array $imports): string {
        if (str_starts_with($name, '\\')) {
            return substr($name, 1);
        }
        $first = strstr($name, '\\', true) ?: $name;
        return isset($imports[$first]) ? $imports[$first] . substr($name, strlen($first)) : $namespace . $name;
    }

    /** @param PhpToken[] $tokens */
    private static function signature(array $tokens, int $at, bool $public): Signature {
        $required = 0;
        $most = 0;
        $depth = 0;
        $optional = false;
        for ($i = $at; $i < count($tokens); $i++) {
            $token = $tokens[$i];
            if ($token->is(['(', '[', T_ATTRIBUTE, '{'])) {
                $depth++;
            } else if ($token->is([')', ']', '}'])) {
                $depth--;
                if ($depth === 0) {
                    break;
                }
            } else if ($depth === 1 && $token->is(T_ELLIPSIS)) {
                return new Signature($required, null, $public);
            } else if ($depth === 1 && $token->is(T_VARIABLE) && !$optional) {
                $most++;
                $optional = ($tokens[$i + 1] ?? null)?->is('=') ?? false;
                $required = $optional ? $required : $most;
            } else if ($depth === 1 && $token->is(',')) {
                $optional = false;
            }
        }
        return new Signature($required, $most, $public);
    }
}

/** What a file uses of others that can be told without knowing types: functions, static methods, classes and constants. */
final class Uses {
    /** @var array<string, int[]> how many arguments functions and static methods are called with; new Class is Class::__construct */
    public array $calls = [];
    /** @var array<string, true> */
    public array $classes = [];
    /** @var array<string, true> constants of classes, as Class::NAME, and global ones of more than one capital */
    public array $constants = [];

    private const NAMES = [T_STRING, T_NAME_QUALIFIED, T_NAME_FULLY_QUALIFIED];

    public static function of(string $php): self {
        $found = new self();
        $tokens = array_values(array_filter(
            PhpToken::tokenize($php),
            static fn(PhpToken $t) => !$t->is([T_WHITESPACE, T_COMMENT, T_DOC_COMMENT, T_OPEN_TAG])
        ));
        $namespace = '';
        $imports = [];
        $inclass = false;
        foreach ($tokens as $i => $token) {
            $before = $tokens[$i - 1] ?? null;
            $next = $tokens[$i + 1] ?? null;
            if ($token->is(T_NAMESPACE)) {
                $namespace = $next->text . '\\';
            } else if ($token->is([T_CLASS, T_TRAIT, T_INTERFACE])) {
                $inclass = true;
            } else if ($token->is(T_USE) && !$inclass && $next?->is(self::NAMES)) {
                $name = ltrim($next->text, '\\');
                $alias = $tokens[$i + 2]->is(T_AS) ? $tokens[$i + 3]->text : basename(str_replace('\\', '/', $name));
                $imports[$alias] = $name;
                $found->classes[$name] = true;
            } else if ($token->is(self::NAMES) && !$before?->is([T_OBJECT_OPERATOR, T_NULLSAFE_OBJECT_OPERATOR, T_FUNCTION, T_CONST,
                    T_CLASS, T_NAMESPACE, T_USE, T_AS, T_DOUBLE_COLON, T_INTERFACE, T_TRAIT])) {
                $name = $token->text;
                if ($next?->is('(') && !$before?->is([T_NEW, T_ATTRIBUTE])) {
                    $found->calls[ltrim($name, '\\')][] = self::arguments($tokens, $i + 1);
                    continue;
                }
                $class = Declarations::qualify($name, $namespace, $imports);
                if ($next?->is(T_DOUBLE_COLON)) {
                    $member = $tokens[$i + 2];
                    if (($tokens[$i + 3] ?? null)?->is('(') && $member->is([T_STRING]) ) {
                        $found->calls["{$class}::{$member->text}"][] = self::arguments($tokens, $i + 3);
                    } else if ($member->is(T_STRING)) {
                        $found->constants["{$class}::{$member->text}"] = true;
                    }
                    $found->classes[$class] = true;
                } else if ($before?->is(T_NEW)) {
                    $found->classes[$class] = true;
                    $found->calls["{$class}::__construct"][] = $next?->is('(') ? self::arguments($tokens, $i + 1) : 0;
                } else if ($before?->is([T_EXTENDS, T_IMPLEMENTS, T_INSTANCEOF]) || $token->is([T_NAME_QUALIFIED, T_NAME_FULLY_QUALIFIED])) {
                    $found->classes[$class] = true;
                } else if (preg_match('/^[A-Z][A-Z0-9_]+$/', $name)) {
                    $found->constants[$name] = true;
                }
            }
        }
        return $found;
    }

    /** @param PhpToken[] $tokens */
    private static function arguments(array $tokens, int $at): int {
        $depth = 0;
        $count = 0;
        $any = false;
        for ($i = $at; $i < count($tokens); $i++) {
            $token = $tokens[$i];
            if ($token->is(['(', '[', '{', T_CURLY_OPEN])) {
                $any = $any || $depth > 0;
                $depth++;
            } else if ($token->is([')', ']', '}'])) {
                $depth--;
                if ($depth === 0) {
                    return $any ? $count + ($tokens[$i - 1]->is(',') ? 0 : 1) : 0;
                }
            } else if ($depth === 1 && $token->is(',')) {
                $count++;
            } else {
                $any = true;
            }
        }
        return 0;
    }
}
