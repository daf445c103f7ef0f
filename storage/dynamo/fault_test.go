package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/storage"
	"vigil/storage/dynamo"
)

// seed stores an exam with some sessions.
func seed(t testing.TB, s *dynamo.Store, n int) []vigil.Session {
	t.Helper()
	now := time.Now()
	e := vigil.Exam{ID: newID(), Issuer: "https://lms.example", ContextID: "c", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	ok(t, s.CreateExam(t.Context(), e))
	out := make([]vigil.Session, n)
	for i := range out {
		out[i] = newSession(e, fmt.Sprint("user-", i))
		ok(t, s.CreateSession(t.Context(), out[i]))
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
	const signals, steps, lines, epochs = 30, 8, 8, 8
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
		v.Version = int64(i + 2)
		c := vigil.Command{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, Kind: vigil.CommandNote, At: time.Now(), Stage: vigil.StageQueued}
		if i%2 == 0 {
			return s.Transition(t.Context(), vigil.Transition{Session: v, From: int64(i + 1)})
		}
		return s.Transition(t.Context(), vigil.Transition{Session: v, From: int64(i + 1), Command: &c})
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
	wg.Wait()
	p.spoil(0)
	if err := errors.Join(problems...); err != nil {
		t.Errorf("under faults: %v", err)
	}
	for _, v := range sessions {
		got, err := s.Session(t.Context(), v.ID)
		ok(t, err)
		list, _, err := s.SignalsOfSession(t.Context(), v.ID, storage.Page{})
		ok(t, err)
		if len(list) != signals || got.Version != steps+1 {
			t.Errorf("got %d signals and version %d, want %d and %d", len(list), got.Version, signals, steps+1)
		}
		// An addition whose answer was lost may be made twice (docs/storage.md): a count is never
		// too low, and what is stored is exact.
		if n := got.Tally; n.Signals < signals || n.Incidents < signals/3 || n.Open < signals/3 || n.Unread < lines ||
			n.Severity != 0.6 || n.LastKind != vigil.KindHidden {
			t.Errorf("got the tally %+v, want at least %d signals, %d incidents and %d lines", n, signals, signals/3, lines)
		}
		commands, _, err := s.CommandsOfSession(t.Context(), v.ID, storage.Page{})
		ok(t, err)
		chat, _, err := s.ChatOfSession(t.Context(), v.ID, storage.Page{})
		ok(t, err)
		if len(commands) != steps/2 || len(chat) != lines {
			t.Errorf("got %d commands and %d lines, want %d and %d", len(commands), len(chat), steps/2, lines)
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

// TestAnOutageIsToldAndNothingIsAcknowledged has the service away for longer than the
// caller waits.
func TestAnOutageIsToldAndNothingIsAcknowledged(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	p := newProxy(t)
	s := open(t, dynamo.Config{Client: client(t, p.url)})
	v := seed(t, s, 1)[0]
	p.spoil(1)
	p.mu.Lock()
	p.only = "failed"
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := s.AppendSignals(ctx, []vigil.Signal{signal(v, 1)})
	code(t, "append", err, vigil.CodeUnavailable)
	code(t, "ping", s.Ping(ctx), vigil.CodeUnavailable)
	p.spoil(0)
	got, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, 1)})
	ok(t, err)
	if got[0] != storage.Stored {
		t.Errorf("got %v after the outage, want stored", got[0])
	}
	ok(t, s.Ping(t.Context()))
}

// TestFiftyCheckInsOnSeveralNodesFindOneSession is the rule of the first attempt.
func TestFiftyCheckInsOnSeveralNodesFindOneSession(t *testing.T) {
	prefix := migrated(t)
	nodes := make([]*dynamo.Store, 5)
	for i := range nodes {
		nodes[i] = open(t, dynamo.Config{Prefix: prefix})
	}
	e := vigil.Exam{ID: newID(), Issuer: "https://lms.example", Policy: vigil.DefaultPolicy(), Created: time.Now(), Version: 1}
	ok(t, nodes[0].CreateExam(t.Context(), e))
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
