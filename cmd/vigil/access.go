package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"vigil"
	"vigil/lti"
)

// accessAsker asks the platforms again who may see and do what, for the exams that have
// dashboards here. What changes reaches us by the platform's reports; this finds what came
// without one: a report that got lost, or a change that the platform itself does not notice.
type accessAsker struct {
	store accessStore
	hub   accessHub
	tool  interface {
		Access(ctx context.Context, p vigil.Platform, url string, users []string) (lti.AccessReport, error)
	}
	now func() time.Time
	log *slog.Logger

	asked map[string]time.Time // when the platform was last asked about an exam; run's
}

// accessStore is what asking needs of the store.
type accessStore interface {
	Platform(ctx context.Context, id string) (vigil.Platform, error)
	SessionsOfExam(ctx context.Context, examID string, page vigil.Page) (sessions []vigil.Session, next string, err error)
	AccessOfExam(ctx context.Context, examID string, page vigil.Page) (records []vigil.Access, next string, err error)
	RenewAccess(ctx context.Context, a vigil.Access) error
}

// accessHub is what asking needs of the hub.
type accessHub interface {
	Watched() []vigil.Exam
	Regrouped(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error
	Grouped(sessions []vigil.Session)
}

const (
	accessEvery = 5 * time.Minute  // from one question about an exam to the next
	accessLook  = 10 * time.Second // at which exams have dashboards
	accessTime  = 30 * time.Second // for one exam
)

// run asks for each exam that is due. One that has just got its first dashboard is not: its
// proctor's launch told what there is to tell. It is called again and again, by one goroutine.
func (k *accessAsker) run(ctx context.Context) error {
	now := k.now()
	watched := k.hub.Watched()
	asked := make(map[string]time.Time, len(watched))
	for id, at := range k.asked { // who leaves for a moment does not begin anew; later exams are forgotten
		if now.Sub(at) < 2*accessEvery {
			asked[id] = at
		}
	}
	for _, e := range watched {
		last, known := k.asked[e.ID]
		switch {
		case !known:
			last = now
		case now.Sub(last) >= accessEvery:
			last = now
			if err := k.ask(ctx, e); err != nil && ctx.Err() == nil {
				k.log.WarnContext(ctx, "the learning platform did not say who may see and do what; what it said last counts", "exam", e.ID, "error", err)
			}
		}
		asked[e.ID] = last
	}
	k.asked = asked
	return nil
}

// ask asks about one exam, and makes the answer count.
func (k *accessAsker) ask(ctx context.Context, e vigil.Exam) error {
	ctx, cancel := context.WithTimeout(ctx, accessTime)
	defer cancel()
	platform, err := k.store.Platform(ctx, e.Access.PlatformID)
	if err != nil {
		return err
	}
	if platform.State != vigil.PlatformActive { // its people are shown out as it is
		return nil
	}
	staff, err := allOf(func(p vigil.Page) ([]vigil.Access, string, error) { return k.store.AccessOfExam(ctx, e.ID, p) })
	if err != nil {
		return err
	}
	users := make([]string, 0, len(staff))
	for _, a := range staff {
		users = append(users, a.UserID)
	}
	groups := map[string]vigil.Access{}
	for first := 0; first == 0 || first < len(users); first += lti.MaxAccessAsked { // students are told each time
		report, err := k.tool.Access(ctx, platform, e.Access.URL, users[first:min(first+lti.MaxAccessAsked, len(users))])
		if err != nil {
			return err
		}
		answered := map[string]bool{}
		for _, a := range report.Staff {
			answered[a.UserID] = true
			a.ExamID, a.At = e.ID, k.now()
			if err := k.renew(ctx, a); err != nil {
				return err
			}
		}
		for _, a := range staff[first:min(first+lti.MaxAccessAsked, len(staff))] { // who is left out has nothing to do with the quiz
			if !answered[a.UserID] {
				a = vigil.Access{ExamID: e.ID, UserID: a.UserID, Version: a.Version + 1, At: k.now()}
				if err := k.renew(ctx, a); err != nil {
					return err
				}
			}
		}
		for _, a := range report.Students {
			groups[a.UserID] = a
		}
	}
	sessions, err := allOf(func(p vigil.Page) ([]vigil.Session, string, error) { return k.store.SessionsOfExam(ctx, e.ID, p) })
	if err != nil {
		return err
	}
	k.hub.Grouped(sessions)
	for _, s := range sessions {
		if a, ok := groups[s.UserID]; ok && a.Version > s.GroupsVersion {
			if err := k.hub.Regrouped(ctx, s.ID, a.Groups, a.Version); err != nil && !errors.Is(err, vigil.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// renew stores what was answered of somebody, unless they were told of since, or were erased
// while the question was under way.
func (k *accessAsker) renew(ctx context.Context, a vigil.Access) error {
	err := k.store.RenewAccess(ctx, a)
	if errors.Is(err, vigil.ErrConflict) || errors.Is(err, vigil.ErrNotFound) {
		return nil
	}
	return err
}

// allOf reads all pages of a list.
func allOf[T any](page func(vigil.Page) ([]T, string, error)) ([]T, error) {
	var out []T
	for list, err := range vigil.Pages(page) {
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}
