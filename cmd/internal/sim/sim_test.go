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
	seeds = flag.Uint64("seeds", 2, "so many seeds from it on")
	show  = flag.Bool("history", false, "print what happened")
	cut   = flag.Bool("shrink", false, "leave out events of a seed that fails, while it does")
)

// run plays a seed, without the events that drop names.
func run(t *testing.T, seed uint64, drop map[int]bool, off Rule) (faults, history []string, passed int) {
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
			var events []event
			for i, e := range eventsOf(seed) {
				if !drop[i] {
					events = append(events, e)
				}
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
		faults, history, passed := run(t, seed, nil, "")
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
				faults, _, _ := run(t, seed+1, nil, rule)
				if slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, string(rule)) }) {
					return
				}
			}
			t.Error("ten seeds did not break it")
		})
	}
}

// shrink leaves out events, the latest first, as long as what is left fails.
func shrink(t *testing.T, seed uint64) {
	t.Helper()
	drop := map[int]bool{}
	events := eventsOf(seed)
	for i := range slices.Backward(events) {
		drop[i] = true
		if faults, _, _ := run(t, seed, drop, ""); len(faults) == 0 {
			delete(drop, i)
		}
	}
	faults, _, _ := run(t, seed, drop, "")
	for i, e := range events {
		if !drop[i] {
			t.Logf("seed %d needs: %s", seed, e)
		}
	}
	t.Logf("seed %d then: %v", seed, faults)
}

func eventsOf(seed uint64) []event { return plan(rand.New(rand.NewPCG(seed, 4))) }
