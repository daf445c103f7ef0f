package main

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// desk is a proctor in front of one student's attempt.
type desk struct {
	*site
	proctor *client.Proctor
	attempt ltitest.Attempt
	session string
}

// newDesk begins an attempt of a student and opens the dashboard. The server runs.
func newDesk(s *site) *desk {
	s.Helper()
	seat := s.seat(student)
	token, err := seat.Token(s.Context()) // the first assertion begins the attempt
	s.ok(err)
	return &desk{site: s, proctor: s.proctor(), attempt: seat.Attempt, session: token.Session}
}

// give sends a command and returns its id.
func (d *desk) give(c protocol.CommandUp) string {
	d.Helper()
	c.Targets = []string{d.session}
	id := ""
	testutil.Until(d.T, "the proctor to be connected", func() (sent bool) {
		id, sent = d.proctor.Command(c)
		return sent
	})
	return id
}

func (d *desk) extend(seconds int64) string {
	d.Helper()
	return d.give(protocol.CommandUp{Kind: vigil.CommandExtend, Seconds: seconds})
}

// answer waits for what the dashboard shows of the platform's answer.
func (d *desk) answer(id string, want vigil.LMSState) protocol.LMSProgress {
	d.Helper()
	var got protocol.Progress
	defer func() {
		if d.Failed() {
			d.Logf("progress %+v, of the LMS %+v; errors %+v; %d snapshots; requests %+v; the server's log:\n%s",
				got, got.LMS, d.proctor.Errors(), d.proctor.Snapshots(), d.lms.Platform().Controls(), d.running.log)
		}
	}()
	testutil.Until(d.T, "the answer "+string(want), func() bool {
		got = d.proctor.Progress(id, d.session)
		return got.LMS != nil && got.LMS.State == want
	})
	return *got.LMS
}

// warm makes a first request, so that there is an access token.
func (d *desk) warm() {
	d.Helper()
	d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandFlag, Text: "warm"}), vigil.LMSAccepted)
}

// seen is the attempt as the LMS has it.
func (d *desk) seen() ltitest.Attempt {
	d.Helper()
	a, ok := d.lms.Platform().AttemptByID(d.attempt.ID)
	if !ok {
		d.Fatal("the LMS lost the attempt")
	}
	return a
}

// requests are those of an action that the LMS got.
func (d *desk) requests(action string) []ltitest.Control {
	return slices.DeleteFunc(d.lms.Platform().Controls(), func(c ltitest.Control) bool { return c.Action != action })
}

func (d *desk) want(what string, got, want any) {
	d.Helper()
	if got != want {
		d.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// once makes the LMS misbehave at the first request of an action.
func (d *desk) once(action string, fault ltitest.Fault) {
	var done sync.Once
	d.lms.Platform().SetMischief(ltitest.Mischief{Control: func(c ltitest.Control) (f ltitest.Fault) {
		if c.Action == action {
			done.Do(func() { f = fault })
		}
		return f
	}})
}

// withoutPlugin is a platform without our plugin.
func withoutPlugin(c *lms.Config) { c.Settings, c.Platform.Plugin = `{"other":true}`, -1 }

func TestEachCommandReachesThePlatform(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	seat := s.seat(student)
	st := s.connect(seat)
	d := &desk{site: s, proctor: s.proctor(), attempt: seat.Attempt, session: st.Welcome().Session}
	before, _ := st.Clock()
	ends := d.seen().Ends

	d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandPause, Text: "Fire alarm", Reason: "environment"}), vigil.LMSAccepted)
	d.want("after pause", d.seen().Status, ltitest.Paused)
	testutil.Until(t, "the student to be paused", func() bool { return st.State() == vigil.StatePaused })
	d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandResume}), vigil.LMSAccepted)
	d.want("after resume", d.seen().Status, ltitest.Running)

	d.answer(d.extend(120), vigil.LMSAccepted)
	d.want("extra minutes", d.seen().Extra, 2)
	if got := d.seen().Ends.Sub(ends); got < 2*time.Minute {
		t.Errorf("the LMS's end moved: got %v, want two minutes and the pause", got)
	}
	testutil.Until(t, "the student's clock to move", func() bool { end, _ := st.Clock(); return end >= before+120_000 })

	d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandFlag, Text: "Talked", Reason: "behaviour", Severity: 0.5}), vigil.LMSAccepted)
	if f := d.seen().Flags; len(f) != 1 || f[0].Severity != 0.5 || f[0].Code != "behaviour" || f[0].Message != "Talked" {
		t.Errorf("flags: got %+v, want the one with its severity and reason", f)
	}
	got := d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandTerminate, Text: "Left the room"}), vigil.LMSAccepted)
	d.want("the LMS's word", got.Status, string(ltitest.Terminated))
	d.want("after terminate", d.seen().Status, ltitest.Terminated)
	d.want("reason", d.seen().Reason, "Left the room")
	<-st.Done()

	var actions []string
	for _, c := range d.lms.Platform().Controls() {
		actions = append(actions, c.Action)
		d.want("user of "+c.Action, c.UserID, student)
		d.want("attempt of "+c.Action, c.Attempt, d.attempt.Number)
		d.want("link of "+c.Action, c.LinkID, lms.LinkID)
	}
	if want := []string{"pause", "resume", "update", "flag", "terminate"}; !slices.Equal(actions, want) {
		t.Errorf("requests: got %v, want %v", actions, want)
	}
}

func TestAPlatformThatIsDownIsAskedAgainAndHearsItOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	d := newDesk(s)
	d.warm()
	s.down()
	pause := d.give(protocol.CommandUp{Kind: vigil.CommandPause})
	extend := d.extend(60)
	testutil.Until(t, "the dashboard to say why it waits", func() bool {
		p := d.proctor.Progress(pause, d.session)
		return p.LMS != nil && p.LMS.State == vigil.LMSWaiting && p.LMS.Problem != ""
	})
	testutil.Until(t, "the pause, which needs no platform", func() bool { return d.proctor.Row(d.session).Life.State == vigil.StatePaused })
	d.want("extra minutes while it is down", d.seen().Extra, 0)
	s.up()
	d.answer(pause, vigil.LMSAccepted)
	d.answer(extend, vigil.LMSAccepted)
	d.want("pauses", len(d.requests("pause")), 1)
	d.want("extensions", len(d.requests("update")), 1)
	d.want("extra minutes", d.seen().Extra, 1)
	d.want("state", d.seen().Status, ltitest.Paused)
}

func TestALostAnswerNeverDoublesAnExtension(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault ltitest.Fault
		late  bool
	}{
		{"the connection breaks", ltitest.Fault{Drop: true, Apply: true}, false},
		{"an error after it was done", ltitest.Fault{Status: http.StatusInternalServerError, Apply: true}, false},
		{"the answer comes too late", ltitest.Fault{}, true},
	} {
		for _, plugin := range []bool{true, false} {
			name := row.name + ", our plugin"
			if !plugin {
				name = row.name + ", another platform"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var s *site
				if plugin {
					s = newSite(t)
				} else {
					s = newSite(t, withoutPlugin)
				}
				s.serve()
				d := newDesk(s)
				fault := row.fault
				if row.late {
					hold := make(chan struct{})
					t.Cleanup(func() { close(hold) })
					fault.Wait = hold
				}
				d.once("update", fault)
				id := d.extend(120)
				if plugin {
					d.answer(id, vigil.LMSAccepted)
				} else if got := d.answer(id, vigil.LMSUnknown); got.Problem == "" {
					t.Error("got no explanation of an unknown outcome")
				}
				d.warm() // entries of a session go in order: nothing is left before this one
				got := d.requests("update")
				d.want("extra minutes", d.seen().Extra, 2)
				if !plugin {
					d.want("extensions sent", len(got), 1)
					d.want("the request's id", got[0].Request, "")
					return
				}
				if len(got) != 2 || got[0].Time != got[1].Time || got[1].Extra != 2 || got[0].Request == "" || got[0].Request != got[1].Request {
					t.Errorf("extensions sent: got %+v, want two with the same id and incident time", got)
				}
			})
		}
	}
}

func TestARefusalIsShownAndTakesTheTimeBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	d := newDesk(s)
	d.once("update", ltitest.Fault{Status: http.StatusConflict})
	id := d.extend(60)
	if got := d.answer(id, vigil.LMSRefused); got.Problem == "" {
		t.Error("got no explanation of the refusal")
	}
	d.want("stage", d.proctor.Progress(id, d.session).Stage, vigil.StageRefused)
	d.warm()
	d.want("extensions sent", len(d.requests("update")), 1)
	d.want("granted", d.proctor.Row(d.session).Life.Granted, int64(0))
}

// Our plugin says what it did not do, and why; other platforms say how the attempt stands.
func TestWhatThePlatformDidNotDoIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit []func(*lms.Config)
		want string
	}{
		{"our plugin", nil, "contradict the quiz's own"},
		{"an older plugin", []func(*lms.Config){func(c *lms.Config) { c.Platform.Plugin = 1 }}, "refused the request"},
		{"another platform", []func(*lms.Config){withoutPlugin}, "refused the request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.edit...)
			s.serve()
			d := newDesk(s)
			d.lms.Platform().SetMischief(ltitest.Mischief{Control: func(c ltitest.Control) (f ltitest.Fault) {
				if c.Action == vigil.ActionUpdate {
					f.No = vigil.NoOverride
				}
				return f
			}})
			if got := d.answer(d.extend(60), vigil.LMSRefused); !strings.Contains(got.Problem, row.want) {
				t.Errorf("got %q, want it to say %q", got.Problem, row.want)
			}
			d.want("extra minutes", d.seen().Extra, 0)
			if _, err := d.lms.Platform().HandIn(d.attempt.ID); err != nil {
				t.Fatal(err)
			}
			if got := d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandTerminate}), vigil.LMSRefused); !strings.Contains(got.Problem, "The student was first") {
				t.Errorf("got %q, want it to say that the student was first", got.Problem)
			}
		})
	}
}

func TestMinutesAreWholeAndTheRestIsCarried(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	d := newDesk(s)
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	d.once("update", ltitest.Fault{Wait: hold})
	first := d.extend(90)
	testutil.Until(t, "the first to be on its way", func() bool { return len(d.requests("update")) == 1 })
	second := d.extend(30) // given before it is known what the first was rounded up by
	testutil.Until(t, "the second to be queued", func() bool { return d.proctor.Progress(second, d.session).Stage == vigil.StageQueued })
	release()
	d.answer(first, vigil.LMSAccepted)
	d.answer(second, vigil.LMSAccepted)
	d.want("extra minutes for 90 s and 30 s", d.seen().Extra, 2)
	third, fourth := d.extend(45), d.extend(75)
	d.answer(third, vigil.LMSAccepted)
	d.answer(fourth, vigil.LMSAccepted)
	d.want("extra minutes for 90 s, 30 s, 45 s and 75 s", d.seen().Extra, 4)
	d.want("extensions sent", len(d.requests("update")), 3)
	testutil.Until(t, "four minutes to show", func() bool { return d.proctor.Row(d.session).Life.Granted == 240_000 })
}

func TestACommandThatWaitsForThePlatformOutlivesAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	t.Parallel()
	s := newSite(t)
	server := s.process()
	d := newDesk(s)
	d.warm()
	s.down()
	pause, extend := d.give(protocol.CommandUp{Kind: vigil.CommandPause}), d.extend(60)
	for _, id := range []string{pause, extend} {
		d.answer(id, vigil.LMSWaiting)
	}
	server.kill()
	s.up()
	s.process()
	d.answer(pause, vigil.LMSAccepted)
	d.answer(extend, vigil.LMSAccepted)
	d.want("pauses", len(d.requests("pause")), 1)
	d.want("extensions", len(d.requests("update")), 1)
	d.want("extra minutes", d.seen().Extra, 1)
}

// TestOurOwnOutageIsGivenBackAtThePlatform kills the server under a student: what was
// lost is given back without asking, by an extension like any other.
func TestOurOwnOutageIsGivenBackAtThePlatform(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	t.Parallel()
	s := newSite(t)
	server := s.process()
	st := s.student(student)
	session := st.Welcome().Session
	p := s.proctor()
	before, _ := st.Clock()
	server.kill()
	died := time.Now()
	testutil.Until(t, "an outage that is worth giving back", func() bool { return time.Since(died) > 2*vigil.MinExtend })
	s.process()
	var lost int64
	testutil.Until(t, "the outage to be given back", func() bool {
		l := p.Row(session).Lost
		if l == nil || l.Gaps != 1 || l.Granted == 0 {
			return false
		}
		lost = l.Granted
		return true
	})
	testutil.Until(t, "the platform to have it", func() bool { return s.lms.Platform().Attempts(student, lms.LinkID)[0].Extra > 0 })
	minutes := (lost + 59_999) / 60_000 // the platform takes whole ones
	testutil.Until(t, "the student's clock to be the platform's", func() bool {
		end, _ := st.Clock()
		return end == before+minutes*60_000
	})
	if got := s.lms.Platform().Attempts(student, lms.LinkID)[0].Extra; got != int(minutes) {
		t.Errorf("extra minutes for %d ms: got %d, want %d", lost, got, minutes)
	}
	if got := s.lms.Platform().Controls(); len(got) != 1 || got[0].Code != "lost_time" {
		t.Errorf("got %+v, want one extension for lost time", got)
	}
}

// TestAKillWhileAnExtensionIsSentDoesNotDoubleIt kills the server between the platform's
// deed and its answer. The entry comes back when its lease ends.
func TestAKillWhileAnExtensionIsSentDoesNotDoubleIt(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a lease to end")
	}
	t.Parallel()
	for _, row := range []struct {
		name   string
		edits  []func(*lms.Config)
		answer vigil.LMSState
		sent   int
	}{
		{"our plugin", nil, vigil.LMSAccepted, 2},
		{"another platform", []func(*lms.Config){withoutPlugin}, vigil.LMSUnknown, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.edits...)
			server := s.process()
			d := newDesk(s)
			hold := make(chan struct{})
			t.Cleanup(func() { close(hold) })
			d.once("update", ltitest.Fault{Wait: hold})
			id := d.extend(60)
			testutil.Until(t, "the platform to have done it", func() bool { return d.seen().Extra == 1 })
			server.kill()
			s.process()
			begin := time.Now()
			d.answer(id, row.answer)
			t.Logf("settled %v after the restart", time.Since(begin).Round(time.Second))
			got := d.requests("update")
			d.want("extensions sent", len(got), row.sent)
			d.want("incident times", got[0].Time, got[len(got)-1].Time)
			d.want("extra minutes", d.seen().Extra, 1)
		})
	}
}
