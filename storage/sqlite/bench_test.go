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

// crowd runs f for b's iterations from many goroutines, as many sockets do.
func crowd(b *testing.B, s *sqlite.Store, f func(i int64) error) {
	b.Helper()
	before := s.Stats()
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	after := s.Stats()
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(max(1, after.Commits-before.Commits)), "calls/commit")
}

// BenchmarkNextEpoch is what each connect writes.
func BenchmarkNextEpoch(b *testing.B) {
	s := open(b, sqlite.Config{})
	sessions := seed(b, s, 64)
	crowd(b, s, func(i int64) error {
		_, err := s.NextEpoch(b.Context(), sessions[i%64].ID)
		return err
	})
}

// BenchmarkSetPresence is what each change of a connection writes.
func BenchmarkSetPresence(b *testing.B) {
	s := open(b, sqlite.Config{})
	sessions := seed(b, s, 64)
	crowd(b, s, func(i int64) error {
		p := sessions[i%64].Presence
		p.Epoch = i/64 + 1
		if err := s.SetPresence(b.Context(), sessions[i%64].ID, p); vigil.CodeOf(err) != vigil.CodeConflict { // another was faster
			return err
		}
		return nil
	})
}

// BenchmarkSession is what each upgrade and each renewal of a token reads.
func BenchmarkSession(b *testing.B) {
	s := open(b, sqlite.Config{})
	sessions := seed(b, s, 64)
	crowd(b, s, func(i int64) error {
		_, err := s.Session(b.Context(), sessions[i%64].ID)
		return err
	})
}
