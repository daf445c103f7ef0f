package realtime_test

import (
	"fmt"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/relay/relaytest"
)

func TestAChangeDuringASnapshotLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, far := range []bool{false, true} {
		for _, change := range []string{"student", "proctor", "proctor from all"} {
			for read := range 3 { // which reading of the first snapshot is held: groups, rows; 2: rows of a later one
				t.Run(fmt.Sprint(change, " ", read, " far ", far), func(t *testing.T) {
					t.Parallel()
					bus := relaytest.NewLocal(0)
					shared := func(node string) func(*realtime.Config) {
						return func(c *realtime.Config) {
							c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness, c.AccessEvery = bus.Node(), true, node, time.Minute, calm, 10*time.Millisecond
						}
					}
					r := newRig(t, shared("one"))
					r.told()
					other := r.another(shared("two"))
					at := r.hub
					if far {
						at = other.hub
					}
					r.grants("ada", func(a *vigil.Access) { a.All = change == "proctor from all" })
					s := r.session(inGroups(groupA))
					st := r.student(s)
					cfg := r.config(r.claimsOf("ada"))
					var k *hold
					if read < 2 {
						k = r.store.keepNext()
					}
					p, err := client.Watch(r.ctx, cfg)
					r.ok(err)
					t.Cleanup(p.Close)
					if read == 2 {
						r.until("first", func() bool { return p.Snapshots() > 0 })
						k = r.store.keepNext()
						// a change of rights of the proctor makes a fresh one
						r.grants("ada", func(a *vigil.Access) {
							a.Groups = append(a.Groups, vigil.Group{ID: "77"})
							a.All = change == "proctor from all"
						})
						if change == "proctor from all" { // no group counts: from all to all is no change
							close(k.release)
							k = nil
						}
					}
					if k != nil {
						<-k.entered
						if read == 1 && change != "proctor from all" {
							k2 := r.store.keepNext()
							close(k.release)
							<-k2.entered
							k = k2
						}
					}
					if change == "student" {
						r.ok(at.Regrouped(r.ctx, s.ID, []vigil.Group{groupB}, 2))
					} else {
						r.grants("ada", func(a *vigil.Access) { a.Groups = []vigil.Group{groupB} })
						n := r.store.calls("AccessOfExam")
						r.until("read again", func() bool { return r.store.calls("AccessOfExam") > n+3 })
					}
					if far {
						time.Sleep(50 * time.Millisecond)
					}
					if k != nil {
						close(k.release)
					}
					r.until("gone", func() bool { return p.Snapshots() > 0 && len(p.Rows()) == 0 })
					n := len(p.Signals())
					st.Signal(vigil.KindPrint, 0, nil)
					time.Sleep(300 * time.Millisecond)
					if len(p.Signals()) > n || len(p.Rows()) > 0 {
						t.Errorf("got %d signals, %d rows", len(p.Signals())-n, len(p.Rows()))
					}
				})
			}
		}
	}
}
