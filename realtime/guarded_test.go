package realtime_test

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
)

func TestAGuardThatWasStoredAndNotToldCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.AccessEvery = 10 * time.Millisecond })
	s := r.session(inGroups(groupB))
	st := r.student(s)
	w := r.watcher("nobody")
	r.until("row", func() bool { return w.Row(s.ID).Who != nil })
	r.exam.Access = vigil.AccessSource{PlatformID: "platform-1", URL: platformOrigin + "/access"}
	r.ok(r.db.UpdateExam(r.ctx, r.exam)) // by a server that died then
	n := len(w.Signals())
	end := time.Now().Add(8 * time.Second)
	for time.Now().Before(end) {
		select {
		case <-w.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	st.Signal(vigil.KindPrint, 0, nil)
	r.until("signal", func() bool { return len(w.Signals()) > n })
	t.Error("8 s after the exam is guarded in the store, somebody without a record gets the signals of group B")
}
