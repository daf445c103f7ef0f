package metrics_test

import (
	"context"
	"testing"

	"vigil"
	"vigil/cmd/internal/metrics"
	"vigil/storage"
	"vigil/storage/observed"
)

type quick struct{ storage.Store }

func (quick) Exam(context.Context, string) (e vigil.Exam, err error) { return e, nil }

// BenchmarkStoreOperation is what measuring adds to an operation of the store.
func BenchmarkStoreOperation(b *testing.B) {
	st := observed.New(quick{}, metrics.New(metrics.Build{}).Store("sqlite"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = st.Exam(b.Context(), "exam")
	}
}

func TestMeasuringAStoreAllocatesNothing(t *testing.T) {
	st := observed.New(quick{}, metrics.New(metrics.Build{}).Store("sqlite"))
	if n := testing.AllocsPerRun(100, func() { _, _ = st.Exam(t.Context(), "exam") }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
