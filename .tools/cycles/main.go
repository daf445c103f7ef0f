// Command cycles counts, for each package, how much its files use each other's names, and fails where that grew.
//
// An arrow from file A to file B says that A uses a name (type, function, variable, constant, method or field) that B of
// the same package declares. Two figures follow from the arrows: the size of the largest cycle of files, each of which
// uses names of the next, and the number of pairs that use each other's. A file that belongs to a large cycle cannot be
// understood, moved or tested without the others of it.
//
// The figures that a package may have stand in limits.txt beside this file, one package a line; a package without a line
// may have 12 and 16. Lower a limit when its package has become simpler; none is raised.
package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// limit is what a package may have: files in its largest cycle, and pairs that use each other.
type limit struct{ cycle, pairs int }

// standard is for packages without a line in the file of limits.
var standard = limit{cycle: 12, pairs: 16}

func main() {
	file := flag.String("limits", "", "file of limits: package, largest cycle, mutual pairs")
	show := flag.Bool("v", false, "print the figures of every package, and the files of its largest cycle")
	flag.Parse()
	bad, err := run(*file, *show, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "cycles:", err)
		os.Exit(2)
	}
	if bad {
		os.Exit(1)
	}
}

func run(file string, show bool, patterns []string) (bad bool, err error) {
	limits, err := readLimits(file)
	if err != nil {
		return false, err
	}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports,
	}, patterns...)
	if err != nil {
		return false, err
	}
	if packages.PrintErrors(loaded) > 0 {
		return false, fmt.Errorf("the packages do not compile")
	}
	slices.SortFunc(loaded, func(a, b *packages.Package) int { return cmp.Compare(a.PkgPath, b.PkgPath) })
	for _, p := range loaded {
		arrows := arrowsOf(p)
		cycle, pairs := largestCycle(arrows), mutual(arrows)
		may, named := limits[p.PkgPath]
		delete(limits, p.PkgPath)
		if !named {
			may = standard
		}
		if show && len(p.Syntax) > 1 {
			fmt.Printf("%-40s files %3d  largest cycle %3d  mutual pairs %3d  %s\n", p.PkgPath, len(p.Syntax), len(cycle), pairs, strings.Join(cycle, " "))
		}
		switch {
		case len(cycle) > may.cycle || pairs > may.pairs:
			bad = true
			fmt.Printf("%s: %d files in one cycle of names, %d mutual pairs; at most %d and %d are allowed. The cycle: %s\n",
				p.PkgPath, len(cycle), pairs, may.cycle, may.pairs, strings.Join(cycle, " "))
		case named && (len(cycle) < may.cycle || pairs < may.pairs):
			fmt.Printf("%s: has %d and %d now, the limits say %d and %d: they can be lowered in %s\n", p.PkgPath, len(cycle), pairs, may.cycle, may.pairs, file)
		}
	}
	for path := range limits {
		bad = true
		fmt.Printf("%s: named in %s, and no such package was looked at\n", path, file)
	}
	return bad, nil
}

// readLimits reads lines of package, largest cycle and mutual pairs; # begins a comment.
func readLimits(file string) (map[string]limit, error) {
	limits := map[string]limit{}
	if file == "" {
		return limits, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		var path string
		var l limit
		if _, err := fmt.Sscan(text, &path, &l.cycle, &l.pairs); err != nil {
			return nil, fmt.Errorf("%s: %q is not a package and two numbers: %w", file, text, err)
		}
		limits[path] = l
	}
	return limits, lines.Err()
}

// arrowsOf tells for each file of a package, by its base name, which others of it declare names that it uses.
func arrowsOf(p *packages.Package) map[string]map[string]bool {
	fileOf := func(o types.Object) string { return filepath.Base(p.Fset.Position(o.Pos()).Filename) }
	arrows := map[string]map[string]bool{}
	for _, f := range p.Syntax {
		from := filepath.Base(p.Fset.Position(f.Pos()).Filename)
		uses := map[string]bool{}
		arrows[from] = uses
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			o := p.TypesInfo.Uses[id]
			if o == nil || o.Pkg() != p.Types || !o.Pos().IsValid() || !declaredInPackage(o) {
				return true
			}
			if to := fileOf(o); to != from {
				uses[to] = true
			}
			return true
		})
	}
	return arrows
}

// declaredInPackage tells whether an object is a name of the package: at its top level, a method or a field.
func declaredInPackage(o types.Object) bool {
	if v, ok := o.(*types.Var); ok && v.IsField() {
		return true
	}
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		return true
	}
	return o.Parent() == o.Pkg().Scope()
}

// mutual counts the pairs of files that use each other's names.
func mutual(arrows map[string]map[string]bool) int {
	n := 0
	for a, uses := range arrows {
		for b := range uses {
			if a < b && arrows[b][a] {
				n++
			}
		}
	}
	return n
}

// largestCycle is the largest set of files each of which reaches all others (Tarjan's algorithm), sorted; empty: there is no cycle.
func largestCycle(arrows map[string]map[string]bool) []string {
	var (
		index, low = map[string]int{}, map[string]int{}
		on         = map[string]bool{}
		stack      []string
		largest    []string
		visit      func(string)
	)
	visit = func(v string) {
		index[v] = len(index) + 1
		low[v] = index[v]
		stack, on[v] = append(stack, v), true
		for w := range arrows[v] {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if on[w] {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		at := slices.Index(stack, v)
		part := slices.Clone(stack[at:])
		stack = stack[:at]
		for _, w := range part {
			on[w] = false
		}
		if len(part) > 1 && len(part) > len(largest) {
			slices.Sort(part)
			largest = part
		}
	}
	for v := range arrows {
		if index[v] == 0 {
			visit(v)
		}
	}
	return largest
}
