package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

var (
	first = flag.Uint64("seed", 1, "the first seed")
	seeds = flag.Uint64("seeds", seedsOfAll, "so many seeds from it on")
	show  = flag.Bool("history", false, "print what happened")
	cut   = flag.Bool("shrink", false, "leave out events of a seed that fails, while it does")
)

// run plays events in a seed's world.
func run(t *testing.T, seed uint64, events []event, off Rule) (faults, history []string, passed int) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // what is ready at the same moment goes on in the same order
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		synctest.Test(t, func(t *testing.T) {
			handler := slog.DiscardHandler
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: slog.New(handler)})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, seed, db, handler)
			w.off = off
			w.play(events)
			w.close()
			faults, history, passed = w.faults, w.bus.history, w.bus.passed
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	})
	return faults, history, passed
}

func TestSeeds(t *testing.T) {
	began := time.Now()
	total := 0
	for seed := *first; seed < *first+*seeds; seed++ {
		faults, history, passed := run(t, seed, eventsOf(seed), "")
		total += passed
		if *show {
			for _, l := range history {
				fmt.Println(l)
			}
		}
		for _, f := range faults {
			t.Errorf("seed %d: %s", seed, f)
		}
		if len(faults) > 0 && *cut {
			shrink(t, seed)
		}
	}
	took := time.Since(began)
	t.Logf("%d seeds from %d on, %d passages, %.2f seeds a second", *seeds, *first, total, float64(*seeds)/took.Seconds())
}

// Each rule is seen to fail when what upholds it is switched off.
func TestEachRuleCanFail(t *testing.T) {
	for _, rule := range rules {
		t.Run(string(rule), func(t *testing.T) {
			for seed := range uint64(10) {
				faults, _, _ := run(t, seed+1, eventsOf(seed+1), rule)
				if slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, string(rule)) }) {
					return
				}
			}
			t.Error("ten seeds did not break it")
		})
	}
}

// shrink leaves out events, the latest first, as long as what is left fails, and prints what is
// left, for a file of testdata.
func shrink(t *testing.T, seed uint64) {
	t.Helper()
	events := eventsOf(seed)
	for i := len(events) - 1; i >= 0; i-- {
		less := slices.Delete(slices.Clone(events), i, i+1)
		if faults, _, _ := run(t, seed, less, ""); len(faults) > 0 {
			events = less
		}
	}
	faults, _, _ := run(t, seed, events, "")
	fmt.Printf("# %s\nseed %d\n", strings.Join(faults, "\n# "), seed)
	for _, e := range events {
		fmt.Println(e)
	}
}

func eventsOf(seed uint64) []event { return plan(rand.New(rand.NewPCG(seed, 4))) }
