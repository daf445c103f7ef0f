package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti"
	"vigil/lti/ltitest"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay/redistest"
)

// gradebook stands for the store, the hub and the platform of one exam that is watched.
type gradebook struct {
	exams    []vigil.Exam
	staff    map[string]vigil.Access
	sessions []vigil.Session
	answer   lti.AccessReport
	err      error
	asked    [][]string
	state    vigil.PlatformState
}

func (g *gradebook) Watched() []vigil.Exam { return g.exams }

func (g *gradebook) Platform(context.Context, string) (vigil.Platform, error) {
	return vigil.Platform{ID: "p", State: g.state}, nil
}

func (g *gradebook) SessionsOfExam(_ context.Context, _ string, page vigil.Page) ([]vigil.Session, string, error) {
	if page.After == "" { // two pages
		return g.sessions[:1], "1", nil
	}
	return g.sessions[1:], "", nil
}

func (g *gradebook) AccessOfExam(context.Context, string, vigil.Page) ([]vigil.Access, string, error) {
	users := slices.Sorted(maps.Keys(g.staff))
	list := make([]vigil.Access, 0, len(users))
	for _, u := range users {
		list = append(list, g.staff[u])
	}
	return list, "", nil
}

func (g *gradebook) RenewAccess(_ context.Context, a vigil.Access) error {
	if _, there := g.staff[a.UserID]; !there {
		return vigil.ErrNotFound
	}
	if g.staff[a.UserID].Version > a.Version {
		return vigil.ErrConflict
	}
	g.staff[a.UserID] = a
	return nil
}

func (g *gradebook) Regrouped(_ context.Context, id string, groups []vigil.Group, version int64) error {
	for i := range g.sessions {
		if g.sessions[i].ID == id {
			g.sessions[i].Groups, g.sessions[i].GroupsVersion = groups, version
		}
	}
	return nil
}

func (g *gradebook) Grouped([]vigil.Session) {}

func (g *gradebook) Access(_ context.Context, _ vigil.Platform, url string, users []string) (lti.AccessReport, error) {
	if !strings.HasPrefix(url, "https://lms.example/") {
		return lti.AccessReport{}, vigil.Errorf(vigil.CodeInvalid, "asked at %s", url)
	}
	g.asked = append(g.asked, users)
	return g.answer, g.err
}

func TestThePlatformIsAskedEveryFiveMinutesWhoMaySeeAndDoWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := []vigil.Group{{ID: "1", Name: "A"}}, []vigil.Group{{ID: "2", Name: "B"}}
		g := &gradebook{
			state: vigil.PlatformActive,
			exams: []vigil.Exam{{ID: "e", Access: vigil.AccessSource{PlatformID: "p", URL: "https://lms.example/access"}}},
			staff: map[string]vigil.Access{"5": {UserID: "5", Version: 10, Rights: vigil.Rights}, "6": {UserID: "6", Version: 30}},
			sessions: []vigil.Session{
				{ID: "s1", UserID: "9", Groups: a, GroupsVersion: 1},
				{ID: "s2", UserID: "9", Groups: a, GroupsVersion: 1},
				{ID: "s3", UserID: "8", Groups: a, GroupsVersion: 7},
			},
			answer: lti.AccessReport{
				Staff:    []vigil.Access{{UserID: "5", Version: 20}, {UserID: "6", Version: 20, Rights: vigil.Rights}},
				Students: []vigil.Access{{UserID: "9", Version: 2, Groups: b}, {UserID: "8", Version: 7, Groups: b}, {UserID: "none", Version: 1}},
			},
		}
		k := &accessAsker{store: g, hub: g, tool: g, now: time.Now, log: slog.New(slog.DiscardHandler)}
		look := func(d time.Duration) {
			time.Sleep(d)
			if err := k.run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		look(0)
		look(accessEvery - time.Second)
		if len(g.asked) > 0 {
			t.Fatalf("got asked of %v, want not so soon after the launch", g.asked)
		}
		look(time.Second)
		if len(g.asked) != 1 || !slices.Equal(g.asked[0], []string{"5", "6"}) {
			t.Fatalf("got asked of %v, want of both, once", g.asked)
		}
		if got := g.staff["5"]; got.Version != 20 || got.ExamID != "e" || got.At.IsZero() || len(got.Rights) > 0 {
			t.Errorf("got %+v, want the answer", got)
		}
		if got := g.staff["6"]; got.Version != 30 {
			t.Errorf("got %+v, want what was told since", got)
		}
		for i, want := range []int64{2, 2, 7} {
			if got := g.sessions[i].GroupsVersion; got != want {
				t.Errorf("groups of %s: got version %d, want %d", g.sessions[i].ID, got, want)
			}
		}
		if !slices.Equal(g.sessions[2].Groups, a) {
			t.Errorf("got %+v, want what has the same version left alone", g.sessions[2].Groups)
		}
		g.err = vigil.Errorf(vigil.CodeUnavailable, "away")
		look(accessEvery)
		look(accessLook)
		if len(g.asked) != 2 {
			t.Errorf("got asked %d times, want a platform that does not answer left alone until it is due", len(g.asked))
		}
		g.err = nil
		g.exams = nil
		look(3 * accessEvery)
		if len(g.asked) != 2 || len(k.asked) > 0 {
			t.Errorf("got asked %d times, want no more of an exam that nobody watches", len(g.asked))
		}
	})
}

func TestManyProctorsAreAskedOfInParts(t *testing.T) {
	g := &gradebook{state: vigil.PlatformActive, staff: map[string]vigil.Access{}, sessions: make([]vigil.Session, 1)}
	for i := range lti.MaxAccessAsked + 1 {
		u := fmt.Sprintf("%04d", i)
		g.staff[u] = vigil.Access{UserID: u}
	}
	k := &accessAsker{store: g, hub: g, tool: g, now: time.Now, log: slog.New(slog.DiscardHandler)}
	if err := k.ask(t.Context(), vigil.Exam{ID: "e", Access: vigil.AccessSource{URL: "https://lms.example/access"}}); err != nil {
		t.Fatal(err)
	}
	if len(g.asked) != 2 || len(g.asked[0]) != lti.MaxAccessAsked || len(g.asked[1]) != 1 {
		t.Errorf("got %d questions, want two, of at most %d", len(g.asked), lti.MaxAccessAsked)
	}
}

// TestGroupsAndRightsCountOnAllServers has the students on one server and the proctor on another.
// The platform's reports reach either.
func TestGroupsAndRightsCountOnAllServers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	a, b := vigil.Group{ID: "1", Name: "Group A"}, vigil.Group{ID: "2", Name: "Group B"}
	s := newSite(t)
	redis := "--redis=redis://" + redistest.Start(t).Address
	to := s.front()
	one, two := s.beside(), s.beside()
	one.process(redis)
	two.process(redis)
	lms := s.lms.Platform()
	lms.SetGroups(student, a)
	lms.SetGroups(another, b)
	lms.SetAccess(instructor, ltitest.Access{Groups: []vigil.Group{a}, Rights: vigil.Rights})
	to(one)
	mine, other := s.student(student).Welcome().Session, s.student(another).Welcome().Session
	to(two)
	w := s.proctor()
	testutil.Until(t, "the student of the own group", func() bool { return w.Connection(mine) == vigil.ConnOnline })
	if rows := w.Rows(); len(rows) != 1 {
		t.Fatalf("got %d rows, want the own group's", len(rows))
	}
	id, _ := w.Command(protocol.CommandUp{Kind: vigil.CommandTerminate, Targets: []string{other}})
	testutil.Until(t, "the refusal", func() bool { return w.Progress(id, other).Stage == vigil.StageRefused })

	report := func(what string, counts func() bool) {
		t.Helper()
		began := time.Now()
		s.ok(lms.SendAccess(t.Context()))
		testutil.Until(t, what, counts)
		t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
	}
	to(one) // which is told, and has no dashboard
	lms.SetGroups(another, a, b)
	report("the student who comes to the group", func() bool { return w.Connection(other) == vigil.ConnOnline })
	lms.SetGroups(student, b)
	report("the student who leaves the group", func() bool { _, there := w.Rows()[mine]; return !there })
	lms.SetAccess(instructor, ltitest.Access{All: true, Rights: []vigil.Right{vigil.RightWatch}})
	report("everyone, and nothing to do", func() bool {
		return len(w.Rows()) == 2 && slices.Equal(w.Access().Rights, []vigil.Right{vigil.RightWatch})
	})
	id, _ = w.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "hello", Targets: []string{mine}})
	testutil.Until(t, "a message to be refused", func() bool {
		return slices.ContainsFunc(w.Errors(), func(e protocol.Error) bool { return e.Ref == id && e.Code == vigil.CodeForbidden })
	})
	lms.SetAccess(instructor, ltitest.Access{})
	report("the proctor to be shown out", func() bool {
		select {
		case <-w.Done():
			return true
		default:
			return false
		}
	})
}
