//go:build unix

package sqlite

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurnsAreTakenOneAfterTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	var atWork atomic.Int32
	var ready, processes sync.WaitGroup
	ready.Add(2)
	for range 2 {
		processes.Go(func() {
			turn := newTurn(path, time.Minute, slog.Default())
			defer turn.close()
			ready.Done()
			ready.Wait()
			for range 200 {
				turn.take()
				if n := atWork.Add(1); n != 1 || !turn.held {
					t.Errorf("got %d at work, the turn held: %t; want one that holds it", n, turn.held)
				}
				for range 10 {
					runtime.Gosched() // so that the other would be at work, too, if it could
				}
				atWork.Add(-1)
				turn.give()
			}
		})
	}
	processes.Wait()
}

func TestATurnThatIsNeverGivenIsNotWaitedForLonger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	a, b := newTurn(path, time.Minute, slog.Default()), newTurn(path, 10*time.Millisecond, slog.Default())
	a.take()
	b.take()
	if b.held {
		t.Error("got the turn while another had it")
	}
	b.give() // nothing to give
	a.close()
	b.patient = time.Minute
	b.take() // the request that was made before
	if !b.held {
		t.Error("got no turn once it was free")
	}
	b.give()
	b.close()
}

// One process stands still, another goes on without it, and then has nothing to write: a
// third must not wait for that.
func TestATurnThatComesTooLateIsPassedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	a, b, c := newTurn(path, time.Minute, slog.Default()), newTurn(path, time.Millisecond, slog.Default()), newTurn(path, time.Minute, slog.Default())
	a.take()
	b.take()
	late := b.asked
	if late == nil {
		t.Fatal("asked for nothing")
	}
	a.give()
	c.take()
	if !c.held {
		t.Error("got no turn once it was free")
	}
	c.give()
	if err := <-late.answer; err != nil || !late.passed {
		t.Errorf("the late turn: got %v, passed on %t", err, late.passed)
	}
	late.answer <- nil // as it was
	b.patient = time.Minute
	b.take()
	if !b.held {
		t.Error("got no turn after one that came too late")
	}
	for _, t := range []*turn{a, b, c} {
		t.give()
		t.close()
	}
}

func TestWithoutTurnsOneLineIsLoggedAndWritingGoesOn(t *testing.T) {
	var log bytes.Buffer
	a := newTurn(filepath.Join(t.TempDir(), "none", "vigil.db"), time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		a.take()
		a.give()
	}
	a.close()
	if got := bytes.Count(log.Bytes(), []byte("\n")); got != 1 {
		t.Errorf("got %d lines, want 1: %s", got, log.String())
	}
}
