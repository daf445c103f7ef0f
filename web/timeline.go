package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigil"
)

// entry is one thing that happened in a session, as docs/api.md describes it.
type entry struct {
	Type string `json:"type"` // signal, gap, command, chat, state
	At   int64  `json:"at"`
	Recv int64  `json:"recv,omitempty"`

	Impossible bool   `json:"impossible,omitempty"` // at cannot be: the student's clock was wrong
	ID         string `json:"id,omitempty"`

	Stream   string          `json:"stream,omitempty"`
	Seq      int64           `json:"seq,omitempty"`
	Kind     string          `json:"kind,omitempty"`
	Severity float64         `json:"severity,omitempty"`
	Incident bool            `json:"incident,omitempty"`
	Dur      int64           `json:"dur,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Review   *entryReview    `json:"review,omitempty"`

	End      int64             `json:"end,omitempty"`
	Cause    vigil.Cause       `json:"cause,omitempty"`
	Proposed int64             `json:"proposed,omitempty"`
	Decision vigil.GapDecision `json:"decision,omitempty"`

	Text    string      `json:"text,omitempty"`
	Reason  string      `json:"reason,omitempty"`
	Seconds int64       `json:"seconds,omitempty"`
	By      string      `json:"by,omitempty"`
	Stage   vigil.Stage `json:"stage,omitempty"`
	Problem string      `json:"problem,omitempty"`
	LMS     *entryLMS   `json:"lms,omitempty"`

	From vigil.Role `json:"from,omitempty"`
	Name string     `json:"name,omitempty"`

	State vigil.State `json:"state,omitempty"`
}

type entryReview struct {
	State   vigil.ReviewState `json:"state"`
	By      string            `json:"by,omitempty"`
	Note    string            `json:"note,omitempty"`
	At      int64             `json:"at,omitempty"`
	Version int64             `json:"version"`
}

type entryLMS struct {
	State   vigil.LMSState `json:"state"`
	Status  string         `json:"status,omitempty"`
	Problem string         `json:"problem,omitempty"`
	At      int64          `json:"at,omitempty"`
}

// maxEntries bounds each kind of thing in one timeline: more than an honest exam has.
const maxEntries = 20_000

// timeline gathers everything of a session, oldest first by the server's clock. more is
// true where the bound cut it.
func (s *Server) timeline(ctx context.Context, session vigil.Session, policy vigil.Policy) (entries []entry, more bool, err error) {
	id := session.ID
	signals, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.Signal, string, error) { return s.store.SignalsOfSession(ctx, id, p) })
	if err != nil {
		return nil, false, err
	}
	more = cut
	incidents, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.Incident, string, error) { return s.store.IncidentsOfSession(ctx, id, p) })
	if err != nil {
		return nil, false, err
	}
	more = more || cut
	reviews := make(map[string]vigil.Incident, len(incidents))
	for _, i := range incidents {
		reviews[i.ID] = i
	}
	commands, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.Command, string, error) { return s.store.CommandsOfSession(ctx, id, p) })
	if err != nil {
		return nil, false, err
	}
	more = more || cut
	chat, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.ChatLine, string, error) { return s.store.ChatOfSession(ctx, id, p) })
	if err != nil {
		return nil, false, err
	}
	more = more || cut
	gaps, err := s.store.GapsOfSession(ctx, id)
	if err != nil {
		return nil, false, err
	}

	for _, g := range signals {
		e := signalEntry(g, reviews)
		e.Impossible = g.Impossible(session.Created)
		if g.Kind == vigil.KindUnwatched && g.At.Equal(session.Unwatched) { // it has gone on since it was noted
			e.Dur = session.UnwatchedFor(s.now()).Milliseconds()
		}
		entries = append(entries, e)
	}
	for _, g := range vigil.ProposeLostTime(policy, gaps) {
		if noGap(g) {
			continue
		}
		entries = append(entries, entry{
			Type: "gap", At: ms(g.Start), ID: g.ID, End: ms(g.End), Cause: causeOf(g),
			Proposed: g.Proposed.Milliseconds(), Decision: g.Decision,
		})
	}
	for _, c := range commands {
		entries = append(entries, commandEntry(c))
	}
	for _, l := range chat {
		entries = append(entries, entry{Type: "chat", At: ms(l.At), ID: l.ID, From: l.From.Role, Name: l.From.Name, Text: l.Text})
	}
	entries = append(entries, stateEntries(session)...)
	slices.SortFunc(entries, func(a, b entry) int { return a.place().compare(b.place()) })
	return entries, more, nil
}

// order is the moment by which entries are sorted: the server's clock where it differs
// from the browser's.
func (e entry) order() int64 {
	if e.Recv != 0 {
		return e.Recv
	}
	return e.At
}

// place is where an entry stands in its session's timeline. It is the same at every
// reading, and no two entries have the same: a page begins after one, whatever came before
// it in the meantime (a gap is known long after it began) or is gone (retention).
type place struct {
	at   int64  // by the server's clock
	rank int    // of its type
	seq  int64  // signals: of the stream; states: in the order of their life
	key  string // signals: the stream; else the id
}

// entryTypes are the types in the order in which they stand at one moment.
var entryTypes = []string{"signal", "gap", "command", "chat", "state"}

func (e entry) place() place {
	p := place{at: e.order(), rank: slices.Index(entryTypes, e.Type), key: e.ID}
	switch e.Type {
	case "signal":
		p.seq, p.key = e.Seq, e.Stream
	case "state":
		p.seq, p.key = int64(slices.Index(vigil.States, e.State)), string(e.State)
	}
	return p
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.rank, q.rank), cmp.Compare(p.key, q.key), cmp.Compare(p.seq, q.seq))
}

// String is the place as the API's after.
func (p place) String() string { return fmt.Sprintf("%d.%d.%d.%s", p.at, p.rank, p.seq, p.key) }

// parsePlace reads what String wrote.
func parsePlace(s string) (place, error) {
	parts := strings.SplitN(s, ".", 4)
	if len(parts) != 4 || len(s) > maxPlace {
		return place{}, errNoPlace
	}
	at, err1 := strconv.ParseInt(parts[0], 10, 64)
	rank, err2 := strconv.Atoi(parts[1])
	seq, err3 := strconv.ParseInt(parts[2], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil || rank < 0 || rank >= len(entryTypes) {
		return place{}, errNoPlace
	}
	return place{at: at, rank: rank, seq: seq, key: parts[3]}, nil
}

// maxPlace is more than any place has: ids and streams have 64 characters at most, a gap's
// or a stream of the server's a few more.
const maxPlace = 256

var errNoPlace = vigil.Invalid("after", "This is not a place in the timeline.")

// noGap tells that nothing is left of a gap: it began after the end of the attempt, which
// was not known then.
func noGap(g vigil.Gap) bool { return !g.End.IsZero() && !g.End.After(g.Start) }

// causeOf is a gap's cause under its present name.
func causeOf(g vigil.Gap) vigil.Cause {
	if g.Cause == vigil.CauseNavigation {
		return vigil.CauseUnclear
	}
	return g.Cause
}

func signalEntry(g vigil.Signal, reviews map[string]vigil.Incident) entry {
	e := entry{
		Type: "signal", At: ms(g.At), Recv: ms(g.Received), ID: g.ID(), Stream: g.Stream, Seq: g.Seq, Kind: string(g.Kind),
		Severity: g.Severity, Incident: g.Incident, Dur: g.Duration.Milliseconds(), Data: g.Data,
	}
	if i, ok := reviews[e.ID]; ok {
		e.Review = reviewOf(i)
	}
	return e
}

func reviewOf(i vigil.Incident) *entryReview {
	return &entryReview{State: i.Review, By: i.Reviewer.Name, Note: i.Note, At: ms(i.Reviewed), Version: i.Version}
}

func commandEntry(c vigil.Command) entry {
	e := entry{
		Type: "command", At: ms(c.At), ID: c.ID, Kind: string(c.Kind), Text: c.Text, Reason: c.ReasonCode,
		Seconds: int64(c.Time / time.Second), By: cmp.Or(c.By.Name, string(c.By.Role)), Stage: c.Stage, Problem: c.Problem,
	}
	if c.LMS.State != "" && c.LMS.State != vigil.LMSNone {
		e.LMS = &entryLMS{State: c.LMS.State, Status: c.LMS.Status, Problem: c.LMS.Problem, At: ms(c.LMS.At)}
	}
	return e
}

// stateEntries are the moments of the session's life that it remembers.
func stateEntries(s vigil.Session) []entry {
	out := []entry{{Type: "state", At: ms(s.Created), State: vigil.StateCreated}}
	if !s.Ready.IsZero() {
		out = append(out, entry{Type: "state", At: ms(s.Ready), State: vigil.StateReady})
	}
	if !s.Started.IsZero() {
		out = append(out, entry{Type: "state", At: ms(s.Started), State: vigil.StateActive})
	}
	if s.State == vigil.StateTimeUp {
		out = append(out, entry{Type: "state", At: ms(s.Changed), State: s.State, By: cmp.Or(s.By.Name, string(s.By.Role)), Reason: s.Reason})
	}
	if !s.Ended.IsZero() {
		out = append(out, entry{Type: "state", At: ms(s.Ended), State: s.State, By: cmp.Or(s.By.Name, string(s.By.Role)), Reason: s.Reason})
	}
	return out
}

// timelinePageSize is how many entries one answer of the API holds.
const timelinePageSize = 500

// apiTimeline answers a part of the timeline: what stands after a place.
func (s *Server) apiTimeline(w http.ResponseWriter, r *http.Request, v staff) {
	session, err := s.sessionFor(r, v)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	raw := r.URL.Query().Get("after")
	var after place
	if raw != "" {
		if after, err = parsePlace(raw); err != nil {
			s.problem(w, r, err)
			return
		}
	}
	entries, _, err := s.timeline(r.Context(), session, v.exam.Policy)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	if raw != "" {
		i, found := slices.BinarySearchFunc(entries, after, func(e entry, p place) int { return e.place().compare(p) })
		if found {
			i++
		}
		entries = entries[i:]
	}
	if len(entries) > 0 { // a look at the timeline as any other: the dashboard's panel reads it here, and others may
		s.audit(r.Context(), v.exam.ID, session.ID, "timeline.view", actorOf(v.pass), "")
	}
	next := ""
	if len(entries) > timelinePageSize {
		entries = entries[:timelinePageSize]
		next = entries[len(entries)-1].place().String()
	}
	if entries == nil {
		entries = []entry{}
	}
	writeJSON(w, map[string]any{"entries": entries, "next": next})
}

// timelinePage shows one session's whole story, or downloads it.
func (s *Server) timelinePage(w http.ResponseWriter, r *http.Request, v staff) {
	ctx := r.Context()
	p, exam := v.pass, v.exam
	session, err := s.sessionFor(r, v)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	entries, more, err := s.timeline(ctx, session, exam.Policy)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if asFile(r) {
		s.audit(ctx, exam.ID, session.ID, "timeline.download", actorOf(p), "")
		s.writeTimelineCSV(w, r, entries)
		return
	}
	s.audit(ctx, exam.ID, session.ID, "timeline.view", actorOf(p), "")
	lang := pickLang(p.Lang, r)
	s.allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "timeline.html", view{
		Title: cmp.Or(session.Name, session.UserID), Lang: lang, Page: "timeline", Wide: true,
		Config: map[string]any{
			"lang": lang, "page": "timeline", "now": s.now().UnixMilli(), "session": session.ID,
			"api":     "/api/v1/exams/" + exam.ID + "/sessions/" + session.ID,
			"entries": entries,
			"rights":  v.rights(),
		},
		Data: map[string]any{
			"Exam": exam, "Session": session, "Entries": rowsOf(entries, catalogue[lang]), "More": more,
			"Watched": watchedOf(s.hub.Live(session), s.now()),
			"Base":    "/dashboard/" + exam.ID, "Groups": groupNames(v.access.Shown(session.Groups)), "Export": v.access.May(vigil.RightExport),
		},
	})
}

// watchedOf is how long an attempt was watched, and was not.
func watchedOf(session vigil.Session, now time.Time) reportRow {
	return reportRow{
		Session: session, Counted: session.Counted(), Watched: session.WatchedFor(now), Open: session.OpenFor(now), Unwatched: session.UnwatchedFor(now),
	}
}

// apiReview records a human decision on an incident.
func (s *Server) apiReview(w http.ResponseWriter, r *http.Request, v staff) {
	ctx := r.Context()
	p, exam := v.pass, v.exam
	session, err := s.sessionFor(r, v)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	var in struct {
		ID      string            `json:"id"`
		Review  vigil.ReviewState `json:"review"`
		Note    string            `json:"note"`
		Version int64             `json:"version"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.problem(w, r, err)
		return
	}
	incident, err := s.store.Incident(ctx, session.ID, in.ID)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	again := incident.Version == in.Version+1 && incident.Review == in.Review && incident.Reviewer == actorOf(p) && incident.Note == strings.TrimSpace(in.Note)
	if in.Version != incident.Version && !again { // again: it is stored, and the answer was lost
		s.problem(w, r, vigil.Errorf(vigil.CodeConflict, "Someone else reviewed this incident. Look at it again."))
		return
	}
	if !again {
		incident, err = incident.Decide(in.Review, actorOf(p), in.Note, s.now())
		if err == nil {
			err = s.store.UpdateIncident(ctx, incident)
		}
		if err != nil {
			s.problem(w, r, err)
			return
		}
		incident.Version++
	}
	s.audit(ctx, exam.ID, session.ID, "incident.review", actorOf(p), string(in.Review))
	s.hub.ReviewChanged(ctx, session.ID)
	writeJSON(w, map[string]any{
		"id": incident.ID, "kind": incident.Kind, "severity": incident.Severity, "at": ms(incident.At), "review": reviewOf(incident),
	})
}
