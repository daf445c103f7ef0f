package dynamo_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
)

// failing fails all updates, or lets some through and then fails one, in all tries.
type failing struct {
	dynamo.API
	all  atomic.Bool
	left atomic.Int64
}

// UpdateItem implements dynamo.API.
func (a *failing) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if a.left.Add(-1) == 0 || a.all.Load() {
		return nil, errors.New("throttled in all tries")
	}
	return a.API.UpdateItem(ctx, in, opts...)
}

// TestWhatWasLeasedBeforeAFaultIsGiven has one lease made and the next one fail. Who does
// not hear of the first would find the delivery, when its lease ends, marked as sent, and the
// session would be looked at late.
func TestWhatWasLeasedBeforeAFaultIsGiven(t *testing.T) {
	prefix := migrated(t)
	api := &failing{API: client(t, server.URL)}
	s := open(t, dynamo.Config{Prefix: prefix, Client: api, Parallel: 1})
	now := time.Now()
	for _, v := range seed(t, s, 3) {
		c := vigil.Command{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, Kind: vigil.CommandExtend, At: now}
		d := vigil.Delivery{ID: newID(), ExamID: v.ExamID, CommandID: c.ID, Action: vigil.ActionUpdate, State: vigil.DeliveryWaiting, NextTry: now}
		next := v
		next.Version, next.DueAt = v.Version+1, now
		testutil.OK(t, s.Transition(t.Context(), vigil.Transition{Session: next, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
	}
	for _, lease := range []struct {
		name string
		do   func() (ids []string, err error)
	}{
		{"deliveries", func() (ids []string, err error) {
			got, err := s.LeaseDeliveries(t.Context(), "node", now, 10)
			for _, d := range got {
				if ids = append(ids, d.ID); d.Sent {
					t.Errorf("got a delivery marked as sent that nobody had before")
				}
			}
			return ids, err
		}},
		{"sessions", func() (ids []string, err error) {
			got, err := s.LeaseDue(t.Context(), now, now.Add(time.Minute), 10)
			for _, v := range got {
				ids = append(ids, v.ID)
			}
			return ids, err
		}},
	} {
		api.all.Store(true)
		_, err := lease.do()
		code(t, lease.name+": nothing could be leased", err, vigil.CodeUnavailable)
		api.all.Store(false)
		api.left.Store(2)
		first, err := lease.do()
		testutil.OK(t, err)
		rest, err := lease.do()
		testutil.OK(t, err)
		all := append(first, rest...)
		slices.Sort(all)
		if len(first) == 0 || len(first) == 3 || len(slices.Compact(all)) != 3 {
			t.Errorf("%s: got %d with the fault and %d after it, want three in all, some at first", lease.name, len(first), len(rest))
		}
	}
}

// TestUnderFaultsASessionIsLeasedOnce spoils a third of all requests of several nodes.
func TestUnderFaultsASessionIsLeasedOnce(t *testing.T) {
	prefix := migrated(t)
	p := newProxy(t)
	nodes := make([]*dynamo.Store, 3)
	for i := range nodes {
		nodes[i] = open(t, dynamo.Config{Prefix: prefix, Client: client(t, p.url)})
	}
	now := time.Now()
	const sessions = 24
	for _, v := range seed(t, nodes[0], sessions) {
		testutil.OK(t, nodes[0].SetDue(t.Context(), v.ID, v.Version, now))
	}
	p.spoil(0.3)
	var mu sync.Mutex
	leased := map[string]int{}
	var wg sync.WaitGroup
	for _, s := range nodes {
		for range 4 {
			wg.Go(func() {
				got, err := s.LeaseDue(t.Context(), now, now.Add(time.Hour), 5)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, v := range got {
					leased[v.ID]++
				}
			})
		}
	}
	wg.Wait()
	p.spoil(0)
	for id, n := range leased {
		if n != 1 {
			t.Errorf("got session %s leased %d times, want once", id, n)
		}
	}
	if len(leased) != sessions {
		t.Errorf("got %d sessions leased, want %d", len(leased), sessions)
	}
}

// TestDueSessionsLieInSeveralListsAndLeaveThem looks at the index itself.
func TestDueSessionsLieInSeveralListsAndLeaveThem(t *testing.T) {
	prefix := migrated(t)
	s := open(t, dynamo.Config{Prefix: prefix})
	now := time.Now()
	sessions := seed(t, s, 40)
	for _, v := range sessions {
		testutil.OK(t, s.SetDue(t.Context(), v.ID, v.Version, now))
	}
	raw, end := fullClient(t, server.URL)
	defer end()
	lists := func() map[string]int {
		out, err := raw.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(migrations.Main(prefix)), IndexName: aws.String("list")}) // a test may
		testutil.OK(t, err)
		n := map[string]int{}
		for _, it := range out.Items {
			if list := textOf(it["lk"]); strings.HasPrefix(list, "later#") {
				n[list]++
			}
		}
		return n
	}
	testutil.Until(t, "all sessions to be in the index", func() bool {
		sum := 0
		for _, n := range lists() {
			sum += n
		}
		return sum == len(sessions)
	})
	for list, n := range lists() {
		if n > len(sessions)/2 {
			t.Errorf("got %d of %d sessions in the list %s, want them spread over several", n, len(sessions), list)
		}
	}
	for i, v := range sessions { // half of them by either way
		if i%2 == 0 {
			testutil.OK(t, s.SetDue(t.Context(), v.ID, v.Version, time.Time{}))
			continue
		}
		next := v
		next.Version, next.State = v.Version+1, vigil.StateSubmitted
		testutil.OK(t, s.Transition(t.Context(), vigil.Transition{Session: next, From: v.Version}))
	}
	testutil.Until(t, "the lists to be empty", func() bool { return len(lists()) == 0 })
}
