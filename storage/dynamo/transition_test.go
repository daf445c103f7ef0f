package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage/dynamo"
)

// TransactWriteItems implements dynamo.API.
func (a *twice) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if a.armed.CompareAndSwap(true, false) {
		if _, err := a.API.TransactWriteItems(ctx, in, opts...); err != nil {
			return nil, err
		}
		a.between()
	}
	return a.API.TransactWriteItems(ctx, in, opts...)
}

// TestALostAnswerOfATransitionIsNoLostRace loses the answers to a transition, to one of gaps
// alone, to a lease and to SetDue, while others change the same session and the same gap.
func TestALostAnswerOfATransitionIsNoLostRace(t *testing.T) {
	prefix := migrated(t)
	other := open(t, dynamo.Config{Prefix: prefix})
	api := &twice{API: client(t, server.URL)}
	s := open(t, dynamo.Config{Prefix: prefix, Client: api})
	v := seed(t, s, 1)[0]
	g := gap(v, 1)
	testutil.OK(t, s.CreateGap(t.Context(), g))
	now := time.Now()
	step := func() vigil.Transition { // and the session's next version
		next, c := v, vigil.Command{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, Kind: vigil.CommandNote, At: now}
		next.Version, next.DueAt = v.Version+1, now
		tr := vigil.Transition{Session: next, From: v.Version, Command: &c, Gaps: []vigil.Gap{g}, NewGaps: []vigil.Gap{gap(v, int(100+v.Version))}}
		v = next
		g.Version++
		return tr
	}
	lost := func(what string, do func() error, between func()) {
		t.Helper()
		api.between = between
		api.armed.Store(true)
		if err := do(); err != nil {
			t.Errorf("%s: got %v, want none", what, err)
		}
		if api.armed.Load() {
			t.Fatalf("%s: nothing was sent twice", what)
		}
	}
	changes := func() { testutil.OK(t, other.Transition(t.Context(), step())) }
	mine := step()
	lost("a transition", func() error { return s.Transition(t.Context(), mine) }, changes)
	alone := vigil.Transition{Session: v, From: v.Version, Gaps: []vigil.Gap{g}, NewGaps: []vigil.Gap{gap(v, 50)}}
	g.Version++
	lost("a transition of gaps", func() error { return s.Transition(t.Context(), alone) }, changes)
	lost("a lease", func() error {
		got, err := s.LeaseDue(t.Context(), now, now.Add(time.Minute), 10)
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("got %d sessions, want 1", len(got))
		}
		return err
	}, func() { // nobody else gets it
		got, err := other.LeaseDue(t.Context(), now, now.Add(time.Minute), 10)
		testutil.OK(t, err)
		if len(got) != 0 {
			t.Errorf("got %d sessions leased twice", len(got))
		}
	})
	lost("SetDue", func() error { return s.SetDue(t.Context(), v.ID, v.Version, now.Add(time.Hour)) }, changes)
	got, err := s.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	gaps, err := s.GapsOfSession(t.Context(), v.ID)
	testutil.OK(t, err)
	if got.Version != v.Version || len(gaps) != 6 || gaps[0].Version != g.Version {
		t.Errorf("got version %d and %d gaps, the first of version %d, want %d, 6 and %d", got.Version, len(gaps), gaps[0].Version, v.Version, g.Version)
	}
}

// partial hides from the refusal of a transaction that its command was there: the service need
// not check all conditions at the same moment.
type partial struct{ dynamo.API }

// TransactWriteItems implements dynamo.API.
func (a partial) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	out, err := a.API.TransactWriteItems(ctx, in, opts...)
	if refused, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		refused.CancellationReasons[1] = types.CancellationReason{Code: aws.String("None")}
	}
	return out, err
}

// TestARepeatedCommandIsNoLostRace has a transition sent twice by two callers. The second one
// is refused by the version of the session or of a gap alone.
func TestARepeatedCommandIsNoLostRace(t *testing.T) {
	prefix := migrated(t)
	s := open(t, dynamo.Config{Prefix: prefix, Client: partial{client(t, server.URL)}})
	v := seed(t, s, 1)[0]
	g := gap(v, 1)
	testutil.OK(t, s.CreateGap(t.Context(), g))
	c := vigil.Command{ID: newID(), ExamID: v.ExamID, Kind: vigil.CommandExtend, At: time.Now()}
	next := v
	next.Version++
	tr := vigil.Transition{Session: next, From: v.Version, Command: &c, Gaps: []vigil.Gap{g}}
	testutil.OK(t, s.Transition(t.Context(), tr))
	code(t, "refused by the session", s.Transition(t.Context(), tr), vigil.CodeExists)
	tr.From = next.Version
	code(t, "refused by the gap", s.Transition(t.Context(), tr), vigil.CodeExists)
	other := c
	other.ID, tr.Command = newID(), &other
	code(t, "another command", s.Transition(t.Context(), tr), vigil.CodeConflict)
}
