package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/sqlite"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// older makes a file of an older version, and hands it out for as long as the test runs.
func older(t *testing.T, path string, version int64) (do func(query string, args ...any)) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)")
	testutil.OK(t, err)
	t.Cleanup(func() { testutil.OK(t, db.Close()) })
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.Files, goose.WithDisableGlobalRegistry(true))
	testutil.OK(t, err)
	_, err = p.UpTo(t.Context(), version)
	testutil.OK(t, err)
	return func(query string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), query, args...)
		testutil.OK(t, err)
	}
}

// version1 makes a file as the first version left it: two sessions, one with two streams
// that have holes, and of the other some signals were swept.
func version1(t *testing.T, path string, now time.Time) (ids []string, want map[string][]vigil.Signal) {
	t.Helper()
	do := older(t, path, 1)
	ms := now.UnixMilli()
	do(`INSERT INTO exams (id, title, issuer, context_id, course, policy, managed, keep_signals, keep_chat, keep_sessions, keep_audit, created, version)
		VALUES ('exam', '', 'https://lms.example', '', '', '{}', 0, 86400000, 86400000, 864000000, 86400000, ?, 1)`, ms)
	want = map[string][]vigil.Signal{}
	for i, id := range []string{"session-a", "session-b"} {
		ids = append(ids, id)
		do(`INSERT INTO sessions (id, exam_id, user_id, attempt, generation, previous, name, platform_id, deployment_id, resource_link_id,
			plugin, locale, control_url, control_actions, return_url, state, version, created, ready, started, ended, changed, changed_by,
			reason, paused_at, paused_total, end_at, end_seen, grants, carry, connection, since, heard, epoch, node, cause, epochs,
			signals, incidents, open_incidents, severity, last_kind, last_at, signals_from)
			VALUES (?, 'exam', ?, 1, 1, '', '', '', '', '', 0, '', '', '[]', '', 'active', 1, ?, 0, 0, 0, ?, '{}', '', 0, 0, 0, 0, '[]', 0,
			'', 0, ?, 0, '', '', 0, ?, 2, 1, 0.6, 'hidden', ?, ?)`, id, id, ms, ms, ms, 6+10*i, ms, ms)
	}
	add := func(no int64, session int, stream string, seq int64, kind vigil.Kind) {
		t.Helper()
		g := vigil.Signal{
			SessionID: ids[session], ExamID: "exam", Stream: stream, Seq: seq, Kind: kind, Severity: 0.1, At: now, Duration: time.Second,
			Received: now.Add(time.Duration(no) * time.Millisecond), Data: fmt.Appendf(nil, `{"n":%d}`, no),
		}
		do(`INSERT INTO signals (no, session, stream, seq, kind, severity, incident, at, duration, received, data)
			SELECT ?, no, ?, ?, ?, 0.1, 0, ?, 1000, ?, ? FROM sessions WHERE id = ?`, no, stream, seq, kind, ms, g.Received.UnixMilli(), []byte(g.Data), g.SessionID)
		want[g.SessionID] = append(want[g.SessionID], g)
	}
	add(3, 0, "stream-0123456789", 2, vigil.KindBlur)
	add(4, 0, "stream-0123456789", 1, vigil.KindBlur)
	add(5, 1, "stream-0123456789", 11, vigil.KindBlur)
	add(90, 0, "another-0123456789", 5, vigil.KindCopy)
	add(5000, 0, "stream-0123456789", 7, vigil.KindBlur)
	add(5001, 1, "stream-0123456789", 12, vigil.KindPaste)
	add(90_000, 0, "stream-0123456789", 8, vigil.KindBlur)
	add(90_001, 0, "another-0123456789", 6, vigil.KindBlur)
	return ids, want
}

func TestAFileOfTheFirstVersionKeepsItsSignals(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	path := filepath.Join(t.TempDir(), "vigil.db")
	ids, want := version1(t, path, now)
	s := open(t, sqlite.Config{Path: path})
	for i, id := range ids {
		var got []vigil.Signal
		for p := (storage.Page{Limit: 2}); ; {
			list, next, err := s.SignalsOfSession(t.Context(), id, p)
			testutil.OK(t, err)
			got = append(got, list...)
			if p.After = next; next == "" {
				break
			}
		}
		if d := cmp.Diff(want[id], got); d != "" {
			t.Errorf("session %s: got (+) is not what was there (-):\n%s", id, d)
		}
		v, err := s.Session(t.Context(), id)
		testutil.OK(t, err)
		tally := vigil.Tally{Signals: 6 + 10*i, Incidents: 2, Open: 1, Severity: 0.6, LastKind: vigil.KindHidden, LastAt: now}
		if d := cmp.Diff(tally, v.Tally); d != "" {
			t.Errorf("tally of %s: got (+) is not what was there (-):\n%s", id, d)
		}
	}
	for _, st := range []struct {
		session, stream string
		count, top      int64
	}{{ids[0], "stream-0123456789", 4, 8}, {ids[0], "another-0123456789", 2, 6}, {ids[1], "stream-0123456789", 2, 12}} {
		count, top, err := s.StreamState(t.Context(), st.session, st.stream)
		testutil.OK(t, err)
		if count != st.count || top != st.top {
			t.Errorf("%s of %s: got %d, %d, want %d, %d", st.stream, st.session, count, top, st.count, st.top)
		}
	}
	// It goes on where it was: what is there is known, the holes are open.
	for _, g := range want[ids[0]] {
		other := g
		other.Duration += time.Second
		got, err := s.AppendSignals(t.Context(), []vigil.Signal{g, other})
		testutil.OK(t, err)
		if d := cmp.Diff([]storage.Appended{storage.Repeated, storage.Differs}, got); d != "" {
			t.Errorf("signal %s again: got (+), want (-):\n%s", g.ID(), d)
		}
	}
	base := want[ids[0]][0]
	for _, seq := range []int64{4, 3, 6, 5, 9} {
		g := base
		g.Seq = seq
		got, err := s.AppendSignals(t.Context(), []vigil.Signal{g})
		testutil.OK(t, err)
		if got[0] != storage.Stored {
			t.Errorf("number %d: got %d, want Stored", seq, got[0])
		}
	}
	count, top, err := s.StreamState(t.Context(), ids[0], base.Stream)
	testutil.OK(t, err)
	if count != 9 || top != 9 {
		t.Errorf("got %d numbers up to %d, want 9 up to 9", count, top)
	}
	n, err := s.EraseUser(t.Context(), "https://lms.example", ids[0])
	testutil.OK(t, err)
	if n != 1 {
		t.Errorf("got %d erased, want 1", n)
	}
	sweep(t, s, now.Add(2*24*time.Hour))
	for table, want := range map[string]int64{"signals": 0, "streams": 1, "counts": 1, "holes": 1} {
		if got := rows(t, path, table); got != want {
			t.Errorf("got %d rows left in %s, want %d", got, table, want)
		}
	}
	sweep(t, s, now.Add(20*24*time.Hour))
	for _, table := range []string{"sessions", "streams", "counts", "holes"} {
		if got := rows(t, path, table); got != 0 {
			t.Errorf("got %d rows left in %s, want 0", got, table)
		}
	}
}

func sweep(t *testing.T, s *sqlite.Store, now time.Time) {
	t.Helper()
	for {
		n, err := s.Sweep(t.Context(), now, 2)
		testutil.OK(t, err)
		if n == 0 {
			return
		}
	}
}

func rows(t *testing.T, path, table string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	testutil.OK(t, err)
	defer db.Close()
	testutil.OK(t, db.QueryRowContext(context.Background(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// What one store remembers of a session does not outlive what another one does to it.
func TestWhatAnotherStoreRemovesIsForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	now := time.Now()
	a, b := open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	v := seed(t, a, 1)[0]
	add := func(s *sqlite.Store, seq int64, received time.Time) ([]storage.Appended, error) {
		g := signal(v, seq)
		g.Received = received
		return s.AppendSignals(t.Context(), []vigil.Signal{g})
	}
	_, err := add(a, 1, now)
	testutil.OK(t, err)
	sweep(t, b, now.Add(91*24*time.Hour))
	if got := rows(t, path, "signals"); got != 0 {
		t.Fatalf("got %d signals after sweeping, want 0", got)
	}
	_, err = add(a, 2, now)
	testutil.OK(t, err)
	sweep(t, b, now.Add(91*24*time.Hour)) // finds it only if its session says that it has some
	if got := rows(t, path, "signals"); got != 0 {
		t.Errorf("got %d signals after the second sweep, want 0", got)
	}
	if _, err := b.EraseUser(t.Context(), "https://lms.example", v.UserID); err != nil {
		t.Fatal(err)
	}
	_, err = add(a, 3, now)
	code(t, "append to an erased session", err, vigil.CodeNotFound)
	testutil.OK(t, b.CreateSession(t.Context(), v))
	got, err := add(a, 3, now)
	testutil.OK(t, err)
	if got[0] != storage.Stored {
		t.Errorf("got %v, want Stored", got)
	}
}

// Numbers say in which order signals came, and in which blocks a session's are looked for:
// those of removed ones must not be given again.
func TestTheNumberOfARemovedSignalIsNotGivenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path})
	sessions := seed(t, s, 2)
	add := func(v vigil.Session, seq int64) {
		t.Helper()
		_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, seq)})
		testutil.OK(t, err)
	}
	add(sessions[0], 1)
	add(sessions[1], 1)
	add(sessions[1], 2)
	_, err := s.EraseUser(t.Context(), "https://lms.example", sessions[1].UserID)
	testutil.OK(t, err)
	add(sessions[0], 2)
	db, err := sql.Open("sqlite", "file:"+path)
	testutil.OK(t, err)
	defer db.Close()
	var no int64
	testutil.OK(t, db.QueryRowContext(t.Context(), `SELECT max(no) FROM signals`).Scan(&no))
	if no != 4 {
		t.Errorf("got number %d, want 4", no)
	}
}

// TestSessionsOfAnOlderFileAreLookedAtOnce has the third version's sessions of every state:
// those that go on are due at once, and what is new in them is as if it had never been.
func TestSessionsOfAnOlderFileAreLookedAtOnce(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	path := filepath.Join(t.TempDir(), "vigil.db")
	do := older(t, path, 3)
	ms := now.UnixMilli()
	do(`INSERT INTO platforms (id, issuer, client_id, name, family, authorization_endpoint, token_endpoint, token_audience, key_set_url,
		scopes, private, state, created, updated, version) VALUES ('platform', 'i', 'c', '', '', '', '', '', '', '[]', 0, 'active', ?, ?, 3)`, ms, ms)
	do(`INSERT INTO exams (id, title, issuer, context_id, course, policy, managed, keep_signals, keep_chat, keep_sessions, keep_audit, created, version)
		VALUES ('exam', '', 'https://lms.example', '', '', '{}', 0, 86400000, 86400000, 864000000, 86400000, ?, 1)`, ms)
	var want []vigil.Session
	for i, state := range vigil.States {
		v := vigil.Session{
			ID: fmt.Sprint("session-", i), ExamID: "exam", UserID: fmt.Sprint("user-", i), Attempt: 1, Generation: 1, State: state, Version: 4,
			Created: now, Changed: now, PausedTotal: time.Minute,
			Grants: []vigil.Grant{{CommandID: "c", Time: time.Minute, State: vigil.GrantConfirmed, At: now}},
		}
		do(`INSERT INTO sessions (id, exam_id, user_id, attempt, generation, previous, name, platform_id, deployment_id, resource_link_id,
			plugin, locale, control_url, control_actions, return_url, state, version, created, ready, started, ended, changed, changed_by,
			reason, paused_at, paused_total, end_at, end_seen, grants, carry, connection, since, heard, epoch, node, cause, epochs)
			VALUES (?, 'exam', ?, 1, 1, '', '', '', '', '', 0, '', '', '[]', '', ?, 4, ?, 0, 0, 0, ?, '{}', '', 0, 60000, 0, 0, ?, 0,
			'', 0, 0, 0, '', '', 0)`, v.ID, v.UserID, state, ms, ms, fmt.Sprintf(`[{"command":"c","time":60000,"state":"confirmed","at":%d}]`, ms))
		do(`INSERT INTO gaps (session, exam_id, id, start_at, end_at, cause, proposed, decision, command_id, version)
			SELECT no, exam_id, 'gap', ?, 0, 'navigation', 0, '', '', 2 FROM sessions WHERE id = ?`, ms, v.ID)
		do(`INSERT INTO deliveries (session, exam_id, id, command_id, action, extra_minutes, incident_time, severity, reason_code, reason, state,
			tries, sent, created, next_try, lease_owner, lease_ends)
			SELECT no, exam_id, ?, 'c', 'pause', 0, ?, 0, '', '', 'waiting', 0, 0, ?, ?, '', 0 FROM sessions WHERE id = ?`,
			fmt.Sprint("delivery-", i), ms, ms, ms, v.ID)
		want = append(want, v)
	}
	s := open(t, sqlite.Config{Path: path})
	until := now.Add(time.Minute)
	got, err := s.LeaseDue(t.Context(), now, until, 100)
	testutil.OK(t, err)
	var going []vigil.Session
	for _, v := range want {
		stored, err := s.Session(t.Context(), v.ID)
		testutil.OK(t, err)
		if !v.State.Ended() {
			v.DueAt = until
			going = append(going, v)
		}
		if d := cmp.Diff(v, stored); d != "" {
			t.Errorf("session that is %s: got (+) is not what was there (-):\n%s", v.State, d)
		}
		gaps, err := s.GapsOfSession(t.Context(), v.ID)
		testutil.OK(t, err)
		gap := vigil.Gap{ID: "gap", SessionID: v.ID, ExamID: "exam", Start: now, Cause: vigil.CauseNavigation, Version: 2}
		if d := cmp.Diff([]vigil.Gap{gap}, gaps); d != "" {
			t.Errorf("gaps: got (+) is not what was there (-):\n%s", d)
		}
	}
	if d := cmp.Diff(going, got); d != "" {
		t.Errorf("due at once: got (+), want all that have not ended (-):\n%s", d)
	}
	p, err := s.Platform(t.Context(), "platform")
	testutil.OK(t, err)
	if p.Plugin != 0 || p.Version != 3 {
		t.Errorf("got a platform of plugin %d and version %d, want 0 and 3", p.Plugin, p.Version)
	}
	// What waits from before goes before what is queued now.
	v := want[4]
	next, c := v, vigil.Command{ID: "now", SessionID: v.ID, Kind: vigil.CommandNote, At: now}
	next.Version++
	d := vigil.Delivery{ID: "a", SessionID: v.ID, CommandID: c.ID, Version: next.Version, Action: vigil.ActionResume, State: vigil.DeliveryWaiting, NextTry: now}
	testutil.OK(t, s.Transition(t.Context(), vigil.Transition{Session: next, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
	waiting, err := s.DeliveriesOfSession(t.Context(), v.ID)
	testutil.OK(t, err)
	if len(waiting) != 2 || waiting[0].ID != "delivery-4" || waiting[0].Version != 0 || waiting[1].ID != "a" {
		t.Errorf("got %+v waiting, want the older one first", waiting)
	}
}
