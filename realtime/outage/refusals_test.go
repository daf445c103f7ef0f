package outage

import (
	"testing"
	"time"

	"vigil"
)

func TestRefusalsAreBounded(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	var r Refusals
	for i := range 10 * maxTimes {
		r.Add("often", vigil.Fault{From: at(10 * i), To: at(10*i + 1), Cause: vigil.CauseServer})
	}
	got := r.here["often"]
	if len(got) != maxTimes || !got[0].From.Equal(at(0)) {
		t.Errorf("one who was refused 320 times in a row: got %d stretches from %v on, want %d from the first time on", len(got), got[0].From, maxTimes)
	}
	for i := range maxSessions + 10 {
		id := time.Duration(i).String()
		r.Add(id, vigil.Fault{From: at(0), To: at(1)})
		r.Hear(id, Times{{0, 1}})
	}
	if len(r.here) > maxSessions || len(r.told) > maxSessions {
		t.Errorf("got %d and %d sessions, want at most %d", len(r.here), len(r.told), maxSessions)
	}
	for _, part := range r.Untold() {
		if len(part) > maxTold {
			t.Errorf("got a message of %d sessions, want at most %d", len(part), maxTold)
		}
	}
	if len(r.Untold()) != 0 {
		t.Error("told twice")
	}
}

func TestWhatAFullServerRefusesIsStoredWhenItRefusesNoMore(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	var r Refusals
	r.Add("here", vigil.Fault{From: at(0), To: at(1)})
	r.Add("gone", vigil.Fault{From: at(0), To: at(1)})
	r.Add("here", vigil.Fault{From: at(20), To: at(21)})
	if got := r.Take(at(35), true); len(got) != 1 || len(got["gone"]) != 1 {
		t.Errorf("while it is full: got %v, want the one who tries no more", got)
	}
	if got := r.Take(at(35), false); got != nil {
		t.Errorf("while that is being stored: got %v, want nothing", got)
	}
	r.Stored()
	if got := r.Take(at(35), false); len(got["here"]) != 2 || r.Pending() != 1 {
		t.Errorf("when it is not full any more: got %v, %d waiting, want both times, being stored", got, r.Pending())
	}
	if r.Stored(); r.Pending() != 0 {
		t.Errorf("got %d waiting, want none", r.Pending())
	}
}
