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
