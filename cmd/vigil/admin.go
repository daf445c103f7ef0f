package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vigil"
	"vigil/realtime"
	"vigil/storage/auditlog"
)

// pingTime bounds how long the readiness check waits for the store.
const pingTime = 2 * time.Second

// admin serves health, metrics and profiles. It has no authentication: keep its address private.
func (a *app) admin() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		hubCollector{a.hub.Stats}, auditCollector{a.audits.Stats})
	if a.relay != nil {
		registry.MustRegister(relayCollector{a.relay.Stats})
	}
	if !a.removes {
		registry.MustRegister(retentionCollector{a.retention.Stats})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pingTime)
		defer cancel()
		if why := a.notReady(ctx); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and by name: heap, goroutine, allocs, mutex
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return byAddress(mux, a.settings.AdminHosts)
}

// byAddress refuses requests whose Host is a name that could be anybody's: a web page that
// somebody on this machine or network looks at could have its own name lead here (DNS rebinding), and
// read the answers. An address, a name without a dot (localhost, a container's) and the names that
// the operator gave are none of those.
func byAddress(next http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		known := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, host) })
		if host == "" || err != nil && strings.Contains(host, ".") && !known {
			http.Error(w, "Ask by the server's address, or give this name to --admin-hosts.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// notReady says why this server should get no new connections; "" is that it should.
func (a *app) notReady(ctx context.Context) string {
	if err := a.outdated.Load(); err != nil { // before draining, which follows from it
		return forPeople(*err)
	}
	if !a.hub.Ready() {
		return "draining"
	}
	err := a.store.CheckSchema(ctx)
	if vigil.CodeOf(err) == vigil.CodeIllegal {
		return forPeople(err)
	}
	if err == nil {
		err = a.store.Ping(ctx)
	}
	switch {
	case err != nil:
		a.log.WarnContext(ctx, "not ready", "error", err)
		return "the store does not answer"
	case !a.hub.Saving():
		return "signals cannot be stored"
	}
	return ""
}

// hubCollector shows the hub's counts. They are read when they are asked for.
type hubCollector struct{ stats func() realtime.Stats }

// metric is one figure of the counts S.
type metric[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(S) float64
}

func gauge[S any](name, help string, value func(S) int) metric[S] {
	return metric[S]{prometheus.NewDesc("vigil_"+name, help, nil, nil), prometheus.GaugeValue, func(s S) float64 { return float64(value(s)) }}
}

func counter[S any](name, help string, value func(S) int64) metric[S] {
	return metric[S]{prometheus.NewDesc("vigil_"+name+"_total", help, nil, nil), prometheus.CounterValue, func(s S) float64 { return float64(value(s)) }}
}

func describe[S any](ch chan<- *prometheus.Desc, metrics []metric[S]) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

func collect[S any](ch chan<- prometheus.Metric, metrics []metric[S], s S) {
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}

var hubMetrics = []metric[realtime.Stats]{
	gauge("sockets", "Open sockets.", func(s realtime.Stats) int { return s.Sockets }),
	gauge("students", "Students that can be reached.", func(s realtime.Stats) int { return s.Students }),
	gauge("proctors", "Proctors' sockets.", func(s realtime.Stats) int { return s.Proctors }),
	gauge("rooms", "Exams with sockets on this node.", func(s realtime.Stats) int { return s.Rooms }),
	gauge("signals_waiting", "Signals that wait for the store.", func(s realtime.Stats) int { return s.Waiting }),
	gauge("store_saving", "1 while the store takes signals.", func(s realtime.Stats) int { return truth(s.Saving) }),
	counter("upgrades_refused", "Sockets refused before the upgrade.", func(s realtime.Stats) int64 { return s.Refused }),
	counter("frames_in", "Frames received.", func(s realtime.Stats) int64 { return s.FramesIn }),
	counter("frames_out", "Frames sent.", func(s realtime.Stats) int64 { return s.FramesOut }),
	counter("frames_dropped", "Frames dropped from full queues.", func(s realtime.Stats) int64 { return s.FramesDropped }),
	counter("frames_coalesced", "Frames replaced or left out for a slow proctor.", func(s realtime.Stats) int64 { return s.FramesCoalesced }),
	counter("proctors_behind", "Times that a proctor was too slow and got a fresh snapshot.", func(s realtime.Stats) int64 { return s.Behind }),
	counter("writes_failed", "Writes to sockets that failed.", func(s realtime.Stats) int64 { return s.WriteFailed }),
	counter("frames_malformed", "Frames that could not be read.", func(s realtime.Stats) int64 { return s.Malformed }),
	counter("frames_rate_refused", "Frames over their rate.", func(s realtime.Stats) int64 { return s.RateRefused }),
	counter("frames_jobs_refused", "Frames that would have waited too long for the store.", func(s realtime.Stats) int64 { return s.JobsRefused }),
	counter("signals_stored", "Signals stored.", func(s realtime.Stats) int64 { return s.SignalsStored }),
	counter("signals_repeated", "Signals that were stored before.", func(s realtime.Stats) int64 { return s.SignalsRepeated }),
	counter("page_stamps_refused", "Page stamps of platforms that were not valid, or of another attempt.", func(s realtime.Stats) int64 { return s.StampsRefused }),
	counter("receipts", "Receipts sent for pages that are watched.", func(s realtime.Stats) int64 { return s.Receipts }),
	counter("signals_differ", "Signals whose number was used for something else.", func(s realtime.Stats) int64 { return s.SignalsDiffer }),
	counter("signals_refused", "Signals not taken because the queue to the store was full.", func(s realtime.Stats) int64 { return s.SignalsRefused }),
	counter("signal_batches", "Batches of signals written.", func(s realtime.Stats) int64 { return s.Batches }),
	counter("store_retries", "Writes tried again because the store did not answer.", func(s realtime.Stats) int64 { return s.StoreRetries }),
	counter("connections_lost", "Connections that counted as lost.", func(s realtime.Stats) int64 { return s.Lost }),
	counter("tokens_renewed", "Socket tokens renewed.", func(s realtime.Stats) int64 { return s.Renewed }),
	counter("relay_away", "Times that an exam's dashboards were told that other servers' changes come late.", func(s realtime.Stats) int64 { return s.RelayAway }),
	counter("forsaken", "Times that other servers took this one for gone while it lived.", func(s realtime.Stats) int64 { return s.Evictions }),
	counter("deliveries", "Requests to platforms.", func(s realtime.Stats) int64 { return s.Deliveries }),
}

// auditCollector shows the counts of audit entries.
type auditCollector struct{ stats func() auditlog.Stats }

var auditMetrics = []metric[auditlog.Stats]{
	gauge("audit_waiting", "Audit entries that wait for the store.", func(s auditlog.Stats) int { return s.Waiting }),
	counter("audit_lost", "Audit entries that were not kept, because too many waited.", func(s auditlog.Stats) int64 { return s.Lost }),
}

// Describe implements prometheus.Collector.
func (auditCollector) Describe(ch chan<- *prometheus.Desc) { describe(ch, auditMetrics) }

// Collect implements prometheus.Collector.
func (c auditCollector) Collect(ch chan<- prometheus.Metric) { collect(ch, auditMetrics, c.stats()) }

var closedDesc = prometheus.NewDesc("vigil_sockets_closed_total", "Sockets closed by us, by close code.", []string{"code"}, nil)

// Describe implements prometheus.Collector.
func (hubCollector) Describe(ch chan<- *prometheus.Desc) {
	describe(ch, hubMetrics)
	ch <- closedDesc
}

// Collect implements prometheus.Collector.
func (c hubCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	collect(ch, hubMetrics, s)
	for code, n := range s.Closed {
		ch <- prometheus.MustNewConstMetric(closedDesc, prometheus.CounterValue, float64(n), strconv.Itoa(int(code)))
	}
}
