package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

type exportCmd struct {
	Exam exportExamCmd `cmd:"" help:"Everything of one exam."`
	User exportUserCmd `cmd:"" help:"Everything of one user, as privacy law gives them a right to."`
}

// exportSettings say in what form.
type exportSettings struct {
	Format string `help:"jsonl (one JSON object a line, each with its kind) or csv (one kind only)." enum:"jsonl,csv" default:"jsonl"`
	Kind   string `help:"What to export; csv needs one: exam, session, signal, incident, gap, command, chat, access, audit." enum:"all,exam,session,signal,incident,gap,command,chat,access,audit" default:"all"`
}

// Validate refuses a CSV of everything: its rows would have different columns.
func (s exportSettings) Validate() error {
	if s.Format == "csv" && s.Kind == "all" {
		return vigil.Invalid("kind", "A CSV has one kind of rows: choose one with --kind.")
	}
	return nil
}

func (s exportSettings) sink(out io.Writer) sink {
	if s.Format == "csv" {
		return newCSVSink(out)
	}
	return newJSONSink(out)
}

type exportExamCmd struct {
	storeSettings  `embed:""`
	exportSettings `embed:""`
	ID             string `arg:"" help:"The exam's id."`
}

// Run writes the exam, its sessions, all that belongs to them, its access records and its audit
// entries.
func (c exportExamCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		x := exporter{store: store, sink: c.sink(s.out), kind: c.Kind}
		if err := x.exam(ctx, c.ID); err != nil {
			return err
		}
		return c.record(ctx, s, store, deed{action: "export.exam", exam: c.ID, detail: c.Kind})
	})
}

type exportUserCmd struct {
	storeSettings  `embed:""`
	exportSettings `embed:""`
	Issuer         string `arg:"" help:"The issuer (URL) of the user's platform."`
	User           string `arg:"" help:"The user's id there (the sub of its launches)."`
}

// Run writes the user's sessions and all that belongs to them, and as staff the user's access
// records.
func (c exportUserCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		x := exporter{store: store, sink: c.sink(s.out), kind: c.Kind}
		sessions, accesses, err := keptOfUser(ctx, store, c.Issuer, c.User)
		if err != nil {
			return err
		}
		for _, v := range sessions {
			if err := x.session(ctx, v); err != nil {
				return err
			}
		}
		for _, a := range accesses {
			if err := x.give("access", a); err != nil {
				return err
			}
		}
		if err := x.auditsOfUser(ctx, c.User, sessions, accesses); err != nil {
			return err
		}
		if err := x.sink.end(); err != nil {
			return err
		}
		return c.record(ctx, s, store, deed{action: "export.user", detail: attempts(len(sessions))})
	})
}

type eraseCmd struct {
	storeSettings `embed:""`
	Issuer        string `arg:"" help:"The issuer (URL) of the user's platform."`
	User          string `arg:"" help:"The user's id there (the sub of its launches)."`
	Yes           bool   `help:"Do it. Without this it is only shown how much there is."`
}

// Run erases one user.
func (c eraseCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		if !c.Yes {
			sessions, accesses, err := keptOfUser(ctx, store, c.Issuer, c.User)
			if err != nil {
				return err
			}
			return s.sayf("%d sessions would be erased, with all that belongs to them%s. Nothing was done: give --yes to erase them.\n", len(sessions), andAccess(accesses))
		}
		accesses, err := store.AccessOfUser(ctx, c.Issuer, c.User)
		if err != nil {
			return err
		}
		n, err := store.EraseUser(ctx, c.Issuer, c.User)
		if err != nil {
			return err
		}
		known := n > 0 || len(accesses) > 0
		if known {
			if err := s.sayf("%d sessions%s erased.\n", n, andAccess(accesses)); err != nil {
				return err
			}
		}
		err = c.record(ctx, s, store, deed{action: "erase.user", detail: attempts(n)})
		if err == nil && !known {
			s.tell("What the user did as staff (commands, chat lines, reviews, audit entries) has lost their id and name, if there was any.")
			err = unknownUser(ctx, store, c.Issuer, c.User)
		}
		return err
	})
}

// keptOfUser reads a user's sessions and access records; none of either is an error that says what
// is unknown.
func keptOfUser(ctx context.Context, store storage.Store, issuer, user string) ([]vigil.Session, []vigil.Access, error) {
	sessions, err := store.SessionsOfUser(ctx, issuer, user)
	if err != nil {
		return nil, nil, err
	}
	accesses, err := store.AccessOfUser(ctx, issuer, user)
	if err == nil && len(sessions) == 0 && len(accesses) == 0 {
		err = unknownUser(ctx, store, issuer, user)
	}
	return sessions, accesses, err
}

func andAccess(accesses []vigil.Access) string {
	switch len(accesses) {
	case 0:
		return ""
	case 1:
		return " and 1 access record"
	}
	return fmt.Sprintf(" and %d access records", len(accesses))
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}

// unknownUser says what is unknown where no attempt is stored of a user. A platform that was
// removed leaves its users' sessions behind, so an issuer alone is not checked.
func unknownUser(ctx context.Context, store storage.Store, issuer, user string) error {
	platforms, err := store.Platforms(ctx)
	if err != nil {
		return err
	}
	var issuers []string
	for _, p := range platforms {
		if p.Issuer == issuer {
			return vigil.Errorf(vigil.CodeNotFound, "No attempt of the user %q of %s is stored. Give the user's id as the platform has it (the sub of its launches, in Moodle the number of the account), and not a name.", user, issuer)
		}
		if !slices.Contains(issuers, p.Issuer) {
			issuers = append(issuers, p.Issuer)
		}
	}
	if len(issuers) == 0 {
		return vigil.Errorf(vigil.CodeNotFound, "No platform is registered in this store, and no attempt of a user of %q is stored. See that --store is the one that `vigil serve` has.", issuer)
	}
	return vigil.Errorf(vigil.CodeNotFound, "No platform has the issuer %q, and no attempt of its users is stored. Registered are: %s.", issuer, strings.Join(issuers, ", "))
}

// exporter reads a store page by page and gives what it finds to a sink.
type exporter struct {
	store storage.Store
	sink  sink
	kind  string // all, or one
}

// wants tells whether a kind is asked for.
func (x exporter) wants(kind string) bool { return x.kind == "all" || x.kind == kind }

func (x exporter) give(kind string, v any) error {
	if !x.wants(kind) {
		return nil
	}
	return x.sink.row(kind, v)
}

func (x exporter) exam(ctx context.Context, id string) error {
	e, err := x.store.Exam(ctx, id)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Errorf(vigil.CodeNotFound, "There is no exam with the id %q. `vigil exam list` shows the exams of this store.", id)
	}
	if err != nil {
		return err
	}
	if err := x.give("exam", e); err != nil {
		return err
	}
	err = eachPage(func(p storage.Page) ([]vigil.Session, string, error) { return x.store.SessionsOfExam(ctx, id, p) },
		func(v vigil.Session) error { return x.session(ctx, v) })
	if err == nil && x.wants("access") {
		err = eachPage(func(p storage.Page) ([]vigil.Access, string, error) { return x.store.AccessOfExam(ctx, id, p) },
			func(a vigil.Access) error { return x.give("access", a) })
	}
	if err == nil {
		err = x.audits(ctx, id)
	}
	if err != nil {
		return err
	}
	return x.sink.end()
}

// audits gives the audit entries of an exam.
func (x exporter) audits(ctx context.Context, exam string) error {
	if !x.wants("audit") {
		return nil
	}
	return eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return x.store.AuditOfExam(ctx, exam, p) },
		func(a vigil.Audit) error { return x.give("audit", a) })
}

// auditsOfUser gives the entries of what a user did (consent among it) in the exams of their
// sessions and access records, and of what was done to them: there others' names and addresses are left out.
func (x exporter) auditsOfUser(ctx context.Context, user string, sessions []vigil.Session, accesses []vigil.Access) error {
	if !x.wants("audit") {
		return nil
	}
	theirs, exams := map[string]bool{}, []string{}
	for _, v := range sessions {
		theirs[v.ID] = true
		exams = append(exams, v.ExamID)
	}
	for _, a := range accesses {
		exams = append(exams, a.ExamID)
	}
	slices.Sort(exams)
	exams = slices.Compact(exams)
	for _, exam := range exams {
		err := eachPage(func(p storage.Page) ([]vigil.Audit, string, error) { return x.store.AuditOfExam(ctx, exam, p) },
			func(a vigil.Audit) error {
				if !a.By.IsUser(user) {
					a.Sessions = slices.DeleteFunc(slices.Clone(a.Sessions), func(id string) bool { return !theirs[id] })
					if len(a.Sessions) == 0 {
						return nil
					}
					a = a.WithoutPerson()
				}
				return x.give("audit", a)
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// session gives a session and all that belongs to it.
func (x exporter) session(ctx context.Context, v vigil.Session) error {
	if err := x.give("session", v); err != nil {
		return err
	}
	if x.wants("signal") {
		err := eachPage(func(p storage.Page) ([]vigil.Signal, string, error) { return x.store.SignalsOfSession(ctx, v.ID, p) },
			func(g vigil.Signal) error { return x.give("signal", g) })
		if err != nil {
			return err
		}
	}
	if x.wants("incident") {
		err := eachPage(func(p storage.Page) ([]vigil.Incident, string, error) {
			return x.store.IncidentsOfSession(ctx, v.ID, p)
		},
			func(i vigil.Incident) error { return x.give("incident", i) })
		if err != nil {
			return err
		}
	}
	if x.wants("gap") {
		gaps, err := x.store.GapsOfSession(ctx, v.ID)
		if err != nil {
			return err
		}
		for _, g := range gaps {
			if err := x.give("gap", g); err != nil {
				return err
			}
		}
	}
	if x.wants("command") {
		err := eachPage(func(p storage.Page) ([]vigil.Command, string, error) { return x.store.CommandsOfSession(ctx, v.ID, p) },
			func(c vigil.Command) error { return x.give("command", c) })
		if err != nil {
			return err
		}
	}
	if !x.wants("chat") {
		return nil
	}
	return eachPage(func(p storage.Page) ([]vigil.ChatLine, string, error) { return x.store.ChatOfSession(ctx, v.ID, p) },
		func(l vigil.ChatLine) error { return x.give("chat", l) })
}

// eachPage reads a list to its end.
func eachPage[T any](read func(p storage.Page) ([]T, string, error), do func(T) error) error {
	for v, err := range vigil.Each(read) {
		if err == nil {
			err = do(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stampOf writes a time as exports do; a zero one is empty.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
