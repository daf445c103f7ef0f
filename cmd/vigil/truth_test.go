package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// sitting is a student's exam as the LMS, the student's page and the dashboard have it.
type sitting struct {
	*desk
	student *client.Student
}

// newSitting connects a student, and a proctor who sees it. The server runs.
func newSitting(s *site, userID string) *sitting {
	s.Helper()
	seat := s.seat(userID)
	st := s.connect(seat)
	e := &sitting{desk: &desk{site: s, proctor: s.proctor(), attempt: seat.Attempt, session: st.Welcome().Session}, student: st}
	testutil.Until(s.T, "the student on the dashboard", func() bool { return e.proctor.Connection(e.session) == vigil.ConnOnline })
	return e
}

// plugin is a platform with a version of our plugin.
func plugin(version int) func(*lms.Config) {
	return func(c *lms.Config) { c.Platform.Plugin = version }
}

// shown is the state that the dashboard shows.
func (e *sitting) shown() vigil.State {
	if l := e.proctor.Row(e.session).Life; l != nil {
		return l.State
	}
	return ""
}

// sameEnd waits until the student and the dashboard have the end that the LMS has. With a
// plugin that reports no ends they may be off by what takes place between two clocks.
func (e *sitting) sameEnd(when string) {
	e.Helper()
	most := int64(0)
	if e.lms.Platform().Plugin() == 1 {
		most = 2000
	}
	var want, page, board int64
	defer func() {
		if e.Failed() {
			e.Logf("%s: the LMS ends at %d, the student's page at %d, the dashboard at %d; the server's log:\n%s", when, want, page, board, e.running.log)
		}
	}()
	testutil.Until(e.T, "one end, "+when, func() bool {
		want = e.seen().EndsAt(time.Now()).UnixMilli()
		page, _ = e.student.Clock()
		board = e.proctor.Row(e.session).Life.End
		// Assertions and stamps carry whole seconds.
		off := func(got int64) bool { return got < want-max(most, 999) || got > want+max(most, 999) }
		return !off(page) && !off(board)
	})
}

// An exam with every kind of change that both sides may make, with our plugin as it is and
// as it was before page stamps.
func TestTheEndIsTheLMSsWhoeverMovesIt(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]int{"this plugin": vigil.PluginVersion, "the older plugin": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plugin(version))
			s.serve()
			e := newSitting(s, student)
			e.sameEnd("at the start")

			_, err := s.lms.Platform().MoveEnd(e.attempt.ID, e.seen().Ends.Add(25*time.Minute))
			s.ok(err)
			if version == 1 {
				e.student.Cut() // only a new token says it
				e.student.Close()
				e.student = s.connect(s.seat(student))
			} else {
				e.student.Turn(2)
			}
			e.sameEnd("after a teacher's change")

			e.answer(e.give(protocol.CommandUp{Kind: vigil.CommandPause}), vigil.LMSAccepted)
			testutil.Until(t, "the student to be paused", func() bool { return e.student.State() == vigil.StatePaused })
			begin := time.Now()
			testutil.Until(t, "a pause that shows", func() bool { return time.Since(begin) > 2500*time.Millisecond })
			e.answer(e.extend(90), vigil.LMSAccepted)
			e.answer(e.give(protocol.CommandUp{Kind: vigil.CommandResume}), vigil.LMSAccepted)
			e.sameEnd("after a pause with 90 s given in it")
			e.want("extra minutes", e.seen().Extra, 2)

			e.student.Turn(3)
			testutil.Until(t, "the page turned", func() bool { return e.proctor.Row(e.session).Conn.Page == 3 })
			e.sameEnd("after a page turn")

			// While the tool's command waits, the teacher moves the end too.
			hold := make(chan struct{})
			e.once(vigil.ActionUpdate, ltitest.Fault{Wait: hold, Apply: true})
			id := e.extend(60)
			testutil.Until(t, "the request at the LMS", func() bool { return len(e.requests("update")) == 2 })
			if version != 1 {
				_, err = s.lms.Platform().MoveEnd(e.attempt.ID, e.seen().Ends.Add(-5*time.Minute))
				s.ok(err)
			}
			close(hold)
			e.answer(id, vigil.LMSAccepted)
			e.student.Turn(4)
			e.sameEnd("after both changed it at once")
		})
	}
}

// shiftedClock is a time that both the LMS and the next server of a site go by.
type shiftedClock struct{ by atomic.Int64 }

func (c *shiftedClock) now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

// A student hands in without a connection, and the report comes hours after the end.
func TestAnExamHandedInWithoutAConnectionIsNeverLostAfterwards(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	t.Parallel()
	for name, version := range map[string]int{"this plugin": vigil.PluginVersion, "the older plugin": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c shiftedClock
			s := newSite(t, plugin(version), func(cfg *lms.Config) { cfg.Platform.Now = c.now })
			server := s.process()
			e := newSitting(s, student)
			e.student.Close() // no farewell: the network is gone
			testutil.Until(t, "the student to be lost", func() bool { return e.proctor.Connection(e.session) == vigil.ConnLost })
			_, err := s.lms.Platform().HandIn(e.attempt.ID)
			s.ok(err)
			handed := e.seen().Ended
			server.kill()
			// The next server asks for the time of its outage; the answer would say it all.
			s.lms.Platform().SetMischief(ltitest.Mischief{Control: func(ltitest.Control) ltitest.Fault {
				return ltitest.Fault{Status: http.StatusServiceUnavailable}
			}})

			c.by.Store(int64(time.Until(e.seen().Ends) + 5*time.Minute))
			s.env = []string{testClock + "=" + time.Duration(c.by.Load()).String()}
			s.process()
			testutil.Until(t, "the time to be up", func() bool { return e.shown() == vigil.StateTimeUp })
			s.ok(s.lms.Platform().SendReports(t.Context(), 0))
			testutil.Until(t, "handed in", func() bool { return e.shown() == vigil.StateSubmitted })
			if got := e.proctor.Row(e.session).Life.Ended; got/1000 != handed.Unix() {
				t.Errorf("ended: got %d, want %d, when it was handed in", got, handed.UnixMilli())
			}
			e.want("connection", e.proctor.Connection(e.session), vigil.ConnClosed)
			if n := len(s.lms.Platform().Owed()); n != 0 {
				t.Errorf("reports owed: got %d, want none", n)
			}
			testutil.Until(t, "nothing to count as lost after the end", func() bool {
				l := e.proctor.Row(e.session).Lost
				return l != nil && l.Total <= handed.Add(time.Second).UnixMilli()-e.proctor.Row(e.session).Life.Started
			})
		})
	}
}

// What the LMS says of an attempt that is not handed in either.
func TestWhatHappensAtTheLMSIsShownAsItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	e, other := newSitting(s, student), newSitting(s, another)
	s.ok(s.lms.Platform().Delete(other.attempt.ID))
	s.ok(s.lms.Platform().SendReports(t.Context(), 0))
	testutil.Until(t, "the deleted attempt to be over", func() bool { return other.shown().Ended() })
	<-other.student.Done()

	e.answer(e.give(protocol.CommandUp{Kind: vigil.CommandPause}), vigil.LMSAccepted)
	s.ok(s.lms.Platform().SwitchOff(lms.LinkID))
	if got := e.answer(e.extend(60), vigil.LMSRefused); !strings.Contains(got.Problem, "switched off") {
		t.Errorf("a request for a quiz that is not proctored any more: got %q, want it to say so", got.Problem)
	}
	s.ok(s.lms.Platform().SendReports(t.Context(), 0))
	testutil.Until(t, "proctoring to be over", func() bool { return e.shown() == vigil.StateStopped })
	<-e.student.Done()
	e.want("the attempt goes on", e.seen().Status, ltitest.Running)
	if tally := e.proctor.Row(e.session).Tally; tally != nil && tally.Incidents != 0 {
		t.Errorf("incidents: got %d, want none", tally.Incidents)
	}
}

// beforeStamps is the last commit whose tool knows neither page stamps nor what a platform
// says it did.
const beforeStamps = "4ebd648"

// The plugin may be updated before the tool: the older tool must work with it as before.
func TestTheOlderToolWorksWithThisPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an older program")
	}
	t.Parallel()
	s := newSite(t)
	s.bin = olderTool(t, beforeStamps)
	s.db = filepath.Join(s.dir, "older.db")
	s.register()
	s.process()
	e := newSitting(s, student)
	e.sameEnd("at the start")
	e.answer(e.give(protocol.CommandUp{Kind: vigil.CommandPause}), vigil.LMSAccepted)
	e.want("after pause", e.seen().Status, ltitest.Paused)
	e.answer(e.give(protocol.CommandUp{Kind: vigil.CommandResume}), vigil.LMSAccepted)
	e.want("after resume", e.seen().Status, ltitest.Running)
	e.answer(e.extend(120), vigil.LMSAccepted)
	e.want("extra minutes", e.seen().Extra, 2)
	e.answer(e.give(protocol.CommandUp{Kind: vigil.CommandFlag, Text: "Talked"}), vigil.LMSAccepted)
	e.student.Turn(2)
	testutil.Until(t, "the page turned", func() bool { return e.proctor.Row(e.session).Conn.Page == 2 })
	_, err := s.lms.Platform().HandIn(e.attempt.ID)
	s.ok(err)
	s.ok(s.lms.Platform().SendReports(t.Context(), 0))
	testutil.Until(t, "handed in", func() bool { return e.shown() == vigil.StateSubmitted })
	if n := len(s.lms.Platform().Owed()); n != 0 {
		t.Errorf("reports owed: got %d, want none", n)
	}

	stopped := newSitting(s, another)
	got := stopped.answer(stopped.give(protocol.CommandUp{Kind: vigil.CommandTerminate, Text: "Left"}), vigil.LMSAccepted)
	e.want("the LMS's word", got.Status, string(ltitest.Terminated))
	<-stopped.student.Done()
}

// olderTool builds the program of a commit.
func olderTool(t *testing.T, commit string) string {
	t.Helper()
	if err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) && !errors.Is(err, exec.ErrNotFound) {
			t.Fatal(err)
		}
		t.Skipf("the history that holds %s is not here (a shallow clone, or no git)", commit)
	}
	dir := filepath.Join(t.TempDir(), "older")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tree.tar")
	for _, c := range [][]string{
		{"git", "-C", "../..", "archive", "-o", tree, commit},
		{"tar", "-xf", tree, "-C", dir},
		{"go", "-C", dir, "build", "-buildvcs=false", "-o", "vigil", "./cmd/vigil"},
	} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it, and what make has compiled is used again
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c, " "), err, out)
		}
	}
	return filepath.Join(dir, "vigil")
}
