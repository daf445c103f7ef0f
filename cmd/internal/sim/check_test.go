package sim

import (
	"fmt"
	"slices"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/realtime/protocol"
)

// Rule is something that must be true when the world has come to rest.
type Rule string

// The rules.
const (
	SignalsOnce     Rule = "every acknowledged signal is stored once"
	OutcomeAgrees   Rule = "how an attempt ended is what the platform says"
	EndAgrees       Rule = "the end here is the end in the platform"
	GrantedOnce     Rule = "no lost time is given back twice"
	BlamedRightly   Rule = "nobody is blamed for what was not theirs"
	GivenRightly    Rule = "nothing is given back as ours that was not"
	BoardsAgree     Rule = "every dashboard shows what is stored"
	OverIsOver      Rule = "a session whose time is over is over in the store"
	CommandsTold    Rule = "each command had its effect, or the proctor was told that it did not"
	OnlineIsNotLost Rule = "who is online is shown as online"
	LinesTold       Rule = "each chat line is told to whom it is for"
	NothingStays    Rule = "no server keeps anything of whom it has done with"
	WatchedTold     Rule = "who is watched does not count as not watched, and what began has begun"
)

var rules = []Rule{
	SignalsOnce, OutcomeAgrees, EndAgrees, GrantedOnce, BlamedRightly, GivenRightly, BoardsAgree, OverIsOver, CommandsTold, OnlineIsNotLost,
	LinesTold, NothingStays, WatchedTold,
}

// broken notes a rule that does not hold.
func (w *world) broken(r Rule, format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf("%s: %s", r, fmt.Sprintf(format, args...)))
	w.bus.note("!! %s", w.faults[len(w.faults)-1])
}

// stored is what the store has of a student's attempt.
type stored struct {
	vigil.Session
	gaps []vigil.Gap
}

// checkWatched checks what is noted of who watched.
func (w *world) checkWatched(b *browser, s stored) {
	if w.off == WatchedTold {
		s.Presence.Watched, s.UnwatchedEnd = time.Hour, time.Time{}
		s.Unwatched = s.Created
	}
	if s.Presence.Seen() && (s.NotWatched() || s.State == vigil.StateCanceled || s.Started.IsZero()) {
		w.broken(WatchedTold, "%s reported, and is %s, started %v, not watched since %v", b.name, s.State, s.Started, s.Unwatched)
	}
	if a, there := w.lms.AttemptByID(b.attempt); there && !a.Opened.IsZero() && !slices.ContainsFunc(w.lms.Owed(), func(r ltitest.Report) bool {
		return r.Attempt.ID == a.ID && r.Outcome == ltitest.OutcomeOpened && !w.told[r.Attempt.ID+r.Outcome+r.At.String()]
	}) && s.Opened.IsZero() {
		w.broken(WatchedTold, "%s: the platform has told that it was opened at %v, and it is %s", b.name, a.Opened, s.State)
	}
	if now := time.Now().Add(time.Minute); s.WatchedFor(now) > s.OpenFor(now) {
		w.broken(WatchedTold, "%s was watched for %v of %v", b.name, s.WatchedFor(now), s.OpenFor(now))
	}
}

func (w *world) read(b *browser) stored {
	s, err := w.db.Session(w.ctx, b.session)
	w.ok(err)
	gaps, err := w.db.GapsOfSession(w.ctx, b.session)
	w.ok(err)
	return stored{s, gaps}
}

// atRest checks the rules, while attempts may still go on ("running") or when all are over.
func (w *world) atRest(when string) {
	for _, b := range w.students {
		s := w.read(b)
		a, there := w.lms.AttemptByID(b.attempt)
		if !there {
			a = ltitest.Attempt{ID: b.attempt, Status: ltitest.None}
		}
		w.checkSignals(b)
		w.checkWatched(b, s)
		w.checkOutcome(when, b, s, a)
		w.checkGaps(when, b, s)
		w.checkBoards(when, b, s)
		w.checkLines(when, b, s)
		b.mu.Lock()
		monitor := b.monitor
		b.mu.Unlock()
		if when == "running" && monitor != nil && a.Open() && !s.State.Ended() && !b.line.silent.Load() && s.Presence.Connection != vigil.ConnOnline {
			w.broken(OnlineIsNotLost, "%s is %s since %v", b.name, s.Presence.Connection, s.Presence.Since)
		}
	}
	w.checkCommands(when)
}

func (w *world) checkSignals(b *browser) {
	b.mu.Lock()
	monitor := b.monitor
	b.mu.Unlock()
	if monitor != nil {
		b.keep(monitor)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for stream, acked := range b.streams {
		count, _, err := w.db.StreamState(w.ctx, b.session, stream)
		w.ok(err)
		if count < acked {
			w.broken(SignalsOnce, "%s: %d of outbox %s are stored, %d were acknowledged", b.name, count, stream, acked)
		}
	}
}

func (w *world) checkOutcome(when string, b *browser, s stored, a ltitest.Attempt) {
	want := map[ltitest.Status]vigil.State{
		ltitest.Running: vigil.StateActive, ltitest.Paused: vigil.StatePaused, ltitest.Complete: vigil.StateSubmitted, ltitest.Terminated: vigil.StateTerminated,
		ltitest.None: vigil.StateSubmitted, // deleted: over
	}[a.Status]
	if k, _ := w.lms.Link(linkID); k.Unproctored && (a.Open() || s.State == vigil.StateStopped) {
		want = vigil.StateStopped
	}
	if when == "running" && w.owes(b) {
		return // it has ended since it reported the last time
	}
	if a.Status == ltitest.None && s.State == vigil.StateTerminated {
		want = s.State // by a proctor, before it was deleted
	}
	if s.State != want {
		rule := OutcomeAgrees
		if when == "over" && !s.State.Ended() {
			rule = OverIsOver
		}
		w.broken(rule, "%s, when %s: here %s (%s), there %s", b.name, when, s.State, s.Reason, a.Status)
		return
	}
	b.mu.Lock()
	here := b.monitor != nil // and has turned a page just now
	b.mu.Unlock()
	if a.Open() && here {
		if apart := s.Deadline(w.exam.Policy).Sub(w.ourTime(a.EndsAt(w.lmsNow()))).Abs(); apart > 15*time.Second && s.State == vigil.StateActive {
			w.broken(EndAgrees, "%s: apart by %v: here %v, there %v", b.name, apart, s.Deadline(w.exam.Policy).Sub(w.bus.began), w.ourTime(a.Ends).Sub(w.bus.began))
		}
	}
}

// owes tells whether the platform has yet to report what became of an attempt.
func (w *world) owes(b *browser) bool {
	for _, r := range w.lms.Owed() {
		w.mu.Lock()
		told := w.told[r.Attempt.ID+r.Outcome+r.At.String()]
		w.mu.Unlock()
		if r.Attempt.ID == b.attempt && !told {
			return true
		}
	}
	return false
}

// ourTime is a time of the platform's clock by ours. What a server holds is by the platform's clock,
// as reports have it.
func (w *world) ourTime(t time.Time) time.Time { return t }

// ownSlack is by how much longer than its cause an absence may last: until silence is
// noticed, and until a client that has waited longer and longer is back.
const (
	before = 30 * time.Second
	after  = 60 * time.Second
)

// within tells whether a stretch lies in others, each as long as its effect may last.
func within(from, to time.Time, spans []span) bool {
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	for _, s := range spans { // which may overlap
		before, after := before, after
		if s.hiccup { // what is left of an absence and is shorter than a page turn's grace goes to the fault (Gap.Split); clocks are apart
			before, after = 15*time.Second, vigil.DefaultLiveness().NavigateGrace+3*time.Second
		}
		if !from.Before(s.from.Add(-before)) && s.to.Add(after).After(from) {
			from = s.to.Add(after)
		}
	}
	return !from.Before(to)
}

func (w *world) checkGaps(when string, b *browser, s stored) {
	b.mu.Lock()
	own, refused := slices.Clone(b.away), b.refused
	b.mu.Unlock()
	w.mu.Lock()
	ours := slices.Concat(w.ours, refused) // who is refused waits before the next try, however short the fault was
	w.mu.Unlock()
	for _, g := range s.gaps {
		w.bus.note("%s, %s: %s from %v to %v, %s, proposed %v", b.name, g.ID, g.Cause, g.Start.Sub(w.bus.began), g.End.Sub(w.bus.began), g.Decision, g.Proposed)
	}
	for _, g := range s.gaps {
		from, to := g.Start, g.End
		if to.IsZero() {
			if when == "over" {
				w.broken(OverIsOver, "%s: a gap of %s from %v has no end", b.name, g.Cause, from.Sub(w.bus.began))
			}
			continue
		}
		if to.Sub(from) < 3*time.Second { // clocks are apart by as much
			continue
		}
		switch g.Cause {
		case vigil.CauseStudent:
			if !within(from, to, own) {
				w.broken(BlamedRightly, "%s from %v to %v, away %v", b.name, from.Sub(w.bus.began), to.Sub(w.bus.began), w.since(own))
			}
		case vigil.CauseServer:
			if !within(from, to, ours) {
				w.broken(GivenRightly, "%s from %v to %v, ours %v", b.name, from.Sub(w.bus.began), to.Sub(w.bus.began), w.since(ours))
			}
		}
	}
	given := map[string]time.Duration{}
	for _, g := range s.gaps {
		if g.Decision == vigil.GapGranted {
			given[g.CommandID] += g.Proposed
		}
	}
	for id, d := range given {
		c, err := w.db.Command(w.ctx, b.session, id)
		if err != nil || c.Time != d {
			w.broken(GrantedOnce, "%s: gaps of %v are given back by %s, which gives %v (%v)", b.name, d, id, c.Time, err)
		}
	}
}

func (w *world) since(list []span) (out []string) {
	for _, s := range list {
		out = append(out, fmt.Sprintf("%v-%v", s.from.Sub(w.bus.began), s.to.Sub(w.bus.began)))
	}
	return out
}

func (w *world) checkBoards(when string, b *browser, s stored) {
	for _, d := range w.desks {
		d.mu.Lock()
		board := d.board
		d.mu.Unlock()
		if board == nil {
			w.broken(BoardsAgree, "%s has no dashboard", d.name)
			continue
		}
		row := board.Row(b.session)
		switch {
		case row.Life == nil || row.Life.State != s.State:
			w.broken(BoardsAgree, "%s, when %s: %s is shown as %+v, stored as %s", d.name, when, b.name, row.Life, s.State)
		case row.Conn == nil || row.Conn.Conn != s.Presence.Connection:
			w.broken(BoardsAgree, "%s, when %s: %s is shown as %+v, stored as %s of %d", d.name, when, b.name, row.Conn, s.Presence.Connection, s.Presence.Epoch)
		case row.Tally == nil || row.Tally.Signals != s.Tally.Signals || row.Tally.Open != s.Tally.Open:
			w.broken(BoardsAgree, "%s, when %s: %s has %+v, stored are %+v", d.name, when, b.name, row.Tally, s.Tally)
		}
		var lost protocol.RowLost
		if row.Lost != nil {
			lost = *row.Lost
		}
		var total time.Duration
		ended := 0
		for _, g := range s.gaps {
			if !g.End.IsZero() {
				ended++
				total += g.Lost(g.End)
			}
		}
		if lost.Gaps != ended || lost.Total != total.Milliseconds() {
			w.broken(BoardsAgree, "%s, when %s: %s has lost %+v, stored are %d gaps of %v", d.name, when, b.name, lost, ended, total)
		}
	}
}

func (w *world) checkLines(when string, b *browser, s stored) {
	lines, _, err := w.db.ChatOfSession(w.ctx, b.session, vigil.Page{})
	w.ok(err)
	b.mu.Lock()
	monitor := b.monitor
	all := append(slices.Clone(b.others), monitor)
	b.mu.Unlock()
	unread := 0
	for _, l := range lines {
		if l.From.Role == vigil.RoleStudent {
			unread++
			continue
		}
		if when != "running" || s.State.Ended() || monitor == nil || monitor.Err() != nil {
			continue
		}
		if !slices.ContainsFunc(monitor.Lines(), func(c protocol.ChatDown) bool { return c.ID == l.ID }) {
			w.broken(LinesTold, "%s has not been told %s of %v", b.name, l.ID, l.At.Sub(w.bus.began))
		}
	}
	if s.Tally.Unread > unread {
		w.broken(LinesTold, "%s: %d lines are unread of %d", b.name, s.Tally.Unread, unread)
	}
	for _, m := range all {
		if m == nil {
			continue
		}
		if n := int(m.Counts().Chats); n > unread {
			w.broken(LinesTold, "%s: %d lines were acknowledged, %d are stored", b.name, n, unread)
		}
	}
	for _, d := range w.desks {
		if row := d.row(b.session); row.Tally != nil && (row.Tally.Unread != s.Tally.Unread || (row.Tally.Hand == 0) != s.Tally.Hand.IsZero()) {
			w.broken(BoardsAgree, "%s, when %s: %s has %+v, stored are %+v", d.name, when, b.name, row.Tally, s.Tally)
		}
	}
}

// checkLeft looks whether anything stays on the servers when everybody has gone.
func (w *world) checkLeft() {
	for _, n := range w.all() {
		if s := n.hub.Stats(); s.Sockets+s.Students+s.Proctors+s.Rooms+s.Waiting > 0 {
			w.broken(NothingStays, "%s has %d sockets, %d students, %d dashboards, %d exams and %d signals", n.id, s.Sockets, s.Students, s.Proctors, s.Rooms, s.Waiting)
		}
	}
}

func (w *world) checkCommands(when string) {
	for _, d := range w.desks {
		d.mu.Lock()
		commands, board := slices.Clone(d.commands), d.board
		d.mu.Unlock()
		for _, g := range commands {
			c, err := w.db.Command(w.ctx, g.session, g.id)
			if err != nil {
				continue // it did not get there, or was refused at once
			}
			if c.LMS.State == vigil.LMSWaiting {
				w.broken(CommandsTold, "when %s: %s of %s waits for the platform", when, g.kind, g.session)
			}
			if shown := board.Progress(g.id, g.session); shown.Stage != "" && shown.Stage != c.Stage {
				w.broken(CommandsTold, "%s, when %s: %s of %s is shown as %s, stored as %s", d.name, when, g.kind, g.session, shown.Stage, c.Stage)
			}
		}
	}
}
