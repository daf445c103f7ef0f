package vigil

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the pages name as a test or a file is there: somebody who reads them goes and looks.
func TestThePagesNameTestsAndFilesThatAreThere(t *testing.T) {
	var files []string
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		files = append(files, "/"+filepath.ToSlash(path))
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllStringSubmatch(string(code), -1) {
			tests[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`(Test\\w+|[a-z][\\w/-]*\\.(?:go|php|mjs|js|ts))`")
	for _, page := range []string{"docs/threat-model.md", "docs/truth.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "Test") {
				if !tests[m[1]] {
					t.Errorf("%s names the test %s, which is not there", page, m[1])
				}
				continue
			}
			if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "/"+m[1]) }) {
				t.Errorf("%s names the file %s, which is not there", page, m[1])
			}
		}
	}
}
