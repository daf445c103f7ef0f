package sqlite_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// written is how many bytes the process has handed to the kernel.
func written(b *testing.B) (n int64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	testutil.OK(b, err)
	_, text, _ = bytes.Cut(text, []byte("wchar: "))
	_, err = fmt.Fscan(bytes.NewReader(text), &n)
	testutil.OK(b, err)
	return n
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	testutil.OK(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppendScattered is a large exam: batches of 30 signals of as many sessions out
// of 5,000, a batch each 10 ms, by one store or by two that share the file. Run it with a
// fixed count of some thousands (-benchtime 3000x), so that the log is copied meanwhile.
func BenchmarkAppendScattered(b *testing.B) {
	const batch = 30
	for _, stores := range []int{1, 2} {
		b.Run(fmt.Sprintf("stores=%d", stores), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "vigil.db")
			all := make([]*sqlite.Store, stores)
			for i := range all {
				all[i] = open(b, sqlite.Config{Path: path})
			}
			sessions, next := large(b, all[0])
			var mu sync.Mutex
			var took []time.Duration
			wrote, used := written(b), cpu(b)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, s := range all {
				wg.Go(func() {
					tick := time.NewTicker(time.Duration(stores) * 10 * time.Millisecond)
					defer tick.Stop()
					mine := len(sessions) / stores // a session's numbers come from one store
					for range b.N / stores {
						<-tick.C
						signals := make([]vigil.Signal, batch)
						for k := range signals {
							n := i*mine + rand.IntN(mine)
							next[n]++
							signals[k] = signal(sessions[n], next[n])
						}
						start := time.Now()
						if _, err := s.AppendSignals(b.Context(), signals); err != nil {
							b.Error(err)
							return
						}
						mu.Lock()
						took = append(took, time.Since(start))
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			if len(took) == 0 {
				return
			}
			slices.Sort(took)
			n := float64(len(took) * batch)
			b.ReportMetric(float64((cpu(b)-used).Microseconds())/n, "µs-cpu/signal")
			b.ReportMetric(float64(written(b)-wrote)/n, "B-written/signal")
			for _, p := range []int{50, 99} {
				b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
			}
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
		})
	}
}

// large stores 5,000 sessions with 20 signals each, and returns the last numbers.
func large(b *testing.B, s *sqlite.Store) (sessions []vigil.Session, next []int64) {
	b.Helper()
	const many = 5000
	first := seed(b, s, 1)[0]
	sessions, next = make([]vigil.Session, many), make([]int64, many)
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := w; i < many; i += 100 {
				v := first
				v.ID, v.UserID = newID(), fmt.Sprint("student-", i)
				sessions[i] = v
				if err := s.CreateSession(b.Context(), v); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range 20 {
		var signals []vigil.Signal
		for _, i := range rand.Perm(many) {
			next[i]++
			signals = append(signals, signal(sessions[i], next[i]))
		}
		for part := range slices.Chunk(signals, 1000) {
			_, err := s.AppendSignals(b.Context(), part)
			testutil.OK(b, err)
		}
	}
	return sessions, next
}

// BenchmarkSignalsOfSession reads a page of 200 of a timeline.
func BenchmarkSignalsOfSession(b *testing.B) {
	s := open(b, sqlite.Config{})
	sessions, next := large(b, s)
	for range 15 {
		var signals []vigil.Signal
		for range 16 {
			for i := range sessions[:1000] {
				next[i]++
				signals = append(signals, signal(sessions[i], next[i]))
			}
		}
		for part := range slices.Chunk(signals, 1000) {
			_, err := s.AppendSignals(b.Context(), part)
			testutil.OK(b, err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		list, _, err := s.SignalsOfSession(b.Context(), sessions[rand.IntN(1000)].ID, storage.Page{Limit: 200})
		testutil.OK(b, err)
		if len(list) != 200 {
			b.Fatalf("got %d signals, want 200", len(list))
		}
	}
}
