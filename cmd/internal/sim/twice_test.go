package sim

import (
	"flag"
	"testing"
)

var twice = flag.Uint64("twice", 2, "so many seeds are played twice, and must be the same run")

func TestASeedIsOneRun(t *testing.T) {
	for seed := *first; seed < *first+*twice; seed++ {
		_, one, _ := run(t, seed, eventsOf(seed), "")
		_, two, _ := run(t, seed, eventsOf(seed), "")
		for i := range max(len(one), len(two)) {
			if i >= len(one) || i >= len(two) || one[i] != two[i] {
				t.Errorf("seed %d: after %d lines of %d and %d, the two are not the same:\n%s\n%s", seed, i, len(one), len(two), entry(one, i), entry(two, i))
				break
			}
		}
	}
}

func entry(history []string, i int) string {
	if i < len(history) {
		return history[i]
	}
	return "(the end)"
}
