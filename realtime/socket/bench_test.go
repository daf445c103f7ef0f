package socket

import (
	"fmt"
	"testing"

	"vigil"
	"vigil/realtime/internal/wire"
	"vigil/realtime/protocol"
)

// BenchmarkFillMessage puts the frames that wait for a socket into one message.
func BenchmarkFillMessage(b *testing.B) {
	frame := protocol.Encode(protocol.SignalDown{
		T: protocol.TypeSignal, Session: "0198a3f2-6f0e-7c41-9a55-3d1f0c7f5b11", Stream: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Seq: 17,
		Kind: vigil.KindCopy, Severity: 0.1, At: 1790000000000, Recv: 1790000000000, Data: []byte(`{"length":12}`),
	})
	for _, n := range []int{1, 64} {
		items := make([]Item, n)
		for i := range items {
			items[i] = Item{Frame: frame}
		}
		b.Run(fmt.Sprintf("frames=%d", n), func(b *testing.B) {
			buf := make([]byte, 0, wire.MaxHead+protocol.MaxMessage)
			c := &Conn{s: &Server{env: testEnv()}}
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
