package realtime_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/relay/relaytest"
	"vigil/realtime/socket"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const platformOrigin = "https://lms.example"

// quick are figures of liveness for tests in real time.
var quick = vigil.Liveness{
	PingEvery: time.Second, PongWait: 800 * time.Millisecond,
	NavigateGrace: 400 * time.Millisecond, DropGrace: 250 * time.Millisecond,
}

// calm are figures for tests in which nobody may be lost, however slow the machine is.
var calm = vigil.Liveness{PingEvery: 10 * time.Second, PongWait: 4 * time.Second, NavigateGrace: 5 * time.Second, DropGrace: 5 * time.Second}

// tokens signs and verifies socket tokens that are just random names.
type tokens struct {
	mu    sync.Mutex
	known map[string]vigil.SocketClaims
	life  time.Duration
	fail  error // of Verify
	mint  error // of Mint
	now   func() time.Time
}

func newTokens() *tokens {
	return &tokens{known: map[string]vigil.SocketClaims{}, life: 5 * time.Minute, now: time.Now}
}

func (k *tokens) VerifySocket(_ context.Context, token string) (vigil.SocketClaims, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return vigil.SocketClaims{}, k.fail
	}
	c, ok := k.known[token]
	if !ok {
		return c, vigil.Errorf(vigil.CodeUnauthorized, "This token is not ours.")
	}
	return c, nil
}

func (k *tokens) MintSocket(_ context.Context, c vigil.SocketClaims) (string, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mint != nil {
		return "", time.Time{}, k.mint
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	c.Issued = k.now()
	if c.Expires.IsZero() {
		c.Expires = c.Issued.Add(k.life)
	}
	if !c.Until.IsZero() && c.Until.Before(c.Expires) {
		c.Expires = c.Until
	}
	token := rand.Text()
	k.known[token] = c
	return token, c.Expires, nil
}

// faults is a store whose calls can be made to fail.
type faults struct {
	realtime.Store
	mu   sync.Mutex
	errs map[string]error // by method; "" for all
	seen map[string]int
	held map[string]*hold // of the next call, by method
	next map[string]error // of the next call, by method
	lose map[string]bool  // the answer of the next call, by method
	kept *hold            // of what the next SessionsOfExam has read
}

// failNext makes the next call of a method fail.
func (f *faults) failNext(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = map[string]error{}
	}
	f.next[method] = err
}

// loseNext makes the answer of the next call of a method get lost, where lost is asked for it.
func (f *faults) loseNext(method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lose == nil {
		f.lose = map[string]bool{}
	}
	f.lose[method] = true
}

func (f *faults) lost(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lose[method] {
		return nil
	}
	delete(f.lose, method)
	return errMaybe
}

// hold keeps one call from reaching the store.
type hold struct{ entered, release chan struct{} }

// holdNext makes the next call of a method wait.
func (f *faults) holdNext(method string) *hold {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &hold{make(chan struct{}), make(chan struct{})}
	if f.held == nil {
		f.held = map[string]*hold{}
	}
	f.held[method] = h
	return h
}

// keepNext makes what the next call of SessionsOfExam reads wait.
func (f *faults) keepNext() *hold {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = &hold{make(chan struct{}), make(chan struct{})}
	return f.kept
}

func (f *faults) set(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs[method] = err
}

func (f *faults) calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[method]
}

func (f *faults) check(method string) error { // "" fails every method below
	f.mu.Lock()
	held := f.held[method]
	delete(f.held, method)
	f.mu.Unlock()
	if held != nil {
		close(held.entered)
		<-held.release
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[method]++
	if err := f.next[method]; err != nil {
		delete(f.next, method)
		return err
	}
	if err := f.errs[method]; err != nil {
		return err
	}
	return f.errs[""]
}

func (f *faults) Session(ctx context.Context, id string) (vigil.Session, error) {
	if err := f.check("Session"); err != nil {
		return vigil.Session{}, err
	}
	return f.Store.Session(ctx, id)
}

func (f *faults) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	if err := f.check("Exam"); err != nil {
		return vigil.Exam{}, err
	}
	return f.Store.Exam(ctx, id)
}

func (f *faults) SessionsOfExam(ctx context.Context, id string, page vigil.Page) ([]vigil.Session, string, error) {
	if err := f.check("SessionsOfExam"); err != nil {
		return nil, "", err
	}
	list, next, err := f.Store.SessionsOfExam(ctx, id, page)
	f.mu.Lock()
	kept := f.kept
	f.kept = nil
	f.mu.Unlock()
	if kept != nil {
		close(kept.entered)
		<-kept.release
	}
	return list, next, err
}

func (f *faults) Transition(ctx context.Context, t vigil.Transition) error {
	if err := f.check("Transition"); err != nil {
		return err
	}
	return f.Store.Transition(ctx, t)
}

func (f *faults) Command(ctx context.Context, session, id string) (vigil.Command, error) {
	if err := f.check("Command"); err != nil {
		return vigil.Command{}, err
	}
	return f.Store.Command(ctx, session, id)
}

func (f *faults) StreamState(ctx context.Context, session, stream string) (count, highest int64, err error) {
	if err := f.check("StreamState"); err != nil {
		return 0, 0, err
	}
	return f.Store.StreamState(ctx, session, stream)
}

func (f *faults) NextEpoch(ctx context.Context, id string) (int64, error) {
	if err := f.check("NextEpoch"); err != nil {
		return 0, err
	}
	return f.Store.NextEpoch(ctx, id)
}

func (f *faults) SetPresence(ctx context.Context, id string, p vigil.Presence) error {
	if err := f.check("SetPresence"); err != nil {
		return err
	}
	return f.Store.SetPresence(ctx, id, p)
}

func (f *faults) LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error) {
	if err := f.check("LeaseDue"); err != nil {
		return nil, err
	}
	return f.Store.LeaseDue(ctx, now, until, n)
}

func (f *faults) RenewNode(ctx context.Context, n vigil.Node) error {
	if err := f.check("RenewNode"); err != nil {
		return err
	}
	return f.Store.RenewNode(ctx, n)
}

func (f *faults) Nodes(ctx context.Context) ([]vigil.Node, error) {
	if err := f.check("Nodes"); err != nil {
		return nil, err
	}
	return f.Store.Nodes(ctx)
}

func (f *faults) AppendSignals(ctx context.Context, s []vigil.Signal) ([]vigil.Appended, error) {
	if err := f.check("AppendSignals"); err != nil {
		return nil, err
	}
	out, err := f.Store.AppendSignals(ctx, s)
	return out, errors.Join(err, f.lost("AppendSignals"))
}

func (f *faults) AddChat(ctx context.Context, l vigil.ChatLine) error {
	if err := f.check("AddChat"); err != nil {
		return err
	}
	return errors.Join(f.Store.AddChat(ctx, l), f.lost("AddChat"))
}

func (f *faults) ChatOfSession(ctx context.Context, id string, page vigil.Page) ([]vigil.ChatLine, string, error) {
	if err := f.check("ChatOfSession"); err != nil {
		return nil, "", err
	}
	return f.Store.ChatOfSession(ctx, id, page)
}

func (f *faults) GapsOfSession(ctx context.Context, id string) ([]vigil.Gap, error) {
	if err := f.check("GapsOfSession"); err != nil {
		return nil, err
	}
	return f.Store.GapsOfSession(ctx, id)
}

func (f *faults) SetHand(ctx context.Context, id string, at time.Time) error {
	if err := f.check("SetHand"); err != nil {
		return err
	}
	return errors.Join(f.Store.SetHand(ctx, id, at), f.lost("SetHand"))
}

func (f *faults) ReadChat(ctx context.Context, id string) error {
	return errors.Join(f.Store.ReadChat(ctx, id), f.lost("ReadChat"))
}

func (f *faults) UpdateIncident(ctx context.Context, i vigil.Incident) error {
	return errors.Join(f.Store.UpdateIncident(ctx, i), f.lost("UpdateIncident"))
}

func (f *faults) UpdateCommand(ctx context.Context, c vigil.Command) error {
	if err := f.check("UpdateCommand"); err != nil {
		return err
	}
	return errors.Join(f.Store.UpdateCommand(ctx, c), f.lost("UpdateCommand"))
}

func (f *faults) SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error {
	if err := f.check("SaveDelivery"); err != nil {
		return err
	}
	return f.Store.SaveDelivery(ctx, d, owner)
}

func (f *faults) Access(ctx context.Context, exam, user string) (vigil.Access, error) {
	if err := f.check("Access"); err != nil {
		return vigil.Access{}, err
	}
	return f.Store.Access(ctx, exam, user)
}

func (f *faults) AccessOfExam(ctx context.Context, exam string, page vigil.Page) ([]vigil.Access, string, error) {
	if err := f.check("AccessOfExam"); err != nil {
		return nil, "", err
	}
	return f.Store.AccessOfExam(ctx, exam, page)
}

// rig is a hub on a real store behind a real server.
type rig struct {
	testing.TB
	db     *sqlite.Store
	store  *faults
	tokens *tokens
	hub    *realtime.Hub
	server *httptest.Server
	base   atomic.Value // the server's URL; clients ask for it while the test restarts the server
	exam   vigil.Exam
	cfg    realtime.Config
	ctx    context.Context
	path   string
}

func newRig(t testing.TB, edits ...func(c *realtime.Config)) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigil.db")
	ctx, cancel := context.WithTimeout(context.Background(), 3*testutil.Patience)
	t.Cleanup(cancel)
	sqlitetest.Create(t, path)
	r := &rig{TB: t, ctx: ctx, path: path, tokens: newTokens()}
	r.openStore()
	r.exam = vigil.Exam{
		ID: uuid.NewString(), Title: "Quiz", Issuer: platformOrigin, ContextID: "course-1", Course: "Course",
		Policy: vigil.DefaultPolicy(), Created: time.Now(), Version: 1,
	}
	r.ok(r.db.CreateExam(ctx, r.exam))
	r.start(edits...)
	t.Cleanup(func() { r.stop(); r.ok(r.db.Close()) })
	return r
}

func (r *rig) openStore() {
	r.Helper()
	db, err := sqlite.Open(r.ctx, sqlite.Config{Path: r.path, Logger: slog.New(slog.DiscardHandler)})
	r.ok(err)
	r.db = db
	r.store = &faults{Store: db, errs: map[string]error{}, seen: map[string]int{}}
}

// start makes a hub and its server; after stop it stands for the next process.
func (r *rig) start(edits ...func(c *realtime.Config)) {
	r.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("VIGIL_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	mux := http.NewServeMux()
	r.server = httptest.NewServer(mux)
	r.base.Store(r.server.URL)
	r.cfg = realtime.Config{
		Store: r.store, Verifier: r.tokens, Signer: r.tokens, Origin: r.server.URL, Liveness: quick, Log: log,
		AllowOrigin: func(_ context.Context, o string) (bool, error) { return o == platformOrigin, nil },
		Address: func(q *http.Request) string {
			if a := q.Header.Get("X-Test-Address"); a != "" {
				return a
			}
			return "192.0.2.1"
		},
		RowsEvery: 10 * time.Millisecond, PulseEvery: 100 * time.Millisecond, DrainSpread: 200 * time.Millisecond,
		NodeEvery: 50 * time.Millisecond, QueueEvery: 20 * time.Millisecond,
		RetryFirst: 5 * time.Millisecond, RetryMost: 20 * time.Millisecond, HoleWait: 300 * time.Millisecond,
	}
	for _, edit := range edits {
		edit(&r.cfg)
	}
	hub, err := realtime.New(r.cfg)
	r.ok(err)
	r.hub = hub
	r.ok(hub.Recover(r.ctx))
	mux.Handle("/socket", hub)
}

// stop ends the hub at once, as a crash would, but for what runs in this process.
func (r *rig) stop() {
	r.hub.Close()
	r.server.Close()
	http.DefaultClient.CloseIdleConnections()
}

func (r *rig) ok(err error) {
	r.Helper()
	testutil.OK(r.TB, err)
}

func (r *rig) url() string {
	return "ws" + strings.TrimPrefix(r.base.Load().(string), "http") + "/socket"
}

// session stores one whose attempt is active and ends in an hour.
func (r *rig) session(edits ...func(s *vigil.Session)) vigil.Session {
	r.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	s := vigil.Session{
		ID: uuid.NewString(), ExamID: r.exam.ID, UserID: "user-" + rand.Text(), Name: "Student", Attempt: 1, Generation: 1,
		PlatformID: "platform-1", State: vigil.StateActive, Version: 1, Created: now.Add(-time.Hour), Changed: now, Started: now,
		End: now.Add(time.Hour), EndSeen: now, Presence: vigil.Presence{Connection: vigil.ConnNever},
	}
	for _, edit := range edits {
		edit(&s)
	}
	r.ok(r.db.CreateSession(r.ctx, s))
	return s
}

func studentClaims(s vigil.Session) vigil.SocketClaims {
	return vigil.SocketClaims{Subject: socket.Subject("platform-1", s.UserID), Session: s.ID, Role: vigil.RoleStudent}
}

func (r *rig) proctorClaims() vigil.SocketClaims {
	return vigil.SocketClaims{Subject: "platform-1|teacher", Exam: r.exam.ID, Role: vigil.RoleProctor, Name: "Teacher"}
}

func (r *rig) mint(c vigil.SocketClaims) string {
	r.Helper()
	token, _, err := r.tokens.MintSocket(r.ctx, c)
	r.ok(err)
	return token
}

func (r *rig) config(c vigil.SocketClaims) client.Config {
	return client.Config{
		Origin: platformOrigin, BackoffFirst: 5 * time.Millisecond, BackoffMost: 50 * time.Millisecond,
		TokenSource: func(ctx context.Context) (client.Token, error) {
			token, _, err := r.tokens.MintSocket(ctx, c)
			return client.Token{Token: token, URL: r.url(), Session: c.Session}, err
		},
	}
}

// student connects one; it is closed with the test.
func (r *rig) student(s vigil.Session, edits ...func(c *client.Config)) *client.Student {
	r.Helper()
	cfg := r.config(studentClaims(s))
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := client.Dial(r.ctx, cfg)
	r.ok(err)
	r.Cleanup(c.Close)
	return c
}

// proctor connects one, and waits for its first snapshot.
func (r *rig) proctor(edits ...func(c *client.Config)) *client.Proctor {
	r.Helper()
	cfg := r.config(r.proctorClaims())
	for _, edit := range edits {
		edit(&cfg)
	}
	p, err := client.Watch(r.ctx, cfg)
	r.ok(err)
	r.Cleanup(p.Close)
	r.until("snapshot", func() bool { return p.Snapshots() > 0 })
	return p
}

// until polls for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	testutil.Until(r.TB, what, ok)
}

// stored reads all signals of a session.
func (r *rig) stored(session string) []vigil.Signal {
	r.Helper()
	var out []vigil.Signal
	for page := (vigil.Page{}); ; {
		s, next, err := r.db.SignalsOfSession(r.ctx, session, page)
		r.ok(err)
		out = append(out, s...)
		if next == "" {
			return out
		}
		page.After = next
	}
}

func (r *rig) kinds(session string) map[vigil.Kind]int {
	r.Helper()
	out := map[vigil.Kind]int{}
	for _, s := range r.stored(session) {
		out[s.Kind]++
	}
	return out
}

func (r *rig) read(session string) vigil.Session {
	r.Helper()
	s, err := r.db.Session(r.ctx, session)
	r.ok(err)
	return s
}

func (r *rig) gaps(session string) []vigil.Gap {
	r.Helper()
	g, err := r.db.GapsOfSession(r.ctx, session)
	r.ok(err)
	return g
}

var errDown = vigil.Errorf(vigil.CodeUnavailable, "down")

// stoppedWith tells whether a client ended by a close code.
func stoppedWith(err error, code int) bool {
	var s *client.Stopped
	return errors.As(err, &s) && int(s.Code) == code
}

func name(i int) string { return fmt.Sprintf("n%02d-%s", i, rand.Text()) }

// another is a further server on the rig's database.
func (r *rig) another(edits ...func(c *realtime.Config)) *rig {
	r.Helper()
	second := &rig{TB: r.TB, ctx: r.ctx, db: r.db, tokens: r.tokens, exam: r.exam, path: r.path}
	second.store = &faults{Store: r.db, errs: map[string]error{}, seen: map[string]int{}}
	second.start(edits...)
	r.Cleanup(second.stop)
	return second
}

// silent is a server whose relay reaches nobody.
func silent(node string) func(c *realtime.Config) {
	return func(c *realtime.Config) {
		c.Relay, c.Shared, c.Node, c.NodeLease = relaytest.NewLocal(0).Node(), true, node, time.Minute
	}
}

// leave says goodbye to turn a page.
func (r *rig) leave(s vigil.Session, w *wire) {
	r.Helper()
	w.write(`{"t":"bye","reason":"navigating"}`)
	r.until("away", func() bool { return r.read(s.ID).Presence.Connection != vigil.ConnOnline })
	_ = w.ws.CloseNow()
}

// comes opens a page.
func (r *rig) comes(s vigil.Session) *wire {
	r.Helper()
	w := r.wire(studentClaims(s))
	w.write(hello)
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	return w
}
