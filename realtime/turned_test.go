package realtime

import (
	"testing"
	"time"

	"vigil"
)

func TestRefusalsAreBounded(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	var r refusals
	for i := range 10 * maxTurnedTimes {
		r.add("often", vigil.Fault{From: at(10 * i), To: at(10*i + 1), Cause: vigil.CauseServer})
	}
	got := r.here["often"]
	if len(got) != maxTurnedTimes || !got[0].From.Equal(at(0)) {
		t.Errorf("one who was refused 320 times in a row: got %d stretches from %v on, want %d from the first time on", len(got), got[0].From, maxTurnedTimes)
	}
	for i := range maxTurnedSessions + 10 {
		id := time.Duration(i).String()
		r.add(id, vigil.Fault{From: at(0), To: at(1)})
		r.hear(id, times{{0, 1}})
	}
	if len(r.here) > maxTurnedSessions || len(r.told) > maxTurnedSessions {
		t.Errorf("got %d and %d sessions, want at most %d", len(r.here), len(r.told), maxTurnedSessions)
	}
	for _, part := range r.untold() {
		if len(part) > maxTurnedTold {
			t.Errorf("got a message of %d sessions, want at most %d", len(part), maxTurnedTold)
		}
	}
	if len(r.untold()) != 0 {
		t.Error("told twice")
	}
}

func TestWhatAFullServerRefusesIsStoredWhenItRefusesNoMore(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	var r refusals
	r.add("here", vigil.Fault{From: at(0), To: at(1)})
	r.add("gone", vigil.Fault{From: at(0), To: at(1)})
	r.add("here", vigil.Fault{From: at(20), To: at(21)})
	if got := r.take(at(35), true); len(got) != 1 || len(got["gone"]) != 1 {
		t.Errorf("while it is full: got %v, want the one who tries no more", got)
	}
	if got := r.take(at(35), false); got != nil {
		t.Errorf("while that is being stored: got %v, want nothing", got)
	}
	r.stored()
	if got := r.take(at(35), false); len(got["here"]) != 2 || r.pending() != 1 {
		t.Errorf("when it is not full any more: got %v, %d waiting, want both times, being stored", got, r.pending())
	}
	if r.stored(); r.pending() != 0 {
		t.Errorf("got %d waiting, want none", r.pending())
	}
}
