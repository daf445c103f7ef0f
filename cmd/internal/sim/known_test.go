package sim

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each file of testdata is a run that broke a rule once, cut down to the events that it needs, and
// named after the fault: "seed" and the seed of the world, and the events as -shrink prints them.
// A seed by itself would be another run as soon as there is a new kind of event.
func TestKnownRuns(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			seed, events, err := readRun(path)
			if err != nil {
				t.Fatal(err)
			}
			faults, history, _ := run(t, seed, events, "")
			for _, f := range faults {
				t.Error(f)
			}
			if *show {
				fmt.Println(strings.Join(history, "\n"))
			}
		})
	}
}

func readRun(path string) (seed uint64, events []event, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if _, err := fmt.Sscanf(text, "seed %d", &seed); err == nil {
			continue
		}
		at, rest, _ := strings.Cut(text, " ")
		open := strings.LastIndex(rest, " (")
		e := event{}
		if e.at, err = time.ParseDuration(at); err == nil && open > 0 {
			e.kind = rest[:open]
			_, err = fmt.Sscanf(rest[open:], " (%d)", &e.seed)
		}
		if err != nil || !known(e.kind) {
			return 0, nil, fmt.Errorf("%s:%d: this is no event: %s", path, n, text)
		}
		events = append(events, e)
	}
	return seed, events, lines.Err()
}

// known tells whether there is such a kind of event.
func known(kind string) bool {
	for _, h := range happen {
		if h.kind == kind {
			return true
		}
	}
	return rare[kind] != nil
}
