package dynamo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/dynamo"
)

// The standard exam: 2 hours, 3 pages of questions each 10 minutes, 12 signals an hour
// beside those of the pages, 2 incidents among them, 5 chat lines, 2 proctors.
const (
	examHours    = 2
	examPages    = 3 * 6 * examHours
	examSignals  = 12 * examHours
	examStudents = 10 // by whom what proctors read is shared
)

// Prices of on-demand requests in dollars for a million, us-east-1, 2026. Storage and
// point-in-time recovery come on top.
const (
	priceWrite = 0.625
	priceRead  = 0.125
)

// What a student-hour may cost before this test fails: somewhat above what it does.
const (
	mostWrites = 330.0
	mostReads  = 360.0
)

// TestStandardExamCosts replays what the tool asks of the store during the standard exam
// and prints the units that the service says it consumed.
func TestStandardExamCosts(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	p := newProxy(t)
	s := open(t, dynamo.Config{Client: client(t, p.url)})
	replay(t, s)
	var write, read float64
	var lines []string
	for what, u := range s.Usage() {
		write, read = write+u.Write, read+u.Read
		lines = append(lines, fmt.Sprintf("%-24s %6d calls %9.1f write %9.1f read", what, u.Calls, u.Write, u.Read))
	}
	slices.Sort(lines)
	hours := float64(examStudents * examHours)
	write, read = write/hours, read/hours
	dollars := (write*priceWrite + read*priceRead) / 1e6 * examHours * 1000
	t.Logf("units of %d students:\n%s", examStudents, strings.Join(lines, "\n"))
	t.Logf("per student-hour: %.0f write units, %.0f read units; 1,000 students for %d hours: $%.2f", write, read, examHours, dollars)
	if write > mostWrites || read > mostReads || write == 0 || read == 0 {
		t.Errorf("got %.0f write and %.0f read units for a student-hour, want at most %.0f and %.0f", write, read, mostWrites, mostReads)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, op := range []string{"Scan", "ExecuteStatement", "BatchExecuteStatement"} {
		if p.targets[op] > 0 {
			t.Errorf("got %d of %s, want none", p.targets[op], op)
		}
	}
}

// replay does what lti, web and realtime do.
func replay(t *testing.T, s *dynamo.Store) {
	ctx := t.Context()
	now := time.Now()
	do := func(err error) { t.Helper(); testutil.OK(t, err) }
	platform := vigil.Platform{
		ID: newID(), Issuer: "https://lms.example", ClientID: "client", Name: "LMS", State: vigil.PlatformActive, Created: now, Version: 1,
		AuthorizationEndpoint: "https://lms.example/mod/lti/auth.php", TokenEndpoint: "https://lms.example/mod/lti/token.php",
		KeySetURL: "https://lms.example/mod/lti/certs.php", Scopes: []string{"https://purl.imsglobal.org/spec/lti-ap/scope/control.all"},
	}
	do(s.CreatePlatform(ctx, platform))
	do(s.SaveDeployment(ctx, vigil.Deployment{PlatformID: platform.ID, ID: "1", State: vigil.DeploymentActive, Created: now}))
	e := vigil.Exam{ID: newID(), Title: "Quiz", Issuer: platform.Issuer, ContextID: "c", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	do(s.CreateExam(ctx, e))
	do(s.CreateLink(ctx, vigil.Link{PlatformID: platform.ID, DeploymentID: "1", ResourceLinkID: "17", ExamID: e.ID, Created: now}))
	login := func(kind string) { // a launch: login, state and nonce, platform, deployment
		_, err := s.PlatformByClient(ctx, platform.Issuer, platform.ClientID)
		do(err)
		_, err = s.Deployment(ctx, platform.ID, "1")
		do(err)
		r := vigil.Record{Kind: kind, Key: newID(), Value: make([]byte, 400), Expires: now.Add(10 * time.Minute)}
		do(s.CreateRecord(ctx, r, now))
		_, err = s.TakeRecord(ctx, kind, r.Key, now)
		do(err)
		_, err = s.Platform(ctx, platform.ID)
		do(err)
		_, err = s.Link(ctx, platform.ID, "1", "17")
		do(err)
		_, err = s.Exam(ctx, e.ID)
		do(err)
		do(s.PutRecord(ctx, vigil.Record{Kind: "visit", Key: newID(), Value: make([]byte, 300), Expires: now.Add(time.Hour)}))
	}
	sessions := make([]vigil.Session, examStudents)
	for i := range sessions {
		login("state")
		v := newSession(e, fmt.Sprint("user-", i))
		v.PlatformID, v.DueAt = platform.ID, now.Add(vigil.UnheardExpiry)
		do(s.CreateSession(ctx, v))
		// Consent, start, submission: each has another time at which the session is due; it is due no more when its ledger is closed.
		for _, due := range []time.Time{now.Add(vigil.UnheardExpiry + time.Minute), now.Add(examHours * time.Hour), now.Add(examHours*time.Hour + time.Minute)} {
			v.Version, v.DueAt = v.Version+1, due
			do(s.Transition(ctx, vigil.Transition{Session: v, From: v.Version - 1}))
			_, err := s.Session(ctx, v.ID)
			do(err)
			do(s.AppendAudit(ctx, vigil.Audit{ID: newID(), ExamID: e.ID, Sessions: []string{v.ID}, Action: "step", At: now}))
		}
		do(s.SetDue(ctx, v.ID, v.Version, time.Time{}))
		sessions[i] = v
		takeExam(t, s, platform, v)
	}
	for range 2 { // proctors, who look at the dashboard twice and at the report once
		login("state")
		for range 3 {
			proctorLooks(t, s, e)
		}
	}
	for _, v := range sessions { // each student's two incidents are reviewed, their chat answered
		list, _, err := s.IncidentsOfSession(ctx, v.ID, storage.Page{})
		do(err)
		for _, in := range list {
			in.Review = vigil.ReviewCleared
			do(s.UpdateIncident(ctx, in))
		}
		do(s.ReadChat(ctx, v.ID))
	}
}

func takeExam(t *testing.T, s *dynamo.Store, platform vigil.Platform, v vigil.Session) {
	ctx, now := t.Context(), time.Now()
	do := func(err error) { t.Helper(); testutil.OK(t, err) }
	seq := int64(0)
	appended := func(edit func(g *vigil.Signal)) {
		seq++
		g := signal(v, seq)
		edit(&g)
		_, err := s.AppendSignals(ctx, []vigil.Signal{g})
		do(err)
	}
	for page := range examPages {
		if page%2 == 0 { // the socket token is fresh on every other page
			_, err := s.PlatformByClient(ctx, platform.Issuer, platform.ClientID)
			do(err)
			_, err = s.Deployment(ctx, platform.ID, "1")
			do(err)
			do(s.CreateRecord(ctx, vigil.Record{Kind: "jti", Key: newID(), Expires: now.Add(time.Minute)}, now))
			_, err = s.Link(ctx, platform.ID, "1", "17")
			do(err)
			_, err = s.SessionOfAttempt(ctx, v.ExamID, v.UserID, 1)
			do(err)
			_, err = s.Exam(ctx, v.ExamID)
			do(err)
		}
		_, err := s.Session(ctx, v.ID)
		do(err)
		_, err = s.Exam(ctx, v.ExamID)
		do(err)
		epoch, err := s.NextEpoch(ctx, v.ID)
		do(err)
		online := vigil.Presence{Connection: vigil.ConnOnline, Since: now, Heard: now, Epoch: epoch, Node: "node-1"}
		do(s.SetPresence(ctx, v.ID, online))
		_, _, err = s.StreamState(ctx, v.ID, "stream-0123456789")
		do(err)
		_, _, err = s.CommandsOfSession(ctx, v.ID, storage.Page{})
		do(err)
		_, _, err = s.ChatOfSession(ctx, v.ID, storage.Page{})
		do(err)
		appended(func(g *vigil.Signal) { g.Kind, g.Severity = vigil.KindPageTurned, 0 })
		if page == 0 {
			appended(func(g *vigil.Signal) { g.Kind, g.Severity = vigil.KindConnected, 0 })
		}
		online.Connection = vigil.ConnNavigating
		do(s.SetPresence(ctx, v.ID, online))
	}
	for i := range examSignals {
		appended(func(g *vigil.Signal) {
			if i < 2 {
				g.Kind, g.Severity, g.Incident = vigil.KindHidden, 0.6, true
			}
		})
	}
	for i := range 5 {
		from := vigil.Actor{Role: []vigil.Role{vigil.RoleStudent, vigil.RoleProctor}[i%2], ID: "p|1"}
		do(s.AddChat(ctx, vigil.ChatLine{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, From: from, Text: strings.Repeat("a", 80), At: now}))
	}
}

func proctorLooks(t *testing.T, s *dynamo.Store, e vigil.Exam) {
	ctx := t.Context()
	_, _, err := s.SessionsOfExam(ctx, e.ID, storage.Page{})
	testutil.OK(t, err)
	_, _, err = s.IncidentsOfExam(ctx, e.ID, storage.Page{})
	testutil.OK(t, err)
	_, _, err = s.GapsOfExam(ctx, e.ID, storage.Page{})
	testutil.OK(t, err)
	_, _, err = s.CommandsOfExam(ctx, e.ID, time.Time{}, storage.Page{})
	testutil.OK(t, err)
}
