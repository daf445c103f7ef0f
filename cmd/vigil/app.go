package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"vigil"
	"vigil/cmd/internal/metrics"
	"vigil/cmd/internal/tracing"
	"vigil/lti"
	"vigil/realtime"
	"vigil/realtime/relay/redisrelay"
	"vigil/realtime/session"
	"vigil/storage"
	"vigil/storage/auditlog"
	"vigil/storage/observed"
	"vigil/storage/sqlite"
	"vigil/web"
)

// app is a running server: the wired parts and what ends them.
type app struct {
	settings serverSettings
	store    storage.Store
	audits   *auditlog.Log
	metrics  *metrics.Metrics
	tracing  *tracing.Tracing // nil: nothing is traced
	tool     *lti.Tool
	relay    *redisrelay.Relay // nil: there is one server
	hub      *realtime.Hub
	web      *web.Server
	probe    *probe
	node     string // this process's id
	log      *slog.Logger
	now      func() time.Time

	platforms *directory

	outdated atomic.Pointer[error] // why this program may not work with the store any more

	retention *retention
	removes   bool // appOptions.removes
}

// appOptions are what serve and the demo do differently.
type appOptions struct {
	keepOtherUsersSignedIn bool
	oneHost                bool // the store serves servers of one host only
	removes                bool // the store removes what has expired by itself, so that nothing can be counted here
}

// newApp wires the parts. Nothing listens yet.
func newApp(ctx context.Context, s serverSettings, store storage.Store, sealer lti.Sealer, log *slog.Logger, opt appOptions) (_ *app, err error) {
	proxies, err := s.proxies()
	if err != nil {
		return nil, err
	}
	now, err := clock()
	if err != nil {
		return nil, err
	}
	a := &app{settings: s, metrics: metrics.New(build()), log: log, now: now, removes: opt.removes, node: uuid.NewString()}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.tracing, err = tracing.FromEnvironment(ctx, a.node, version, log); err != nil {
		return nil, err
	}
	store = a.measured(store)
	a.store = store
	a.tool, err = lti.New(lti.Config{
		PublicURL: s.PublicURL, Store: store, Sealer: sealer, Log: log, Now: now,
		OnError: func(w http.ResponseWriter, r *http.Request, e *lti.LaunchError) {
			a.metrics.LaunchRefused(e)
			a.web.LaunchRefused(w, r, e)
		},
		Transport: a.transport(),
	})
	if err != nil {
		return nil, err
	}
	if err := a.tool.Keys().Ensure(ctx); err != nil {
		return nil, err
	}
	a.audits = auditlog.New(auditlog.Config{Store: store, Signer: a.tool.Keys(), Chain: a.node, Log: log})
	audited := auditedStore{store, a.audits}
	a.retention = &retention{store: audited, now: now, log: log}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	if a.relay, err = s.relay(a.node, log, a.metrics.RelayLag); err != nil {
		return nil, err
	}
	active := &directory{store: store, now: now}
	a.platforms = active
	a.hub, err = realtime.New(realtime.Config{
		Store: audited, Verifier: a.tool, Signer: a.tool,
		Controller:  controller{a.tool, store, log},
		Observer:    a.metrics,
		Tracer:      a.tracer(),
		Pages:       pageStamps{a.tool},
		Receipts:    receipts{a.tool},
		Origin:      a.tool.Origin(),
		AllowOrigin: active.allowOrigin,
		Allow:       active.allow,
		Address:     clientAddress,
		Relay:       forHub(a.relay), Node: a.node, Shared: a.relay != nil, OneHost: opt.oneHost,
		Host: host, Now: now, Log: log, Liveness: s.liveness(), DrainSpread: s.DrainTime,
		AliveEvery: s.AliveEvery, AliveWait: min(15*time.Second, s.AliveEvery/4),
	})
	if err != nil {
		return nil, err
	}
	a.web, err = web.New(web.Config{
		Tool: a.tool, Hub: a.hub, Sessions: a.hub.Sessions(), Store: audited, TrustedProxies: proxies, Log: log, Now: now,
		KeepOtherUsersSignedIn: opt.keepOtherUsersSignedIn, Version: version, Privacy: s.privacy(), Launched: a.metrics.Launched,
	})
	if err != nil {
		return nil, err
	}
	a.metrics.Hub(a.hub.Stats)
	a.metrics.Audit(a.audits.Stats)
	if a.relay != nil {
		a.metrics.Relay(a.relay.Stats)
	}
	if !a.removes {
		a.metrics.Retention(a.retention.Stats)
	}
	a.probe = newProbe(a.metrics.HTTP(a.web.Routes(), a.traced(a.web), "/socket"), a.node, a.tool.Origin(), now, s.liveness(), proxies)
	return a, a.hub.Recover(ctx)
}

// measured is a store whose operations the metrics tell of.
func (a *app) measured(store storage.Store) storage.Store {
	backend := "dynamodb"
	if s, ok := store.(*sqlite.Store); ok {
		backend = "sqlite"
		a.metrics.SQLite(s.Stats)
	}
	if a.tracing != nil {
		store = observed.New(store, a.tracing.Store(backend))
	}
	return observed.New(store, a.metrics.Store(backend))
}

// tracer follows commands, transport goes around requests to platforms, and traced follows
// requests: each where there is tracing.
func (a *app) tracer() session.Tracer {
	if a.tracing == nil {
		return nil
	}
	return a.tracing
}

func (a *app) transport() func(http.RoundTripper) http.RoundTripper {
	if a.tracing == nil {
		return nil
	}
	return a.tracing.Transport
}

func (a *app) traced(next http.Handler) http.Handler {
	if a.tracing == nil {
		return next
	}
	return a.tracing.HTTP(next)
}

// lookAtQueue has the metrics show the queue to the platforms, which all servers of a store share.
func (a *app) lookAtQueue(ctx context.Context) error {
	n, oldest, err := a.store.WaitingDeliveries(ctx)
	if err == nil {
		a.metrics.Queue(n, oldest, a.now())
	}
	return err
}

// auditedStore is a store whose audit entries go through the process's chains.
type auditedStore struct {
	storage.Store
	audits *auditlog.Log
}

// AppendAudit stores entries as auditlog.Log does.
func (s auditedStore) AppendAudit(ctx context.Context, entries ...vigil.Audit) error {
	return s.audits.AppendAudit(ctx, entries...)
}

// close ends the parts that were made; the store stays the caller's.
func (a *app) close() {
	if a.probe != nil {
		a.probe.close()
	}
	if a.hub != nil {
		a.hub.Close()
	}
	if a.relay != nil {
		if err := a.relay.Close(); err != nil {
			a.log.Warn("the connections to Redis did not end in order", "error", err)
		}
	}
	if a.tool != nil {
		a.tool.Close()
	}
	if a.tracing != nil {
		ctx, cancel := context.WithTimeout(context.Background(), tracesTime)
		defer cancel()
		if err := a.tracing.Close(ctx); err != nil {
			a.log.Warn("the last traces are not sent", "error", err)
		}
	}
}

// clockVariable names an environment variable by which a server's clock is made wrong.
// Only tests set it, when they link the binary.
var clockVariable = ""

func clock() (func() time.Time, error) {
	if clockVariable == "" || os.Getenv(clockVariable) == "" {
		return time.Now, nil
	}
	d, err := time.ParseDuration(os.Getenv(clockVariable))
	return func() time.Time { return time.Now().Add(d) }, err
}

// clientAddress is the client's network address as the web part's middleware found it.
func clientAddress(r *http.Request) string {
	if ip := middleware.GetClientIP(r.Context()); ip != "" {
		return ip
	}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().String()
	}
	return r.RemoteAddr
}

// Bounds of the listeners.
const (
	headerTime   = 10 * time.Second
	idleTime     = 2 * time.Minute
	maxHeader    = 64 << 10
	stopTime     = 15 * time.Second
	keysEvery    = 5 * time.Minute
	sealEvery    = time.Minute
	queueEvery   = 15 * time.Second // the queue to the platforms is looked at, for the metrics
	schemaEvery  = 2 * time.Second
	schemaTime   = 10 * time.Second // that one look at the schema may take
	shutdownWait = 5 * time.Second
	tracesTime   = 3 * time.Second // for the last traces to be sent
)

// run serves until the context ends, then drains: readiness fails, clients are sent
// away, what is being written is finished. ready is called once when the listeners are
// open. It owns the listeners and closes the hub; the store stays the caller's.
func (a *app) run(ctx context.Context, ready func(public, admin net.Addr)) (err error) {
	defer a.close()
	public, err := listen(ctx, "listen", a.settings.Listen)
	if err != nil {
		return err
	}
	defer public.Close()
	servers := []*http.Server{a.server(a.probe)}
	listeners := []net.Listener{public}
	var adminAddr net.Addr
	if a.settings.AdminListen != "off" {
		admin, err := listen(ctx, "admin-listen", a.settings.AdminListen)
		if err != nil {
			return err
		}
		defer admin.Close()
		adminAddr = admin.Addr()
		servers, listeners = append(servers, a.server(a.admin())), append(listeners, admin)
	}
	if a.settings.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(a.settings.TLSCert, a.settings.TLSKey)
		if err != nil {
			return &vigil.Error{Code: vigil.CodeInvalid, Field: "tls-cert", Message: "The certificate and its key cannot be used.", Err: err}
		}
		listeners[0] = tls.NewListener(public, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	}

	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	failed := make(chan error, len(servers)+1)
	for i, server := range servers {
		wg.Go(func() {
			if err := server.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	wg.Go(func() { a.every(work, keysEvery, "keys", a.tool.Keys().Tend) })
	wg.Go(func() { a.every(work, sealEvery, "audit", a.audits.Seal) })
	wg.Go(func() { a.platforms.watch(work, a.hub, a.log) })
	asker := &accessAsker{store: a.store, hub: a.hub, tool: a.tool, now: a.now, log: a.log}
	wg.Go(func() { a.every(work, accessLook, "access", asker.run) })
	wg.Go(func() { a.every(work, queueEvery, "queue", a.lookAtQueue) })
	wg.Go(func() { a.every(work, sweepEvery, "sweep", a.retention.run) })
	wg.Go(func() {
		if err := a.outdatedBy(work); err != nil {
			failed <- err
		}
	})
	a.log.InfoContext(ctx, "serving", "node", a.node, "version", version, "public_url", a.settings.PublicURL, "address", public.Addr().String())
	if ready != nil {
		ready(public.Addr(), adminAddr)
	}

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.log.InfoContext(work, "stopping")
	drainCtx, cancel := context.WithTimeout(work, a.settings.DrainTime+stopTime)
	if drainErr := a.hub.Drain(drainCtx); drainErr != nil {
		a.log.WarnContext(work, "not everybody left in time", "error", drainErr)
	}
	cancel()
	a.probe.close()
	shutdownCtx, cancel := context.WithTimeout(work, shutdownWait)
	defer cancel()
	for _, server := range servers {
		if shutdownErr := server.Shutdown(shutdownCtx); shutdownErr != nil {
			_ = server.Close()
		}
	}
	stop()
	wg.Wait()
	if auditErr := a.audits.Close(ctx); auditErr != nil {
		a.log.ErrorContext(work, "audit entries not stored or not signed", "error", auditErr)
	}
	a.log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return err
}

func listen(ctx context.Context, field, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &vigil.Error{Code: vigil.CodeInvalid, Field: field, Message: fmt.Sprintf("Nothing can listen on %s; is another program there?", address), Err: err}
	}
	return l, nil
}

func (a *app) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(httpLog{a.log}, slog.LevelInfo),
	}
}

// every runs a piece of housekeeping at once and then again and again until the context
// ends. What fails is logged and tried again at the next turn.
func (a *app) every(ctx context.Context, interval time.Duration, what string, do func(context.Context) error) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "housekeeping failed", "what", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// outdatedBy waits until a newer program has marked or changed the store so that this one may
// not work with it any more, and returns what is to be said about it; nil: the context ended.
// This server is not ready from then on.
func (a *app) outdatedBy(ctx context.Context) error {
	t := time.NewTicker(schemaEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		checkCtx, cancel := context.WithTimeout(ctx, schemaTime)
		err := a.store.CheckSchema(checkCtx)
		cancel()
		if vigil.CodeOf(err) == vigil.CodeIllegal { // else the store is away, which others tell
			a.outdated.Store(&err)
			a.log.ErrorContext(ctx, "this server ends: its program is too old for the store", "error", err)
			return err
		}
	}
}
