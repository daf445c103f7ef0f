package realtime_test

import (
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
)

// seen is an observer that counts.
type seen struct {
	mu                      sync.Mutex
	began                   map[vigil.Cause]int
	lasted                  map[vigil.Cause]time.Duration
	alone, alike, overWatch int
	answers                 map[vigil.LMSState]int
}

func newSeen() *seen {
	return &seen{began: map[vigil.Cause]int{}, lasted: map[vigil.Cause]time.Duration{}, answers: map[vigil.LMSState]int{}}
}

func (s *seen) by(cfg *realtime.Config) { cfg.Observer = s }

func (s *seen) GapBegan(c vigil.Cause) { s.locked(func() { s.began[c]++ }) }

func (s *seen) GapEnded(c vigil.Cause, d time.Duration) { s.locked(func() { s.lasted[c] += d }) }

func (s *seen) UnwatchedBegan(room bool) {
	s.locked(func() {
		if room {
			s.alike++
		} else {
			s.alone++
		}
	})
}

func (s *seen) UnwatchedEnded() { s.locked(func() { s.overWatch++ }) }

func (s *seen) Delivered(a vigil.LMSState, took time.Duration) {
	s.locked(func() {
		if took > 0 {
			s.answers[a]++
		}
	})
}

func (s *seen) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// are waits until what was seen is as wanted.
func (s *seen) are(r *rig, what string, ok func() bool) {
	r.Helper()
	r.until(what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return ok()
	})
}

func TestAnObserverIsToldOfGapsAndDeliveries(t *testing.T) {
	t.Parallel()
	told, platform := newSeen(), &lms{}
	r := newRig(t, told.by, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	online := func(n int) func() bool {
		return func() bool { return r.hub.Stats().Connections[vigil.ConnOnline] == n }
	}
	r.until("online", online(1))
	st.Cut()
	r.until("lost", func() bool { return r.hub.Stats().Connections[vigil.ConnLost] == 1 && online(0)() })
	told.are(r, "a gap to have begun", func() bool { return told.began[vigil.CauseStudent] == 1 && len(told.lasted) == 0 })
	close(hold)
	told.are(r, "it to have ended", func() bool { return told.lasted[vigil.CauseStudent] > 0 })
	r.until("online", online(1))

	for i, want := range []vigil.LMSState{vigil.LMSAccepted, vigil.LMSRefused, vigil.LMSWaiting} {
		result := vigil.Result{State: want, Status: vigil.StatusRunning}
		if want == vigil.LMSWaiting {
			result = vigil.Result{State: vigil.LMSFailed, Retry: true}
		}
		platform.answers(func(vigil.Delivery) vigil.Result { return result })
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.CommandUp{
			ID: "extend-000" + string(rune('1'+i)), Kind: vigil.CommandExtend, Seconds: 60, Targets: []string{s.ID},
		})
		r.ok(err)
		told.are(r, string(want), func() bool { return told.answers[want] >= 1 })
	}
}

func TestAnObserverIsToldOfAttemptsThatNobodyWatches(t *testing.T) {
	t.Parallel()
	var c clock
	told, pages := newSeen(), &stamps{}
	r := newRig(t, c.by, told.by, func(cfg *realtime.Config) { cfg.DueEvery, cfg.Pages = 10*time.Millisecond, pages })
	late, never := r.ready(c.now()), r.ready(c.now())
	for _, s := range []vigil.Session{late, never} {
		r.opens(s.ID, c.now())
		c.add(-3 * vigil.RoomWindow) // or it would be a whole room's
	}
	c.add(6*vigil.RoomWindow + vigil.UnwatchedAfter + time.Second)
	told.are(r, "both to be noted", func() bool { return told.alone == 2 && told.alike == 0 && told.overWatch == 0 })
	w := r.wire(studentClaims(late))
	w.write(helloWith(pages.print(late, "late", func(*realtime.Page) {})))
	told.are(r, "one to be watched", func() bool { return told.overWatch == 1 })
	_, err := r.hub.Sessions().Ended(r.ctx, never.ID, moodle, c.now())
	r.ok(err)
	told.are(r, "the other to be over", func() bool { return told.alone == 2 && told.overWatch == 2 })
}
