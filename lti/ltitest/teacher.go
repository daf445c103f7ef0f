package ltitest

import (
	"maps"
	"slices"
	"time"

	"vigil"
)

// MoveEnd is a teacher's change of an attempt's end; while it is paused, as of the start of
// the pause. The zero time: it has no end.
func (p *Platform) MoveEnd(attemptID string, end time.Time) (Attempt, error) {
	return p.UpdateAttempt(attemptID, func(a *Attempt) error {
		if !a.Open() {
			return vigil.Errorf(vigil.CodeIllegal, "This attempt is over (%s).", a.Status)
		}
		a.Ends = end
		return nil
	})
}

// HandIn ends an attempt as its student does.
func (p *Platform) HandIn(attemptID string) (Attempt, error) {
	return p.UpdateAttempt(attemptID, func(a *Attempt) error {
		if a.Status != Running {
			return vigil.Errorf(vigil.CodeIllegal, "This attempt is %s.", a.Status)
		}
		a.Status, a.Ended = Complete, p.cfg.Now()
		return nil
	})
}

// Delete deletes an attempt, whose number may be used again.
func (p *Platform) Delete(attemptID string) error {
	p.mu.Lock()
	a, ok := p.attempts[attemptID]
	if !ok {
		p.mu.Unlock()
		return vigil.Errorf(vigil.CodeNotFound, "There is no such attempt.")
	}
	delete(p.attempts, attemptID)
	p.deleted[attemptKey{a.ClientID, a.UserID, a.LinkID, a.Number}] = a
	for data, s := range p.sessions { // a launch of the deleted attempt leads nowhere
		if s.UserID == a.UserID && s.LinkID == a.LinkID && s.Attempt == a.Number {
			delete(p.sessions, data)
		}
	}
	at := p.cfg.Now()
	if !a.Ended.IsZero() { // it has ended then, whether or not a tool has heard of that
		at = a.Ended
	}
	p.oweLocked(a, OutcomeDeleted, at)
	p.mu.Unlock()
	p.changed()
	return nil
}

// attemptKey names an attempt that is gone.
type attemptKey struct {
	clientID, userID, linkID string
	number                   int
}

// SwitchOff ends the proctoring of an activity. Attempts that are open go on; those that
// were paused get the time of the pause back.
func (p *Platform) SwitchOff(linkID string) error { return p.switchTo(linkID, true) }

// SwitchOn takes SwitchOff back.
func (p *Platform) SwitchOn(linkID string) error { return p.switchTo(linkID, false) }

func (p *Platform) switchTo(linkID string, off bool) error {
	now := p.cfg.Now()
	p.mu.Lock()
	found := false
	for i := range p.links {
		if p.links[i].ID == linkID {
			p.links[i].Unproctored, found = off, true
		}
	}
	if !found {
		p.mu.Unlock()
		return vigil.Errorf(vigil.CodeNotFound, "There is no such activity.")
	}
	for _, id := range slices.Sorted(maps.Keys(p.attempts)) { // in an order that does not change
		a := p.attempts[id]
		if !off || a.LinkID != linkID {
			continue
		}
		p.settleLocked(a, now)
		if a.Open() {
			a.goOn(now)
			p.oweLocked(a, OutcomeSwitchedOff, now)
		}
	}
	p.mu.Unlock()
	p.changed()
	return nil
}
