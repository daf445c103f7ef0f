package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/realtime/protocol"
)

// Command does a proctor's command to its targets, for the API; the sockets' commands go
// the same way. by may do it by access, and only to the attempts that they see: others are
// not there for them. access is asked anew for each target, because what it says may change
// while many are worked on: from then on nothing is done that it does not allow. It returns the progress of each target, in the order of the targets, as
// every dashboard of the exam sees it, too. A target that the rules refuse has the stage
// refused; that answer is kept, so that giving the same id again gives the same progress.
// The error is CodeInvalid for a command that is not well formed, and CodeUnavailable
// where some target could not be served, or it is not known whether it was: then there is no
// progress of it, and giving the same command again does what is missing and nothing twice.
func (u *Service) Command(ctx context.Context, examID string, by vigil.Actor, access func() vigil.Access, c protocol.CommandUp) ([]protocol.Progress, error) {
	exam, err := u.view.Exam(ctx, examID)
	if err != nil {
		return nil, err
	}
	command, err := commandOf(c, by)
	if err != nil {
		return nil, err
	}
	now := access()
	if err := now.Allow(command.Kind.Right()); err != nil {
		return nil, err
	}
	targets, err := u.targets(ctx, exam, now, c)
	if err != nil {
		return nil, err
	}
	done := make([]*protocol.Progress, len(targets))
	var g errgroup.Group
	g.SetLimit(u.cfg.Limits.Commands)
	for i, id := range targets {
		g.Go(func() error {
			p, err := u.commandOne(ctx, exam, id, access, command, nil)
			if err == nil {
				done[i] = &p
			}
			return err // the others go on
		})
	}
	failed := g.Wait()
	out := make([]protocol.Progress, 0, len(targets))
	for _, p := range done {
		if p != nil {
			out = append(out, *p)
		}
	}
	u.audit(ctx, exam.ID, reached(targets, done), "command."+string(command.Kind), by, command.ReasonCode)
	if failed != nil {
		return out, vigil.Wrap(failed, vigil.CodeUnavailable, "Not every attempt could be reached; send it again.")
	}
	return out, nil
}

// reached are the targets that are there for who commands, and to which they may do it; the audit
// entry names no others.
func reached(targets []string, done []*protocol.Progress) []string {
	out := make([]string, 0, len(targets))
	for i, id := range targets {
		if p := done[i]; p == nil || p.Stage != vigil.StageRefused || p.Problem != ErrNoAttempt.Message && p.Problem != errNoMore.Message {
			out = append(out, id)
		}
	}
	return out
}

// commandOf checks a command's form.
func commandOf(c protocol.CommandUp, by vigil.Actor) (vigil.Command, error) {
	if c.Seconds < 0 || c.Seconds > int64(vigil.MaxExtend/time.Second) {
		return vigil.Command{}, vigil.Invalid("seconds", "Extra time lies between 1 second and 4 hours.")
	}
	command := vigil.Command{
		ID: c.ID, Kind: c.Kind, Text: c.Text, ReasonCode: c.Reason, Severity: c.Severity, By: by,
		Time: time.Duration(c.Seconds) * time.Second,
	}
	if err := command.Validate(); err != nil {
		return vigil.Command{}, err
	}
	if c.Text != "" {
		text, err := vigil.CleanText("text", c.Text, vigil.MaxNote)
		if err != nil {
			return vigil.Command{}, err
		}
		command.Text = text
	}
	return command, nil
}

// targets are the sessions that a command names: its own list, or all of the exam that
// have not ended and that access lets see.
func (u *Service) targets(ctx context.Context, exam vigil.Exam, access vigil.Access, c protocol.CommandUp) ([]string, error) {
	if c.All == (len(c.Targets) > 0) {
		return nil, vigil.Invalid("targets", "A command names its attempts, or all of them.")
	}
	if !c.All {
		return distinct(c.Targets)
	}
	var out []string
	for s, err := range vigil.EachOf(ctx, u.cfg.Store.SessionsOfExam, exam.ID) {
		if err != nil {
			return nil, err
		}
		if access.Sees(s.Groups) && !u.view.Live(s).Settled(exam.Policy, u.now()).State.Ended() {
			out = append(out, s.ID)
		}
	}
	return out, nil
}

func distinct(ids []string) ([]string, error) {
	if len(ids) > vigil.MaxTargets {
		return nil, vigil.Invalid("targets", "A command names at most %d attempts.", vigil.MaxTargets)
	}
	seen := make(map[string]bool, len(ids))
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out, nil
}

// fitting completes a command that depends on the session and its ledger, whose gaps it
// decides on with it; false: there is nothing to do.
type fitting func(ctx context.Context, s vigil.Session, e vigil.Exam, c *vigil.Command) (gaps []vigil.Gap, do bool, err error)

// commandOne does a command to one session. Refusals by the rules are progress, not
// errors. Where the command depends on the session, fit completes it, or says that there
// is nothing to do, and then the progress is empty. A command that came before is told
// again to everyone who should know of it: it may be that nobody was told.
func (u *Service) commandOne(ctx context.Context, exam vigil.Exam, session string, access func() vigil.Access, c vigil.Command, fit fitting) (_ protocol.Progress, failed error) {
	ctx, end := u.cfg.Tracer.Begin(ctx, StepCommand, session, c.ID)
	defer func() { end(failed) }()
	c.SessionID, c.ExamID = session, exam.ID
	// The platform's answer may come at once: what is told of it waits for what is told here.
	unlock, err := u.commandLocks.lock(ctx, session)
	if err != nil {
		return protocol.Progress{}, err
	}
	defer unlock()
	deliveryID := u.cfg.NewID()
	_, p, err := u.change(ctx, session, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		if err := reaches(access(), c.Kind.Right(), exam, s); err != nil {
			return plan{}, err
		}
		stored, s, c := s, s.Settled(e.Policy, now), c
		c.At = now
		var gaps []vigil.Gap
		if fit != nil {
			var do bool
			var err error
			if gaps, do, err = fit(ctx, s, e, &c); err != nil {
				return plan{}, err
			} else if !do {
				return plan{}, errNothing
			}
		}
		did, err := s.Do(e.Policy, c, now, deliveryID)
		if errors.Is(err, vigil.ErrIllegal) {
			c.SessionID, c.ExamID, c.Stage, c.Problem = s.ID, s.ExamID, vigil.StageRefused, vigil.MessageOf(err)
			c.LMS.State = vigil.LMSNone
			return plan{session: stored, command: &c}, nil
		}
		if err != nil {
			return plan{}, err
		}
		out := plan{session: did.Session, command: &did.Command, gaps: gaps}
		if did.Session.Version == s.Version {
			out.session = stored
		}
		if did.Delivery != nil {
			out.deliveries = []vigil.Delivery{*did.Delivery}
		}
		if did.ToPeer {
			out.told = &did.Command
		}
		return out, nil
	})
	switch {
	case errors.Is(err, vigil.ErrExists): // the command came before
		return u.tellAgain(ctx, session, c.ID)
	case errors.Is(err, vigil.ErrNotFound):
		c.Stage, c.Problem, c.At = vigil.StageRefused, ErrNoAttempt.Message, u.now()
		return protocol.ProgressOf(c), nil
	case errors.Is(err, errNoMore):
		c.Stage, c.Problem, c.At = vigil.StageRefused, errNoMore.Message, u.now()
		return protocol.ProgressOf(c), nil
	case err != nil || p.command == nil:
		return protocol.Progress{}, err
	}
	u.notify.ProgressChanged(*p.command)
	return protocol.ProgressOf(*p.command), nil
}

// tellAgain tells of a command that is stored, and of what became of its session. Every
// receiver takes it for what it is: something that it knows, or not yet.
func (u *Service) tellAgain(ctx context.Context, session, id string) (protocol.Progress, error) {
	c, err := u.cfg.Store.Command(ctx, session, id)
	if err != nil {
		return protocol.Progress{}, err
	}
	s, err := u.cfg.Store.Session(ctx, session)
	if err != nil {
		return protocol.Progress{}, err
	}
	e, err := u.view.Exam(ctx, s.ExamID)
	if err != nil {
		return protocol.Progress{}, err
	}
	u.notify.CommandRepeated(e, s, c)
	if c.LMS.State == vigil.LMSWaiting {
		u.wakeQueue()
	}
	return protocol.ProgressOf(c), nil
}

// reaches tells whether somebody may do to a session of the exam what needs a right.
func reaches(a vigil.Access, right vigil.Right, exam vigil.Exam, s vigil.Session) error {
	switch {
	case a.Allow(right) != nil:
		return errNoMore
	case s.ExamID != exam.ID || !a.Sees(s.Groups):
		return ErrNoAttempt
	}
	return nil
}

var (
	// ErrNoAttempt refuses what is for a session that is not in the exam, or not there for who asks.
	ErrNoAttempt = vigil.Errorf(vigil.CodeNotFound, "There is no such attempt in this exam.")
	// ErrEnded refuses what is for a session that has ended.
	ErrEnded  = vigil.Errorf(vigil.CodeIllegal, "The attempt has ended.")
	errNoMore = vigil.Errorf(vigil.CodeForbidden, "What you may do in this exam was changed meanwhile, and this is not allowed any more.")
)

// audit records who did something to whom; to nobody is not recorded. A failure is logged, for
// the deed is done.
func (u *Service) audit(ctx context.Context, exam string, sessions []string, action string, by vigil.Actor, reason string) {
	if len(sessions) == 0 {
		return
	}
	a := vigil.Audit{
		ID: u.cfg.NewID(), ExamID: exam, Sessions: sessions, Action: action, By: by, From: addressIn(ctx), At: u.now(),
		Detail: fmt.Sprintf("%d attempts", len(sessions)),
	}
	if len(sessions) == 1 {
		a.Detail = "1 attempt"
	}
	if reason != "" {
		a.Detail += ", " + reason
	}
	if err := u.cfg.Store.AppendAudit(ctx, a); err != nil {
		u.cfg.Log.Error("audit entry not stored", "exam", exam, "action", action, "error", err)
	}
}

// addressKey is the context's key for the network address of who asks.
type addressKey struct{}

// WithAddress notes for audit entries where a request comes from.
func WithAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

func addressIn(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}

// Answered applies what a platform answered to a delivery: extra time and a termination
// take effect, what it refused is taken back, the student is told of it and the proctors of
// the answer. It may be called again for the same answer. An error means that it must be.
func (u *Service) Answered(ctx context.Context, d vigil.Delivery, a vigil.LMSAnswer) error {
	unlock, err := u.commandLocks.lock(ctx, d.SessionID)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := u.cfg.Store.Command(ctx, d.SessionID, d.CommandID)
	if errors.Is(err, vigil.ErrNotFound) {
		return nil // erased meanwhile
	}
	if err != nil {
		return err
	}
	if c.LMS.State != vigil.LMSWaiting { // answered already, by a call that may not have heard that it was stored
		u.notify.ProgressChanged(c)
		if c.ReasonCode == reasonLostTime {
			u.notify.LostTimeChanged(ctx, c.ExamID, c.SessionID)
		}
		return nil
	}
	after, before := c, false
	_, _, err = u.change(ctx, d.SessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		s = s.Settled(e.Policy, now)
		next, cmd, told := s.Answer(c, d, a, now)
		after = cmd
		if before = next.Version == s.Version; before {
			return plan{}, errNothing // nothing to apply, or it was applied, but the command not stored then
		}
		p := plan{session: next.Settled(e.Policy, now)}
		if told {
			p.told = &cmd
		}
		if after.Stage == vigil.StageRefused && c.ReasonCode == reasonLostTime {
			gaps, err := u.cfg.Store.GapsOfSession(ctx, s.ID)
			if err != nil {
				return plan{}, err
			}
			p.gaps = reopened(gaps, c.ID)
		}
		return p, nil
	})
	if errors.Is(err, vigil.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := u.cfg.Store.UpdateCommand(ctx, after); err != nil {
		return err
	}
	u.notify.ProgressChanged(after)
	if c.ReasonCode == reasonLostTime {
		u.notify.LostTimeChanged(ctx, c.ExamID, c.SessionID)
	}
	if before && !ForStudent(c) && ForStudent(after) { // who applied it may not have told the student
		_, err = u.tellAgain(ctx, c.SessionID, c.ID)
	}
	return err
}

// reopened are the gaps of a command that the platform refused, to be decided anew.
func reopened(gaps []vigil.Gap, command string) []vigil.Gap {
	var out []vigil.Gap
	for _, g := range gaps {
		if g.Decision == vigil.GapGranted && g.CommandID == command {
			g.Decision, g.CommandID = vigil.GapUndecided, ""
			out = append(out, g)
		}
	}
	return out
}

// ForStudent tells whether a stored command is to be told to the student as it stands:
// extra time and a termination only when they are in effect.
func ForStudent(c vigil.Command) bool {
	switch c.Kind {
	case vigil.CommandFlag, vigil.CommandNote:
		return false
	case vigil.CommandExtend, vigil.CommandTerminate:
		return c.LMS.State == vigil.LMSNone || c.LMS.State == "" || c.LMS.State == vigil.LMSAccepted
	}
	return true
}

// reasonLostTime marks the extend commands that give back what the ledger proposes.
const reasonLostTime = "lost_time"
