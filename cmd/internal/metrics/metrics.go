// Package metrics is what Vigil tells Prometheus of itself: every metric has its name here and nowhere
// else. The parts count by themselves, or tell a small interface of theirs what happens; cmd/vigil ties
// both to this package. docs/operations.md lists the metrics with their meanings.
package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vigil"
	"vigil/lti"
	"vigil/realtime/session"
	"vigil/storage/observed"
)

// Buckets of the histograms, in seconds.
var (
	storeBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	httpBuckets  = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	relayBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	lmsBuckets   = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}
	gapBuckets   = []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600}
)

// Build says which program this is.
type Build struct{ Version, Commit, GoVersion string }

// Metrics has the metrics of one server.
type Metrics struct {
	registry *prometheus.Registry

	store       *prometheus.HistogramVec
	storeErrors *prometheus.CounterVec
	http        *prometheus.HistogramVec
	launches    *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	gaps        *prometheus.CounterVec
	gapTime     *prometheus.HistogramVec
	unwatched   *prometheus.CounterVec
	watched     prometheus.Counter
	deliveries  *prometheus.HistogramVec
	queue       prometheus.Gauge
	queueAge    prometheus.Gauge
	relayLag    prometheus.Histogram
}

var _ session.Observer = (*Metrics)(nil)

// New makes the metrics that every server has.
func New(b Build) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &Metrics{
		registry:    r,
		store:       histograms("store_operation_duration_seconds", "How long an operation of the store took.", storeBuckets, "backend", "operation"),
		storeErrors: counters("store_errors_total", "Operations of the store that failed because it did not do its work.", "backend", "operation", "code"),
		http:        histograms("http_request_duration_seconds", "How long a request took, without /socket.", httpBuckets, "route", "method", "code"),
		launches:    counters("launches_total", "LTI launches and logins, by message type and what became of them.", "message", "outcome"),
		refusals:    counters("launches_refused_total", "LTI launches and logins that did not pass a check, by check.", "stage", "check"),
		gaps:        counters("gaps_total", "Students with an open attempt who began to count as lost, by the cause that was known then.", "cause"),
		gapTime:     histograms("gap_duration_seconds", "How long students were lost, by whose fault it turned out to be.", gapBuckets, "cause"),
		unwatched:   counters("unwatched_attempts_total", "Attempts of which it was noted that nobody watches them; scope: alone, or like many of the exam.", "scope"),
		watched: prometheus.NewCounter(opts("unwatched_attempts_ended_total",
			"Attempts of which that was noted, and which are watched since, or over.")),
		deliveries: histograms("delivery_duration_seconds", "How long a request to an LMS took, by what came of it; waiting: it is tried again.", lmsBuckets, "outcome"),
		queue:      prometheus.NewGauge(prometheus.GaugeOpts(opts("delivery_queue_length", "Requests to LMSs that wait, in the whole store."))),
		queueAge: prometheus.NewGauge(prometheus.GaugeOpts(opts("delivery_queue_oldest_seconds",
			"Age of the oldest request to an LMS that waits, in the whole store; 0: none does."))),
		relayLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vigil_relay_lag_seconds", Help: "From an entry's first try until this server read it back from Redis.", Buckets: relayBuckets,
		}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("build_info", "1, with the program's version, commit and Go version.")), []string{"version", "commit", "goversion"})
	build.WithLabelValues(b.Version, b.Commit, b.GoVersion).Set(1)
	r.MustRegister(build, m.store, m.storeErrors, m.http, m.launches, m.refusals, m.gaps, m.gapTime, m.unwatched, m.watched, m.deliveries, m.queue, m.queueAge)
	m.begin()
	return m
}

// begin shows as 0 what has not happened yet, so that the first time is an increase.
func (m *Metrics) begin() {
	for message := range messages {
		for _, outcome := range []string{accepted, failed} {
			m.launches.WithLabelValues(message, outcome)
		}
	}
	m.launches.WithLabelValues(unknown, refused)
	for _, cause := range causes {
		m.gaps.WithLabelValues(cause)
		m.gapTime.WithLabelValues(cause)
	}
	for _, scope := range []string{alone, room} {
		m.unwatched.WithLabelValues(scope)
	}
	for _, answer := range []vigil.LMSState{vigil.LMSAccepted, vigil.LMSRefused, vigil.LMSFailed, vigil.LMSUnknown, vigil.LMSWaiting} {
		m.deliveries.WithLabelValues(string(answer))
	}
}

// Values of labels.
const (
	accepted = "accepted"
	refused  = "refused"
	failed   = "failed"
	unknown  = "unknown"
	alone    = "alone"
	room     = "room"
)

var causes = []string{string(vigil.CauseStudent), string(vigil.CauseServer), string(vigil.CauseLMS), string(vigil.CauseUnclear)}

var messages = map[string]lti.MessageType{
	"resource_link": lti.MessageResourceLink, "deep_linking": lti.MessageDeepLinking, "start_proctoring": lti.MessageStartProctoring, "end_assessment": lti.MessageEndAssessment,
}

func opts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: "vigil_" + name, Help: help}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(opts(name, help), labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vigil_" + name, Help: help, Buckets: buckets}, labels)
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Gatherer has the metrics as they are now.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Store measures the operations of a store; backend says which kind it is.
func (m *Metrics) Store(backend string) observed.Observer { return storeObserver{m, backend} }

type storeObserver struct {
	m       *Metrics
	backend string
}

// Begin implements observed.Observer.
func (storeObserver) Begin(ctx context.Context, _ string) context.Context { return ctx }

// End implements observed.Observer.
func (o storeObserver) End(_ context.Context, operation string, took time.Duration, err error) {
	o.m.store.WithLabelValues(o.backend, operation).Observe(took.Seconds())
	if err == nil {
		return
	}
	if code := vigil.CodeOf(err); code == vigil.CodeUnavailable || code == vigil.CodeInternal || code == vigil.CodeTooMany {
		o.m.storeErrors.WithLabelValues(o.backend, operation, string(code)).Inc()
	}
}

// HTTP measures the requests to a router by the patterns of its routes. The connection of path is
// another handler's for good, so that nothing may wrap it: it is passed on as it is.
func (m *Metrics) HTTP(router chi.Routes, next http.Handler, path string) http.Handler {
	route := func(ctx context.Context) string {
		if pattern := chi.RouteContext(ctx).RoutePattern(); pattern != "" {
			return pattern
		}
		return "unmatched"
	}
	measured := promhttp.InstrumentHandlerDuration(m.http, next, promhttp.WithLabelFromCtx("route", route))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			next.ServeHTTP(w, r)
			return
		}
		c := chi.NewRouteContext() // the router would keep its own to itself
		c.Routes = router
		measured(w, r.WithContext(context.WithValue(r.Context(), chi.RouteCtxKey, c)))
	})
}

// Launched counts a launch that passed the checks.
func (m *Metrics) Launched(message lti.MessageType, err error) {
	name, outcome := unknown, accepted
	for n, t := range messages {
		if t == message {
			name = n
		}
	}
	if err != nil {
		outcome = failed
	}
	m.launches.WithLabelValues(name, outcome).Inc()
}

// LaunchRefused counts a login or launch that did not pass the checks.
func (m *Metrics) LaunchRefused(e *lti.LaunchError) {
	check := string(vigil.CodeOf(e.Err))
	if e.Fault != nil {
		check = e.Fault.Name
	}
	m.launches.WithLabelValues(unknown, refused).Inc()
	m.refusals.WithLabelValues(e.Stage, check).Inc()
}

// GapBegan implements session.Observer.
func (m *Metrics) GapBegan(cause vigil.Cause) { m.gaps.WithLabelValues(string(cause)).Inc() }

// GapEnded implements session.Observer.
func (m *Metrics) GapEnded(cause vigil.Cause, lasted time.Duration) {
	m.gapTime.WithLabelValues(string(cause)).Observe(lasted.Seconds())
}

// UnwatchedBegan implements session.Observer.
func (m *Metrics) UnwatchedBegan(whole bool) {
	scope := alone
	if whole {
		scope = room
	}
	m.unwatched.WithLabelValues(scope).Inc()
}

// UnwatchedEnded implements session.Observer.
func (m *Metrics) UnwatchedEnded() { m.watched.Inc() }

// Delivered implements session.Observer.
func (m *Metrics) Delivered(answer vigil.LMSState, took time.Duration) {
	m.deliveries.WithLabelValues(string(answer)).Observe(took.Seconds())
}

// Queue shows how many requests to LMSs wait, and when the oldest was made; zero: none does.
func (m *Metrics) Queue(n int, oldest, now time.Time) {
	age := time.Duration(0)
	if !oldest.IsZero() {
		age = max(0, now.Sub(oldest))
	}
	m.queue.Set(float64(n))
	m.queueAge.Set(age.Seconds())
}

// RelayLag measures how long the relay took.
func (m *Metrics) RelayLag(d time.Duration) { m.relayLag.Observe(d.Seconds()) }
