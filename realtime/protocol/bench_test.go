package protocol

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vigil"
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
				list, err := Split(msg)
				if err != nil {
					b.Fatal(err)
				}
				for _, raw := range list {
					if _, err := Parse(raw); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkTallyDelta makes the frame of changed counts.
func BenchmarkTallyDelta(b *testing.B) {
	t := vigil.Tally{Signals: 100, Incidents: 3, Open: 2, Severity: 0.6, LastKind: vigil.KindHidden, LastAt: time.UnixMilli(1790000000000)}
	b.ReportAllocs()
	for b.Loop() {
		row := TallyOf(t)
		if f := Encode(SessionDelta{T: TypeSession, Row: Row{ID: "0198a3f2-6f0e-7c41-9a55-3d1f0c7f5b11", Tally: &row}}); len(f) == 0 {
			b.Fatal("no frame")
		}
	}
}

// BenchmarkAck makes the frame that a student gets for a signal that was stored.
func BenchmarkAck(b *testing.B) {
	b.ReportAllocs()
	seqs := []int64{17}
	for b.Loop() {
		kept = AppendAck(make([]byte, 0, 96), "ABCDEFGHIJKLMNOPQRSTUVWXYZ", seqs)
	}
}

// kept keeps what a benchmark makes, as a socket's queue does: else the compiler would
// put it on the stack.
var kept []byte
