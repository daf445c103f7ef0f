package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay"
	"vigil/storage/auditlog"
	"vigil/storage/sqlite"
)

// What parts count by themselves is read when Prometheus asks for it.

// figure is one value of the counts S. Figures of one name have different values of its label.
type figure[S any] struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  func(S) float64
	labels []string // values
}

func gauge[S any](name, help string, value func(S) int) figure[S] {
	return figure[S]{prometheus.NewDesc("vigil_"+name, help, nil, nil), prometheus.GaugeValue, func(s S) float64 { return float64(value(s)) }, nil}
}

func counter[S any](name, help string, value func(S) int64) figure[S] {
	return figure[S]{prometheus.NewDesc("vigil_"+name, help, nil, nil), prometheus.CounterValue, func(s S) float64 { return float64(value(s)) }, nil}
}

// divided are counters of one name, by the values of a label.
func divided[S any](name, help, label string, values map[string]func(S) int64) []figure[S] {
	desc := prometheus.NewDesc("vigil_"+name, help, []string{label}, nil)
	var out []figure[S]
	for v, value := range values {
		out = append(out, figure[S]{desc, prometheus.CounterValue, func(s S) float64 { return float64(value(s)) }, []string{v}})
	}
	return out
}

// counts shows figures of what stats returns.
type counts[S any] struct {
	figures []figure[S]
	stats   func() S
	descs   []*prometheus.Desc // of more
	more    func(s S, ch chan<- prometheus.Metric)
}

// Describe implements prometheus.Collector.
func (c counts[S]) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		ch <- f.desc
	}
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c counts[S]) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for _, f := range c.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(s), f.labels...)
	}
	if c.more != nil {
		c.more(s, ch)
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

type hub = realtime.Stats

var hubFigures = append(append([]figure[hub]{
	gauge("sockets", "Open sockets of browsers.", func(s hub) int { return s.Sockets }),
	gauge("exams", "Exams with sockets on this server.", func(s hub) int { return s.Rooms }),
	gauge("students_unreported", "Students of this server whose attempt is open, and of whom no connection reports now.", func(s hub) int { return s.Unreported }),
	gauge("signal_queue_length", "Signals that wait for the store.", func(s hub) int { return s.Waiting }),
	gauge("socket_queue_frames", "Frames that wait to be written to sockets.", func(s hub) int { return s.Queued }),
	gauge("socket_queue_longest_frames", "Frames that wait to be written to the socket with the most.", func(s hub) int { return s.LongestQueue }),
	gauge("store_up", "1 while the store takes signals.", func(s hub) int { return truth(s.Saving) }),
	counter("socket_upgrades_refused_total", "Sockets refused before the upgrade.", func(s hub) int64 { return s.Refused }),
	counter("socket_write_errors_total", "Writes to sockets that failed.", func(s hub) int64 { return s.WriteFailed }),
	counter("socket_tokens_renewed_total", "Tokens of open sockets that were renewed.", func(s hub) int64 { return s.Renewed }),
	counter("frames_received_total", "Frames received.", func(s hub) int64 { return s.FramesIn }),
	counter("frames_sent_total", "Frames sent.", func(s hub) int64 { return s.FramesOut }),
	counter("frames_dropped_total", "Frames dropped from full queues of sockets.", func(s hub) int64 { return s.FramesDropped }),
	counter("frames_coalesced_total", "Frames replaced or left out for a slow proctor.", func(s hub) int64 { return s.FramesCoalesced }),
	counter("proctor_resyncs_total", "Times that a proctor was too slow and got a fresh snapshot.", func(s hub) int64 { return s.Behind }),
	counter("page_stamps_refused_total", "Page stamps of LMSs that were not valid, or of another attempt.", func(s hub) int64 { return s.StampsRefused }),
	counter("receipts_total", "Receipts sent for pages that are watched.", func(s hub) int64 { return s.Receipts }),
	counter("signal_batches_total", "Batches of signals stored.", func(s hub) int64 { return s.Batches }),
	counter("store_retries_total", "Operations of the store that were tried again because it did not answer.", func(s hub) int64 { return s.StoreRetries }),
	counter("connections_lost_total", "Students who began to count as lost, also before their attempt.", func(s hub) int64 { return s.Lost }),
	counter("relay_interruptions_total", "Times that an exam's dashboards were told that other servers' changes come late.", func(s hub) int64 { return s.RelayAway }),
	counter("lease_lost_total", "Times that this server sent all its clients away because others took it for dead, or may have.", func(s hub) int64 { return s.Evictions }),
	counter("takeovers_total", "Servers that were dead and from which this one took over.", func(s hub) int64 { return s.Takeovers }),
	counter("takeover_sessions_total", "Sessions of dead servers that this one judged.", func(s hub) int64 { return s.TakenOver }),
}, divided("signals_total", "Signals, by what became of them: stored; repeated: stored before; differs: its number was used for another; refused: the queue to the store was full.", "outcome",
	map[string]func(hub) int64{
		"stored":   func(s hub) int64 { return s.SignalsStored },
		"repeated": func(s hub) int64 { return s.SignalsRepeated },
		"differs":  func(s hub) int64 { return s.SignalsDiffer },
		"refused":  func(s hub) int64 { return s.SignalsRefused },
	})...), divided("frames_refused_total", "Frames refused: malformed; rate: over their rate; queue: they would have waited too long for the store.", "reason",
	map[string]func(hub) int64{
		"malformed": func(s hub) int64 { return s.Malformed },
		"rate":      func(s hub) int64 { return s.RateRefused },
		"queue":     func(s hub) int64 { return s.JobsRefused },
	})...)

var (
	connectionsDesc = prometheus.NewDesc("vigil_connections", "People who are connected to this server, or were and are still judged by it, by role and state.", []string{"role", "state"}, nil)
	closedDesc      = prometheus.NewDesc("vigil_sockets_closed_total", "Sockets closed by this server, by close code.", []string{"code"}, nil)
)

// Hub shows the hub's counts.
func (m *Metrics) Hub(stats func() realtime.Stats) {
	m.registry.MustRegister(counts[hub]{hubFigures, stats, []*prometheus.Desc{connectionsDesc, closedDesc}, func(s hub, ch chan<- prometheus.Metric) {
		for _, c := range []vigil.Connection{vigil.ConnOnline, vigil.ConnDegraded, vigil.ConnNavigating, vigil.ConnLost, vigil.ConnClosed, vigil.ConnSuperseded} {
			ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(s.Connections[c]), string(vigil.RoleStudent), string(c))
		}
		ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(s.Proctors), string(vigil.RoleProctor), string(vigil.ConnOnline))
		for code := range protocol.CloseDuty {
			s.Closed[code] += 0 // shown before the first
		}
		for code, n := range s.Closed {
			ch <- prometheus.MustNewConstMetric(closedDesc, prometheus.CounterValue, float64(n), strconv.Itoa(int(code)))
		}
	}})
}

var relayFigures = []figure[redisrelay.Stats]{
	gauge("relay_up", "1 while Redis takes and gives what servers tell each other.", func(s redisrelay.Stats) int { return truth(s.Up) }),
	gauge("relay_queue_length", "Messages that wait for Redis.", func(s redisrelay.Stats) int { return s.Waiting }),
	counter("relay_messages_published_total", "Messages for other servers.", func(s redisrelay.Stats) int64 { return s.Published }),
	counter("relay_messages_received_total", "Messages of other servers.", func(s redisrelay.Stats) int64 { return s.Received }),
	counter("relay_messages_dropped_total", "Messages dropped because Redis could not keep up; the others read the store instead.", func(s redisrelay.Stats) int64 { return s.Dropped }),
	counter("relay_entries_total", "Entries of Redis's streams that messages went in.", func(s redisrelay.Stats) int64 { return s.Entries }),
	counter("relay_entries_malformed_total", "Entries that could not be read.", func(s redisrelay.Stats) int64 { return s.Bad }),
	counter("relay_holes_total", "Times that messages of others were missing and the store was read instead.", func(s redisrelay.Stats) int64 { return s.Holes }),
	counter("relay_errors_total", "Calls to Redis that failed and were tried again.", func(s redisrelay.Stats) int64 { return s.Faults }),
	counter("relay_reconnects_total", "Times that Redis took messages again after it had not.", func(s redisrelay.Stats) int64 { return s.Reconnects }),
}

// Relay shows the relay's counts.
func (m *Metrics) Relay(stats func() redisrelay.Stats) {
	m.registry.MustRegister(m.relayLag, counts[redisrelay.Stats]{figures: relayFigures, stats: stats})
}

var auditFigures = []figure[auditlog.Stats]{
	gauge("audit_queue_length", "Audit entries that wait for the store.", func(s auditlog.Stats) int { return s.Waiting }),
	counter("audit_entries_lost_total", "Audit entries that were not stored, because too many waited.", func(s auditlog.Stats) int64 { return s.Lost }),
}

// Audit shows the counts of audit entries.
func (m *Metrics) Audit(stats func() auditlog.Stats) {
	m.registry.MustRegister(counts[auditlog.Stats]{figures: auditFigures, stats: stats})
}

var sqliteFigures = []figure[sqlite.Stats]{
	gauge("sqlite_queue_length", "Writes that wait for SQLite's one writer.", func(s sqlite.Stats) int { return s.Waiting }),
	counter("sqlite_commits_total", "Transactions committed, each one flush of the disk.", func(s sqlite.Stats) int64 { return s.Commits }),
	counter("sqlite_writes_total", "Writes committed in them.", func(s sqlite.Stats) int64 { return s.Writes }),
	counter("sqlite_failures_total", "Transactions that failed.", func(s sqlite.Stats) int64 { return s.Failures }),
}

// SQLite shows what SQLite's writer counts.
func (m *Metrics) SQLite(stats func() sqlite.Stats) {
	m.registry.MustRegister(counts[sqlite.Stats]{figures: sqliteFigures, stats: stats})
}

// Retention counts what was removed because it had expired, since the start of the process.
type Retention struct {
	LastRun time.Time // when all that had expired had been removed; zero: not yet
	Removed int64
	Failed  int64 // runs that did not get to the end
}

var retentionFigures = []figure[Retention]{
	gauge("retention_last_success_timestamp_seconds", "When all that had expired had last been removed, in seconds since 1970; 0: not since the start.", func(s Retention) int {
		if s.LastRun.IsZero() {
			return 0
		}
		return int(s.LastRun.Unix())
	}),
	counter("retention_removed_total", "Things removed because they had expired. What goes with an attempt counts as one, but for its signals.", func(s Retention) int64 { return s.Removed }),
	counter("retention_failures_total", "Runs of the retention that failed.", func(s Retention) int64 { return s.Failed }),
}

// Retention shows the retention's counts.
func (m *Metrics) Retention(stats func() Retention) {
	m.registry.MustRegister(counts[Retention]{figures: retentionFigures, stats: stats})
}
