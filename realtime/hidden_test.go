package realtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

// pagesOf subscribes and counts the snapshot's frames.
func (w *wire) pagesOf() (frames int, raw []string) {
	w.r.Helper()
	w.write(`{"t":"subscribe"}`)
	for {
		var s struct {
			T    string            `json:"t"`
			Page int               `json:"page"`
			Last bool              `json:"last"`
			Rows []json.RawMessage `json:"rows"`
		}
		w.next(protocol.TypeSnapshot, &s)
		frames++
		raw = append(raw, fmt.Sprintf("page %d: %d rows", s.Page, len(s.Rows)))
		if s.Last {
			return frames, raw
		}
	}
}

func TestSnapshotPagesDoNotTellHowManyAreHidden(t *testing.T) {
	t.Parallel()
	counts := map[int]int{}
	for _, others := range []int{0, 5, 10} {
		r := newRig(t, func(c *realtime.Config) { c.Limits.Rows = 2 })
		r.told()
		r.grants("ada")
		r.session(inGroups(groupA))
		for range others {
			r.session(inGroups(groupB))
		}
		n, raw := r.wire(r.claimsOf("ada")).pagesOf()
		counts[others] = n
		t.Logf("%d students of the other group: %d frames: %v", others, n, raw)
	}
	if counts[0] != counts[5] || counts[5] != counts[10] {
		t.Errorf("the number of snapshot frames tells the number of hidden students: %v", counts)
	}
}

func TestANewStudentInNoGroupIsNotToldToLimitedDashboards(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	r.session(inGroups(groupA))
	w := r.wire(r.claimsOf("ada"))
	w.pagesOf()
	s := r.session() // GroupsVersion 0: seen by those who see all
	r.hub.SessionCreated(r.ctx, s)
	got := make(chan json.RawMessage, 1)
	go func() {
		end := time.After(3 * time.Second)
		for {
			select {
			case f := <-w.in:
				if strings.Contains(string(f), `"t":"snapshot"`) {
					got <- f
					return
				}
			case <-end:
				close(got)
				return
			}
		}
	}()
	if f, ok := <-got; ok {
		t.Errorf("a hidden student's arrival shows to group A by a fresh snapshot: %s", f)
	}
}

func TestAChangeOfAHiddenGroupIsNotTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	s := r.session(inGroups(groupA))
	w := r.watcher("ada")
	r.until("row", func() bool { return w.Row(s.ID).Group != nil })
	before := w.Row(s.ID).Group.Version
	r.ok(r.hub.Regrouped(r.ctx, s.ID, []vigil.Group{groupA, groupB}, 2))
	end := time.Now().Add(2 * time.Second)
	for time.Now().Before(end) {
		if g := w.Row(s.ID).Group; g.Version != before {
			t.Errorf("ada is told that the groups of a student changed (version %d to %d) though what she may know (%v) did not", before, g.Version, g.List)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestARegroupingWhoseAnswerIsLostIsToldLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.AccessEvery = 10 * time.Millisecond })
	r.told()
	r.grants("ada")
	s := r.session(inGroups(groupA))
	st := r.student(s)
	w := r.watcher("ada")
	r.until("seen", func() bool { return w.Connection(s.ID) == vigil.ConnOnline })
	r.store.failNext("Session", errDown)
	if err := r.hub.Regrouped(r.ctx, s.ID, []vigil.Group{groupB}, 2); err == nil {
		t.Fatal("want it to fail after storing")
	}
	if got := r.read(s.ID); got.GroupsVersion != 2 {
		t.Fatalf("got version %d, want it stored", got.GroupsVersion)
	}
	// What the five-minute question does then: cmd/vigil asks `a.Version > s.GroupsVersion`, 2 > 2 is false, so it tells nobody.
	looks := r.store.calls("AccessOfExam")
	r.until("rights are read 50 times", func() bool { return r.store.calls("AccessOfExam") > looks+50 })
	n := len(w.Signals())
	st.Signal(vigil.KindPrint, 0, nil)
	end := time.Now().Add(2 * time.Second)
	for time.Now().Before(end) && len(w.Signals()) == n {
		time.Sleep(5 * time.Millisecond)
	}
	if len(w.Signals()) > n {
		t.Errorf("group A still gets the signals of a student who is stored in group B; rows: %d", len(w.Rows()))
	}
}

// lateExam is a store whose next answer of Exam waits after it was read.
type lateExam struct {
	*faults
	mu   sync.Mutex
	kept *hold
}

func (l *lateExam) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	e, err := l.faults.Exam(ctx, id)
	l.mu.Lock()
	k := l.kept
	l.kept = nil
	l.mu.Unlock()
	if k != nil {
		close(k.entered)
		<-k.release
	}
	return e, err
}

func TestADashboardThatComesWhileTheExamBeginsToBeGuardedIsGuarded(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	var late *lateExam
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness, c.AccessEvery = bus.Node(), true, node, time.Minute, calm, 10*time.Millisecond
			if node == "one" {
				f, _ := c.Store.(*faults)
				late = &lateExam{faults: f}
				c.Store = late
			}
		}
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	k := &hold{make(chan struct{}), make(chan struct{})}
	late.mu.Lock()
	late.kept = k
	late.mu.Unlock()
	done := make(chan int, 1)
	go func() {
		status, _, _ := r.ask(protocols(r.mint(r.claimsOf("nobody")))) // has no record at all
		done <- status
	}()
	<-k.entered
	second.exam = r.exam
	second.told() // a launch on the other server
	close(k.release)
	if got := <-done; got != http.StatusForbidden {
		t.Errorf("got status %d, want a dashboard without a record refused", got)
	}
}

func TestAnAuditEntryNamesOnlyWhoWasReached(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	s := r.session(inGroups(groupB))
	w := r.watcher("ada")
	id, _ := w.Command(protocol.CommandUp{Kind: vigil.CommandTerminate, Targets: []string{s.ID}})
	r.until("refused", func() bool { return w.Progress(id, s.ID).Stage == vigil.StageRefused })
	entries, _, err := r.db.AuditOfExam(r.ctx, r.exam.ID, vigil.Page{})
	r.ok(err)
	for _, e := range entries {
		if e.Action == "command.terminate" {
			t.Errorf("got entry %+v of a command that reached nobody", e)
		}
	}
}

func TestARowOfManyGroupsFitsIntoAMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	var groups []vigil.Group
	for i := range 400 {
		groups = append(groups, vigil.Group{ID: fmt.Sprint(i), Name: strings.Repeat("x", vigil.MaxGroupName)})
	}
	r.grants("root", everyone)
	r.session(inGroups(groups...))
	w := r.wire(r.claimsOf("root"))
	w.ws.SetReadLimit(10 << 20)
	w.write(`{"t":"subscribe"}`)
	end := time.After(5 * time.Second)
	for {
		select {
		case f := <-w.in:
			if strings.Contains(string(f), `"t":"snapshot"`) {
				if len(f) > protocol.MaxMessage {
					t.Errorf("a snapshot frame has %d bytes, more than %d", len(f), protocol.MaxMessage)
				}
				return
			}
		case err := <-w.closed:
			t.Fatalf("closed: %v", err)
		case <-end:
			t.Fatal("no snapshot")
		}
	}
}

func TestABusyDashboardGetsTheSnapshotOfAChange(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"a student leaves the group", "the proctor loses the group"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *realtime.Config) { c.Limits.Jobs = 2; c.AccessEvery = 10 * time.Millisecond })
			r.told()
			r.grants("ada")
			s, other := r.session(inGroups(groupA)), r.session(inGroups(groupA))
			w := r.watcher("ada")
			h := r.store.holdNext("Transition")
			for range 3 { // one under way, two wait
				w.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Targets: []string{other.ID}, Text: "hello"})
			}
			<-h.entered
			r.until("lane is full", func() bool {
				w.Seen(other.ID)
				return len(w.Errors()) > 0
			})
			if what == "a student leaves the group" {
				r.ok(r.hub.Regrouped(r.ctx, s.ID, []vigil.Group{groupB}, 2))
			} else {
				r.grants("ada", func(a *vigil.Access) { a.Groups = nil })
				n := r.store.calls("AccessOfExam")
				r.until("read", func() bool { return r.store.calls("AccessOfExam") > n+3 })
			}
			snapshots := w.Snapshots()
			close(h.release)
			end := time.Now().Add(3 * time.Second)
			for time.Now().Before(end) && w.Rows()[s.ID].Who != nil {
				time.Sleep(5 * time.Millisecond)
			}
			if row := w.Rows()[s.ID]; row.Who != nil {
				t.Errorf("3 s after the lane is free the dashboard still shows %s; snapshots since: %d", row.Who.Name, w.Snapshots()-snapshots)
			}
		})
	}
}

func TestGroupsThatWereStoredAndNotToldAreShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	s := r.session(inGroups(groupA))
	w := r.watcher("ada")
	r.until("the row", func() bool { return w.Row(s.ID).Who != nil })
	r.ok(r.db.SetGroups(r.ctx, s.ID, []vigil.Group{groupB}, 2)) // by a server that died then
	r.hub.Grouped([]vigil.Session{r.read(s.ID)})
	r.until("gone", func() bool { return len(w.Rows()) == 0 })
}
