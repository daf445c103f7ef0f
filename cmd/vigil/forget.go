package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

// person is a user as erasures are of one.
type person struct{ issuer, user string }

// traces are what a store has of a person who is on a list of erasures.
type traces struct {
	entries  []vigil.Erasure
	sessions []vigil.Session
	acted    bool // did something as staff maybe, or has an access record, of up to the time of an erasure of all that is theirs
}

// note takes in that the person did something, or was told of.
func (t *traces) note(at time.Time) {
	for _, e := range t.entries {
		t.acted = t.acted || e.ExamID == "" && !at.After(e.At)
	}
}

// forget erases again what a list says, in a store that was brought back from a time before. It
// compares everybody in the store with the list, and leaves alone what a person began after the
// erasure.
func forget(ctx context.Context, store storage.Store, dump storage.Dumper, entries []vigil.Erasure) (users, sessions int, err error) {
	if len(entries) == 0 {
		return 0, 0, nil
	}
	found, err := findTraces(ctx, store, dump, entries)
	if err != nil {
		return 0, 0, err
	}
	for p, t := range found {
		n, did, err := t.erase(ctx, store, p)
		if err != nil {
			return users, sessions, err
		}
		sessions += n
		if did {
			users++
		}
	}
	return users, sessions, nil
}

// findTraces looks through all sessions, access records, and all that people did, for people on the list: who
// was erased may have been staff, or have no session any more.
func findTraces(ctx context.Context, store storage.Store, dump storage.Dumper, entries []vigil.Erasure) (map[person]*traces, error) {
	known := map[person]*traces{} // nil: not on the list
	of := func(p person) *traces {
		t, ok := known[p]
		if ok {
			return t
		}
		for _, e := range entries {
			if e.Is(p.issuer, p.user) {
				if t == nil {
					t = &traces{}
				}
				t.entries = append(t.entries, e)
			}
		}
		known[p] = t
		return t
	}
	platforms, err := store.Platforms(ctx)
	if err != nil {
		return nil, err
	}
	issuers := map[string]string{}
	for _, p := range platforms {
		issuers[p.ID] = p.Issuer
	}
	by := func(a vigil.Actor, issuer string, at time.Time) {
		if platform, user, ok := strings.Cut(a.ID, "|"); ok {
			if t := of(person{cmp.Or(issuer, issuers[platform]), user}); t != nil {
				t.note(at)
			}
		}
	}
	audits := func(exam, issuer string) error {
		return eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return store.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error { by(a.By, issuer, a.At); return nil })
	}
	if err := audits("", ""); err != nil {
		return nil, err
	}
	err = eachPage(func(p storage.Page) ([]string, string, error) { return dump.ExamIDs(ctx, p) }, func(id string) error {
		exam, err := store.Exam(ctx, id)
		if err != nil {
			return err
		}
		err = eachPage(func(p storage.Page) ([]vigil.Session, string, error) { return store.SessionsOfExam(ctx, id, p) }, func(v vigil.Session) error {
			if t := of(person{exam.Issuer, v.UserID}); t != nil {
				t.sessions = append(t.sessions, v)
			}
			by(v.By, exam.Issuer, v.Changed)
			return eachPage(func(p storage.Page) ([]vigil.ChatLine, string, error) { return store.ChatOfSession(ctx, v.ID, p) },
				func(l vigil.ChatLine) error { by(l.From, exam.Issuer, l.At); return nil })
		})
		if err != nil {
			return err
		}
		err = eachPage(func(p storage.Page) ([]vigil.Command, string, error) {
			return store.CommandsOfExam(ctx, id, time.Time{}, p)
		},
			func(c vigil.Command) error { by(c.By, exam.Issuer, c.At); return nil })
		if err != nil {
			return err
		}
		err = eachPage(func(p storage.Page) ([]vigil.Incident, string, error) { return store.IncidentsOfExam(ctx, id, p) },
			func(i vigil.Incident) error { by(i.Reviewer, exam.Issuer, i.Reviewed); return nil })
		if err != nil {
			return err
		}
		err = eachPage(func(p storage.Page) ([]vigil.Access, string, error) { return store.AccessOfExam(ctx, id, p) }, func(a vigil.Access) error {
			if t := of(person{exam.Issuer, a.UserID}); t != nil {
				t.note(a.At)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return audits(id, exam.Issuer)
	})
	for p, t := range known {
		if t == nil {
			delete(known, p)
		}
	}
	return known, err
}

// erase removes what the person's entries cover, and tells how many sessions that were and
// whether there was anything to do.
func (t *traces) erase(ctx context.Context, store storage.Store, p person) (sessions int, did bool, err error) {
	type attempt struct {
		exam string
		n    int
	}
	covered, all, wholly := map[attempt]bool{}, true, false
	for _, e := range t.entries {
		wholly = wholly || e.ExamID == ""
	}
	for _, v := range t.sessions {
		old := false
		for _, e := range t.entries {
			old = old || e.Covers(v)
		}
		if old {
			covered[attempt{v.ExamID, v.Attempt}] = true
		}
		all = all && old
	}
	if wholly && all { // no attempt came after it, so what is named elsewhere goes, too
		if len(covered) == 0 && !t.acted {
			return 0, false, nil
		}
		n, err := store.EraseUser(ctx, p.issuer, p.user)
		return n, true, err
	}
	for a := range covered {
		n, err := store.EraseAttempt(ctx, p.issuer, p.user, a.exam, a.n)
		if err != nil {
			return sessions, true, err
		}
		sessions += n
	}
	return sessions, len(covered) > 0, nil
}
