package web

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// In a frame of the platform the way back must take the whole window: a platform whose
// session cookie is SameSite=Lax does not know the person in a frame that another site
// navigates, and would ask them to log in inside of its own page.
func TestTheWayBackLeavesTheFrame(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`<a [^>]*href="\{\{\.\}\}"[^>]*>\{\{t "back"\}\}`)
	found := 0
	err := fs.WalkDir(pageFiles, "page", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		page, err := pageFiles.ReadFile(path)
		if err != nil {
			return err
		}
		for _, a := range link.FindAllString(string(page), -1) {
			found++
			if !strings.Contains(a, ` target="_top"`) {
				t.Errorf("%s: got %s, want it with target=\"_top\"", path, a)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := found, 5; got != want {
		t.Errorf("got %d ways back, want %d", got, want)
	}
}
