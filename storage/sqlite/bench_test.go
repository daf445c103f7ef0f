package sqlite_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"vigil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// BenchmarkAppendSignals stores one signal a call, acknowledged after the flush.
func BenchmarkAppendSignals(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, sqlite.Config{})
			sessions := seed(b, s, 64)
			before := s.Stats()
			var seq atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for {
						n := seq.Add(1)
						if n > int64(b.N) {
							return
						}
						if _, err := s.AppendSignals(b.Context(), []vigil.Signal{signal(sessions[w], n)}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			after := s.Stats()
			b.ReportMetric(float64(after.Writes-before.Writes)/float64(after.Commits-before.Commits), "calls/commit")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signals/s")
		})
	}
}

// BenchmarkSessionsOfExam2000 reads what a dashboard needs for its first snapshot.
func BenchmarkSessionsOfExam2000(b *testing.B) {
	s := open(b, sqlite.Config{})
	sessions := seed(b, s, 2000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for p := (storage.Page{}); ; {
			list, next, err := s.SessionsOfExam(b.Context(), sessions[0].ExamID, p)
			if err != nil {
				b.Fatal(err)
			}
			n += len(list)
			if p.After = next; next == "" {
				break
			}
		}
		if n != 2000 {
			b.Fatalf("got %d sessions, want 2000", n)
		}
	}
}
