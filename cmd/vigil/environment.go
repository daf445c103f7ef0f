package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"vigil"
)

// envPrefix begins the name of every environment variable that Vigil reads: the flag
// --public-url is VIGIL_PUBLIC_URL.
const envPrefix = "VIGIL_"

// environ holds the process's environment. It resolves flags by their names, so that no
// setting can be forgotten, and knows which of our variables no command has.
type environ map[string]string

func environment(list []string) environ {
	e := environ{}
	for _, kv := range list {
		if k, v, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(k, envPrefix) {
			e[k] = v
		}
	}
	return e
}

// envName is the variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Validate implements kong.Resolver.
func (environ) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: the flag's value from the environment, if it is set.
func (e environ) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if v, ok := e[envName(flag.Name)]; ok && flag.Name != "help" {
		return v, nil
	}
	return nil, nil
}

// unknown refuses variables of ours that no command has: a misspelt setting must not be
// ignored silently.
func (e environ) unknown(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[envName(f.Name)] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(app.Node)
	var bad []string
	for k := range e {
		// Variables of the build and the tests are not settings.
		if !known[k] && k != "VIGIL_BIN" {
			bad = append(bad, k)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return vigil.Invalid(bad[0], "There is no such setting; `vigil serve --help` lists them.")
}
