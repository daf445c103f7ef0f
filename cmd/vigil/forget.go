package main

import (
	"context"
	"strings"

	"vigil"
	"vigil/storage"
)

// person is a user as erasures are of one.
type person struct{ issuer, user string }

// traces are what a store has of a person who is on a list of erasures.
type traces struct {
	entries  []vigil.Erasure
	sessions []vigil.Session
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

// findTraces looks through all sessions and audit entries for people on the list.
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
	audits := func(exam vigil.Exam) error { // who has no session any more, or is staff, may still be named there
		return eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return store.AuditOfExam(ctx, exam.ID, p) }, func(a vigil.Audit) error {
			if _, user, ok := strings.Cut(a.By.ID, "|"); ok {
				of(person{exam.Issuer, user})
			}
			return nil
		})
	}
	err := eachPage(func(p storage.Page) ([]string, string, error) { return dump.ExamIDs(ctx, p) }, func(id string) error {
		exam, err := store.Exam(ctx, id)
		if err != nil {
			return err
		}
		err = eachPage(func(p storage.Page) ([]vigil.Session, string, error) { return store.SessionsOfExam(ctx, id, p) }, func(v vigil.Session) error {
			if t := of(person{exam.Issuer, v.UserID}); t != nil {
				t.sessions = append(t.sessions, v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return audits(exam)
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
	if wholly && all { // nothing came after it, so what is named elsewhere goes, too
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
