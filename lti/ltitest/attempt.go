package ltitest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"vigil"
)

// Status is where an attempt stands, in Assessment Control's words.
type Status string

// The states.
const (
	None       Status = "none"
	Running    Status = "running"
	Paused     Status = "paused"
	Terminated Status = "terminated"
	Complete   Status = "complete"
)

// Attempt is one student's attempt at an activity.
type Attempt struct {
	ID       string    `json:"id"`
	ClientID string    `json:"clientID"`
	UserID   string    `json:"userID"`
	LinkID   string    `json:"linkID"`
	Number   int       `json:"number"`
	Status   Status    `json:"status"`
	Started  time.Time `json:"started"`
	Opened   time.Time `json:"opened,omitzero"` // when its first page was served
	Ends     time.Time `json:"ends"`            // zero: no limit. Extra time moves it
	Ended    time.Time `json:"ended"`
	PausedAt time.Time `json:"pausedAt"`
	Held     bool      `json:"held,omitempty"` // it is paused because nobody watches
	Extra    int       `json:"extra"`          // minutes granted so far
	// Incidents are the control requests that were done, by their ids or else by action and
	// incident_time: a repeat changes nothing.
	Incidents map[string]bool `json:"incidents"`
	// Requests are the ids of the requests for extra time and for resuming whose time Ends
	// holds, oldest first.
	Requests  []string `json:"requests,omitempty"`
	Marked    bool     `json:"marked,omitempty"` // since it ended: it cannot be opened again
	Flags     []Flag   `json:"flags"`
	Reason    string   `json:"reason"`    // reason_msg of the last pause or termination
	EndReturn bool     `json:"endReturn"` // the tool wants LtiEndAssessment
}

// Flag is a flag that a proctor put on an attempt.
type Flag struct {
	Time     string  `json:"time"`
	Severity float64 `json:"severity"`
	Code     string  `json:"code"`
	Message  string  `json:"message"`
}

// Open tells whether the attempt has begun and not ended.
func (a Attempt) Open() bool { return a.Status == Running || a.Status == Paused }

// EndsAt is the end of the attempt as the student's clock shows it: while it is paused
// the end moves with the time.
func (a Attempt) EndsAt(now time.Time) time.Time {
	if a.Ends.IsZero() || a.Status != Paused {
		return a.Ends
	}
	return a.Ends.Add(now.Sub(a.PausedAt))
}

// settle ends an attempt whose time is up. A paused one waits.
func (a *Attempt) settle(now time.Time) {
	if a.Status == Running && !a.Ends.IsZero() && !a.Ends.After(now) {
		a.Status, a.Ended = Complete, a.Ends
	}
}

// goOn ends a pause and gives its time back.
func (a *Attempt) goOn(now time.Time) {
	if a.Status == Paused {
		a.Ends = a.EndsAt(now)
		a.Status, a.PausedAt, a.Reason = Running, time.Time{}, ""
	}
}

func (a *Attempt) clone() Attempt {
	c := *a
	c.Incidents = maps.Clone(a.Incidents)
	c.Requests = slices.Clone(a.Requests)
	c.Flags = slices.Clone(a.Flags)
	return c
}

// AttemptByID finds an attempt; one whose time is up is complete.
func (p *Platform) AttemptByID(id string) (Attempt, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.attempts[id]
	if !ok {
		return Attempt{}, false
	}
	p.settleLocked(a, p.cfg.Now())
	return a.clone(), true
}

// FindAttempt finds a user's numbered attempt at an activity.
func (p *Platform) FindAttempt(userID, linkID string, number int) (Attempt, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.findLocked(userID, linkID, number)
	if a == nil {
		return Attempt{}, false
	}
	return a.clone(), true
}

func (p *Platform) findLocked(userID, linkID string, number int) *Attempt {
	for _, a := range p.attempts {
		if a.UserID == userID && a.LinkID == linkID && a.Number == number {
			p.settleLocked(a, p.cfg.Now())
			return a
		}
	}
	return nil
}

// Attempts are a user's attempts at an activity in order; of every user when userID is
// empty.
func (p *Platform) Attempts(userID, linkID string) []Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Attempt
	for _, a := range p.attempts {
		if (userID == "" || a.UserID == userID) && a.LinkID == linkID {
			p.settleLocked(a, p.cfg.Now())
			out = append(out, a.clone())
		}
	}
	slices.SortFunc(out, func(a, b Attempt) int {
		if a.UserID != b.UserID {
			return compareIDs(a.UserID, b.UserID)
		}
		return a.Number - b.Number
	})
	return out
}

func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	if a < b {
		return -1
	}
	return 1
}

// NextAttempt is the number of the attempt that a user would start or resume.
func (p *Platform) NextAttempt(userID, linkID string) int {
	n := 1
	for _, a := range p.Attempts(userID, linkID) {
		if a.Open() {
			return a.Number
		}
		n = a.Number + 1
	}
	return n
}

// UpdateAttempt changes an attempt under the platform's lock; f must not call the
// platform. An error of f leaves it as it was.
func (p *Platform) UpdateAttempt(id string, f func(*Attempt) error) (Attempt, error) {
	p.mu.Lock()
	a, ok := p.attempts[id]
	if !ok {
		p.mu.Unlock()
		return Attempt{}, vigil.Errorf(vigil.CodeNotFound, "There is no such attempt.")
	}
	p.settleLocked(a, p.cfg.Now())
	c := a.clone()
	err := f(&c)
	if err == nil {
		status := a.Status
		*a = c
		p.endedLocked(a, status)
	}
	out := a.clone()
	p.mu.Unlock()
	if err != nil {
		return out, err
	}
	p.changed()
	return out, nil
}

// startAttempt starts a user's attempt or finds it open.
func (p *Platform) startAttempt(s session, endReturn bool) (Attempt, error) {
	now := p.cfg.Now()
	p.mu.Lock()
	a := p.findLocked(s.UserID, s.LinkID, s.Attempt)
	if a != nil && !a.Open() {
		status := a.Status
		p.mu.Unlock()
		return Attempt{}, vigil.Errorf(vigil.CodeIllegal, "This attempt is over (%s). Go back to your course.", status)
	}
	if a == nil {
		link, _ := p.linkLocked(s.LinkID)
		a = &Attempt{
			ID: fmt.Sprint(p.nextLocked()), ClientID: s.ClientID, UserID: s.UserID, LinkID: s.LinkID, Number: s.Attempt,
			Status: Running, Started: now, Incidents: map[string]bool{},
		}
		if link.TimeLimit > 0 {
			a.Ends = now.Add(link.TimeLimit)
		}
		p.attempts[a.ID] = a
		delete(p.deleted, attemptKey{a.ClientID, a.UserID, a.LinkID, a.Number})
	}
	a.EndReturn = endReturn
	out := a.clone()
	p.mu.Unlock()
	p.changed()
	return out, nil
}

// serveAssertion gives the owner of an open attempt the one-minute assertion that the
// quiz page exchanges for a socket token.
func (p *Platform) serveAssertion(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	refuse := func(status int, text string) {
		writeJSON(w, status, "application/json", map[string]any{"error": text})
	}
	u, ok := p.SignedIn(r)
	if !ok {
		refuse(http.StatusUnauthorized, "not signed in")
		return
	}
	a, ok := p.AttemptByID(r.URL.Query().Get("attempt"))
	if !ok || a.UserID != u.ID {
		refuse(http.StatusNotFound, "no such attempt of yours")
		return
	}
	if !a.Open() {
		refuse(http.StatusGone, "the attempt is over")
		return
	}
	if link, _ := p.Link(a.LinkID); link.Unproctored {
		refuse(http.StatusGone, "the quiz is not proctored any more")
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"assertion": p.Assertion(a)})
}
