package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigil"
)

// reportRow is one session in the exam's report.
type reportRow struct {
	Session  vigil.Session
	Name     string
	Groups   []string // that the reader may know of
	Gaps     int
	Lost     time.Duration
	Faults   []reportFault // what Lost is made of
	Granted  time.Duration
	Severity string // the words of the highest
	Worst    []reportKind
	Commands int

	Counted       bool // it is counted how long the attempt was watched
	Watched, Open time.Duration
	Unwatched     time.Duration // how long nobody watched
}

// reportKind sums up a session's incidents of one kind.
type reportKind struct {
	Kind     vigil.Kind
	Severity float64
	Count    int
	Open     int           // without a review that ended
	Longest  time.Duration // of those that last
}

// reportFault is what a session lost by one cause.
type reportFault struct {
	Cause vigil.Cause
	Lost  time.Duration
}

// causes are those that a report tells apart, in its order.
var causes = []vigil.Cause{vigil.CauseStudent, vigil.CauseServer, vigil.CauseLMS, vigil.CauseUnclear}

// lostBy is what the session lost by a cause.
func (r reportRow) lostBy(c vigil.Cause) time.Duration {
	for _, f := range r.Faults {
		if f.Cause == c {
			return f.Lost
		}
	}
	return 0
}

// report is the exam's summary.
type report struct {
	Rows      []reportRow
	Ended     int
	Incidents int
	Open      int
	Lost      time.Duration
	Groups    bool // somebody is in one
	More      bool // the bound cut it
}

// worstShown is how many kinds of a session's incidents the report names.
const worstShown = 3

// report sums up the sessions that the person sees, and no others.
func (s *Server) report(ctx context.Context, v staff) (report, error) {
	var out report
	exam := v.exam
	now := s.now()
	seen := map[string]bool{}
	sees := func(session vigil.Session) bool {
		seen[session.ID] = v.access.Sees(session.Groups)
		return seen[session.ID]
	}
	sessions, more, err := all(maxEntries, only(sees, func(p vigil.Page) ([]vigil.Session, string, error) {
		return s.store.SessionsOfExam(ctx, exam.ID, p)
	}))
	if err != nil {
		return out, err
	}
	ofSeen := func(session string) bool { return seen[session] }
	incidents, cut, err := all(maxEntries, only(func(i vigil.Incident) bool { return ofSeen(i.SessionID) }, func(p vigil.Page) ([]vigil.Incident, string, error) {
		return s.store.IncidentsOfExam(ctx, exam.ID, p)
	}))
	if err != nil {
		return out, err
	}
	more = more || cut
	gaps, cut, err := all(maxEntries, only(func(g vigil.Gap) bool { return ofSeen(g.SessionID) }, func(p vigil.Page) ([]vigil.Gap, string, error) {
		return s.store.GapsOfExam(ctx, exam.ID, p)
	}))
	if err != nil {
		return out, err
	}
	more = more || cut
	commands, cut, err := all(maxEntries, only(func(c vigil.Command) bool { return ofSeen(c.SessionID) }, func(p vigil.Page) ([]vigil.Command, string, error) {
		return s.store.CommandsOfExam(ctx, exam.ID, time.Time{}, p)
	}))
	if err != nil {
		return out, err
	}
	out.More = more || cut

	worst := worstOf(incidents)
	lost, count := map[string]map[vigil.Cause]time.Duration{}, map[string]int{}
	for _, g := range gaps {
		if noGap(g) {
			continue
		}
		if lost[g.SessionID] == nil {
			lost[g.SessionID] = map[vigil.Cause]time.Duration{}
		}
		lost[g.SessionID][causeOf(g)] += g.Lost(now)
		count[g.SessionID]++
	}
	given := map[string]int{}
	for _, c := range commands {
		given[c.SessionID]++
	}
	for _, session := range sessions {
		session = s.hub.Live(session).Settled(exam.Policy, now)
		row := reportRow{
			Session: session, Name: cmp.Or(session.Name, session.UserID), Gaps: count[session.ID],
			Worst: worst[session.ID], Commands: given[session.ID],
		}
		w := watchedOf(session, now)
		row.Counted, row.Watched, row.Open, row.Unwatched = w.Counted, w.Watched, w.Open, w.Unwatched
		for i, k := range row.Worst { // it is longer than it was when it was noted
			if k.Kind == vigil.KindUnwatched {
				row.Worst[i].Longest = row.Unwatched
			}
		}
		for _, c := range causes {
			if d := lost[session.ID][c]; d > 0 {
				row.Faults = append(row.Faults, reportFault{c, d})
				row.Lost += d
			}
		}
		for _, g := range session.Grants {
			if g.State == vigil.GrantConfirmed {
				row.Granted += g.Time
			}
		}
		row.Groups = groupNames(v.access.Shown(session.Groups))
		out.Groups = out.Groups || len(row.Groups) > 0
		row.Severity = severityWord(session.Tally.Severity)
		if session.State.Ended() {
			out.Ended++
		}
		out.Incidents += session.Tally.Incidents
		out.Open += session.Tally.Open
		out.Lost += row.Lost
		out.Rows = append(out.Rows, row)
	}
	slices.SortStableFunc(out.Rows, func(a, b reportRow) int {
		return cmp.Or(cmp.Compare(b.Session.Tally.Open, a.Session.Tally.Open),
			cmp.Compare(b.Session.Tally.Severity, a.Session.Tally.Severity), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}

// worstOf gathers the incidents of each session by kind, the gravest first.
func worstOf(incidents []vigil.Incident) map[string][]reportKind {
	out := map[string][]reportKind{}
	for _, i := range incidents {
		list := out[i.SessionID]
		at := slices.IndexFunc(list, func(k reportKind) bool { return k.Kind == i.Kind })
		if at < 0 {
			at, list = len(list), append(list, reportKind{Kind: i.Kind})
		}
		k := &list[at]
		k.Count++
		k.Severity, k.Longest = max(k.Severity, i.Severity), max(k.Longest, i.Duration)
		if i.Review != vigil.ReviewCleared && i.Review != vigil.ReviewUpheld && i.Review != vigil.ReviewOverturned {
			k.Open++
		}
		out[i.SessionID] = list
	}
	for id, list := range out {
		slices.SortStableFunc(list, func(a, b reportKind) int {
			return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
		})
		out[id] = list[:min(worstShown, len(list))]
	}
	return out
}

// severityWord names a severity's step, for the words' key severity.*.
func severityWord(v float64) string {
	switch {
	case v >= 0.9:
		return "critical"
	case v >= 0.6:
		return "high"
	case v >= 0.3:
		return "medium"
	case v > 0:
		return "low"
	}
	return "none"
}

func (s *Server) reportPage(w http.ResponseWriter, r *http.Request, v staff) {
	ctx := r.Context()
	p, exam := v.pass, v.exam
	rep, err := s.report(ctx, v)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	lang := pickLang(p.Lang, r)
	if asFile(r) {
		s.audit(ctx, exam.ID, "", "report.download", actorOf(p), "")
		s.writeReportCSV(w, r, rep)
		return
	}
	s.audit(ctx, exam.ID, "", "report.view", actorOf(p), "")
	s.allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "report.html", view{
		Title: exam.Title, Lang: lang, Page: "report", Wide: true,
		Config: map[string]any{"lang": lang, "page": "report", "now": s.now().UnixMilli(), "rights": v.rights()},
		Data: map[string]any{
			"Exam": exam, "Report": rep, "Base": "/dashboard/" + exam.ID, "Now": s.now(), "Export": v.access.May(vigil.RightExport),
		},
	})
}
