package realtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/internal/docpage"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
	"vigil/realtime/socket"
)

// versions are those of what is told, each later than the one before.
var versions = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(time.Now().UnixMilli())
	return &n
}()

var (
	groupA = vigil.Group{ID: "1", Name: "Group of Ada"}
	groupB = vigil.Group{ID: "2", Name: "Group of Bob"}
)

// told makes the exam one whose platform says who may see and do what.
func (r *rig) told() {
	r.Helper()
	r.exam.Access = vigil.AccessSource{PlatformID: "platform-1", URL: platformOrigin + "/access"}
	r.ok(r.db.UpdateExam(r.ctx, r.exam))
	r.exam.Version++
	r.hub.ExamChanged(r.ctx, r.exam)
}

// grants stores what the platform says of a proctor.
func (r *rig) grants(user string, edits ...func(a *vigil.Access)) vigil.Access {
	r.Helper()
	a := vigil.Access{ExamID: r.exam.ID, UserID: user, Version: versions.Add(1), At: time.Now(), Groups: []vigil.Group{groupA}, Rights: slices.Clone(vigil.Rights)}
	for _, edit := range edits {
		edit(&a)
	}
	r.ok(r.db.PutAccess(r.ctx, a))
	return a
}

func everyone(a *vigil.Access) { a.All, a.Groups = true, nil }

func without(rights ...vigil.Right) func(a *vigil.Access) {
	return func(a *vigil.Access) {
		a.Rights = slices.DeleteFunc(a.Rights, func(r vigil.Right) bool { return slices.Contains(rights, r) })
	}
}

func inGroups(groups ...vigil.Group) func(s *vigil.Session) {
	return func(s *vigil.Session) { s.Groups, s.GroupsVersion = groups, 1 }
}

// claimsOf are those of a proctor other than the rig's.
func (r *rig) claimsOf(user string) vigil.SocketClaims {
	return vigil.SocketClaims{Subject: "platform-1|" + user, Exam: r.exam.ID, Role: vigil.RoleProctor, Name: "Teacher " + user}
}

// watcher is a dashboard that keeps all that it was sent.
type watcher struct {
	*client.Proctor
	mu     sync.Mutex
	frames []json.RawMessage
	types  map[protocol.Type]int
}

func (r *rig) watcher(user string) *watcher {
	r.Helper()
	w := &watcher{types: map[protocol.Type]int{}}
	cfg := r.config(r.claimsOf(user))
	cfg.OnFrame = func(t protocol.Type, f json.RawMessage) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.frames, w.types[t] = append(w.frames, slices.Clone(f)), w.types[t]+1
	}
	p, err := client.Watch(r.ctx, cfg)
	r.ok(err)
	r.Cleanup(p.Close)
	w.Proctor = p
	r.until("snapshot", func() bool { return p.Snapshots() > 0 })
	return w
}

// mentions are the frames that have one of the words.
func (w *watcher) mentions(words ...string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.frames {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(string(f), word) }) {
			out = append(out, string(f))
		}
	}
	return out
}

// kinds are the types of the frames that have the word.
func (w *watcher) kinds(word string) map[protocol.Type]bool {
	out := map[protocol.Type]bool{}
	for _, f := range w.mentions(word) {
		var head protocol.Head
		if json.Unmarshal([]byte(f), &head) == nil {
			out[head.T] = true
		}
	}
	return out
}

// Everything that can happen to a student happens to one of the other group.
func TestAProctorOfOneGroupIsToldNothingOfTheOther(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = bus.Node(), true, node, time.Minute, calm
		}
	}
	r := newRig(t, shared("one"))
	r.told()
	second := r.another(shared("two"))
	r.grants("ada")
	r.grants("root", everyone)
	ours := r.session(inGroups(groupA), func(s *vigil.Session) { s.Name = "Amara of A" })
	theirs := r.session(inGroups(groupB), func(s *vigil.Session) { s.Name = "Budi of B" })
	nobodys := r.session(func(s *vigil.Session) { s.Name = "Nia of none" })
	whole := r.watcher("root")
	near, far := r.watcher("ada"), second.watcher("ada")

	for _, s := range []vigil.Session{theirs, nobodys} {
		st := r.student(s)
		st.Signal(vigil.KindPrint, 0, nil)
		st.Hand(true)
		st.Chat("a line of " + s.Name)
		whole.Chat(s.ID, "an answer to "+s.Name)
		whole.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Targets: []string{s.ID}, Text: "a message to " + s.Name})
		r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "gap-" + s.ID, SessionID: s.ID, ExamID: s.ExamID, Start: time.Now().Add(-time.Minute), End: time.Now(), Cause: vigil.CauseStudent}))
		r.hub.TellLost(r.ctx, s.ExamID, s.ID)
		r.until("an undecided gap", func() bool { row := whole.Row(s.ID); return row.Lost != nil && row.Lost.Proposed > 0 })
		whole.LostTime(true, s.ID)
		r.until("time given", func() bool { row := whole.Row(s.ID); return row.Lost != nil && row.Lost.Granted > 0 })
		whole.Seen(s.ID)
		st.Close()
		r.until("gone", func() bool { c := whole.Connection(s.ID); return c != vigil.ConnOnline && c != vigil.ConnNever })
	}
	fresh := r.session(inGroups(groupB), func(s *vigil.Session) { s.Name = "Bima of B" })
	r.hub.SessionCreated(r.ctx, fresh)
	r.until("the new row", func() bool { return whole.Row(fresh.ID).Who != nil })
	r.student(ours).Signal(vigil.KindPrint, 0, nil) // behind all of it
	for _, w := range []*watcher{near, far} {
		r.until("ours", func() bool { return len(w.Signals()) > 0 && w.Row(ours.ID).Tally.Incidents > 0 })
		if got := w.mentions(theirs.ID, nobodys.ID, fresh.ID, theirs.UserID, nobodys.UserID, "Budi", "Nia", "Bima", groupB.Name); len(got) > 0 {
			t.Errorf("got %d frames of students of others, want none: %s", len(got), got[0])
		}
		if rows := w.Rows(); len(rows) != 1 {
			t.Errorf("got %d rows, want the one of the own group", len(rows))
		}
		if g := w.Row(ours.ID).Group; g == nil || !slices.Equal(g.List, []vigil.Group{groupA}) {
			t.Errorf("got groups %+v, want the own one", g)
		}
	}
	// By construction: each type that a dashboard can be sent about a student was sent to who sees everyone.
	about := []protocol.Type{protocol.TypeSession, protocol.TypeSignal, protocol.TypeGap, protocol.TypeProgress, protocol.TypeChat}
	about = slices.DeleteFunc(about, func(k protocol.Type) bool { return k == protocol.TypeGap }) // see TestAGapIsToldToItsGroup
	for _, k := range about {
		if !whole.kinds(theirs.ID)[k] {
			t.Errorf("no %s frame of the other group's student came to who sees everyone: the test does not show that it is kept from others", k)
		}
	}
	elsewhere := []protocol.Type{protocol.TypeSnapshot, protocol.TypeWelcome, protocol.TypeTime, protocol.TypeToken, protocol.TypeNotice, protocol.TypeError, protocol.TypePulse, protocol.TypeAccess, protocol.TypeGap}
	for _, k := range docpage.FirstCells(t, "### Server → proctor") {
		if k := protocol.Type(k); !slices.Contains(about, k) && !slices.Contains(elsewhere, k) {
			t.Errorf("frames of type %s are not covered: does one tell of a student?", k)
		}
	}
}

func TestAGapIsToldToItsGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	r.grants("root", everyone)
	theirs, ours := r.session(inGroups(groupB)), r.session(inGroups(groupA))
	whole, near := r.watcher("root"), r.watcher("ada")
	for _, s := range []vigil.Session{theirs, ours} {
		page := r.comes(s)
		r.ok(page.ws.CloseNow())
		r.until("a gap", func() bool { return len(whole.Gaps(s.ID)) > 0 })
	}
	r.until("the own gap", func() bool { return len(near.Gaps(ours.ID)) > 0 })
	if got := near.mentions(theirs.ID); len(got) > 0 {
		t.Errorf("got %s, want nothing of the other group", got[0])
	}
}

// frameOf is a frame of each kind that a proctor can send, about a session.
var frameOf = map[string]struct {
	needs vigil.Right
	frame string // %s: the session
}{
	"subscribe":          {vigil.RightWatch, `{"t":"subscribe"}`},
	"time":               {vigil.RightWatch, `{"t":"time","at":1}`},
	"bye":                {vigil.RightWatch, `{"t":"bye","reason":"closing"}`},
	"chat":               {vigil.RightTalk, `{"t":"chat","id":"chat-00001","session":"%s","text":"Hello"}`},
	"seen":               {vigil.RightTalk, `{"t":"seen","session":"%s"}`},
	"lost_time":          {vigil.RightTime, `{"t":"lost_time","id":"lost-00001","targets":["%s"],"grant":true}`},
	"lost_time refuse":   {vigil.RightTime, `{"t":"lost_time","id":"lost-00002","targets":["%s"],"grant":false}`},
	"command message":    {vigil.RightTalk, `{"t":"command","id":"command-01","kind":"message","targets":["%s"],"text":"Hello"}`},
	"command warn":       {vigil.RightTalk, `{"t":"command","id":"command-02","kind":"warn","targets":["%s"],"text":"Hello"}`},
	"command pause":      {vigil.RightTime, `{"t":"command","id":"command-03","kind":"pause","targets":["%s"]}`},
	"command resume":     {vigil.RightTime, `{"t":"command","id":"command-04","kind":"resume","targets":["%s"]}`},
	"command extend":     {vigil.RightTime, `{"t":"command","id":"command-05","kind":"extend","targets":["%s"],"seconds":60}`},
	"command admit":      {vigil.RightTime, `{"t":"command","id":"command-06","kind":"admit","targets":["%s"]}`},
	"command terminate":  {vigil.RightEnd, `{"t":"command","id":"command-07","kind":"terminate","targets":["%s"]}`},
	"command reactivate": {vigil.RightReopen, `{"t":"command","id":"command-08","kind":"reactivate","targets":["%s"]}`},
	"command flag":       {vigil.RightWatch, `{"t":"command","id":"command-09","kind":"flag","targets":["%s"],"severity":1}`},
	"command note":       {vigil.RightWatch, `{"t":"command","id":"command-10","kind":"note","targets":["%s"],"text":"Hello"}`},
}

func TestEachFrameNeedsItsRight(t *testing.T) {
	t.Parallel()
	for _, typ := range docpage.FirstCells(t, "### Proctor → server") {
		if typ == string(protocol.TypeCommand) {
			continue
		}
		if _, ok := frameOf[typ]; !ok {
			t.Errorf("no row for frames of type %s", typ)
		}
	}
	for _, kind := range vigil.CommandKinds {
		if row, ok := frameOf["command "+string(kind)]; !ok || row.needs != kind.Right() {
			t.Errorf("command %s: got a row with %q, want one with %q", kind, row.needs, kind.Right())
		}
	}
	r := newRig(t, func(c *realtime.Config) {
		c.Rates = map[protocol.Type]socket.Rate{}
		for _, typ := range []protocol.Type{protocol.TypeSubscribe, protocol.TypeCommand, protocol.TypeChat, protocol.TypeSeen, protocol.TypeLostTime, protocol.TypeTime, ""} {
			c.Rates[typ] = socket.Rate{Burst: 1000, PerSecond: 1000}
		}
	})
	r.told()
	s := r.session(inGroups(groupA))
	for _, right := range vigil.Rights[1:] { // who may not watch is not here at all
		user := "no-" + string(right)
		r.grants(user, without(right))
		w := r.wire(r.claimsOf(user))
		for name, row := range frameOf {
			if row.needs != right {
				continue
			}
			w.write(strings.ReplaceAll(row.frame, "%s", s.ID))
			var e protocol.Error
			w.next(protocol.TypeError, &e)
			if e.Code != vigil.CodeForbidden || e.Duty != protocol.DutyDrop {
				t.Errorf("%s without %s: got %+v, want it forbidden", name, right, e)
			}
		}
	}
	got := r.read(s.ID)
	if got.Version != s.Version || len(got.Grants) > 0 {
		t.Errorf("got session %+v, want nothing done", got)
	}
	commands, _, err := r.db.CommandsOfSession(r.ctx, s.ID, vigil.Page{})
	r.ok(err)
	lines, _, err := r.db.ChatOfSession(r.ctx, s.ID, vigil.Page{})
	r.ok(err)
	if len(commands)+len(lines) > 0 {
		t.Errorf("got %d commands and %d lines stored, want none", len(commands), len(lines))
	}
}

func TestWhoIsNotSeenCannotBeReached(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	s := r.session(inGroups(groupB))
	r.missing(s)
	for name, row := range frameOf {
		if !strings.Contains(row.frame, "%s") {
			continue
		}
		w := r.wire(r.claimsOf("ada"))
		w.write(strings.ReplaceAll(row.frame, "%s", s.ID))
		missing := "00000000-0000-7000-8000-000000000000"
		none := r.wire(r.claimsOf("ada"))
		none.write(strings.ReplaceAll(row.frame, "%s", missing))
		if strings.HasPrefix(name, "command") || strings.HasPrefix(name, "lost_time") {
			var got, want protocol.Progress
			w.next(protocol.TypeProgress, &got)
			none.next(protocol.TypeProgress, &want)
			got.Session, got.At, want.Session, want.At = "", 0, "", 0
			if got.Stage != vigil.StageRefused || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("%s: got %+v, want as for one that is not there: %+v", name, got, want)
			}
			continue
		}
		var got, want protocol.Error
		w.next(protocol.TypeError, &got)
		none.next(protocol.TypeError, &want)
		got.Ref, want.Ref = "", ""
		if got.Code != vigil.CodeNotFound || got != want {
			t.Errorf("%s: got %+v, want as for one that is not there: %+v", name, got, want)
		}
	}
	if got := r.read(s.ID); got.Version != s.Version {
		t.Errorf("got version %d, want nothing done", got.Version)
	}
	commands, _, err := r.db.CommandsOfSession(r.ctx, s.ID, vigil.Page{})
	r.ok(err)
	if len(commands) > 0 {
		t.Errorf("got commands %+v, want none", commands)
	}
	if g := r.gaps(s.ID)[0]; g.Decision != vigil.GapUndecided {
		t.Errorf("got a gap that is %s, want nothing decided", g.Decision)
	}
}

func TestACommandToAllReachesThoseWhoAreSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.told()
	r.grants("ada")
	ours, both, theirs := r.session(inGroups(groupA)), r.session(inGroups(groupB, groupA)), r.session(inGroups(groupB))
	none := r.session()
	p := r.watcher("ada")
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandMessage, All: true, Text: "To everyone"})
	r.until("done", func() bool {
		return p.Progress(id, ours.ID).Stage == vigil.StageQueued && p.Progress(id, both.ID).Stage == vigil.StageQueued
	})
	for _, s := range []vigil.Session{theirs, none} {
		if _, err := r.db.Command(r.ctx, s.ID, id); vigil.CodeOf(err) != vigil.CodeNotFound {
			t.Errorf("got %v for a student who is not seen, want no command", err)
		}
		if got := p.mentions(s.ID); len(got) > 0 {
			t.Errorf("got %s, want nothing of a student who is not seen", got[0])
		}
	}
	if g := p.Row(both.ID).Group; g == nil || !slices.Equal(g.List, []vigil.Group{groupA}) {
		t.Errorf("got groups %+v of who is in both, want the one that the proctor may know of", g)
	}
}

func TestAStudentWhoChangesTheGroupGoesFromOneDashboardToTheOther(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = bus.Node(), true, node, time.Minute, calm
		}
	}
	r := newRig(t, shared("one"))
	r.told()
	second := r.another(shared("two"))
	r.grants("ada")
	r.grants("bob", func(a *vigil.Access) { a.Groups = []vigil.Group{groupB} })
	r.grants("root", everyone)
	s := r.session(inGroups(groupA))
	st := r.student(s)
	ada, bob, root := r.watcher("ada"), second.watcher("bob"), second.watcher("root")
	r.until("seen by A", func() bool { return ada.Connection(s.ID) == vigil.ConnOnline })
	if got := bob.mentions(s.ID); len(got) > 0 {
		t.Fatalf("got %s, want nothing before the change", got[0])
	}
	r.ok(r.hub.Regrouped(r.ctx, s.ID, []vigil.Group{groupB}, 2))
	r.until("gone from A", func() bool { return len(ada.Rows()) == 0 })
	r.until("seen by B", func() bool { return bob.Connection(s.ID) == vigil.ConnOnline })
	r.until("told to who sees all", func() bool {
		g := root.Row(s.ID).Group
		return g != nil && slices.Equal(g.List, []vigil.Group{groupB})
	})
	before := len(ada.mentions(s.ID))
	st.Signal(vigil.KindPrint, 0, nil)
	r.until("told to B", func() bool { return len(bob.Signals()) > 0 })
	if got := ada.mentions(s.ID); len(got) > before {
		t.Errorf("got %s, want nothing after the change", got[len(got)-1])
	}
	r.ok(r.hub.Regrouped(r.ctx, s.ID, []vigil.Group{groupA}, 1)) // late
	if got := r.read(s.ID).Groups; !slices.Equal(got, []vigil.Group{groupB}) {
		t.Errorf("got groups %+v, want the newer ones", got)
	}
}

// A dashboard that opens between the writing of a change and the word of it reads the change first:
// the others hear of it all the same.
func TestAMoveThatASnapshotReadFirstIsToldToTheOthers(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"and is told later": true, "and whoever stored it tells nobody": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.told()
			r.grants("ada")
			r.grants("both", func(a *vigil.Access) { a.Groups = []vigil.Group{groupA, groupB} })
			r.grants("bob", func(a *vigil.Access) { a.Groups = []vigil.Group{groupB} })
			r.grants("root", everyone)
			s := r.session(inGroups(groupA))
			ada, both, bob, root := r.watcher("ada"), r.watcher("both"), r.watcher("bob"), r.watcher("root")
			r.until("seen by A", func() bool { return len(ada.Rows()) == 1 })
			r.ok(r.db.SetGroups(r.ctx, s.ID, []vigil.Group{groupB}, 2)) // another server
			r.watcher("bob")
			if told {
				r.ok(r.hub.Regrouped(r.ctx, s.ID, []vigil.Group{groupB}, 2))
			}
			r.until("gone from A", func() bool { return len(ada.Rows()) == 0 })
			r.until("seen by B", func() bool { return len(bob.Rows()) == 1 })
			for name, w := range map[string]*watcher{"all": root, "both": both} {
				r.until("told to who sees "+name, func() bool {
					g := w.Row(s.ID).Group
					return g != nil && slices.Equal(g.List, []vigil.Group{groupB})
				})
			}
		})
	}
}

// TestDashboardsShowWhomTheirProctorsSee plays moves of students, changes of what proctors see and
// dashboards that come and go, at the same time and on two servers: when it is quiet, each
// dashboard has the rows and the groups that it should have.
func TestDashboardsShowWhomTheirProctorsSee(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			dashboardsShowWhomTheirProctorsSee(t, rand.New(rand.NewPCG(seed, 16)))
		})
	}
}

func dashboardsShowWhomTheirProctorsSee(t *testing.T, rng *rand.Rand) {
	t.Helper()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = bus.Node(), true, node, time.Minute, calm
			c.AccessEvery = 20 * time.Millisecond
		}
	}
	r := newRig(t, shared("one"))
	r.told()
	servers := []*rig{r, r.another(shared("two"))}
	lists := [][]vigil.Group{nil, {groupA}, {groupB}, {groupA, groupB}}
	in := map[string][]vigil.Group{} // the groups of each session's student
	var sessions []string
	for range 8 {
		groups := lists[rng.IntN(len(lists))]
		s := r.session(inGroups(groups...))
		sessions, in[s.ID] = append(sessions, s.ID), groups
	}
	users := []string{"ada", "bob", "cyn"}
	sees := map[string]vigil.Access{}
	grant := func(user string) {
		n := rng.IntN(len(lists) + 1)
		sees[user] = r.grants(user, func(a *vigil.Access) {
			if a.All = n == len(lists); !a.All {
				a.Groups = lists[n]
			}
		})
	}
	type dashboard struct {
		*watcher
		user string
	}
	var open []dashboard
	for _, user := range users {
		grant(user)
		for _, server := range servers {
			open = append(open, dashboard{server.watcher(user), user})
		}
	}
	right := func(d dashboard) bool {
		a, rows := sees[d.user], d.Rows()
		for session, groups := range in {
			row, there := rows[session]
			if there != a.Sees(groups) || there && (row.Group == nil || !slices.Equal(row.Group.List, append([]vigil.Group{}, a.Shown(groups)...))) {
				return false
			}
		}
		return true
	}
	version := int64(1)
	for round := range 10 {
		var moves sync.WaitGroup
		for range 1 + rng.IntN(10) {
			user, server := users[rng.IntN(len(users))], servers[rng.IntN(len(servers))]
			switch rng.IntN(6) {
			case 0:
				grant(user)
			case 1:
				open = append(open, dashboard{server.watcher(user), user})
			case 2:
				if len(open) > 3 {
					open[0].Close()
					open = open[1:]
				}
			default:
				session, groups := sessions[rng.IntN(len(sessions))], lists[rng.IntN(len(lists))]
				version++
				in[session] = groups
				word := version
				moves.Go(func() {
					if err := server.hub.Regrouped(r.ctx, session, groups, word); err != nil {
						t.Error(err)
					}
				})
			}
		}
		moves.Wait()
		for _, d := range open {
			r.until(fmt.Sprintf("dashboard of %s in round %d", d.user, round), func() bool { return right(d) })
		}
	}
}

func TestAChangeOfRightsReachesDashboardsOfAllServers(t *testing.T) {
	t.Parallel()
	quick := func(c *realtime.Config) { c.AccessEvery = 20 * time.Millisecond }
	r := newRig(t, quick)
	r.told()
	second := r.another(quick)
	ours, theirs := r.session(inGroups(groupA)), r.session(inGroups(groupB))
	r.grants("ada")
	watchers := []*watcher{r.watcher("ada"), second.watcher("ada")}
	wires := []*wire{r.wire(r.claimsOf("ada")), second.wire(r.claimsOf("ada"))}
	r.grants("ada", without(vigil.RightEnd), func(a *vigil.Access) { a.Groups = []vigil.Group{groupB} })
	for _, w := range watchers {
		r.until("the rights are told", func() bool { return len(w.Access().Rights) == len(vigil.Rights)-1 })
		r.until("the other group", func() bool { rows := w.Rows(); return len(rows) == 1 && rows[theirs.ID].Who != nil })
		id, _ := w.Command(protocol.CommandUp{Kind: vigil.CommandTerminate, Targets: []string{theirs.ID}})
		r.until("refused", func() bool {
			return slices.ContainsFunc(w.Errors(), func(e protocol.Error) bool { return e.Ref == id && e.Code == vigil.CodeForbidden })
		})
	}
	if got := r.read(ours.ID).State; got != vigil.StateActive {
		t.Errorf("got %s, want nothing done", got)
	}
	r.grants("ada", without(vigil.Rights...))
	for _, w := range wires {
		w.ends(protocol.CloseForbidden)
	}
	for _, w := range watchers {
		<-w.Done()
		if !stoppedWith(w.Err(), int(protocol.CloseForbidden)) {
			t.Errorf("got %v, want to be closed for good", w.Err())
		}
	}
}

// What a dashboard asked for beside the socket (who is missing) it can only ask for again if it
// hears of the change.
func TestAChangeOfGroupsIsToldThoughNoRowChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.AccessEvery = 20 * time.Millisecond })
	r.told()
	r.grants("ada", func(a *vigil.Access) { a.Groups = []vigil.Group{groupA, groupB} })
	w := r.watcher("ada") // nobody has come yet
	told := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.types[protocol.TypeAccess]
	}
	snapshots := w.Snapshots()
	r.grants("ada")
	r.until("told, and a snapshot behind it", func() bool { return told() == 1 && w.Snapshots() > snapshots })
	if got := w.Access(); got.All || len(got.Rights) != len(vigil.Rights) {
		t.Errorf("got %+v, want the same rights", got)
	}
	r.grants("ada", func(a *vigil.Access) { a.Groups[0].Name = "renamed" })
	r.grants("ada", without(vigil.RightEnd), func(a *vigil.Access) { a.Groups[0].Name = "renamed" })
	r.until("the right is told", func() bool { return len(w.Access().Rights) < len(vigil.Rights) })
	if got := told(); got != 2 {
		t.Errorf("got told %d times, want no word of a new name", got)
	}
}

func TestNobodyWatchesWithoutAnAccessRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.AccessEvery = 20 * time.Millisecond })
	before := r.wire(r.claimsOf("early")) // of a time when nothing was told
	r.told()
	before.ends(protocol.CloseForbidden)

	a := r.grants("ada")
	r.grants("blind", without(vigil.RightWatch))
	newer := r.claimsOf("ada")
	newer.Access = a.Version + 1
	for name, row := range map[string]struct {
		claims vigil.SocketClaims
		status int
	}{
		"a record":                    {r.claimsOf("ada"), 101},
		"none":                        {r.claimsOf("nobody"), 403},
		"one that does not let watch": {r.claimsOf("blind"), 403},
		"one that is yet to come":     {newer, 503},
	} {
		token := r.mint(row.claims)
		status, problem, _ := r.ask(protocols(token))
		if status != row.status {
			t.Errorf("%s: got %d %+v, want %d", name, status, problem, row.status)
		}
	}
	r.store.set("Access", errDown)
	if status, problem, _ := r.ask(protocols(r.mint(r.claimsOf("ada")))); status != 503 {
		t.Errorf("without the store: got %d %+v, want to be told to try again", status, problem)
	}
}

// laggard is a store whose lists of access records are behind.
type laggard struct{ *faults }

func (laggard) AccessOfExam(context.Context, string, vigil.Page) ([]vigil.Access, string, error) {
	return nil, "", nil
}

func TestARecordThatTheListDoesNotHaveYetCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.AccessEvery = 10 * time.Millisecond
		faults, _ := c.Store.(*faults)
		c.Store = laggard{faults}
	})
	r.told()
	r.grants("ada")
	w := r.watcher("ada")
	seen := r.store.calls("Access")
	r.until("asked", func() bool { return r.store.calls("Access") > seen+2 })
	if err := w.Err(); err != nil {
		t.Errorf("got %v, want the dashboard to stay", err)
	}
}

func TestWhatProctorsMayDoStaysWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.AccessEvery = 10 * time.Millisecond })
	r.told()
	r.grants("ada")
	s := r.session(inGroups(groupA))
	w := r.watcher("ada")
	r.store.set("AccessOfExam", errDown)
	seen := r.store.calls("AccessOfExam")
	r.until("asked", func() bool { return r.store.calls("AccessOfExam") > seen+2 })
	r.store.set("AccessOfExam", nil)
	seen = r.store.calls("AccessOfExam")
	r.until("asked again", func() bool { return r.store.calls("AccessOfExam") > seen+1 })
	if w.Row(s.ID).Who == nil || w.Err() != nil {
		t.Errorf("got %v, want the dashboard as it was", w.Err())
	}
}

// Many attempts take a while. What a proctor may not do any more is not done to those that are left.
func TestACommandToManyStopsWhereItIsNotAllowedAnyMore(t *testing.T) {
	t.Parallel()
	for _, change := range []struct {
		name string
		edit func(a *vigil.Access)
		want string
	}{
		{"whom they see", func(a *vigil.Access) { a.Groups = []vigil.Group{groupB} }, "no such attempt"},
		{"what they may do", without(vigil.RightTime), "not allowed any more"},
	} {
		for _, grant := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, lost time %v", change.name, grant), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(c *realtime.Config) { c.AccessEvery, c.Limits.Commands = 10*time.Millisecond, 1 })
				r.told()
				r.grants("ada")
				first, second := r.session(inGroups(groupA)), r.session(inGroups(groupA))
				p := r.watcher("ada")
				targets := []string{first.ID, second.ID}
				var k *hold
				var id string
				if grant {
					k = r.store.holdNext("Command") // whether the first had it before
					id, _ = p.LostTime(true, targets...)
				} else {
					k = r.store.holdNext("Transition")
					id, _ = p.Command(protocol.CommandUp{Kind: vigil.CommandPause, Targets: targets})
				}
				<-k.entered
				r.grants("ada", change.edit)
				n := r.store.calls("AccessOfExam")
				r.until("read again", func() bool { return r.store.calls("AccessOfExam") > n+2 })
				close(k.release)
				r.until("answered", func() bool { return p.Progress(id, second.ID).Stage == vigil.StageRefused })
				if got := p.Progress(id, second.ID).Problem; !strings.Contains(got, change.want) {
					t.Errorf("got %q, want that there is %s", got, change.want)
				}
				if got := r.read(second.ID).State; got != vigil.StateActive {
					t.Errorf("got %s, want what was left as it was", got)
				}
				if _, err := r.db.Command(r.ctx, second.ID, id); vigil.CodeOf(err) != vigil.CodeNotFound {
					t.Errorf("got %v, want no command", err)
				}
			})
		}
	}
}
