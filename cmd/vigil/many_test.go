package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay/redistest"
)

// setting is a number from the environment, for the long variants.
func setting(t *testing.T, name string, standard int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return standard
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// aim holds a time against its aim where that is asked for: a machine that does other
// things may be slower. The faults go on; what was late fails the test in the end.
func (f *fleet) aim(what string, got, aim time.Duration) {
	f.Helper()
	if os.Getenv("VIGIL_TEST_AIMS") != "" && got > aim {
		late := fmt.Sprintf("%s: got %v, aim %v", what, got.Round(time.Millisecond), aim)
		f.Log(late)
		f.late = append(f.late, late)
	}
}

// step is something that happens to many servers.
type step struct {
	name string
	do   func(f *fleet)
}

// TestManyServers puts three servers whose clocks differ by up to 9 s through what may
// happen to them, while students work and proctors watch. After each fault every
// dashboard must show what the store has; in the end every acknowledged signal is stored,
// each once.
func TestManyServers(t *testing.T) {
	f := crowdedFleet(t, nil)
	f.walk([]step{
		{"commands, chat and their progress cross", (*fleet).cross},
		{"a server is killed, its students reconnect at once", (*fleet).killAtOnce},
		{"a server is killed, its students are held back", (*fleet).killHeld},
		{"one server is cut off from Redis", (*fleet).cutOff},
		{"Redis stands still", func(f *fleet) { f.redisAway("frozen", frozen(t), f.redis.Freeze, f.redis.Thaw) }},
		{"Redis is killed and comes back empty", func(f *fleet) { f.redisAway("killed", 0, f.redis.Kill, f.redis.Restart) }},
		{"the store is away", (*fleet).storeAway},
		{"all servers are restarted, one after the other", (*fleet).rolling},
	})
	f.weigh()
}

// TestManyServersOnARedisCluster does what differs where the relay's partitions lie on
// three shards.
func TestManyServersOnARedisCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	cluster := redistest.StartCluster(t)
	each := func(do func(*redistest.Server)) func() {
		return func() {
			for _, s := range cluster.Shards {
				do(s)
			}
		}
	}
	f := crowdedFleet(t, cluster)
	f.walk([]step{
		{"commands, chat and their progress cross", (*fleet).cross},
		{"a server is killed, its students are held back", (*fleet).killHeld},
		{"the cluster stands still", func(f *fleet) {
			f.redisAway("frozen", frozen(t), each((*redistest.Server).Freeze), each((*redistest.Server).Thaw))
		}},
		{"all servers are restarted, one after the other", (*fleet).rolling},
	})
}

// frozen is for how long Redis stands still.
func frozen(t *testing.T) time.Duration {
	return time.Duration(setting(t, "VIGIL_TEST_FROZEN", 8)) * time.Second
}

// crowdedFleet starts the servers and seats their students and proctors.
func crowdedFleet(t *testing.T, cluster *redistest.Cluster) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	students, proctors := setting(t, "VIGIL_TEST_STUDENTS", 24), setting(t, "VIGIL_TEST_PROCTORS", 3)
	f := newFleet(t, cluster)
	f.fill(students, proctors, time.Duration(max(5, students/100))*time.Second)
	f.settled("seated")
	return f
}

// walk takes the steps and counts in the end what was stored. VIGIL_TEST_STEP is a part of
// the names of the only steps to take.
func (f *fleet) walk(steps []step) {
	f.Helper()
	for _, s := range steps {
		if !strings.Contains(s.name, os.Getenv("VIGIL_TEST_STEP")) {
			continue
		}
		begin := time.Now()
		f.Logf("== %s", s.name)
		s.do(f)
		f.settled(s.name)
		f.Logf("-- %v", time.Since(begin).Round(time.Millisecond))
		if f.Failed() {
			f.FailNow()
		}
	}
	f.rest()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	for _, p := range f.pupils {
		f.ok(p.Settled(ctx))
	}
	f.settled("at the end")
	total, low := 0, 0
	for _, p := range f.pupils {
		held := p.stored(f.T, f.kept)
		for seq := range p.given {
			if held[seq] != 1 {
				f.Errorf("session %s: signal %d: got it %d times, want once", p.Welcome().Session, seq, held[seq])
			}
			delete(held, seq)
		}
		if len(held) > 0 {
			f.Errorf("session %s: got signals %v that were never given", p.Welcome().Session, held)
		}
		total += len(p.given)
		low -= p.counted
	}
	f.Logf("%d signals given, each stored once; the kills left %d out of the counts", total, low)
	for _, late := range f.late {
		f.Error(late)
	}
}

// weigh prints what the relay takes in Redis.
func (f *fleet) weigh() {
	f.Helper()
	var bytes, entries int64
	for p := range 8 {
		key := "vigil:{" + strconv.Itoa(p) + "}:relay"
		if n, ok := f.redis.Do("XLEN", key).(int64); ok && n > 0 {
			entries += n
			size, _ := f.redis.Do("MEMORY", "USAGE", key, "SAMPLES", 0).(int64)
			bytes += size
		}
	}
	if entries == 0 {
		f.Error("got nothing in Redis, want what was relayed")
		return
	}
	f.Logf("the relay's streams hold %d entries in %d bytes, %d bytes an entry", entries, bytes, bytes/entries)
}

// cross sends each kind of thing from each dashboard to students on all servers.
func (f *fleet) cross() {
	f.Helper()
	by := map[string]*scholar{} // one student of each server
	for _, m := range f.members {
		if on := f.on(m); len(on) > 0 {
			by[m.name] = on[0]
		}
	}
	if len(by) != len(f.members) {
		f.Fatalf("got students on %d servers, want them on all %d", len(by), len(f.members))
	}
	for i, w := range f.proctors {
		for name, p := range by {
			session := p.Welcome().Session
			begin := time.Now()
			id, _ := w.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Targets: []string{session}, Text: "Hello from a dashboard."})
			for j, other := range f.proctors {
				testutil.Until(f.T, "a message to be seen on every dashboard", func() bool { return other.Progress(id, session).Stage == vigil.StageSeen })
				_ = j
			}
			if i == 0 {
				f.Logf("a message to a student on %s was seen on all dashboards after %v", name, time.Since(begin).Round(time.Millisecond))
			}
		}
	}
	w := f.proctors[0]
	for _, p := range by {
		session := p.Welcome().Session
		line := p.Chat("Is anybody there?")
		for _, other := range f.proctors {
			testutil.Until(f.T, "a student's line on every dashboard", func() bool { return hasLine(other.Lines(), line) })
		}
		answer, _ := w.Chat(session, "Yes.")
		testutil.Until(f.T, "the answer to arrive", func() bool { return hasLine(p.Lines(), answer) })
		w.Seen(session)
		for _, kind := range []vigil.CommandKind{vigil.CommandPause, vigil.CommandResume} {
			id, _ := w.Command(protocol.CommandUp{Kind: kind, Targets: []string{session}})
			for _, other := range f.proctors {
				testutil.Until(f.T, string(kind)+" to be seen on every dashboard", func() bool { return other.Progress(id, session).Stage == vigil.StageSeen })
			}
		}
	}
}

func hasLine(lines []protocol.ChatDown, id string) bool {
	for _, l := range lines {
		if l.ID == id {
			return true
		}
	}
	return false
}

// killAtOnce kills a server whose students may reconnect: none is lost.
func (f *fleet) killAtOnce() {
	f.Helper()
	m := f.busiest()
	victims := f.on(m)
	before, were := f.reported(f.pupils), connects(victims)
	m.running.kill()
	m.ready.Store(false)
	f.Logf("%d students back after %v", len(victims), f.back(victims, were).Round(time.Millisecond))
	f.gone(m)
	m.start()
	f.nobodyLost("killed, back at once", before)
	for _, w := range f.proctors {
		for _, p := range victims {
			if n := w.told(p.Welcome().Session); n != 0 {
				f.Errorf("session %s was shown as lost %d times, want never", p.Welcome().Session, n)
			}
		}
	}
}

// killHeld kills a server whose students cannot reconnect for a while: each is lost once,
// by our fault, and back when it can be.
func (f *fleet) killHeld() {
	f.Helper()
	m := f.busiest()
	victims := f.on(m)
	before, were := f.reported(f.pupils), connects(victims)
	for _, p := range victims {
		p.gate.shut()
	}
	died := time.Now()
	m.running.kill()
	m.ready.Store(false)
	shown := func(w *watcher, c vigil.Connection) bool {
		for _, p := range victims {
			conn := w.Row(p.Welcome().Session).Conn
			if conn == nil || conn.Conn != c || c == vigil.ConnLost && conn.Cause != vigil.CauseServer {
				return false
			}
		}
		return true
	}
	first := time.Duration(0)
	for _, w := range f.proctors {
		testutil.Until(f.T, "every dashboard to show them lost by our fault", func() bool { return shown(w, vigil.ConnLost) })
		if first == 0 {
			first = time.Since(died)
		}
	}
	f.Logf("%d students shown as lost by our fault after %v on one dashboard, %v on all (aim: 8 s)",
		len(victims), first.Round(time.Millisecond), time.Since(died).Round(time.Millisecond))
	f.aim("until they were shown as lost", time.Since(died), 8*time.Second)
	lifted := time.Now()
	for _, p := range victims {
		p.gate.lift()
	}
	back := f.back(victims, were)
	for _, w := range f.proctors {
		testutil.Until(f.T, "every dashboard to show them online", func() bool { return shown(w, vigil.ConnOnline) })
	}
	f.aim("until they were shown as back", time.Since(lifted), 3*time.Second)
	f.Logf("back after %v, shown on all dashboards after %v (aim: 3 s)", back.Round(time.Millisecond), time.Since(lifted).Round(time.Millisecond))
	m.start()
	for _, p := range victims {
		before[p.Welcome().Session]++
	}
	after := map[string]int{}
	testutil.Until(f.T, "the store to have that they were lost", func() bool {
		after = f.reported(f.pupils)
		for session, want := range before {
			if after[session] < want {
				return false
			}
		}
		return true
	})
	for session, n := range after {
		if want := before[session]; n != want {
			f.Errorf("session %s was reported lost %d times, want %d", session, n, want)
		}
	}
	for session, gaps := range f.gaps() {
		for _, g := range gaps {
			if g.Cause != vigil.CauseServer { // that it ends, settled waits for
				f.Errorf("session %s: got gap %+v, want it by cause server", session, g)
			}
		}
	}
}

// cutOff cuts one server off from Redis: the others hear that it is silent.
func (f *fleet) cutOff() {
	f.Helper()
	m := f.busiest()
	f.redisAway("cut off", 0, m.toRedis.Cut, m.toRedis.Heal)
}

// redisAway takes Redis away for a while: everything works on, by the store, and
// dashboards say so.
func (f *fleet) redisAway(how string, least time.Duration, away, back func()) {
	f.Helper()
	before, were := f.reported(f.pupils), connects(f.pupils)
	begin := time.Now()
	away()
	for _, w := range f.proctors {
		testutil.Until(f.T, "every dashboard to say that other servers come late", w.behind)
	}
	f.Logf("all dashboards said so after %v", time.Since(begin).Round(time.Millisecond))
	told := time.Now()
	id, _ := f.proctors[0].Command(protocol.CommandUp{Kind: vigil.CommandWarn, All: true, Text: "Redis is " + how + "."})
	for _, p := range f.pupils {
		testutil.Until(f.T, "every student to get a command without Redis", func() bool {
			for _, c := range p.Commands() {
				if c.ID == id {
					return true
				}
			}
			return false
		})
	}
	f.Logf("a command reached all %d students after %v", len(f.pupils), time.Since(told).Round(time.Millisecond))
	if rest := least - time.Since(begin); rest > 0 {
		time.Sleep(rest) // the fault lasts so long
	}
	back()
	healed := time.Now()
	for _, w := range f.proctors {
		testutil.Until(f.T, "every dashboard to say that it is over", func() bool { return !w.behind() })
	}
	f.Logf("over on all dashboards %v after Redis was back", time.Since(healed).Round(time.Millisecond))
	f.nobodyLost("Redis "+how, before)
	for i, n := range connects(f.pupils) {
		if n != were[i] {
			f.Errorf("session %s connected anew while Redis was %s, want its socket to stay", f.pupils[i].Welcome().Session, how)
		}
	}
}

// storeAway takes the store away from all servers: nothing is acknowledged, the students'
// outboxes hold, and they are told.
func (f *fleet) storeAway() {
	f.Helper()
	lost := f.reported(f.pupils)
	for _, m := range f.members {
		m.toStore.Cut()
	}
	begin := time.Now()
	for _, p := range f.pupils {
		p.give(0)
	}
	for _, p := range f.pupils {
		testutil.Until(f.T, "every student to be told that saving takes longer", p.saving.Load)
	}
	f.Logf("every student was told that saving takes longer after %v", time.Since(begin).Round(time.Millisecond))
	acked := count(f.plain(), func(p *pupil) int { return len(p.acked) })
	for _, p := range f.pupils {
		p.give(1)
	}
	// Each server that has students tries to store once more. They do it at the same time, so that the store is
	// not away for longer than that takes.
	before := map[*member]float64{}
	tries := slices.DeleteFunc(slices.Clone(f.members), func(m *member) bool { return len(f.on(m)) == 0 }) // one that was killed may have none
	for _, m := range tries {
		before[m] = m.retries()
	}
	for _, m := range tries {
		testutil.Until(f.T, m.name+" to try to store again", func() bool { return m.retries() > before[m] })
	}
	if n := count(f.plain(), func(p *pupil) int { return len(p.acked) }); n != acked {
		f.Errorf("%d signals were acknowledged while there was no store", n-acked)
	}
	for _, m := range f.members {
		m.toStore.Heal()
	}
	healed := time.Now()
	for _, p := range f.pupils {
		testutil.Until(f.T, "every student to be told that it is over", func() bool { return !p.saving.Load() })
	}
	f.Logf("over for every student %v after the store was back", time.Since(healed).Round(time.Millisecond))
	f.nobodyLost("the store away", lost)
}

func (f *fleet) plain() []*pupil {
	out := make([]*pupil, len(f.pupils))
	for i, p := range f.pupils {
		out[i] = p.pupil
	}
	return out
}

// sentAway counts how often each was told that the server ends, and when to come back.
func sentAway(pupils []*scholar) []int {
	out := make([]int, len(pupils))
	for i, p := range pupils {
		out[i] = p.Closes()[protocol.CloseDrain]
	}
	return out
}

// rolling restarts one server after the other by SIGTERM.
func (f *fleet) rolling() {
	f.Helper()
	before := f.reported(f.pupils)
	shown := map[*watcher]map[string]int{}
	for _, w := range f.proctors {
		shown[w] = map[string]int{}
		for _, p := range f.pupils {
			shown[w][p.Welcome().Session] = w.told(p.Welcome().Session)
		}
	}
	for _, m := range f.members {
		victims := f.on(m)
		were, sent := connects(victims), sentAway(victims)
		begin := time.Now()
		if code := m.running.end(); code != 0 {
			f.Errorf("%s: got exit code %d after SIGTERM, want 0", m.name, code)
		}
		ended := time.Since(begin)
		f.back(victims, were)
		for i, n := range sentAway(victims) {
			if n != sent[i]+1 {
				f.Errorf("%s: session %s was told %d times to come back, want once", m.name, victims[i].Welcome().Session, n-sent[i])
			}
		}
		f.Logf("%s ended after %v, its %d students were back after %v", m.name, ended.Round(time.Millisecond), len(victims), time.Since(begin).Round(time.Millisecond))
		m.start()
	}
	f.nobodyLost("rolling restart", before)
	for w, was := range shown {
		for session, n := range was {
			if got := w.told(session); got != n {
				f.Errorf("session %s was shown as lost %d times by a rolling restart, want never", session, got-n)
			}
		}
	}
}
