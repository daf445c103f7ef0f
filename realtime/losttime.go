package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
)

// reasonLostTime marks the extend commands that give back what the ledger proposes.
const reasonLostTime = "lost_time"

// giveBackID names the command that gives back one of our own outages.
func giveBackID(gap vigil.Gap) string { return "gap-" + gap.ID }

// giveBack gives a gap of our own making back without asking. What of it fell into a
// pause was not lost: the clock stood. Where the attempt has no clock, or has ended, the
// gap stays as it is.
func (h *Hub) giveBack(ctx context.Context, gap vigil.Gap) vigil.Gap {
	to, command := vigil.GapGranted, giveBackID(gap)
	err := h.retry(ctx, "lost time", func(ctx context.Context) error {
		exam, err := h.exam(ctx, gap.ExamID)
		if err != nil {
			return err
		}
		p, err := h.commandOne(ctx, exam, gap.SessionID, vigil.Command{
			ID: command, Kind: vigil.CommandExtend, ReasonCode: reasonLostTime, By: system,
		}, func(s vigil.Session, c *vigil.Command) bool {
			c.Time = min(gap.Proposed-pausedWithin(s, gap), vigil.MaxExtend)
			return c.Time >= vigil.MinExtend
		})
		switch p.Stage {
		case "":
			to, command = vigil.GapRefused, ""
		case vigil.StageRefused:
			to = vigil.GapUndecided
		}
		return err
	})
	if err == nil && to != vigil.GapUndecided {
		var decided vigil.Gap
		if decided, err = h.decide(ctx, gap, to, command); err == nil {
			return decided
		}
	}
	if err != nil && ctx.Err() == nil {
		h.log.Error("an outage is not given back", "session", gap.SessionID, "error", err)
	}
	return gap
}

// pausedWithin is how much of a gap the pause takes that the session is in.
func pausedWithin(s vigil.Session, gap vigil.Gap) time.Duration {
	if s.State != vigil.StatePaused || !s.PausedAt.Before(gap.End) {
		return 0
	}
	if s.PausedAt.Before(gap.Start) {
		return gap.End.Sub(gap.Start)
	}
	return gap.End.Sub(s.PausedAt)
}

// decide stores what became of a gap.
func (h *Hub) decide(ctx context.Context, gap vigil.Gap, to vigil.GapDecision, command string) (vigil.Gap, error) {
	for range maxConflicts {
		gap.Decision, gap.CommandID = to, command
		err := h.store.UpdateGap(ctx, gap)
		if err == nil {
			gap.Version++
			return gap, nil
		}
		if !errors.Is(err, vigil.ErrConflict) {
			return gap, err
		}
		gaps, err := h.store.GapsOfSession(ctx, gap.SessionID)
		if err != nil {
			return gap, err
		}
		for _, g := range gaps {
			if g.ID == gap.ID {
				g.Proposed = gap.Proposed
				gap = g
			}
		}
	}
	return gap, errBusy
}

// LostTime decides on what the ledger proposes for the targets. Granted time is an extend
// command with the given id; so is its progress. A refusal has the stage done.
func (h *Hub) LostTime(ctx context.Context, examID string, by vigil.Actor, l LostTimeUp) ([]Progress, error) {
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
	exam, err := h.exam(ctx, examID)
	if err != nil {
		return nil, err
	}
	out := make([]Progress, 0, len(targets))
	for _, id := range targets {
		p, err := h.lostTimeOne(ctx, exam, id, by, l)
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
	action := "lost_time.refuse"
	if l.Grant {
		action = "lost_time.grant"
	}
	h.audit(ctx, exam.ID, targets, action, by, "")
	return out, nil
}

func (h *Hub) lostTimeOne(ctx context.Context, exam vigil.Exam, session string, by vigil.Actor, l LostTimeUp) (Progress, error) {
	c := vigil.Command{ID: l.ID, SessionID: session, ExamID: exam.ID, Kind: vigil.CommandExtend, ReasonCode: reasonLostTime, By: by, At: h.now()}
	refused := func(problem string) Progress {
		c.Stage, c.Problem = vigil.StageRefused, problem
		return progress(c)
	}
	s, err := h.store.Session(ctx, session)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && s.ExamID != exam.ID {
		return refused(errNoAttempt.Message), nil
	}
	if err != nil {
		return Progress{}, err
	}
	gaps, err := h.store.GapsOfSession(ctx, session)
	if err != nil {
		return Progress{}, err
	}
	before, err := h.store.Command(ctx, session, l.ID)
	replay := err == nil
	if err != nil && !errors.Is(err, vigil.ErrNotFound) {
		return Progress{}, err
	}
	var open []vigil.Gap
	for _, g := range vigil.ProposeLostTime(exam.Policy, gaps) {
		if g.Decision != vigil.GapUndecided || g.Proposed <= 0 || replay && g.End.After(before.At) {
			continue
		}
		if given, err := h.store.Command(ctx, session, giveBackID(g)); err == nil && given.Stage != vigil.StageRefused {
			if _, err := h.decide(ctx, g, vigil.GapGranted, given.ID); err != nil { // given back, but not noted then
				return Progress{}, err
			}
			continue
		}
		open = append(open, g)
		c.Time += g.Proposed
	}
	var p Progress
	switch {
	case replay:
		p = progress(before)
	case len(open) == 0:
		return refused("Nothing is proposed for this attempt."), nil
	case !l.Grant:
		c.Stage, c.Time = vigil.StageDone, 0
		p = progress(c)
	default:
		c.Time = min(max(c.Time, vigil.MinExtend), vigil.MaxExtend)
		if p, err = h.commandOne(ctx, exam, session, c, nil); err != nil {
			return Progress{}, err
		}
	}
	if p.Stage == vigil.StageRefused {
		return p, nil
	}
	to, command := vigil.GapRefused, ""
	if l.Grant {
		to, command = vigil.GapGranted, l.ID
	}
	for _, g := range open {
		g, err := h.decide(ctx, g, to, command)
		if err != nil {
			return Progress{}, err
		}
		h.tellGap(g)
	}
	h.tellLost(ctx, exam.ID, session)
	if !l.Grant {
		h.toProctors(exam.ID, delta{frame: encode(p)})
	}
	return p, nil
}

// takeBack opens the gaps again whose granted time the platform refused.
func (h *Hub) takeBack(ctx context.Context, c vigil.Command) {
	gaps, err := h.store.GapsOfSession(ctx, c.SessionID)
	for _, g := range gaps {
		if g.Decision != vigil.GapGranted || g.CommandID != c.ID {
			continue
		}
		var back vigil.Gap
		if back, err = h.decide(ctx, g, vigil.GapUndecided, ""); err != nil {
			break
		}
		h.tellGap(back)
	}
	if err != nil {
		h.log.Error("refused lost time is not open again", "session", c.SessionID, "error", err)
		return
	}
	h.tellLost(ctx, c.ExamID, c.SessionID)
}

func (h *Hub) tellGap(g vigil.Gap) {
	h.toProctors(g.ExamID, delta{key: "gap/" + g.SessionID + "/" + g.ID, frame: encode(gapDown(g))})
}

// tellLost tells the sums of a session's ledger, as it is by now: another node may have
// written into it meanwhile.
func (h *Hub) tellLost(ctx context.Context, exam, session string) {
	e, err := h.exam(ctx, exam)
	var gaps []vigil.Gap
	if err == nil {
		gaps, err = h.store.GapsOfSession(ctx, session)
	}
	if err != nil {
		h.log.Warn("the sums of lost time are not told", "session", session, "error", err)
		return
	}
	if lost := rowLost(e.Policy, gaps); lost != nil {
		h.toProctors(exam, delta{key: "lost/" + session, frame: encode(SessionDelta{T: TypeSession, Row: Row{ID: session, Lost: lost}})})
	}
}
