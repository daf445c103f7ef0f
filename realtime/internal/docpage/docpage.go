// Package docpage reads docs/protocol.md for the tests that hold the page against the code.
package docpage

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Text is the whole page.
func Text(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's directory")
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Section is the page's part under a heading.
func Section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(Text(t), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/protocol.md has no %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	for l := len(level); l > 1; l-- {
		rest, _, _ = strings.Cut(rest, "\n"+strings.Repeat("#", l)+" ")
	}
	return rest
}

// Code finds code words.
var Code = regexp.MustCompile("`([a-z0-9_]+)`")

// FirstCells are the code words in the first cell of each row of a section's table.
func FirstCells(t *testing.T, heading string) []string {
	t.Helper()
	var out []string
	for line := range strings.SplitSeq(Section(t, heading), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range Code.FindAllStringSubmatch(cells[1], -1) {
			out = append(out, m[1])
		}
	}
	return out
}
