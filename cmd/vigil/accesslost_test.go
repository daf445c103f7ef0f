package main

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

// losingOnce is a hub whose first Regrouped stores, and then fails before anybody is told.
type losingOnce struct {
	*gradebook
	state vigil.PlatformState
	calls int
	shown []vigil.Session // by the last Grouped
}

func (l *losingOnce) Grouped(sessions []vigil.Session) { l.shown = slices.Clone(sessions) }

func (l *losingOnce) Platform(context.Context, string) (vigil.Platform, error) {
	return vigil.Platform{ID: "p", State: l.state}, nil
}

func (l *losingOnce) Regrouped(ctx context.Context, id string, groups []vigil.Group, version int64) error {
	_ = l.gradebook.Regrouped(ctx, id, groups, version)
	if l.calls++; l.calls == 1 {
		return vigil.Errorf(vigil.CodeUnavailable, "stored, but the answer was lost")
	}
	return nil
}

func newLosing() *losingOnce {
	g := &gradebook{
		staff: map[string]vigil.Access{},
		sessions: []vigil.Session{
			{ID: "s1", UserID: "9", Groups: []vigil.Group{{ID: "1"}}, GroupsVersion: 1},
		},
		answer: lti.AccessReport{Students: []vigil.Access{{UserID: "9", Version: 2, Groups: []vigil.Group{{ID: "2"}}}}},
	}
	return &losingOnce{gradebook: g, state: vigil.PlatformActive}
}

var watchedExam = vigil.Exam{ID: "e", Access: vigil.AccessSource{PlatformID: "p", URL: "https://lms.example/access"}}

func TestTheQuestionShowsDashboardsWhatIsStored(t *testing.T) {
	l := newLosing()
	k := &accessAsker{store: l, hub: l, tool: l, now: time.Now, log: slog.New(slog.DiscardHandler)}
	if err := k.ask(t.Context(), watchedExam); err == nil {
		t.Fatal("want the first one to fail")
	}
	if err := k.ask(t.Context(), watchedExam); err != nil {
		t.Fatal(err)
	}
	if len(l.shown) != 1 || l.shown[0].GroupsVersion != 2 {
		t.Errorf("got %+v shown, want the session as it was stored and not told", l.shown)
	}
}

func TestADisabledPlatformIsNotAsked(t *testing.T) {
	l := newLosing()
	l.calls, l.state = 1, vigil.PlatformDisabled
	l.staff["5"] = vigil.Access{UserID: "5", Version: 1}
	l.answer.Staff = []vigil.Access{{UserID: "5", Version: 2, All: true, Rights: vigil.Rights}}
	k := &accessAsker{store: l, hub: l, tool: l, now: time.Now, log: slog.New(slog.DiscardHandler)}
	err := k.ask(t.Context(), watchedExam)
	if err == nil && l.staff["5"].All {
		t.Errorf("a platform in the state %q gave user 5 everything", l.state)
	}
}

func TestWhoIsLeftOutOfTheAnswerLosesEverything(t *testing.T) {
	l := newLosing()
	l.calls = 1
	l.staff["5"] = vigil.Access{UserID: "5", Version: 1, All: true, Rights: vigil.Rights}
	k := &accessAsker{store: l, hub: l, tool: l, now: time.Now, log: slog.New(slog.DiscardHandler)}
	if err := k.ask(t.Context(), watchedExam); err != nil {
		t.Fatal(err)
	}
	if a := l.staff["5"]; a.May(vigil.RightWatch) {
		t.Errorf("got %+v of somebody of whom the platform, asked, said nothing", a)
	}
}

// erasing is a platform that takes so long to answer that somebody is erased meanwhile.
type erasing struct {
	*losingOnce
	user string
}

func (e *erasing) Access(ctx context.Context, p vigil.Platform, url string, users []string) (lti.AccessReport, error) {
	delete(e.staff, e.user)
	return e.losingOnce.Access(ctx, p, url, users)
}

func TestWhoIsErasedWhileThePlatformIsAskedStaysErased(t *testing.T) {
	for name, answer := range map[string][]vigil.Access{
		"with a record": {{UserID: "5", Version: 2, All: true, Rights: vigil.Rights}},
		"left out":      nil,
	} {
		e := &erasing{newLosing(), "5"}
		e.calls, e.answer.Staff = 1, answer
		e.staff["5"] = vigil.Access{UserID: "5", Version: 1, All: true, Rights: vigil.Rights}
		k := &accessAsker{store: e, hub: e, tool: e, now: time.Now, log: slog.New(slog.DiscardHandler)}
		if err := k.ask(t.Context(), watchedExam); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a, there := e.staff["5"]; there {
			t.Errorf("%s: got the record %+v of somebody who was erased, want none", name, a)
		}
		if e.sessions[0].GroupsVersion != 2 {
			t.Errorf("%s: got groups of version %d, want the rest of the answer taken", name, e.sessions[0].GroupsVersion)
		}
	}
}
