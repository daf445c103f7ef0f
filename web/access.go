package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/lti"
)

// staff is a person at an exam's pages: their pass, the exam, and whom they see and what they
// may do there. Only Server.staff makes one.
type staff struct {
	pass   pass
	exam   vigil.Exam
	access vigil.Access
}

// rights are those that the page's script is told of.
func (v staff) rights() []vigil.Right {
	return append([]vigil.Right{}, v.access.Rights...) // never null
}

// rule is what a route asks of a person.
type rule func(a vigil.Access, r *http.Request) error

func needs(right vigil.Right) rule {
	return func(a vigil.Access, _ *http.Request) error { return a.Allow(right) }
}

var (
	mayWatch  = needs(vigil.RightWatch)
	mayReview = needs(vigil.RightReview)

	// mayRead is for pages that are also files.
	mayRead rule = func(a vigil.Access, r *http.Request) error {
		if asFile(r) {
			return a.Allow(vigil.RightExport)
		}
		return a.Allow(vigil.RightWatch)
	}
	// mayRule is for what concerns everybody at the exam.
	mayRule rule = func(a vigil.Access, _ *http.Request) error {
		for _, right := range vigil.Rights {
			if err := a.Allow(right); err != nil {
				return err
			}
		}
		if !a.All {
			return vigil.Errorf(vigil.CodeForbidden, "This is for those who see all students of the exam. Ask a teacher who does.")
		}
		return nil
	}
)

// asFile tells whether a page is asked for as a file.
func asFile(r *http.Request) bool { return r.URL.Query().Get("format") == "csv" }

// rules tells whether the person may do what concerns everybody.
func (v staff) rules() bool { return mayRule(v.access, nil) == nil }

// staffed is the handler of a route of an exam: h is called for those who may come in, with
// what they see and may do. What it is for cannot be had without naming what it needs.
func (s *Server) staffed(may rule, h func(http.ResponseWriter, *http.Request, staff)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.staff(r, chi.URLParam(r, "exam"), may)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		h(w, r, v)
	}
}

// staff returns who asks for something of an exam, if they may have it.
func (s *Server) staff(r *http.Request, examID string, may rule) (staff, error) {
	ctx := r.Context()
	p, err := s.need(ctx, passProctor, examID)
	if err != nil {
		return staff{}, err
	}
	exam, err := s.store.Exam(ctx, examID)
	if err != nil {
		return staff{}, err
	}
	v := staff{pass: p, exam: exam, access: vigil.FullAccess()}
	if exam.Access.Told() {
		if v.access, err = s.told(ctx, exam, p.UserID); err != nil {
			return staff{}, err
		}
		v.access = s.asked(ctx, exam, v.access)
	}
	return v, may(v.access, r)
}

// told is what was told last of a person whom a pass lets in.
func (s *Server) told(ctx context.Context, exam vigil.Exam, userID string) (vigil.Access, error) {
	a, err := s.store.Access(ctx, exam.ID, userID)
	if errors.Is(err, vigil.ErrNotFound) { // the pass is from before that was told, or has been open for days
		err = vigil.Errorf(vigil.CodeForbidden, "Vigil does not know any more what you may see here. Open it again from your course.")
	}
	return a, err
}

// Bounds of asking again when somebody opens a page.
const (
	accessAge      = 6 * time.Minute // what was told longer ago is asked again; dashboards have it asked every five minutes
	accessPatience = 3 * time.Second // for the answer: somebody waits for the page
	accessPause    = time.Minute     // from a question that was not answered to the next
)

// asked is what a person sees and may do: as it was told, and asked again where that is long
// ago. While the platform does not answer, what it said last counts.
func (s *Server) asked(ctx context.Context, exam vigil.Exam, a vigil.Access) vigil.Access {
	if s.now().Sub(a.At) < accessAge {
		return a
	}
	// Whoever leaves while it is asked must not make the question fail.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), accessPatience)
	defer cancel()
	e := s.students.entry(exam)
	select {
	case e.asking <- struct{}{}:
	case <-ctx.Done():
		return a
	}
	defer func() { <-e.asking }()
	if stored, err := s.store.Access(ctx, exam.ID, a.UserID); err == nil && stored.Version >= a.Version {
		if a = stored; s.now().Sub(a.At) < accessAge { // asked while this waited
			return a
		}
	}
	if s.now().Sub(e.failed).Abs() < accessPause {
		return a
	}
	report, err := s.askAccess(ctx, exam, nil, a.UserID)
	if err == nil || vigil.CodeOf(err) != vigil.CodeUnavailable {
		told := vigil.Access{Version: a.Version + 1} // who is left out, or is told nothing of any more, has nothing to do with the quiz
		if len(report.Staff) > 0 {
			told = report.Staff[0]
		}
		switch told, err = s.renewAccess(ctx, exam, a.UserID, told); {
		case err == nil:
			return told
		case errors.Is(err, vigil.ErrNotFound): // erased meanwhile
			return vigil.Access{}
		}
	}
	e.failed = s.now()
	s.log.WarnContext(ctx, "the learning platform did not say what a proctor may see and do; what it said before counts", "exam", exam.ID, "error", err)
	return a
}

// quizLink begins the ids of the resource links that our plugin launches. Those of a platform's
// own LTI activities are numbers. Whoever makes such an activity writes its custom parameters,
// so what these say of policy and rights does not count.
const quizLink = "quiz-"

// proctorSettings is what our plugin sends with a proctor's launch.
func proctorSettings(l lti.Launch) (vigil.Settings, error) {
	if !strings.HasPrefix(l.Resource.ID, quizLink) {
		return vigil.Settings{}, nil
	}
	return lti.ReadSettings(l.Platform, l.Custom[customSettings])
}

// sourceOf is where the platform answers who may see and do what, as a launch says it; the one
// that is known where it says nothing: nobody gets rid of the guard by another way in.
func sourceOf(exam vigil.Exam, l lti.Launch, settings vigil.Settings) vigil.AccessSource {
	if settings.AccessURL == "" {
		return exam.Access
	}
	return vigil.AccessSource{PlatformID: l.Platform.ID, URL: settings.AccessURL}
}

// entitle finds out what a person who launches sees and may do, and keeps it: what the launch
// says, else what the platform answers, else what it said before.
func (s *Server) entitle(ctx context.Context, exam vigil.Exam, l lti.Launch, settings vigil.Settings) (vigil.Access, error) {
	if !exam.Access.Told() {
		return vigil.FullAccess(), nil
	}
	if settings.Access != nil {
		return s.keepNewest(ctx, exam, l, *settings.Access)
	}
	report, err := s.askAccess(ctx, exam, &l.Platform, l.Subject)
	if err == nil {
		for _, a := range report.Staff {
			if a.UserID == l.Subject {
				return s.keepNewest(ctx, exam, l, a)
			}
		}
		return vigil.Access{}, vigil.Errorf(vigil.CodeForbidden, "Your learning platform says that you have nothing to do with this quiz. Ask a teacher of the course.")
	}
	if vigil.CodeOf(err) != vigil.CodeUnavailable { // a definite no
		return vigil.Access{}, vigil.Wrap(err, vigil.CodeForbidden, "Your learning platform does not say what you may see here. Open Vigil from the quiz itself.")
	}
	kept, keptErr := s.store.Access(ctx, exam.ID, l.Subject)
	switch {
	case keptErr == nil:
		s.log.WarnContext(ctx, "the learning platform did not say what a proctor may see and do; what it said before counts", "exam", exam.ID, "error", err)
		return kept, nil
	case !errors.Is(keptErr, vigil.ErrNotFound):
		return vigil.Access{}, keptErr
	}
	return vigil.Access{}, vigil.Wrap(err, vigil.CodeUnavailable, "Your learning platform did not say what you may see here. Try again in a minute, or open Vigil from the quiz itself.")
}

// keepNewest keeps what a launch told of its person, or what a report told of them that overtook
// it, and returns what counts. The report is looked for behind the launch's own: one of the two
// sees the other.
func (s *Server) keepNewest(ctx context.Context, exam vigil.Exam, l lti.Launch, a vigil.Access) (vigil.Access, error) {
	kept, err := s.keepAccess(ctx, exam, l.Subject, a)
	if err != nil {
		return vigil.Access{}, err
	}
	newer := kept
	for _, key := range []string{toldKey(toldStaff, l.Platform.ID, l.Deployment, l.Resource.ID, l.Subject), toldAt(exam.ID, l.Subject)} {
		if newer, err = s.newestTold(ctx, key, newer); err != nil {
			return vigil.Access{}, err
		}
	}
	if newer.Version <= kept.Version {
		return kept, nil
	}
	return s.keepAccess(ctx, exam, l.Subject, newer)
}

// keepAccess keeps what a platform told of a person who is here, at an exam, and returns what
// counts: that, or what it told later.
func (s *Server) keepAccess(ctx context.Context, exam vigil.Exam, userID string, a vigil.Access) (vigil.Access, error) {
	return s.stored(ctx, s.store.PutAccess, exam, userID, a)
}

// renewAccess is keepAccess for a person who is not here. Where their record is gone (erased) it
// is CodeNotFound: only a launch makes one.
func (s *Server) renewAccess(ctx context.Context, exam vigil.Exam, userID string, a vigil.Access) (vigil.Access, error) {
	return s.stored(ctx, s.store.RenewAccess, exam, userID, a)
}

func (s *Server) stored(ctx context.Context, put func(context.Context, vigil.Access) error, exam vigil.Exam, userID string, a vigil.Access) (vigil.Access, error) {
	a.ExamID, a.UserID, a.At = exam.ID, userID, s.now()
	err := put(ctx, a)
	if errors.Is(err, vigil.ErrConflict) {
		return s.store.Access(ctx, exam.ID, userID)
	}
	return a, err
}

// askAccess asks an exam's platform what people see and may do there.
func (s *Server) askAccess(ctx context.Context, exam vigil.Exam, launching *vigil.Platform, users ...string) (lti.AccessReport, error) {
	return s.askPlatform(ctx, exam, launching, func(p vigil.Platform) (lti.AccessReport, error) {
		return s.tool.Access(ctx, p, exam.Access.URL, users)
	})
}

// askPlatform puts a question to an exam's platform. Where its registration was replaced, that by
// which somebody launches now (nil: nobody does) is asked.
func (s *Server) askPlatform(ctx context.Context, exam vigil.Exam, launching *vigil.Platform, ask func(vigil.Platform) (lti.AccessReport, error)) (lti.AccessReport, error) {
	platform, err := s.store.Platform(ctx, exam.Access.PlatformID)
	if err != nil && !errors.Is(err, vigil.ErrNotFound) {
		return lti.AccessReport{}, err
	}
	if platform.State != vigil.PlatformActive && launching != nil && launching.Issuer == exam.Issuer {
		platform = *launching
	}
	if platform.State != vigil.PlatformActive {
		return lti.AccessReport{}, vigil.Errorf(vigil.CodeForbidden, "Your learning platform may not use Vigil at the moment. Ask its administrator.")
	}
	report, err := ask(platform)
	if err != nil {
		return report, err
	}
	// Whoever leaves now must not make it lost.
	return report, s.takeGroups(context.WithoutCancel(ctx), exam, report.Students)
}

// takeGroups makes an answer's groups of all students count.
func (s *Server) takeGroups(ctx context.Context, exam vigil.Exam, students []vigil.Access) error {
	groups := make(map[string]vigil.Access, len(students))
	for _, a := range students {
		groups[a.UserID] = a
	}
	for session, err := range vigil.EachOf(ctx, s.store.SessionsOfExam, exam.ID) {
		if err != nil {
			return err
		}
		if a, told := groups[session.UserID]; told && a.Version > session.GroupsVersion {
			if err := s.hub.Regrouped(ctx, session.ID, a.Groups, a.Version); err != nil && !errors.Is(err, vigil.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// Bounds of what is kept of students for the list of who is missing.
const (
	studentsLife = 5 * time.Second
	maxStudents  = 64 // exams
)

// students keeps for a short time what platforms answered of their students: every proctor of an
// exam asks at its beginning who is missing.
type students struct {
	mu    sync.Mutex // guards exams
	exams map[studentsKey]*toldStudents
}

type studentsKey struct {
	exam   string
	source vigil.AccessSource
}

type toldStudents struct {
	asking chan struct{} // holds one token while a question is under way; guards what follows

	failed  time.Time                 // when a question for a page was not answered
	answers map[string]studentsAnswer // by the record of a proctor who sees only some; "": of those who see everyone
}

type studentsAnswer struct {
	at       time.Time
	students map[string]studentTold // by user
}

// studentTold is what a platform answered of a student for a proctor.
type studentTold struct {
	version int64
	groups  []vigil.Group
	name    string // "" of whom the proctor does not see, and where the platform gives none
}

func (c *students) entry(exam vigil.Exam) *toldStudents {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := studentsKey{exam.ID, exam.Access}
	e := c.exams[key]
	if e == nil {
		if len(c.exams) >= maxStudents {
			clear(c.exams) // costs a question each
		}
		e = &toldStudents{asking: make(chan struct{}, 1)}
		c.exams[key] = e
	}
	return e
}

// studentsOf is everyone who may attempt the exam's quiz, by user, as the platform answered within
// the last five seconds; with the names of those whom the proctor sees.
func (s *Server) studentsOf(ctx context.Context, v staff) (map[string]studentTold, error) {
	e := s.students.entry(v.exam)
	select {
	case e.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.asking }()
	now := s.now()
	for proctor, a := range e.answers {
		if age := now.Sub(a.at); age < 0 || age >= studentsLife {
			delete(e.answers, proctor)
		}
	}
	proctor := "" // who sees everyone
	if !v.access.All {
		proctor = fmt.Sprintf("%d %s", v.access.Version, v.pass.UserID)
	}
	if a, there := e.answers[proctor]; there {
		return a.students, nil
	}
	report, err := s.askPlatform(ctx, v.exam, nil, func(p vigil.Platform) (lti.AccessReport, error) {
		return s.tool.Students(ctx, p, v.exam.Access.URL, v.pass.UserID)
	})
	if err != nil {
		return nil, err
	}
	a := studentsAnswer{now, make(map[string]studentTold, len(report.Students))}
	for _, student := range report.Students {
		a.students[student.UserID] = studentTold{student.Version, student.Groups, report.Names[student.UserID]}
	}
	if e.answers == nil {
		e.answers = map[string]studentsAnswer{}
	}
	e.answers[proctor] = a
	return a.students, nil
}

// accessAtOnce is how many people of a report are seen to at the same time.
const accessAtOnce = 8

// accessChanged takes a platform's report, from server to server, of who may see and do what
// (docs/assertion.md). What it told later counts; told again it changes nothing.
func (s *Server) accessChanged(w http.ResponseWriter, r *http.Request) {
	report, ok := reported(s, w, r, s.tool.VerifyAccess)
	if !ok {
		return
	}
	ctx := r.Context()
	exam, err := s.examOfReport(ctx, report)
	if errors.Is(err, vigil.ErrNotFound) {
		err = errors.Join(s.keepTold(ctx, ofLink(report, toldStaff), report.Staff...), s.keepTold(ctx, ofLink(report, toldStudent), report.Students...))
		if err == nil {
			exam, err = s.examOfReport(ctx, report) // it may have been made meanwhile, by a launch that did not see what is kept
		}
	}
	if err != nil {
		s.problem(w, r, err)
		return
	}
	ofExam := func(userID string) string { return toldAt(exam.ID, userID) }
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(accessAtOnce)
	for _, a := range report.Staff {
		work.Go(func() error {
			if err := s.keepTold(workCtx, ofExam, a); err != nil { // for a launch that is under way
				return err
			}
			_, err := s.renewAccess(workCtx, exam, a.UserID, a)
			if errors.Is(err, vigil.ErrNotFound) { // never came, or was erased
				return nil
			}
			return err
		})
	}
	for _, a := range report.Students {
		work.Go(func() error {
			if err := s.keepTold(workCtx, ofLink(report, toldStudent), a); err != nil { // for a launch that is under way
				return err
			}
			return s.regroup(workCtx, exam, a)
		})
	}
	if err := work.Wait(); err != nil {
		s.problem(w, r, err)
		return
	}
	s.audit(ctx, exam.ID, "", "access.changed", vigil.Actor{Role: vigil.RoleLMS, ID: report.Platform.ID},
		fmt.Sprintf("staff %d, students %d", len(report.Staff), len(report.Students)))
	writeJSON(w, map[string]int{"taken": len(report.Staff) + len(report.Students)})
}

// examOfReport finds the exam of the quiz that a report is of.
func (s *Server) examOfReport(ctx context.Context, report lti.AccessReport) (vigil.Exam, error) {
	link, err := s.store.Link(ctx, report.Platform.ID, report.Deployment, report.ResourceLink)
	var exam vigil.Exam
	if err == nil {
		exam, err = s.store.Exam(ctx, link.ExamID)
	}
	if errors.Is(err, vigil.ErrNotFound) {
		return exam, vigil.Errorf(vigil.CodeNotFound, "Vigil knows no such quiz.")
	}
	return exam, err
}

// regroup puts all that is kept of a student at an exam into their groups.
func (s *Server) regroup(ctx context.Context, exam vigil.Exam, a vigil.Access) error {
	sessions, err := s.store.SessionsOfUser(ctx, exam.Issuer, a.UserID)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		if session.ExamID != exam.ID {
			continue
		}
		// One that was erased meanwhile is in no group.
		if err := s.hub.Regrouped(ctx, session.ID, a.Groups, a.Version); err != nil && !errors.Is(err, vigil.ErrNotFound) {
			return err
		}
	}
	return nil
}

// A report may overtake a launch that was signed before it, or that asked before it: what it
// tells is kept for as long as such a launch may come.
const (
	toldKind = "web.told" // Record kind; the key is a hash, the value names no person
	toldLife = 5 * time.Minute

	toldStaff, toldStudent = "staff", "student"
)

// told is the value of such a record.
type told struct {
	Version int64         `json:"version"`
	All     bool          `json:"all"`
	Groups  []vigil.Group `json:"groups"`
	Rights  []vigil.Right `json:"rights"`
}

func toldKey(as, platformID, deployment, resourceLink, userID string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{as, platformID, deployment, resourceLink, userID}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// toldAt is the key of what a report tells of staff of a quiz that is known: launches of any
// activity that opens its exam look there.
func toldAt(examID, userID string) string { return toldKey(toldStaff, "", "", examID, userID) }

// ofLink are the keys of what a report tells of people of a quiz that may not be known yet.
func ofLink(report lti.AccessReport, as string) func(userID string) string {
	return func(userID string) string {
		return toldKey(as, report.Platform.ID, report.Deployment, report.ResourceLink, userID)
	}
}

// keepTold keeps what a report tells of people, for launches that are under way.
func (s *Server) keepTold(ctx context.Context, keyOf func(userID string) string, people ...vigil.Access) error {
	for _, a := range people {
		if err := vigil.CheckAccessVersion(a.Version, s.now()); err != nil {
			return err
		}
		key := keyOf(a.UserID)
		if kept, err := s.keptTold(ctx, key); err != nil || kept.Version > a.Version {
			if err != nil {
				return err
			}
			continue
		}
		value, err := json.Marshal(told{a.Version, a.All, a.Groups, a.Rights})
		if err != nil {
			return err
		}
		r := vigil.Record{
			Kind: toldKind, Key: key, Value: value, Expires: s.now().Add(toldLife),
		}
		if err := s.store.PutRecord(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// newestTold is what a launch tells of its person, or what a report told of them that overtook it.
func (s *Server) newestTold(ctx context.Context, key string, a vigil.Access) (vigil.Access, error) {
	if err := vigil.CheckAccessVersion(a.Version, s.now()); err != nil {
		return a, err
	}
	later, err := s.keptTold(ctx, key)
	if err != nil || later.Version <= a.Version {
		return a, err
	}
	return vigil.Access{Version: later.Version, All: later.All, Groups: later.Groups, Rights: later.Rights}, nil
}

// keptTold reads what keepTold kept; of version 0: nothing.
func (s *Server) keptTold(ctx context.Context, key string) (told, error) {
	r, err := s.store.GetRecord(ctx, toldKind, key, s.now())
	if errors.Is(err, vigil.ErrNotFound) {
		return told{}, nil
	}
	var out told
	if err == nil {
		err = json.Unmarshal(r.Value, &out)
	}
	return out, err
}

// groupNames are the names of groups for people.
func groupNames(groups []vigil.Group) []string {
	out := make([]string, len(groups))
	for i, g := range groups {
		out[i] = cmp.Or(g.Name, g.ID)
	}
	return out
}
