package sqlite_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// fillUp has several writers append until each of them is refused, and returns the
// numbers that were acknowledged.
func fillUp(t *testing.T, s *sqlite.Store, v vigil.Session) map[int64]bool {
	t.Helper()
	var mu sync.Mutex
	stored := map[int64]bool{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 100_000 {
				g := signal(v, int64(w*100_000+i+1))
				g.Data = fmt.Appendf(nil, `{"text":"%0900d"}`, i)
				got, err := s.AppendSignals(t.Context(), []vigil.Signal{g})
				if err != nil {
					code(t, "a full disk", err, vigil.CodeUnavailable)
					return
				}
				if got[0] != storage.Stored {
					t.Errorf("got %d, want Stored", got[0])
				}
				mu.Lock()
				stored[g.Seq] = true
				mu.Unlock()
			}
			t.Error("got no refusal")
		})
	}
	wg.Wait()
	return stored
}

// exactly checks that the session holds what was acknowledged and nothing else.
func exactly(t *testing.T, s *sqlite.Store, v vigil.Session, want map[int64]bool) {
	t.Helper()
	got := 0
	for p := (storage.Page{}); ; {
		list, next, err := s.SignalsOfSession(t.Context(), v.ID, p)
		testutil.OK(t, err)
		for _, g := range list {
			if !want[g.Seq] {
				t.Errorf("got signal %d, which was refused", g.Seq)
			}
			got++
		}
		if p.After = next; next == "" {
			break
		}
	}
	if got != len(want) {
		t.Errorf("got %d signals, want the %d that were acknowledged", got, len(want))
	}
	read, err := s.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	if read.Tally.Signals != len(want) {
		t.Errorf("got a tally of %d, want %d", read.Tally.Signals, len(want))
	}
}

func TestADatabaseThatMayNotGrowIsUnavailableAndAcknowledgesNothing(t *testing.T) {
	s := open(t, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	v := seed(t, s, 1)[0]
	_, err := s.WriterPragma(t.Context(), "max_page_count = 200")
	testutil.OK(t, err)
	stored := fillUp(t, s, v)
	if len(stored) == 0 {
		t.Fatal("got no signal stored before it was full")
	}
	exactly(t, s, v, stored)
	// What was refused left some room; this does not fit into it.
	_, err = s.AppendSignals(t.Context(), []vigil.Signal{func() vigil.Signal {
		g := signal(v, 900_000)
		g.Data = fmt.Appendf(nil, `{"text":"%0100000d"}`, 1)
		return g
	}()})
	code(t, "append", err, vigil.CodeUnavailable)
	_, err = s.WriterPragma(t.Context(), "max_page_count = 100000")
	testutil.OK(t, err)
	got, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, 900_000)})
	testutil.OK(t, err)
	if got[0] != storage.Stored {
		t.Errorf("got %v once there was room, want Stored", got)
	}
	testutil.OK(t, s.SetHand(t.Context(), v.ID, time.Now()))
}
