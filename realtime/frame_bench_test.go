package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/realtime/internal/wire"
)

// BenchmarkReadMessage is what a student's message costs until its frames are known:
// one signal, as they mostly come, and an outbox that was sent after a reconnect.
func BenchmarkReadMessage(b *testing.B) {
	one := `{"t":"signal","seq":17,"kind":"copy","at":1790000000000,"data":{"length":12}}`
	for _, n := range []int{1, 50} {
		msg := []byte(one)
		if n > 1 {
			msg = []byte("[" + strings.Repeat(one+",", n-1) + one + "]")
		}
		b.Run(fmt.Sprintf("frames=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				list, err := split(msg)
				if err != nil {
					b.Fatal(err)
				}
				for _, raw := range list {
					if _, err := parse(raw); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func benchSignal() vigil.Signal {
	now := time.UnixMilli(1790000000000)
	return vigil.Signal{
		SessionID: "0198a3f2-6f0e-7c41-9a55-3d1f0c7f5b11", ExamID: "0198a3f2-6f0e-7c41-9a55-3d1f0c7f5b12", Stream: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Seq: 17,
		Kind: vigil.KindCopy, Severity: 0.1, At: now, Received: now, Data: []byte(`{"length":12}`),
	}
}

// BenchmarkSignalDelta makes the frame that all proctors of an exam get of a signal.
func BenchmarkSignalDelta(b *testing.B) {
	s := benchSignal()
	b.ReportAllocs()
	for b.Loop() {
		if d := signalDelta(s); len(d.frame) == 0 {
			b.Fatal("no frame")
		}
	}
}

// BenchmarkTallyDelta makes the frame of changed counts.
func BenchmarkTallyDelta(b *testing.B) {
	t := vigil.Tally{Signals: 100, Incidents: 3, Open: 2, Severity: 0.6, LastKind: vigil.KindHidden, LastAt: time.UnixMilli(1790000000000)}
	b.ReportAllocs()
	for b.Loop() {
		row := rowTally(t)
		if f := encode(SessionDelta{T: TypeSession, Row: Row{ID: "0198a3f2-6f0e-7c41-9a55-3d1f0c7f5b11", Tally: &row}}); len(f) == 0 {
			b.Fatal("no frame")
		}
	}
}

// BenchmarkAck makes the frame that a student gets for a signal that was stored.
func BenchmarkAck(b *testing.B) {
	b.ReportAllocs()
	seqs := []int64{17}
	for b.Loop() {
		kept = appendAck(make([]byte, 0, 96), "ABCDEFGHIJKLMNOPQRSTUVWXYZ", seqs)
	}
}

// kept keeps what a benchmark makes, as a socket's queue does: else the compiler would
// put it on the stack.
var kept []byte

// BenchmarkFillMessage puts the frames that wait for a socket into one message.
func BenchmarkFillMessage(b *testing.B) {
	for _, n := range []int{1, 64} {
		items := make([]item, n)
		for i := range items {
			items[i] = item{frame: signalDelta(benchSignal()).frame}
		}
		b.Run(fmt.Sprintf("frames=%d", n), func(b *testing.B) {
			buf := make([]byte, 0, wire.MaxHead+MaxMessage)
			c := &conn{h: &Hub{}}
			b.ReportAllocs()
			for b.Loop() {
				c.queue = append(c.queue[:0], items...)
				if c.message(buf); len(c.queue) > 0 {
					b.Fatal("not all fit")
				}
			}
		})
	}
}

// BenchmarkRelayed is a signal on its way to other nodes: encoded here, read there.
func BenchmarkRelayed(b *testing.B) {
	d := signalDelta(benchSignal())
	r := &room{h: &Hub{}, exam: "exam"}
	r.proctors.Store(&[]*proctor{})
	b.ReportAllocs()
	for b.Loop() {
		r.Receive(appendDelta(make([]byte, 0, d.size()+1), d))
	}
	if n := r.h.stats.relayBad.Load(); n > 0 {
		b.Fatalf("got %d entries that cannot be read", n)
	}
}
