package realtime

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

// What is kept of a session must be judged as the whole one is.
func TestALifeIsJudgedAsItsSessionIs(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000).UTC()
	at := func(d time.Duration) time.Time { return now.Add(d) }
	policies := []vigil.Policy{vigil.DefaultPolicy(), vigil.DefaultPolicy()}
	policies[1].DurationMinutes = 30
	grants := []vigil.Grant{
		{CommandID: "a", Time: 5 * time.Minute, State: vigil.GrantConfirmed, At: at(-time.Minute)},
		{CommandID: "b", Time: 7 * time.Minute, State: vigil.GrantPending, At: at(-time.Minute)},
	}
	cases := 0
	for _, state := range vigil.States {
		for _, end := range []time.Time{{}, at(-10 * time.Minute), at(-time.Minute), at(time.Hour)} {
			for _, started := range []time.Time{{}, at(-time.Hour), at(-40 * time.Minute)} {
				for _, changed := range []time.Time{at(-13 * time.Hour), at(-5 * time.Minute)} {
					for _, g := range [][]vigil.Grant{nil, grants} {
						s := vigil.Session{
							ID: "s", ExamID: "e", UserID: "u", Name: "N", State: state, Version: 4, Reason: "r", Created: at(-14 * time.Hour), Started: started,
							Changed: changed, End: end, Grants: g, PausedTotal: 3 * time.Minute,
							Presence: vigil.Presence{Heard: at(-12*time.Hour - 30*time.Minute)},
						}
						if !end.IsZero() {
							s.EndSeen = at(-2 * time.Minute)
						}
						if state == vigil.StatePaused {
							s.PausedAt = at(-8 * time.Minute)
						}
						l := lifeOf(s).session()
						l.Presence = s.Presence
						for _, p := range policies {
							cases++
							if got, want := l.Settled(p, now).State, s.Settled(p, now).State; got != want {
								t.Errorf("%+v: settled: got %s, want %s", s, got, want)
							}
							if got, want := protocol.TimeOf(l, p, now), protocol.TimeOf(s, p, now); got != want {
								t.Errorf("%+v: time: got %+v, want %+v", s, got, want)
							}
							if got, want := protocol.StateOf(l), protocol.StateOf(s); got != want {
								t.Errorf("%+v: state: got %+v, want %+v", s, got, want)
							}
						}
						if l.Name != s.Name {
							t.Errorf("name: got %q, want %q", l.Name, s.Name)
						}
					}
				}
			}
		}
	}
	if cases < 500 {
		t.Fatalf("got %d cases", cases)
	}
}
