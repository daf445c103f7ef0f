package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/storage"
)

// TestLosingTheMachineWhileStudentsWork backs a store up while students work, kills the server,
// deletes the store, and goes on from the backup. Students stay where they are: their clients come
// back by themselves.
func TestLosingTheMachineWhileStudentsWork(t *testing.T) {
	losesTheMachine(t, newSite(t), 8)
}

// TestLosingTheTablesWhileStudentsWork is the same on DynamoDB.
func TestLosingTheTablesWhileStudentsWork(t *testing.T) {
	s := newSiteOn(t, dynamoStoreOf(t))
	s.env = append(os.Environ(), "VIGIL_KEY_SECRET="+base64.StdEncoding.EncodeToString(make([]byte, keyFileSize)))
	losesTheMachine(t, s, 4)
}

func losesTheMachine(t *testing.T, s *site, students int) {
	if testing.Short() {
		t.Skip("waits until students are back")
	}
	var never executioner
	never.at.Store(math.MaxInt64)
	s.process().kill() // so that there is a first server's row
	server := s.process()
	ended := newSitting(s, student)
	id := ended.give(protocol.CommandUp{Kind: vigil.CommandWarn, Text: "Stay in the window."})
	ended.chat(t, "I am here.")
	_, err := s.lms.Platform().HandIn(ended.attempt.ID)
	s.ok(err)
	s.ok(s.lms.Platform().SendReports(t.Context(), 0))
	testutil.Until(t, "handed in", func() bool { return ended.shown() == vigil.StateSubmitted })

	pupils := make([]*pupil, students)
	var g errgroup.Group
	g.SetLimit(4)
	for i, u := range s.lms.NewStudents(students) {
		p := &pupil{given: map[int64]vigil.Signal{}, acked: map[int64]bool{}}
		pupils[i] = p
		g.Go(func() error {
			hc := crowdClient()
			t.Cleanup(hc.CloseIdleConnections)
			seat, err := takeSeat(t.Context(), s.tool, s.lms, u.ID, hc)
			if err != nil {
				return err
			}
			p.Student, err = seat.Dial(t.Context(), client.Config{
				Page: 1, BackoffFirst: 100 * time.Millisecond, BackoffMost: time.Second,
				OnFrame: func(t protocol.Type, raw json.RawMessage) { p.frame(t, raw, &never) },
			})
			if err == nil {
				t.Cleanup(p.Close)
			}
			return err
		})
	}
	s.ok(g.Wait())
	stop := make(chan struct{})
	var working sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); working.Wait() })
	t.Cleanup(end)
	for _, p := range pupils {
		working.Go(func() { p.work(stop) })
	}
	acked := func(n int) {
		t.Helper()
		testutil.Until(t, fmt.Sprint(n, " acknowledgements for each"), func() bool {
			return all(pupils, func(p *pupil) bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.acked) >= n })
		})
	}
	acked(4)
	before := make([]map[int64]bool, len(pupils)) // what was acknowledged when the backup began
	for i, p := range pupils {
		p.mu.Lock()
		before[i] = maps.Clone(p.acked)
		p.mu.Unlock()
	}
	file := filepath.Join(s.dir, "elsewhere.db")
	t.Log(must(t, "backup", "--store", s.store(), file))
	made := time.Now()
	acked(12) // and more that is lost with the machine
	given := make([]int64, len(pupils))
	connects := map[*pupil]int{}
	server.kill()
	killed := time.Now()
	for i, p := range pupils {
		connects[p] = p.Connects()
		p.mu.Lock()
		given[i] = int64(len(p.given))
		p.mu.Unlock()
	}
	// What the operator kept elsewhere: the backup and the key. The rest is gone.
	if s.place != "" {
		s.place = dynamoStoreOf(t)
	} else {
		key, err := os.ReadFile(s.db + ".key")
		s.ok(err)
		for _, name := range []string{"", "-wal", "-shm", ".key", ".lock", ".turn"} {
			_ = os.Remove(s.db + name)
		}
		s.db = filepath.Join(t.TempDir(), "another machine.db")
		s.ok(os.WriteFile(s.db+".key", key, 0o600))
	}
	t.Log(must(t, "restore", file, "--store", s.store(), "--erasures=none"))
	after := s.process()
	testutil.Until(t, "all students to be back", func() bool {
		return all(pupils, func(p *pupil) bool { return p.Connects() > connects[p] })
	})
	t.Logf("back %v after the kill", time.Since(killed).Round(time.Millisecond))
	end()
	for _, p := range pupils {
		s.ok(p.Settled(t.Context()))
	}
	t.Logf("all outboxes empty %v after the kill", time.Since(killed).Round(time.Millisecond))
	proctor := s.proctor()
	testutil.Until(t, "the dashboard to show all students online", func() bool {
		return all(pupils, func(p *pupil) bool { return proctor.Connection(p.Welcome().Session) == vigil.ConnOnline })
	})
	proctor.Close()
	for _, p := range pupils {
		p.Close()
	}
	ended.student.Close()
	if code := after.end(); code != 0 {
		t.Errorf("after SIGTERM: got exit code %d, want 0:\n%s", code, after.log)
	}

	store := openStore(t, s.store())
	for i, p := range pupils {
		session := p.Welcome().Session
		held := map[int64]int{}
		for _, g := range signalsOf(t, store, session) {
			if g.Stream == p.Stream() {
				held[g.Seq]++
			}
			if g.Kind == vigil.KindHole && g.Severity != 0 || g.Kind == vigil.KindTampering {
				t.Errorf("session %s: got %+v, want nobody blamed for what the store lost", session, g)
			}
		}
		for seq := range before[i] {
			if held[seq] != 1 {
				t.Errorf("session %s: signal %d was acknowledged before the backup: got it %d times, want once", session, seq, held[seq])
			}
		}
		p.mu.Lock()
		for seq := range p.given {
			if n := held[seq]; n > 1 || n == 0 && (!p.acked[seq] || seq > given[i]) {
				t.Errorf("session %s: signal %d: got it %d times, want once unless it was acknowledged and lost", session, seq, n)
			}
		}
		p.mu.Unlock()
		s.blamesNobody(store, session, made)
	}
	s.asOfTheBackup(store, ended.session, id)
	if out := must(t, "audit", "verify", "--store", s.store()); !strings.Contains(out, "No faults.") {
		t.Errorf("got %q of the audit entries, want no faults", out)
	}
}

// chat sends a line and waits until it is stored.
func (e *sitting) chat(t *testing.T, text string) {
	t.Helper()
	e.student.Chat(text)
	testutil.Until(t, "the line on the dashboard", func() bool {
		for _, l := range e.proctor.Lines() {
			if l.Text == text {
				return true
			}
		}
		return false
	})
}

// blamesNobody checks that a session has a gap that is ours, from no later than the backup until its
// browser was back, and none that is the student's.
func (s *site) blamesNobody(store storage.Store, session string, made time.Time) {
	s.Helper()
	gaps, err := store.GapsOfSession(s.Context(), session)
	s.ok(err)
	ours := 0
	for _, g := range gaps {
		if g.Cause != vigil.CauseServer {
			s.Errorf("session %s: got a gap from %v to %v, cause %s, want none but ours", session, g.Start, g.End, g.Cause)
		}
		if g.Start.Before(made) && g.End.After(made) {
			ours++
		}
	}
	if ours != 1 {
		s.Errorf("session %s: got gaps %+v, want one over the loss", session, gaps)
	}
}

// asOfTheBackup checks what was done before it.
func (s *site) asOfTheBackup(store storage.Store, session, command string) {
	s.Helper()
	v, err := store.Session(s.Context(), session)
	s.ok(err)
	if v.State != vigil.StateSubmitted || v.Ended.IsZero() {
		s.Errorf("got the attempt that was handed in %s, want submitted", v.State)
	}
	c, err := store.Command(s.Context(), session, command)
	s.ok(err)
	if !strings.HasPrefix(c.Text, "Stay") {
		s.Errorf("got command %+v, want the warning", c)
	}
	lines, _, err := store.ChatOfSession(s.Context(), session, storage.Page{})
	s.ok(err)
	if len(lines) != 1 || lines[0].Text != "I am here." {
		s.Errorf("got lines %+v, want the one", lines)
	}
}
