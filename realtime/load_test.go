package realtime_test

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// TestLoad prints how long signals take from a student's call to a proctor's screen and
// to the acknowledgement, with VIGIL_TEST_LOAD students who each give a signal about
// every five seconds. Clients and server share the machine; the store is real.
func TestLoad(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("VIGIL_TEST_LOAD"))
	if err != nil {
		t.Skip("VIGIL_TEST_LOAD is not set")
	}
	const seconds = 10
	r := newRig(t, func(c *realtime.Config) {
		c.Liveness, c.RowsEvery, c.NodeEvery = vigil.DefaultLiveness(), 250*time.Millisecond, 2*time.Second
	})
	var mu sync.Mutex
	var shown, acked []time.Duration
	given := map[string]time.Time{}
	r.proctor(func(c *client.Config) {
		c.OnFrame = func(ty protocol.Type, f json.RawMessage) {
			var d protocol.SignalDown
			if ty != protocol.TypeSignal || json.Unmarshal(f, &d) != nil || d.Kind != vigil.KindCopy {
				return
			}
			now := time.Now()
			mu.Lock()
			if at, ok := given[d.Session+strconv.FormatInt(d.Seq, 10)]; ok {
				shown = append(shown, now.Sub(at))
			}
			mu.Unlock()
		}
	})

	students := make([]*client.Student, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range students {
		s := r.session()
		students[i] = r.student(s, func(c *client.Config) {
			c.OnFrame = func(ty protocol.Type, f json.RawMessage) {
				var a protocol.Ack
				if ty != protocol.TypeAck || json.Unmarshal(f, &a) != nil {
					return
				}
				now := time.Now()
				mu.Lock()
				for _, seq := range a.Seqs {
					if at, ok := given[s.ID+strconv.FormatInt(seq, 10)]; ok {
						acked = append(acked, now.Sub(at))
					}
				}
				mu.Unlock()
			}
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d students: %d KiB of heap and stack a student, both ends", n,
		(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/uint64(n)>>10)
	tick := time.NewTicker(5 * time.Second / time.Duration(n))
	defer tick.Stop()
	for i := range n * seconds / 5 {
		<-tick.C
		st := students[i%n]
		mu.Lock()
		now := time.Now()
		seq := st.Counts().Given + 1
		given[st.Welcome().Session+strconv.FormatInt(seq, 10)] = now
		mu.Unlock()
		st.SignalAt(now, vigil.KindCopy, 0, nil)
	}
	for _, st := range students {
		r.ok(st.Settled(r.ctx))
	}
	r.until("shown", func() bool { mu.Lock(); defer mu.Unlock(); return len(shown) == n*seconds/5 })
	mu.Lock()
	defer mu.Unlock()
	for name, list := range map[string][]time.Duration{"shown": shown, "acknowledged": acked} {
		slices.Sort(list)
		t.Logf("%-12s %d signals, p50 %v, p99 %v, max %v", name, len(list), list[len(list)/2], list[len(list)*99/100], list[len(list)-1])
	}
	s := r.hub.Stats()
	t.Logf("%d signals in %d batches; lost %d, dropped %d, behind %d", s.SignalsStored, s.Batches, s.Lost, s.FramesDropped, s.Behind)
}
