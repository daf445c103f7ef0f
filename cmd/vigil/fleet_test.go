package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay/redistest"
	"vigil/storage"
)

// fleet is many servers, each a process of its own, on one DynamoDB Local and one Redis,
// behind a balancer that knows nothing of sessions. Their clocks differ.
type fleet struct {
	*site
	redis   *redistest.Server  // nil where they have a cluster
	cluster *redistest.Cluster // nil where they have one server
	place   string             // of the store, but for its address
	members []*member
	kept    storage.Store
	env     []string
	begun   time.Time

	pupils   []*scholar
	proctors []*watcher
	exam     string
	stop     chan struct{}
	resting  atomic.Bool // the students hold still, so that everything can be compared
	working  sync.WaitGroup
	late     []string // aims that were missed
}

// member is one of the servers, whether it runs or not.
type member struct {
	f             *fleet
	name, offset  string
	listen, admin string
	toRedis       *redistest.Proxy // nil where they have a cluster: its servers name each other
	toStore       *redistest.Proxy
	running       *node
	id            string
	ready         atomic.Bool
}

// clocks are the servers' offsets: up to 9 s between two of them.
var clocks = []string{"0s", "-5s", "4s"}

// newFleet starts the servers on one Redis, or on the cluster.
func newFleet(t *testing.T, cluster *redistest.Cluster) *fleet {
	t.Helper()
	prefix, region, endpoint := dynamoTables(t)
	dynamo := strings.TrimPrefix(endpoint, "http://")
	f := &fleet{cluster: cluster, stop: make(chan struct{}), begun: time.Now()}
	if cluster == nil {
		f.redis = redistest.Start(t)
	}
	f.env = []string{"VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, keyFileSize))}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		f.env = append(f.env, name+"="+os.Getenv(name))
	}
	f.place = "dynamodb:" + prefix + "?region=" + region + "&endpoint=http://"
	f.site = newSiteOn(t, f.place+dynamo)
	var err error
	f.kept, err = storeSettings{Store: f.place + dynamo}.create(t.Context(), func(string) {}, slog.New(slog.DiscardHandler))
	f.ok(err)
	t.Cleanup(func() { f.ok(f.kept.Close()) })
	for i, offset := range clocks {
		m := &member{
			f: f, name: fmt.Sprint("server ", i+1), offset: offset, listen: freeAddress(t), admin: freeAddress(t),
			toStore: redistest.NewProxy(t, dynamo),
		}
		if cluster == nil {
			m.toRedis = redistest.NewProxy(t, f.redis.Address)
		}
		f.members = append(f.members, m)
		m.start()
	}
	f.balance()
	return f
}

// start runs the server until it is ready.
func (m *member) start() {
	f := m.f
	f.Helper()
	path, err := binary()
	f.ok(err)
	place, relay := f.place+m.toStore.Address(), ""
	if f.cluster != nil {
		relay = f.cluster.URL()
	} else {
		relay = m.toRedis.URL()
	}
	n := &node{T: f.T, log: &output{}, done: make(chan struct{}), cmd: exec.Command(path,
		"serve", "--store", place, "--public-url", f.tool, "--listen", m.listen, "--admin-listen", m.admin, "--redis", relay,
		"--drain-time", "2s")}
	n.cmd.Stderr, n.cmd.Env = n.log, append(f.env[:len(f.env):len(f.env)], testClock+"="+m.offset)
	if dir := os.Getenv("VIGIL_TEST_LOGS"); dir != "" { // where the servers' whole logs are kept
		file, err := os.CreateTemp(dir, strings.ReplaceAll(m.name, " ", "-")+"-*.log")
		f.ok(err)
		f.Cleanup(func() { _ = file.Close() })
		n.cmd.Stderr = io.MultiWriter(n.log, file)
	}
	f.ok(n.cmd.Start())
	go func() {
		defer close(n.done)
		_ = n.cmd.Wait() // the exit code says it
		n.code = n.cmd.ProcessState.ExitCode()
	}()
	f.Cleanup(func() {
		n.kill()
		log := n.log.String()
		if f.Failed() {
			f.Logf("%s, %s:\n%s", m.name, m.id, log[max(0, len(log)-6000):])
		}
	})
	m.running = n
	testutil.Until(f.T, m.name+" to be ready", func() bool {
		select {
		case <-n.done:
			f.Fatalf("%s ended with %d:\n%s", m.name, n.code, n.log)
		default:
		}
		return m.look()
	})
	found := regexp.MustCompile(`"serving","node":"([^"]+)"`).FindStringSubmatch(n.log.String())
	if found == nil {
		f.Fatalf("%s does not say who it is:\n%s", m.name, n.log)
	}
	m.id = found[1]
}

// look asks the server whether it is ready, as the balancer does.
func (m *member) look() bool {
	status := 0
	if req, err := http.NewRequest(http.MethodGet, "http://"+m.admin+"/readyz", http.NoBody); err == nil {
		if res, err := plain.Do(req); err == nil {
			status = res.StatusCode
			_ = res.Body.Close()
		}
	}
	m.ready.Store(status == http.StatusOK)
	return status == http.StatusOK
}

// retries is how often the server has tried again to store.
func (m *member) retries() float64 {
	return scrape(m.f.T, "http://"+m.admin+"/metrics")["vigil_store_retries_total"]
}

// balance gives each connection to the next server that is ready.
func (f *fleet) balance() {
	l, err := net.Listen("tcp", f.listen)
	f.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	keep := func(c net.Conn) bool {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			_ = c.Close()
			return false
		}
		conns[c] = true
		return true
	}
	f.Cleanup(func() {
		cancel()
		_ = l.Close()
		mu.Lock()
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	for _, m := range f.members {
		wg.Go(func() {
			for sleepFor(ctx, 200*time.Millisecond) {
				m.look()
			}
		})
	}
	var next atomic.Int64
	dial := func() net.Conn {
		for range 2 * len(f.members) {
			m := f.members[int(next.Add(1))%len(f.members)]
			if !m.ready.Load() {
				continue
			}
			if c, err := net.DialTimeout("tcp", m.listen, time.Second); err == nil {
				return c
			}
		}
		return nil
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !keep(c) {
				return
			}
			wg.Go(func() {
				defer func() {
					_ = c.Close()
					mu.Lock()
					delete(conns, c)
					mu.Unlock()
				}()
				far := dial()
				if far == nil || !keep(far) {
					return
				}
				var both sync.WaitGroup
				for _, pair := range [][2]net.Conn{{far, c}, {c, far}} {
					both.Go(func() {
						_, _ = io.Copy(pair[0], pair[1]) // either end may break off
						_ = pair[0].Close()
						_ = pair[1].Close()
					})
				}
				both.Wait()
				mu.Lock()
				delete(conns, far)
				mu.Unlock()
			})
		}
	})
}

func sleepFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// fill seats students and opens dashboards; the students begin to work.
func (f *fleet) fill(students, proctors int, every time.Duration) {
	f.Helper()
	var e executioner
	e.at.Store(math.MaxInt64)
	begin := time.Now()
	var g errgroup.Group
	g.SetLimit(8)
	f.pupils = make([]*scholar, students)
	for i, u := range f.lms.NewStudents(students) {
		hc := crowdClient()
		p := &scholar{pupil: &pupil{given: map[int64]vigil.Signal{}, acked: map[int64]bool{}}, gate: newGate(hc.Transport)}
		f.pupils[i] = p
		hc.Transport = p.gate
		f.Cleanup(hc.CloseIdleConnections)
		f.Cleanup(p.gate.RoundTripper.(*http.Transport).CloseIdleConnections)
		g.Go(func() error {
			seat, err := takeSeat(f.Context(), f.tool, f.lms, u.ID, hc)
			if err != nil {
				return err
			}
			p.Student, err = seat.Dial(f.Context(), client.Config{
				Page: 1, BackoffFirst: 100 * time.Millisecond, BackoffMost: 2 * time.Second,
				OnFrame: func(t protocol.Type, raw json.RawMessage) {
					var n protocol.Notice
					if t == protocol.TypeNotice && json.Unmarshal(raw, &n) == nil && n.Kind == protocol.NoticeSaving {
						p.saving.Store(!n.Over)
					}
					p.frame(t, raw, &e)
				},
			})
			if err == nil {
				f.Cleanup(p.Close)
			}
			return err
		})
	}
	f.ok(g.Wait())
	f.Logf("%d students seated in %v", students, time.Since(begin).Round(time.Millisecond))
	for range proctors {
		w := &watcher{lost: map[string]int{}, last: map[string]vigil.Connection{}}
		w.Proctor = f.proctor(func(c *client.Config) {
			c.OnFrame = w.frame
			c.BackoffFirst, c.BackoffMost = 100*time.Millisecond, 2*time.Second
		})
		f.proctors = append(f.proctors, w)
	}
	s, err := f.kept.Session(f.Context(), f.pupils[0].Welcome().Session)
	f.ok(err)
	f.exam = s.ExamID
	for i, p := range f.pupils {
		f.working.Go(func() {
			first := time.NewTimer(every * time.Duration(i) / time.Duration(students))
			defer first.Stop()
			tick := time.NewTicker(every)
			defer tick.Stop()
			for n := i; ; n++ {
				select {
				case <-f.stop:
					return
				case <-first.C:
				case <-tick.C:
				}
				if !f.resting.Load() {
					p.give(n)
				}
			}
		})
	}
	f.Cleanup(f.rest)
}

// rest ends the students' work.
func (f *fleet) rest() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.working.Wait()
}

// sessions reads all of the exam from the store.
func (f *fleet) sessions() map[string]vigil.Session {
	f.Helper()
	out := map[string]vigil.Session{}
	for page := (vigil.Page{}); ; {
		list, next, err := f.kept.SessionsOfExam(context.Background(), f.exam, page)
		f.ok(err)
		for _, s := range list {
			out[s.ID] = s
		}
		if next == "" {
			return out
		}
		page.After = next
	}
}

// gaps reads the exam's ledger, by session.
func (f *fleet) gaps() map[string][]vigil.Gap {
	f.Helper()
	out := map[string][]vigil.Gap{}
	for page := (vigil.Page{}); ; {
		list, next, err := f.kept.GapsOfExam(context.Background(), f.exam, page)
		f.ok(err)
		for _, g := range list {
			out[g.SessionID] = append(out[g.SessionID], g)
		}
		if next == "" {
			return out
		}
		page.After = next
	}
}

// on lists the students whose connection is on a server, by the store.
func (f *fleet) on(m *member) []*scholar {
	f.Helper()
	sessions := f.sessions()
	var out []*scholar
	for _, p := range f.pupils {
		if s := sessions[p.Welcome().Session]; s.Presence.Node == m.id && s.Presence.Connection == vigil.ConnOnline {
			out = append(out, p)
		}
	}
	return out
}

// busiest is the server with the most students: one that was started a while ago.
func (f *fleet) busiest() *member {
	f.Helper()
	best, most := f.members[0], -1
	for _, m := range f.members {
		if n := len(f.on(m)); n > most {
			best, most = m, n
		}
	}
	return best
}

// settled waits until every dashboard shows what the store has, and everybody is online.
func (f *fleet) settled(what string) {
	f.Helper()
	f.resting.Store(true)
	defer f.resting.Store(false)
	begin := time.Now()
	why := ""
	end := time.Now().Add(2 * patience)
	for {
		if why = f.disagreement(); why == "" {
			f.Logf("%s: all %d dashboards agree with the store after %v", what, len(f.proctors), time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Now().After(end) {
			f.Fatalf("%s: %s", what, why)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// disagreement is the first thing in which a dashboard differs from the store.
func (f *fleet) disagreement() string {
	sessions, gaps := f.sessions(), f.gaps()
	for id, s := range sessions {
		if s.Presence.Connection != vigil.ConnOnline {
			return fmt.Sprintf("session %s is %s in the store: %+v", id, s.Presence.Connection, s.Presence)
		}
		for _, g := range gaps[id] {
			if g.End.IsZero() {
				return fmt.Sprintf("session %s is online and has an open gap: %+v", id, g)
			}
		}
	}
	for i, w := range f.proctors {
		rows := w.Rows()
		if len(rows) != len(sessions) {
			return fmt.Sprintf("dashboard %d has %d rows of %d", i, len(rows), len(sessions))
		}
		for id, s := range sessions {
			r := rows[id]
			switch {
			case r.Life == nil || r.Conn == nil || r.Tally == nil:
				return fmt.Sprintf("dashboard %d: session %s has no row", i, id)
			case r.Life.Version != s.Version || r.Life.State != s.State:
				return fmt.Sprintf("dashboard %d: session %s: got life %+v, want %s, version %d", i, id, *r.Life, s.State, s.Version)
			case r.Conn.Conn != s.Presence.Connection || r.Conn.Epoch != s.Presence.Epoch || r.Conn.Cause != s.Presence.Cause:
				return fmt.Sprintf("dashboard %d: session %s: got connection %+v, want %+v", i, id, *r.Conn, s.Presence)
			case r.Tally.Signals != s.Tally.Signals || r.Tally.Incidents != s.Tally.Incidents || r.Tally.Open != s.Tally.Open || r.Tally.Unread != s.Tally.Unread:
				return fmt.Sprintf("dashboard %d: session %s: got counts %+v, want %+v", i, id, *r.Tally, s.Tally)
			case len(gaps[id]) > 0 && (r.Lost == nil || r.Lost.Gaps != len(gaps[id])):
				return fmt.Sprintf("dashboard %d: session %s: got lost time %+v, want %d gaps", i, id, r.Lost, len(gaps[id]))
			}
		}
	}
	return ""
}

// reported counts, by session, how often the store has that the student was lost.
func (f *fleet) reported(pupils []*scholar) map[string]int {
	f.Helper()
	out := map[string]int{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(8)
	for _, p := range pupils {
		g.Go(func() error {
			session := p.Welcome().Session
			n := 0
			for _, s := range signalsOf(f.T, f.kept, session) {
				if s.Kind == vigil.KindLost {
					n++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			out[session] = n
			return nil
		})
	}
	f.ok(g.Wait())
	return out
}

// connects notes how often each connected; back waits until each did so again.
func connects(pupils []*scholar) []int {
	out := make([]int, len(pupils))
	for i, p := range pupils {
		out[i] = p.Connects()
	}
	return out
}

func (f *fleet) back(pupils []*scholar, before []int) time.Duration {
	f.Helper()
	begin := time.Now()
	testutil.Until(f.T, "everybody to be back", func() bool {
		for i, p := range pupils {
			if p.Connects() <= before[i] {
				return false
			}
		}
		return true
	})
	return time.Since(begin)
}

// nobodyLost checks that none was reported lost beyond what was before.
func (f *fleet) nobodyLost(what string, before map[string]int) {
	f.Helper()
	for session, n := range f.reported(f.pupils) {
		if n != before[session] {
			f.Errorf("%s: session %s was reported lost %d times, want none", what, session, n-before[session])
		}
	}
	for session, gaps := range f.gaps() {
		for _, g := range gaps {
			if g.Cause != vigil.CauseServer {
				f.Errorf("%s: session %s has a gap by cause %s, want none of the student's", what, session, g.Cause)
			}
		}
	}
}

// gone waits until the others have dealt with a server's end.
func (f *fleet) gone(m *member) {
	f.Helper()
	id := m.id
	testutil.Until(f.T, "the others to have taken over from "+m.name, func() bool {
		nodes, err := f.kept.Nodes(context.Background())
		f.ok(err)
		for _, n := range nodes {
			if n.ID == id {
				return false
			}
		}
		return true
	})
}
