package sqlite_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"vigil/migrations/sqlite"
)

// first is the last step from before steps said which programs may live beside them.
const first = 4

func TestEachStepSaysWhichProgramsMayLiveBesideIt(t *testing.T) {
	steps, err := sqlite.Steps(sqlite.Files)
	if err != nil {
		t.Fatal(err)
	}
	oldest := 0
	for _, s := range steps {
		raw, err := sqlite.Files.ReadFile(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		if says := strings.Contains(string(raw), "\n-- vigil:oldest="); says != (s.Version > first) {
			t.Errorf("%s: says which is the oldest program: got %v, want %v", s.Name, says, !says)
		}
		if s.Oldest < oldest || s.Oldest > s.Version {
			t.Errorf("%s: got oldest %d, want it from %d to %d", s.Name, s.Oldest, oldest, s.Version)
		}
		oldest = s.Oldest
	}
}

func TestAStepThatSaysNothingStopsOlderPrograms(t *testing.T) {
	steps, err := sqlite.Steps(fstest.MapFS{
		"0007_a.sql": {Data: []byte("-- +goose Up\n-- vigil:oldest=5\nSELECT 1;\n")}, "0008_b.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")},
	})
	if err != nil || len(steps) != 2 || steps[0].Oldest != 5 || steps[1].Oldest != 8 {
		t.Errorf("got %+v, %v, want the oldest programs to know 5 and 8", steps, err)
	}
	if _, err := sqlite.Steps(fstest.MapFS{"no_number.sql": {}}); err == nil {
		t.Error("got no error for a file without a number")
	}
}
