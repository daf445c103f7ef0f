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
