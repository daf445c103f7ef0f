package realtime_test

import (
	"context"
	"fmt"
	"testing"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// quiet is a store that keeps nothing of signals, so that a benchmark measures the hub.
type quietStore struct{ realtime.Store }

func (quietStore) AppendSignals(_ context.Context, s []vigil.Signal) ([]vigil.Appended, error) {
	return make([]vigil.Appended, len(s)), nil
}

// BenchmarkSignal is one signal from a student's socket to a proctor's and its
// acknowledgement, over real sockets; the client's work and allocations count, too.
func BenchmarkSignal(b *testing.B) {
	for _, students := range []int{1, 50} {
		b.Run(fmt.Sprintf("students=%d", students), func(b *testing.B) {
			r := newRig(b, func(c *realtime.Config) {
				c.Store, c.Liveness = quietStore{c.Store}, vigil.DefaultLiveness()
				c.Rates = map[protocol.Type]socket.Rate{protocol.TypeSignal: {Burst: 1 << 30, PerSecond: 1 << 30}}
			})
			for range 10 {
				cfg := r.config(r.proctorClaims())
				p, err := client.Watch(r.ctx, cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
			}
			list := make([]*client.Student, students)
			for i := range list {
				s, err := client.Dial(r.ctx, r.config(studentClaims(r.session())))
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				list[i] = s
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				s := list[i%students]
				s.Signal(vigil.KindCopy, 0, nil)
				if i%students == students-1 {
					for _, s := range list {
						if err := s.Settled(r.ctx); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// BenchmarkConnect opens and ends a student's socket; the store is real.
func BenchmarkConnect(b *testing.B) {
	r := newRig(b, func(c *realtime.Config) { c.Liveness = vigil.DefaultLiveness() })
	cfg := r.config(studentClaims(r.session()))
	b.ReportAllocs()
	for b.Loop() {
		s, err := client.Dial(r.ctx, cfg)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkSnapshot2000 opens the dashboard of an exam of 2,000 until its rows are there;
// the client's reading of them counts, too.
func BenchmarkSnapshot2000(b *testing.B) {
	r := newRig(b, func(c *realtime.Config) { c.Liveness = vigil.DefaultLiveness() })
	for range 2000 {
		r.session()
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := client.Watch(r.ctx, r.config(r.proctorClaims()))
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Wait(r.ctx, func(p *client.Proctor) bool { return p.Snapshots() > 0 }); err != nil {
			b.Fatal(err)
		}
		if n := len(p.Rows()); n != 2000 {
			b.Fatalf("got %d rows, want 2000", n)
		}
		p.Close()
	}
}
