package session

import (
	"context"
	"errors"
	"strings"

	"vigil"
	"vigil/realtime/protocol"
)

// giveBackID names the command that gives back one of our own outages.
func giveBackID(gap vigil.Gap) string { return "gap-" + strings.ReplaceAll(gap.ID, ".", "_") }

// giveBack gives a gap of our own making back without asking: the gap is decided and the
// time given in one write. Where the attempt has no clock, or has ended, the gap stays as it is.
func (u *Service) giveBack(ctx context.Context, gap vigil.Gap) error {
	exam, err := u.view.Exam(ctx, gap.ExamID)
	if err != nil {
		return err
	}
	_, err = u.commandOne(ctx, exam, gap.SessionID, vigil.FullAccess, vigil.Command{
		ID: giveBackID(gap), Kind: vigil.CommandExtend, ReasonCode: reasonLostTime, By: system,
	}, u.fromGaps(func(g vigil.Gap) bool { return g.ID == gap.ID }))
	return err
}

// maxDecided is how many gaps are decided on in one write; more are proposed again.
const maxDecided = vigil.MaxTogether / 2

// fromGaps makes an extension of what the ledger proposes for the undecided gaps that are
// wanted, and decides on them with it.
func (u *Service) fromGaps(want func(g vigil.Gap) bool) fitting {
	return func(ctx context.Context, s vigil.Session, e vigil.Exam, c *vigil.Command) ([]vigil.Gap, bool, error) {
		gaps, err := u.cfg.Store.GapsOfSession(ctx, s.ID)
		if err != nil {
			return nil, false, err
		}
		var decided []vigil.Gap
		c.Time = 0
		for _, g := range vigil.ProposeLostTime(e.Policy, gaps) {
			g.Proposed = min(g.Proposed, vigil.MaxExtend)
			if g.Decision != vigil.GapUndecided || g.Proposed <= 0 || !want(g) || c.Time+g.Proposed > vigil.MaxExtend || len(decided) == maxDecided {
				continue // what does not fit is proposed again
			}
			c.Time += g.Proposed
			g.Decision, g.CommandID = vigil.GapGranted, c.ID
			decided = append(decided, g)
		}
		return decided, c.Time >= vigil.MinExtend, nil
	}
}

// LostTime decides on what the ledger proposes for the targets. Granted time is an extend
// command with the given id; so is its progress. A refusal has the stage done. Of access
// holds what Command says.
func (u *Service) LostTime(ctx context.Context, examID string, by vigil.Actor, access func() vigil.Access, l protocol.LostTimeUp) ([]protocol.Progress, error) {
	if err := access().Allow(vigil.RightTime); err != nil {
		return nil, err
	}
	if !vigil.ValidID(l.ID) {
		return nil, vigil.Invalid("id", "An id has 8 to 64 letters, digits, - or _.")
	}
	if len(l.Targets) == 0 {
		return nil, vigil.Invalid("targets", "Name the attempts.")
	}
	targets, err := distinct(l.Targets)
	if err != nil {
		return nil, err
	}
	exam, err := u.view.Exam(ctx, examID)
	if err != nil {
		return nil, err
	}
	out := make([]protocol.Progress, 0, len(targets))
	done := make([]*protocol.Progress, len(targets))
	for i, id := range targets {
		p, err := u.lostTimeOne(ctx, exam, id, by, access, l)
		if err != nil {
			return out, err
		}
		done[i] = &p
		out = append(out, p)
	}
	action := "lost_time.refuse"
	if l.Grant {
		action = "lost_time.grant"
	}
	u.audit(ctx, exam.ID, reached(targets, done), action, by, "")
	return out, nil
}

func (u *Service) lostTimeOne(ctx context.Context, exam vigil.Exam, session string, by vigil.Actor, access func() vigil.Access, l protocol.LostTimeUp) (protocol.Progress, error) {
	c := vigil.Command{ID: l.ID, SessionID: session, ExamID: exam.ID, Kind: vigil.CommandExtend, ReasonCode: reasonLostTime, By: by, At: u.now()}
	s, err := u.cfg.Store.Session(ctx, session)
	if err == nil {
		err = reaches(access(), vigil.RightTime, exam, s)
	}
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		c.Stage, c.Problem = vigil.StageRefused, ErrNoAttempt.Message
		return protocol.ProgressOf(c), nil
	case errors.Is(err, errNoMore):
		c.Stage, c.Problem = vigil.StageRefused, errNoMore.Message
		return protocol.ProgressOf(c), nil
	case err != nil:
		return protocol.Progress{}, err
	}
	before, err := u.cfg.Store.Command(ctx, session, l.ID)
	switch {
	case err == nil && before.ExamID == exam.ID:
		return u.tellAgain(ctx, session, l.ID)
	case err != nil && !errors.Is(err, vigil.ErrNotFound):
		return protocol.Progress{}, err
	}
	if !l.Grant {
		return u.refuseLost(ctx, exam, c)
	}
	p, err := u.commandOne(ctx, exam, session, access, c, u.fromGaps(func(vigil.Gap) bool { return true }))
	if err != nil {
		return protocol.Progress{}, err
	}
	if p.Stage == "" {
		c.Stage, c.Problem = vigil.StageRefused, "Nothing is proposed for this attempt."
		return protocol.ProgressOf(c), nil
	}
	u.notify.LostTimeChanged(ctx, exam.ID, session)
	return p, nil
}

// refuseLost decides that nothing is given for what the ledger proposes. That is no command:
// nothing is stored but the gaps' decisions, and doing it again finds nothing to decide.
func (u *Service) refuseLost(ctx context.Context, exam vigil.Exam, c vigil.Command) (protocol.Progress, error) {
	decided := 0
	err := u.editLedger(ctx, c.SessionID, func(_ vigil.Session, e vigil.Exam, gaps []vigil.Gap) ledgerEdit {
		var did ledgerEdit
		for _, g := range vigil.ProposeLostTime(e.Policy, gaps) {
			if g.Decision == vigil.GapUndecided && g.Proposed > 0 && len(did.change) < maxDecided {
				g.Decision, g.CommandID = vigil.GapRefused, ""
				did.change = append(did.change, g)
			}
		}
		decided = max(decided, len(did.change)) // where an answer was lost there is nothing left the second time
		return did
	})
	if err != nil {
		return protocol.Progress{}, err
	}
	if decided == 0 {
		c.Stage, c.Problem = vigil.StageRefused, "Nothing is proposed for this attempt."
		return protocol.ProgressOf(c), nil
	}
	c.Stage = vigil.StageDone
	u.notify.LostTimeChanged(ctx, exam.ID, c.SessionID)
	u.notify.ProgressChanged(c)
	return protocol.ProgressOf(c), nil
}
