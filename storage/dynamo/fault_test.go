package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/dynamo"
)

// seed stores an exam with some sessions.
func seed(t testing.TB, s *dynamo.Store, n int) []vigil.Session {
	t.Helper()
	now := time.Now()
	e := vigil.Exam{ID: newID(), Issuer: "https://lms.example", ContextID: "c", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	testutil.OK(t, s.CreateExam(t.Context(), e))
	out := make([]vigil.Session, n)
	for i := range out {
		out[i] = newSession(e, fmt.Sprint("user-", i))
		testutil.OK(t, s.CreateSession(t.Context(), out[i]))
	}
	return out
}

func newSession(e vigil.Exam, user string) vigil.Session {
	now := time.Now()
	return vigil.Session{
		ID: newID(), ExamID: e.ID, UserID: user, Name: "Student Name", Attempt: 1, Generation: 1, PlatformID: newID(),
		DeploymentID: "1", ResourceLinkID: "17", Plugin: true, Locale: "en", ControlURL: "https://lms.example/mod/lti/services.php/1/control",
		ControlActions: []string{"pause", "resume", "terminate", "update", "flag"}, ReturnURL: "https://lms.example/mod/quiz/view.php?id=17",
		State: vigil.StateCreated, Version: 1, Created: now, Changed: now, Presence: vigil.Presence{Connection: vigil.ConnNever},
	}
}

func signal(v vigil.Session, seq int64) vigil.Signal {
	now := time.Now()
	return vigil.Signal{
		SessionID: v.ID, ExamID: v.ExamID, Stream: "stream-0123456789", Seq: seq, Kind: vigil.KindBlur, Severity: 0.1,
		At: now, Duration: time.Second, Received: now, Data: []byte(`{"width":1024,"height":768}`),
	}
}

// TestFaultsLoseNothing spoils a third of all requests: throttled, failed, cut, and
// (worst) done without telling. What is acknowledged is there, counted once; no version
// is skipped and nobody is told of a lost race that there was not.
func TestFaultsLoseNothing(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	p := newProxy(t)
	s := open(t, dynamo.Config{Client: client(t, p.url)})
	sessions := seed(t, s, 4)
	p.spoil(0.3)

	var mu sync.Mutex
	var problems []error
	var wg sync.WaitGroup
	each := func(what string, n int, do func(v vigil.Session, i int) error) {
		for _, v := range sessions {
			wg.Go(func() {
				for i := range n {
					if err := do(v, i); err != nil {
						mu.Lock()
						problems = append(problems, fmt.Errorf("%s %d: %w", what, i, err))
						mu.Unlock()
					}
				}
			})
		}
	}
	const signals, steps, lines, epochs, gapSteps = 30, 8, 8, 8, 4
	each("signals", signals/3, func(v vigil.Session, i int) error {
		var batch []vigil.Signal
		for n := range 3 {
			g := signal(v, int64(3*i+n+1))
			if n == 0 {
				g.Kind, g.Severity, g.Incident = vigil.KindHidden, 0.6, true
			}
			batch = append(batch, g)
		}
		got, err := s.AppendSignals(t.Context(), batch)
		if err == nil && !slices.Equal(got, []storage.Appended{storage.Stored, storage.Stored, storage.Stored}) {
			err = fmt.Errorf("got %v, want all stored", got)
		}
		return err
	})
	each("step", steps, func(v vigil.Session, i int) error {
		v.Version, v.DueAt = int64(i+2), time.Now().Add(time.Duration(i)*time.Hour)
		c := vigil.Command{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, Kind: vigil.CommandNote, At: time.Now(), Stage: vigil.StageQueued}
		if i%2 == 0 {
			return s.Transition(t.Context(), vigil.Transition{Session: v, From: int64(i + 1)})
		}
		step := vigil.Transition{Session: v, From: int64(i + 1), Command: &c, NewGaps: []vigil.Gap{gap(v, i)}}
		if i > 1 { // the one of the step before
			step.Gaps = []vigil.Gap{gap(v, i-2)}
		}
		step.Deliveries = []vigil.Delivery{{ID: newID(), ExamID: v.ExamID, CommandID: c.ID, Version: v.Version, State: vigil.DeliveryWaiting, NextTry: time.Now()}}
		return s.Transition(t.Context(), step)
	})
	each("gap", gapSteps, func(v vigil.Session, i int) error {
		g := gap(v, 1000)
		if i == 0 {
			return s.CreateGap(t.Context(), g)
		}
		g.Version = int64(i)
		return s.UpdateGap(t.Context(), g)
	})
	each("line", lines, func(v vigil.Session, _ int) error {
		return s.AddChat(t.Context(), vigil.ChatLine{
			ID: newID(), SessionID: v.ID, ExamID: v.ExamID, From: vigil.Actor{Role: vigil.RoleStudent}, Text: "?", At: time.Now(),
		})
	})
	given := map[string][]int64{}
	each("epoch", epochs, func(v vigil.Session, _ int) error {
		n, err := s.NextEpoch(t.Context(), v.ID)
		mu.Lock()
		given[v.ID] = append(given[v.ID], n)
		mu.Unlock()
		return err
	})
	told := time.Now()
	each("access", steps, func(v vigil.Session, i int) error { // each version is told twice
		return s.PutAccess(t.Context(), vigil.Access{ExamID: v.ExamID, UserID: v.UserID, Version: int64(i/2 + 1), At: told.Add(time.Duration(i) * time.Second)})
	})
	wg.Wait()
	p.spoil(0)
	if err := errors.Join(problems...); err != nil {
		t.Errorf("under faults: %v", err)
	}
	for _, v := range sessions {
		if a, err := s.Access(t.Context(), v.ExamID, v.UserID); err != nil || a.Version != steps/2 || a.At.UnixMilli() != told.Add((steps-1)*time.Second).UnixMilli() {
			t.Errorf("got access record %+v, %v, want the last one", a, err)
		}
		got, err := s.Session(t.Context(), v.ID)
		testutil.OK(t, err)
		list, _, err := s.SignalsOfSession(t.Context(), v.ID, storage.Page{})
		testutil.OK(t, err)
		if len(list) != signals || got.Version != steps+1 {
			t.Errorf("got %d signals and version %d, want %d and %d", len(list), got.Version, signals, steps+1)
		}
		if n := got.Tally; n.Signals != signals || n.Incidents != signals/3 || n.Open != signals/3 || n.Unread != lines ||
			n.Severity != 0.6 || n.LastKind != vigil.KindHidden {
			t.Errorf("got the tally %+v, want %d signals, %d incidents and %d lines", n, signals, signals/3, lines)
		}
		commands, _, err := s.CommandsOfSession(t.Context(), v.ID, storage.Page{})
		testutil.OK(t, err)
		chat, _, err := s.ChatOfSession(t.Context(), v.ID, storage.Page{})
		testutil.OK(t, err)
		if len(commands) != steps/2 || len(chat) != lines {
			t.Errorf("got %d commands and %d lines, want %d and %d", len(commands), len(chat), steps/2, lines)
		}
		gaps, err := s.GapsOfSession(t.Context(), v.ID)
		testutil.OK(t, err)
		var versions []int64
		for _, g := range gaps {
			versions = append(versions, g.Version)
		}
		waiting, err := s.DeliveriesOfSession(t.Context(), v.ID)
		testutil.OK(t, err)
		if !slices.Equal(versions, []int64{2, 2, 2, 1, gapSteps}) || len(waiting) != steps/2 {
			t.Errorf("got gaps of the versions %v and %d deliveries, want 2, 2, 2, 1, %d and %d", versions, len(waiting), gapSteps, steps/2)
		}
		n := given[v.ID]
		slices.Sort(n)
		if len(slices.Compact(n)) != epochs {
			t.Errorf("got epochs %v, want %d different ones", n, epochs)
		}
	}
	for _, how := range faults {
		if p.spoiled[how] == 0 {
			t.Errorf("no request was %s", how)
		}
	}
	t.Logf("spoiled requests: %v", p.spoiled)
}

// gap is one of a session that began some seconds after it.
func gap(v vigil.Session, i int) vigil.Gap {
	return vigil.Gap{
		ID: fmt.Sprint("gap-", i), SessionID: v.ID, ExamID: v.ExamID, Start: v.Created.Add(time.Duration(i) * time.Second), Cause: vigil.CauseServer, Version: 1,
	}
}

// twice sends one update or transaction again as if its answer had been lost, after
// something else happened in between.
type twice struct {
	dynamo.API
	armed   atomic.Bool
	between func()
}

// UpdateItem implements dynamo.API.
func (a *twice) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if a.armed.CompareAndSwap(true, false) {
		if _, err := a.API.UpdateItem(ctx, in, opts...); err != nil {
			return nil, err
		}
		a.between()
	}
	return a.API.UpdateItem(ctx, in, opts...)
}

// TestALostAnswerCountsOnce loses the answer to the raise of a tally while other calls
// raise the same one, and a presence is written.
func TestALostAnswerCountsOnce(t *testing.T) {
	prefix := migrated(t)
	other := open(t, dynamo.Config{Prefix: prefix})
	api := &twice{API: client(t, server.URL)}
	s := open(t, dynamo.Config{Prefix: prefix, Client: api})
	v := seed(t, s, 1)[0]
	seq := int64(100)
	api.between = func() {
		for range 5 {
			seq++
			_, err := other.AppendSignals(t.Context(), []vigil.Signal{signal(v, seq)})
			testutil.OK(t, err)
		}
		testutil.OK(t, other.SetPresence(t.Context(), v.ID, vigil.Presence{Connection: vigil.ConnOnline, Heard: time.Now(), Node: "n"}))
	}
	incident := signal(v, 1)
	incident.Kind, incident.Severity, incident.Incident = vigil.KindHidden, 0.6, true
	api.armed.Store(true)
	_, err := s.AppendSignals(t.Context(), []vigil.Signal{incident, signal(v, 2)})
	testutil.OK(t, err)
	if api.armed.Load() {
		t.Fatal("no update was sent twice")
	}
	got, err := s.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	if n := got.Tally; n.Signals != 7 || n.Incidents != 1 || n.Open != 1 {
		t.Errorf("got the tally %+v, want 7 signals and one incident", n)
	}
}

// TestATallyThatFailedIsMadeUpFor has updates fail, done and not done, while puts work.
func TestATallyThatFailedIsMadeUpFor(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	for _, how := range []string{"failed", "failed after it was done"} {
		t.Run(how, func(t *testing.T) {
			p := newProxy(t)
			c, end := fullClient(t, p.url)
			t.Cleanup(end)
			hasty := dynamodb.New(c.Options(), func(o *dynamodb.Options) { o.RetryMaxAttempts = 2 })
			s := open(t, dynamo.Config{Client: hasty})
			v := seed(t, s, 1)[0]
			p.spoilOnly("UpdateItem", how)
			batch := []vigil.Signal{signal(v, 1), signal(v, 2)}
			_, err := s.AppendSignals(t.Context(), batch)
			code(t, "append", err, vigil.CodeUnavailable)
			if _, err = s.AppendSignals(t.Context(), batch); how == "failed" { // the browser sends again what was not acknowledged
				code(t, "append again", err, vigil.CodeUnavailable)
			}
			p.spoil(0)
			got, err := s.AppendSignals(t.Context(), append(batch, signal(v, 3)))
			testutil.OK(t, err)
			if !slices.Equal(got, []storage.Appended{storage.Repeated, storage.Repeated, storage.Stored}) {
				t.Errorf("got %v, want two repeated and one stored", got)
			}
			w, err := s.Session(t.Context(), v.ID)
			testutil.OK(t, err)
			if w.Tally.Signals != 3 {
				t.Errorf("got %d signals in the tally, want 3", w.Tally.Signals)
			}
		})
	}
}

// TestAPutWithoutAnAnswerIsCounted has puts done and nobody told so, in all tries.
func TestAPutWithoutAnAnswerIsCounted(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	p := newProxy(t)
	c, end := fullClient(t, p.url)
	t.Cleanup(end)
	s := open(t, dynamo.Config{Client: dynamodb.New(c.Options(), func(o *dynamodb.Options) { o.RetryMaxAttempts = 2 })})
	v := seed(t, s, 1)[0]
	batch := []vigil.Signal{signal(v, 1), signal(v, 2)}
	p.spoilOnly("PutItem", "cut after it was done")
	for range 2 {
		_, err := s.AppendSignals(t.Context(), batch)
		code(t, "append", err, vigil.CodeUnavailable)
	}
	p.spoil(0)
	for _, want := range []storage.Appended{storage.Stored, storage.Repeated} {
		got, err := s.AppendSignals(t.Context(), batch)
		testutil.OK(t, err)
		if !slices.Equal(got, []storage.Appended{want, want}) {
			t.Errorf("got %v, want %v of both", got, want)
		}
	}
	w, err := s.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	if w.Tally.Signals != 2 {
		t.Errorf("got %d signals in the tally, want 2", w.Tally.Signals)
	}
}

// TestAFullQueueHoldsBackAcknowledgements has the service not answer, so that what waits
// fills the queue.
func TestAFullQueueHoldsBackAcknowledgements(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	const room, callers = 3, 40
	p := newProxy(t)
	s := open(t, dynamo.Config{Client: client(t, p.url), InFlight: room})
	v := seed(t, s, 1)[0]
	release := p.hold()
	defer release()
	var acknowledged atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			got, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, int64(i+1))})
			if err != nil || got[0] != storage.Stored {
				t.Errorf("got %v, %v, want stored", got, err)
			}
			acknowledged.Add(1)
		})
	}
	testutil.Until(t, "the queue to be full", func() bool { return p.held() == room })
	if got := acknowledged.Load(); got != 0 {
		t.Errorf("got %d acknowledged while the service did not answer, want none", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.AppendSignals(ctx, []vigil.Signal{signal(v, callers+1)})
	code(t, "a caller that goes away", err, vigil.CodeUnavailable)
	release()
	wg.Wait()
	if got := p.most(); got > room {
		t.Errorf("got %d requests at the service at once, want at most %d", got, room)
	}
	got, err := s.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	list, _, err := s.SignalsOfSession(t.Context(), v.ID, storage.Page{})
	testutil.OK(t, err)
	if len(list) != callers || got.Tally.Signals != callers {
		t.Errorf("got %d signals and %d in the tally, want %d", len(list), got.Tally.Signals, callers)
	}
}

// TestAnOutageIsToldAndNothingIsAcknowledged has the service away for longer than the
// caller waits.
func TestAnOutageIsToldAndNothingIsAcknowledged(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	p := newProxy(t)
	s := open(t, dynamo.Config{Client: client(t, p.url)})
	v := seed(t, s, 1)[0]
	p.spoilOnly("", "failed")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := s.AppendSignals(ctx, []vigil.Signal{signal(v, 1)})
	code(t, "append", err, vigil.CodeUnavailable)
	code(t, "ping", s.Ping(ctx), vigil.CodeUnavailable)
	p.spoil(0)
	got, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, 1)})
	testutil.OK(t, err)
	if got[0] != storage.Stored {
		t.Errorf("got %v after the outage, want stored", got[0])
	}
	testutil.OK(t, s.Ping(t.Context()))
}

// TestFiftyCheckInsOnSeveralNodesFindOneSession is the rule of the first attempt.
func TestFiftyCheckInsOnSeveralNodesFindOneSession(t *testing.T) {
	prefix := migrated(t)
	nodes := make([]*dynamo.Store, 5)
	for i := range nodes {
		nodes[i] = open(t, dynamo.Config{Prefix: prefix})
	}
	e := vigil.Exam{ID: newID(), Issuer: "https://lms.example", Policy: vigil.DefaultPolicy(), Created: time.Now(), Version: 1}
	testutil.OK(t, nodes[0].CreateExam(t.Context(), e))
	found := make([]string, 50)
	var wg sync.WaitGroup
	start := make(chan struct{})
	var created sync.Map
	for i := range found {
		wg.Go(func() {
			<-start
			s, v := nodes[i%len(nodes)], newSession(e, "one")
			err := s.CreateSession(t.Context(), v)
			if err == nil {
				created.Store(v.ID, true)
			} else if vigil.CodeOf(err) != vigil.CodeExists {
				t.Errorf("got %v, want it created or exists", err)
			}
			got, err := s.SessionOfAttempt(t.Context(), e.ID, "one", 1)
			if err != nil {
				t.Error(err)
			}
			found[i] = got.ID
		})
	}
	close(start)
	wg.Wait()
	n := 0
	created.Range(func(id, _ any) bool {
		n++
		if id != found[0] {
			t.Errorf("got session %v created, want %s", id, found[0])
		}
		return true
	})
	if all := slices.Compact(found); n != 1 || len(all) != 1 {
		t.Errorf("got %d created and %d found, want one", n, len(all))
	}
}
