package tasks_test

import (
	"context"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"vigil/realtime/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAQueueDoesItsJobsInOrderAndRefusesWhatIsOverItsLimit(t *testing.T) {
	t.Parallel()
	g := tasks.NewGroup()
	var q tasks.Queue
	hold := make(chan struct{})
	var did []int
	q.Add(g, 0, func(context.Context) { <-hold })
	for i := range 5 {
		if got, want := q.Add(g, 4, func(context.Context) { did = append(did, i) }), i < 3; got != want && i != 3 { // the first may be under way
			t.Errorf("job %d: taken %t, want %t", i, got, want)
		}
	}
	if g.Refused() == 0 {
		t.Error("a refused job is not counted")
	}
	close(hold)
	g.Stop()
	g.Wait()
	if !q.Idle() || !slices.IsSorted(did) || len(did) < 3 {
		t.Errorf("got %v, idle %t, want the jobs in order", did, q.Idle())
	}
	if q.Add(g, 0, func(context.Context) {}) || g.Go(func() {}) {
		t.Error("work began after Stop")
	}
}
