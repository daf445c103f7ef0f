package ltitest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"vigil"
)

// Outcomes of attempts, as the plugin reports them (docs/assertion.md, "Report of an end").
const (
	OutcomeSubmitted   = "submitted"
	OutcomeAbandoned   = "abandoned"
	OutcomeSwitchedOff = "switched_off"
	OutcomeDeleted     = "deleted"
	OutcomeErased      = "erased"

	// OutcomeOpened is of no end: the first page of the attempt was served.
	OutcomeOpened = "opened"
)

// reportPath and openedPath are where Vigil takes reports.
const (
	reportPath = "/api/v1/attempts/ended"
	openedPath = "/api/v1/attempts/opened"
)

// Report is what the plugin owes a tool: that an attempt was opened, has ended, or is not
// proctored any more.
type Report struct {
	Attempt Attempt   `json:"attempt"`
	Outcome string    `json:"outcome"`
	At      time.Time `json:"at"`
}

// oweLocked notes that a tool must hear of an attempt. What was owed of it before is
// overtaken, but for that proctoring was switched off: nobody was watched from then on. Only our
// plugin reports, and of version 2 on that.
func (p *Platform) oweLocked(a *Attempt, outcome string, at time.Time) {
	if p.Plugin() == 0 || outcome == OutcomeSwitchedOff && p.Plugin() < 2 {
		return
	}
	p.forgetLocked(a.ID)
	p.owed = append(p.owed, &Report{Attempt: a.clone(), Outcome: outcome, At: at})
}

// forgetLocked takes back what a tool was to hear of an attempt.
func (p *Platform) forgetLocked(attemptID string) {
	p.owed = slices.DeleteFunc(p.owed, func(r *Report) bool {
		return r.Attempt.ID == attemptID && r.Outcome != OutcomeSwitchedOff && r.Outcome != OutcomeOpened
	})
}

// Served notes that a page of an attempt was served to its student. The first time that is owed to
// the tool, by a plugin of version 3; it tells whether it is.
func (p *Platform) Served(attemptID string) bool {
	now := p.cfg.Now()
	p.mu.Lock()
	a, ok := p.attempts[attemptID]
	link := Link{}
	if ok {
		link, _ = p.linkLocked(a.LinkID)
	}
	first := ok && a.Open() && a.Opened.IsZero() && !link.Unproctored
	if first {
		a.Opened = now
		if p.Plugin() >= 3 {
			p.owed = append(p.owed, &Report{Attempt: a.clone(), Outcome: OutcomeOpened, At: now})
		} else {
			first = false
		}
	}
	p.mu.Unlock()
	if first {
		p.changed()
	}
	return first
}

// endedLocked notes what became of an attempt that was changed.
func (p *Platform) endedLocked(a *Attempt, before Status) {
	open := before == Running || before == Paused
	switch {
	case open && !a.Open():
		p.oweLocked(a, OutcomeSubmitted, a.Ended)
	case !open && a.Open(): // it was opened again
		p.forgetLocked(a.ID)
	}
}

// settleLocked ends an attempt whose time is up.
func (p *Platform) settleLocked(a *Attempt, now time.Time) {
	status := a.Status
	a.settle(now)
	p.endedLocked(a, status)
}

// Owed are the reports that no tool has taken yet, oldest first.
func (p *Platform) Owed() []Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Report, len(p.owed))
	for i, r := range p.owed {
		out[i] = *r
	}
	return out
}

// SendReports does what Moodle's cron does: it ends the attempts whose time is up, and
// reports what has been owed for at least age. Reports that a tool did not take are tried
// again the next time.
func (p *Platform) SendReports(ctx context.Context, age time.Duration) error {
	now := p.cfg.Now()
	p.mu.Lock()
	for _, a := range p.attempts {
		p.settleLocked(a, now)
	}
	var due []*Report
	for _, r := range p.owed {
		if now.Sub(r.At) >= age {
			due = append(due, r)
		}
	}
	p.mu.Unlock()
	return p.sendAll(ctx, due)
}

// SendNow reports at once what is owed of an attempt, as Moodle's hooks do.
func (p *Platform) SendNow(ctx context.Context, attemptID string) error {
	p.mu.Lock()
	var due []*Report
	for _, r := range p.owed {
		if r.Attempt.ID == attemptID {
			due = append(due, r)
		}
	}
	p.mu.Unlock()
	return p.sendAll(ctx, due)
}

// sendAll makes reports that are owed; those that a tool did not take stay so.
func (p *Platform) sendAll(ctx context.Context, due []*Report) error {
	var errs []error
	for _, r := range due {
		if err := p.send(ctx, *r); err != nil {
			errs = append(errs, err)
			continue
		}
		p.mu.Lock()
		p.owed = slices.DeleteFunc(p.owed, func(o *Report) bool { return o == r })
		p.mu.Unlock()
	}
	if len(due) > len(errs) {
		p.changed()
	}
	return errors.Join(errs...)
}

// ReportToken signs a report.
func (p *Platform) ReportToken(r Report) string {
	now := p.cfg.Now()
	claims := p.named(r.Attempt, "ended", now, assertionLife)
	if r.Outcome == OutcomeOpened {
		claims["token_use"], claims["opened_at"] = "opened", r.At.Unix()
	} else {
		claims["outcome"], claims["ended_at"] = r.Outcome, r.At.Unix()
	}
	if v := p.Plugin(); v >= 2 {
		claims["vigil"], claims["told_at"], claims["requests"] = v, now.UnixMilli(), []string{}
	}
	return p.signAbout(r.Attempt.ClientID, claims, p.mischiefNow().Report)
}

// send makes one report. A tool that does not know the attempt will not know it the next
// time either; one of version 1 does not know what "switched off" is.
func (p *Platform) send(ctx context.Context, r Report) error {
	tool, ok := p.Tool(r.Attempt.ClientID)
	if !ok {
		return nil
	}
	path := reportPath
	if r.Outcome == OutcomeOpened {
		path = openedPath
	}
	status, err := p.post(ctx, tool, path, p.ReportToken(r))
	if err != nil {
		return err
	}
	refused := r.Outcome == OutcomeSwitchedOff && status == http.StatusBadRequest
	if status/100 == 2 || status == http.StatusNotFound || refused {
		return nil
	}
	return vigil.Errorf(vigil.CodeUnavailable, "The tool answered the report with status %d.", status)
}
