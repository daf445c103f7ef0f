package realtime_test

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

// guestClaims are those of a page of ours beside a quiz page with the monitor.
func guestClaims(s vigil.Session, g vigil.Guest) vigil.SocketClaims {
	c := studentClaims(s)
	c.Guest = g
	return c
}

// tested opens a socket that does what the check-in's system check does, and leaves as it does.
func (r *rig) tested(c vigil.SocketClaims, headers ...string) {
	r.Helper()
	w := r.wire(c, headers...)
	for range 4 {
		w.write(`{"t":"time","at":1}`)
		var tm protocol.Time
		w.next(protocol.TypeTime, &tm)
	}
	w.write(`{"t":"bye","reason":"closing"}`)
	_ = w.ws.CloseNow()
}

func TestASocketThatOnlyTestsNeverOwnsTheSession(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		test func(r *rig, s vigil.Session)
	}{
		{"a probe of the check-in", func(r *rig, s vigil.Session) { r.tested(guestClaims(s, vigil.GuestSame)) }},
		{"a probe of before an update", func(r *rig, s vigil.Session) { r.tested(studentClaims(s)) }},
		{"a check-in that says hello", func(r *rig, s vigil.Session) {
			w := r.wire(guestClaims(s, vigil.GuestSame))
			w.write(hello)
			var welcome protocol.Welcome
			w.next(protocol.TypeWelcome, &welcome)
			if welcome.State != vigil.StateActive {
				r.Errorf("state: got %s, want active", welcome.State)
			}
			w.write(`{"t":"signal","seq":1,"kind":"hand_raised","at":1}`)
			var e protocol.Error
			w.next(protocol.TypeError, &e)
		}},
		{"one that says nothing", func(r *rig, s vigil.Session) { r.wire(studentClaims(s)) }},
		{"more of them than there may be", func(r *rig, s vigil.Session) {
			for range 6 {
				r.wire(guestClaims(s, vigil.GuestSame))
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *realtime.Config) {
				c.TrialWait = 20 * time.Millisecond
				c.Liveness = quick
				c.Liveness.PingEvery, c.Liveness.PongWait = 100*time.Millisecond, 80*time.Millisecond
			})
			// Beside somebody who works it changes nothing.
			s := r.session(proctored)
			w := r.comes(s)
			epoch := r.read(s.ID).Presence.Epoch
			row.test(r, s)
			time.Sleep(10 * quick.PongWait / 8)
			if p := r.read(s.ID).Presence; p.Connection != vigil.ConnOnline || p.Epoch != epoch {
				t.Errorf("beside somebody who works: got %s of epoch %d, want online of %d", p.Connection, p.Epoch, epoch)
			}
			w.write(`{"t":"time","at":1}`)
			var tm protocol.Time
			w.next(protocol.TypeTime, &tm)
			// In the place of somebody who left it is no return.
			r.leave(s, w)
			row.test(r, s)
			r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
			r.until("gap", func() bool { g := r.gaps(s.ID); return len(g) == 1 && g[0].End.IsZero() })
			if k := r.kinds(s.ID); k[vigil.KindReconnected] != 0 || k[vigil.KindSecondSession] != 0 {
				t.Errorf("kinds: got %v, want no return and no second device", k)
			}
			r.comes(s)
			r.until("gap ended", func() bool { g := r.gaps(s.ID); return !g[0].End.IsZero() })
		})
	}
}

func TestWhoSaysHelloLateOnAnotherServerKeepsTheTimeThatWasWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t, silent("one"))
	second := r.another(silent("two"), func(c *realtime.Config) { c.TrialWait = 300 * time.Millisecond })
	s := r.session()
	r.comes(s)
	r.until("watched", func() bool { return !r.read(s.ID).Presence.Reports.IsZero() })
	from := r.read(s.ID).Presence.Reports
	late := second.wire(studentClaims(s))
	var welcome protocol.Welcome
	late.next(protocol.TypeWelcome, &welcome) // of a socket that only tests
	moved := time.Now()
	late.write(hello)
	r.until("moved", func() bool { return r.read(s.ID).Presence.Node == "two" })
	if got, want := r.read(s.ID).WatchedFor(time.Now()), moved.Sub(from).Truncate(time.Millisecond); got < want {
		t.Errorf("got %v watched, want %v or more", got, want)
	}
}

func TestWhoOnlyTestsReadsAndReceivesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored)
	p := r.proctor()
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Targets: []string{s.ID}, Text: "Hello"})
	r.until("queued", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageQueued })
	w := r.wire(guestClaims(s, vigil.GuestSame))
	w.write(`{"t":"time","at":1}`)
	var welcome protocol.Welcome
	w.next(protocol.TypeWelcome, &welcome)
	if len(welcome.Commands) != 0 || welcome.Epoch != 0 {
		t.Errorf("welcome: got %+v, want no command and no epoch", welcome)
	}
	if c, err := r.db.Command(r.ctx, s.ID, id); err != nil || c.Stage != vigil.StageQueued {
		t.Errorf("stage: got %s, %v, want queued: nobody has seen it", c.Stage, err)
	}
	q := r.wire(studentClaims(s))
	q.write(hello)
	q.next(protocol.TypeWelcome, &welcome)
	if len(welcome.Commands) != 1 {
		t.Errorf("commands: got %d, want the message", len(welcome.Commands))
	}
	r.until("delivered", func() bool {
		c, err := r.db.Command(r.ctx, s.ID, id)
		return err == nil && c.Stage == vigil.StageDelivered
	})
}

func TestAHelloThatComesAfterTheTrialWelcomeIsWelcomedAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.TrialWait = 10 * time.Millisecond })
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	var welcome protocol.Welcome
	w.next(protocol.TypeWelcome, &welcome) // as a client wants it that waits for that
	w.write(hello)
	w.next(protocol.TypeWelcome, &welcome)
	if welcome.Epoch == 0 {
		t.Error("the second welcome names no epoch")
	}
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
}

func TestAnotherDeviceIsASecondSessionThoughItSaysNoHello(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		guest   vigil.Guest
		address string
		browser string
		want    int
	}{
		{"the check-in in another browser, by its visit", vigil.GuestOther, "192.0.2.1", "first", 1},
		{"a page of the platform's on a phone", "", "192.0.2.9", "phone", 1},
		{"another browser on the same computer", "", "192.0.2.1", "other", 1},
		{"a check-in of which nothing is known, on a phone", vigil.GuestUnknown, "192.0.2.9", "phone", 1},
		{"a second tab", "", "192.0.2.1", "first", 0},
		{"a second tab over another address", "", "192.0.2.9", "first", 0},
		{"the check-in in the same browser", vigil.GuestSame, "192.0.2.1", "first", 0},
		{"the check-in in the same browser, as a desktop site", vigil.GuestSame, "192.0.2.1", "desktop", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *realtime.Config) {
				c.TrialWait = 20 * time.Millisecond
				c.Liveness.PingEvery, c.Liveness.PongWait = 100*time.Millisecond, 80*time.Millisecond
				c.Liveness.NavigateGrace, c.Liveness.DropGrace = 5*time.Second, 5*time.Second
			})
			s := r.session(proctored)
			w := r.wire(studentClaims(s), "User-Agent", "first")
			w.write(hello)
			r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
			for range 2 { // twice is as once
				r.tested(guestClaims(s, row.guest), "X-Test-Address", row.address, "User-Agent", row.browser)
				w.write(`{"t":"time","at":1}`)
				var tm protocol.Time
				w.next(protocol.TypeTime, &tm)
			}
			if row.want > 0 {
				r.until("second session", func() bool { return r.kinds(s.ID)[vigil.KindSecondSession] > 0 })
			}
			time.Sleep(300 * time.Millisecond)
			if k := r.kinds(s.ID); k[vigil.KindSecondSession] != row.want || k[vigil.KindAddress]+k[vigil.KindAddressBrowser] != 0 {
				t.Errorf("kinds: got %v, want %d second sessions and nothing else of it", k, row.want)
			}
		})
	}
}

func TestAPhoneAfterTheComputerHasDiedIsNoSecondSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = calm })
	s := r.session(proctored)
	w := r.wire(studentClaims(s), "User-Agent", "laptop")
	w.write(`{"t":"hello","stream":"aaaaaaaaaaaaaaaaaaaa","next":1}`)
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	// It is silent from here on, though nobody knows yet. The phone checks in.
	phone := []string{"X-Test-Address", "192.0.2.9", "User-Agent", "phone"}
	r.tested(guestClaims(s, vigil.GuestOther), phone...)
	_ = w.ws.CloseNow()
	r.until("away", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnDegraded })
	q := r.wire(studentClaims(s), phone...)
	q.write(`{"t":"hello","stream":"bbbbbbbbbbbbbbbbbbbb","next":1}`)
	q.write(`{"t":"time","at":1}`)
	var tm protocol.Time
	q.next(protocol.TypeTime, &tm)
	r.until("back", func() bool { return r.kinds(s.ID)[vigil.KindAddressBrowser] == 1 })
	time.Sleep(100 * time.Millisecond)
	if k := r.kinds(s.ID); k[vigil.KindSecondSession] != 0 {
		t.Errorf("kinds: got %v, want no second session", k)
	}
}

func TestAPageOfOursIsLetGoOfWhenTheAttemptBegins(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored, func(s *vigil.Session) { s.State, s.Started, s.End = vigil.StateAuthorized, time.Time{}, time.Time{} })
	w := r.wire(guestClaims(s, vigil.GuestSame))
	w.write(hello)
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: vigil.EventActivate, By: vigil.Actor{Role: vigil.RoleLMS}})
	r.ok(err)
	r.until("closed", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnClosed })
	r.comes(s)
}

func TestAnotherDeviceAtAnotherNodeIsASecondSession(t *testing.T) {
	t.Parallel()
	local := relaytest.NewLocal(0)
	on := func(node string) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = local.Node(), true, node, time.Minute, calm
			c.Liveness.PingEvery, c.Liveness.PongWait = 100*time.Millisecond, 80*time.Millisecond
		}
	}
	r := newRig(t, on("one"))
	second := r.another(on("two"))
	s := r.session(proctored)
	r.comes(s)
	second.tested(guestClaims(s, vigil.GuestOther), "User-Agent", "phone")
	r.until("second session", func() bool { return r.kinds(s.ID)[vigil.KindSecondSession] == 1 })
	if p := r.read(s.ID).Presence; p.Connection != vigil.ConnOnline || p.Node != "one" {
		t.Errorf("presence: got %+v, want online at the first node", p)
	}
}
