package outage

import (
	"slices"
	"testing"
	"time"

	"vigil"
)

func TestOutages(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	var o History
	o.Worked(at(0))
	o.Failed(at(10))
	if o.On(at(10.5)) || !o.On(at(11)) {
		t.Errorf("half a second and a second after a fault: got %v, %v, want an outage only from a second on", o.On(at(10.5)), o.On(at(11)))
	}
	o.Failed(at(15))
	if got := o.Faults(at(20), 30*time.Second); len(got) != 1 || !got[0].From.Equal(at(10)) || !got[0].To.After(at(20)) {
		t.Errorf("while it goes on: got %v, want from its first fault on, beyond now", got)
	}
	o.Worked(at(30))
	o.Failed(at(40))
	o.Worked(at(40.2)) // keeps nobody away
	o.Add(at(50), at(150))
	want := []vigil.Fault{
		{From: at(10), To: at(50), Cause: vigil.CauseServer},  // 20 s, and as long to come back
		{From: at(50), To: at(180), Cause: vigil.CauseServer}, // bounded by the grace
	}
	if got := o.Faults(at(200), 30*time.Second); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if o.On(at(200)) {
		t.Error("an outage goes on, want none")
	}
	var hung History
	hung.Worked(at(3))
	hung.Failed(at(1)) // began before something else was stored
	hung.Failed(at(2))
	hung.Worked(at(10))
	if got := hung.Faults(at(20), 0); len(got) != 1 || !got[0].From.Equal(at(3)) {
		t.Errorf("a call that hung: got %v, want from when something was stored the last time", got)
	}
	var full History
	full.TurnedAway(at(10))
	if full.On(at(11)) || len(full.Faults(at(11), time.Minute)) != 0 {
		t.Error("one who was turned away once: got an outage, want none")
	}
	full.TurnedAway(at(25))
	full.Worked(at(26)) // others are served
	full.TurnedAway(at(40))
	if got, want := full.Faults(at(41), 20*time.Second), []vigil.Fault{{From: at(10), To: at(60), Cause: vigil.CauseServer}}; !slices.Equal(got, want) || !full.On(at(41)) || full.On(at(71)) {
		t.Errorf("a full node: got %v, %v, %v, want %v, and an outage until nobody was turned away for 30 s", got, full.On(at(41)), full.On(at(71)), want)
	}
	for i := range 3 * maxOutages {
		o.Add(at(float64(300+10*i)), at(float64(305+10*i)))
	}
	if got := len(o.Faults(at(9999), 0)); got != maxOutages {
		t.Errorf("remembered: got %d, want at most %d", got, maxOutages)
	}
}

func TestAnOutageExplainsNoSilenceFromLongBeforeIt(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	l := vigil.DefaultLiveness()
	var o History
	o.Failed(at(20))
	for _, row := range []struct {
		heard, now float64
		want       bool
	}{
		{20.3, 22, true},
		{8, 22, true},       // the next ping was due when it began
		{0, 22, false},      // two were not answered
		{20.3, 20.5, false}, // too short to keep anybody away
	} {
		if got := o.Explains(at(row.heard), at(row.now), l); got != row.want {
			t.Errorf("heard at %v s, lost at %v s: got %v, want %v", row.heard, row.now, got, row.want)
		}
	}
	o.Worked(at(30))
	if o.Explains(at(29), at(31), l) {
		t.Error("it is over")
	}
}
