package realtime

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
)

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
		if d := dashboard.SignalDelta(s); len(d.Frame) == 0 {
			b.Fatal("no frame")
		}
	}
}

// BenchmarkRelayed is a signal on its way to other nodes: encoded here, read there.
func BenchmarkRelayed(b *testing.B) {
	d := dashboard.SignalDelta(benchSignal())
	h := &Hub{}
	r := &room{Board: dashboard.NewBoard(&dashboard.Env{}, vigil.Exam{ID: "exam"}), n: &h.node, exam: "exam"}
	to := receiver{h, r}
	b.ReportAllocs()
	for b.Loop() {
		to.Receive(dashboard.AppendDelta(make([]byte, 0, 512), d))
	}
	if n := h.stats.relayBad.Load(); n > 0 {
		b.Fatalf("got %d entries that cannot be read", n)
	}
}
