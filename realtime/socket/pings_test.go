package socket

import (
	"math/rand/v2"
	"testing"
	"time"

	"vigil"
)

// TestNobodyIsJudgedEarlyAfterTheMachineStoodStill: the ring moves by as long as that was.
func TestNobodyIsJudgedEarlyAfterTheMachineStoodStill(t *testing.T) {
	t.Parallel()
	live := vigil.Liveness{PingEvery: 10 * time.Second, PongWait: 4 * time.Second}
	now := time.Now()
	s := &Server{flusher: &flusher{}, env: testEnv()}
	s.env.Liveness, s.env.Now = live, func() time.Time { return now }
	b := newPinger(live.PingEvery, live.PongWait, rand.Int64N)
	s.pinger = b
	p := &beaten{}
	c := &Conn{s: s, net: &fakeLine{}, peer: p}
	c.claims.Store(&vigil.SocketClaims{Expires: now.Add(time.Hour)})
	b.add(c)
	b.began = now
	for step := 0; !c.awaiting; step++ {
		if step > 500 {
			t.Fatal("never pinged")
		}
		now = now.Add(b.grain)
		b.turn(now)
	}
	pinged := now
	now = now.Add(time.Minute) // nothing runs
	b.turn(now)
	if p.misses != 0 {
		t.Fatal("judged as soon as the machine went on")
	}
	woke := now
	for p.misses == 0 {
		now = now.Add(b.grain)
		b.turn(now)
		if now.Sub(woke) > live.PongWait+4*b.grain {
			t.Fatal("never judged")
		}
	}
	if got := now.Sub(woke); got < live.PongWait-4*b.grain {
		t.Errorf("judged %v after it went on, and %v after the ping, want about %v", got, now.Sub(pinged), live.PongWait)
	}
}

// beaten counts what is missed.
type beaten struct {
	Peer
	misses int
}

func (b *beaten) Missed(time.Time, int) { b.misses++ }
func (*beaten) Due(time.Time)           {}
func (*beaten) Idle()                   {}
