//go:build unix

package sqlite

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"
	"time"
)

func TestTurnsAreTakenOneAfterTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	a, b := newTurn(path, time.Minute, slog.Default()), newTurn(path, time.Minute, slog.Default())
	defer a.close()
	defer b.close()
	a.take()
	taken := make(chan struct{})
	go func() {
		b.take()
		close(taken)
	}()
	select {
	case <-taken:
		t.Fatal("got the turn while another had it")
	case <-time.After(20 * time.Millisecond):
	}
	a.give()
	<-taken
	if !b.held {
		t.Error("got no turn once it was free")
	}
	b.give()
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
