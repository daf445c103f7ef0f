package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti"
	"vigil/storage/sqlite"
)

// whole is a server that has every metric. Its Redis is away.
func whole(t *testing.T) *app {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigil.db")
	testutil.OK(t, sqlite.Migrate(t.Context(), path, nil))
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	testutil.OK(t, err)
	t.Cleanup(func() { testutil.OK(t, store.Close()) })
	secret, err := lti.NewSealer(bytes.Repeat([]byte{1}, 32))
	testutil.OK(t, err)
	settings := serverSettings{
		PublicURL: "http://127.0.0.1:8080", AdminListen: "127.0.0.1:0", Redis: "redis://127.0.0.1:1", RedisPrefix: "vigil", AliveEvery: time.Minute,
	}
	a, err := newApp(t.Context(), settings, store, secret, slog.New(slog.DiscardHandler), appOptions{oneHost: true})
	testutil.OK(t, err)
	t.Cleanup(a.close)
	return a
}

// page asks for a page and returns the status.
func (a *app) page(method, path string) int {
	w := httptest.NewRecorder()
	a.probe.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code
}

// scraped is a scrape of the admin listener.
func (a *app) scraped() string {
	w := httptest.NewRecorder()
	a.admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil))
	return w.Body.String()
}

// exposition is a scrape of the admin listener of a server that has every metric, and to which
// everything has happened that has labels.
func exposition(t *testing.T) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	a := whole(t)
	down := vigil.Wrap(errors.New("disk I/O error"), vigil.CodeUnavailable, "The store does not answer.")
	a.metrics.Store("sqlite").End(t.Context(), "ping", time.Millisecond, down)
	a.metrics.LaunchRefused(&lti.LaunchError{Stage: "launch", Err: down})
	a.metrics.Launched(lti.MessageStartProctoring, nil)
	testutil.OK(t, a.lookAtQueue(t.Context()))
	if got := a.page(http.MethodGet, "/"); got != http.StatusOK {
		t.Fatalf("got %d for the first page, want 200", got)
	}
	a.scraped() // what the scrape counts of itself is there from the second on
	text := a.scraped()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	testutil.OK(t, err)
	return text, families
}

// labelsOf are the names of a family's labels, without what its type brings.
func labelsOf(f *dto.MetricFamily) []string {
	var out []string
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if !slices.Contains(out, l.GetName()) {
				out = append(out, l.GetName())
			}
		}
	}
	slices.Sort(out)
	return out
}

// seriesOf are the names under which a family is asked for.
func seriesOf(f *dto.MetricFamily) []string {
	if f.GetType() == dto.MetricType_HISTOGRAM {
		return []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
	}
	return []string{f.GetName()}
}

// What a query has beside metrics and labels.
var (
	inQuotes   = regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'`)
	variables  = regexp.MustCompile(`\[[^\]]*\]|\$\w+`)
	braces     = regexp.MustCompile(`(\w+)?\{([^}]*)\}`)
	label      = regexp.MustCompile(`([A-Za-z_]\w*)\s*(=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`\b(by|without|on|ignoring)\s*\(([^)]*)\)`)
	identifier = regexp.MustCompile(`\b[A-Za-z_]\w*\b`)
	ofPromQL   = strings.Fields("sum min max avg count topk rate increase histogram_quantile clamp_min round time label_values unless and or")
	ofTargets  = []string{"job", "instance"}
)

// checkQuery says what a query asks for that the program does not have.
func checkQuery(query string, families map[string]*dto.MetricFamily) error {
	known := map[string][]string{"up": nil}
	for _, f := range families {
		for _, s := range seriesOf(f) {
			known[s] = append(labelsOf(f), ofTargets...)
			if strings.HasSuffix(s, "_bucket") {
				known[s] = append(known[s], "le")
			}
		}
	}
	known["up"] = ofTargets
	rest := variables.ReplaceAllString(inQuotes.ReplaceAllString(query, `""`), "")
	var all []string // labels of all metrics of the query
	for _, name := range identifier.FindAllString(rest, -1) {
		all = append(all, known[name]...)
	}
	for _, m := range braces.FindAllStringSubmatch(rest, -1) {
		labels, ok := known[m[1]]
		if !ok {
			return fmt.Errorf("no metric %q", m[1])
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, l[1]) {
				return fmt.Errorf("%s has no label %q", m[1], l[1])
			}
		}
	}
	rest = braces.ReplaceAllString(rest, "$1")
	for _, m := range grouping.FindAllStringSubmatch(rest, -1) {
		for _, l := range identifier.FindAllString(m[2], -1) {
			if !slices.Contains(all, l) {
				return fmt.Errorf("no metric of the query has a label %q", l)
			}
		}
	}
	found := false
	for _, name := range identifier.FindAllString(grouping.ReplaceAllString(rest, ""), -1) {
		_, metric := known[name]
		found = found || metric
		if !metric && !slices.Contains(ofPromQL, name) && !slices.Contains(ofTargets, name) {
			return fmt.Errorf("no metric %q", name)
		}
	}
	if !found {
		return errors.New("no metric at all")
	}
	return nil
}

func TestPagesAreCountedByTheirRoutesAndNeverByTheirPaths(t *testing.T) {
	a := whole(t)
	for _, path := range []string{"/dashboard/exam-1", "/dashboard/exam-2/report", "/api/v1/exams/exam-3/members", "/no/such/page", "/lti/launch", "/socket"} {
		a.page(http.MethodGet, path)
	}
	a.page("SECRET", "/")
	text := a.scraped()
	for _, want := range []string{
		`{code="403",method="get",route="/dashboard/{exam}"} 1`,
		`{code="403",method="get",route="/dashboard/{exam}/report"} 1`,
		`{code="403",method="get",route="/api/v1/exams/{exam}/members"} 1`,
		`{code="404",method="get",route="unmatched"} 1`,
		`{code="405",method="get",route="unmatched"} 1`,
		`{code="405",method="unknown",route="unmatched"} 1`,
	} {
		if !strings.Contains(text, "vigil_http_request_duration_seconds_count"+want) {
			t.Errorf("%s is not there", want)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		for _, secret := range []string{"exam-", "such", "SECRET", "/socket"} {
			if strings.HasPrefix(line, "vigil_") && strings.Contains(line, secret) {
				t.Errorf("got %s, want nothing of a path", line)
			}
		}
	}
}

func TestLaunchesAreCountedByWhatBecameOfThem(t *testing.T) {
	a := whole(t)
	a.page(http.MethodPost, "/lti/launch")
	a.metrics.Launched(lti.MessageResourceLink, nil)
	a.metrics.Launched(lti.MessageEndAssessment, vigil.ErrNotFound)
	text := a.scraped()
	for _, want := range []string{
		`vigil_launches_total{message="resource_link",outcome="accepted"} 1`, `vigil_launches_total{message="end_assessment",outcome="failed"} 1`,
		`vigil_launches_total{message="deep_linking",outcome="accepted"} 0`,
		`vigil_launches_total{message="unknown",outcome="refused"} 1`, `vigil_launches_refused_total{check="launch_form",stage="launch"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not there, of\n%s", want, strings.Join(regexp.MustCompile(`(?m)^vigil_launches.*$`).FindAllString(text, -1), "\n"))
		}
	}
}

func TestTheCheckOfQueriesFindsWhatIsWrong(t *testing.T) {
	_, families := exposition(t)
	for query, want := range map[string]string{
		`sum by (route) (rate(vigil_http_request_duration_seconds_count{code=~"5..",instance="a b"}[5m])) > 5`: "",
		`up{job="vigil"} == 0`:                "",
		`vigil_nothing`:                       `no metric "vigil_nothing"`,
		`rate(vigil_nothing{a="b"}[5m])`:      `no metric "vigil_nothing"`,
		`vigil_connections{rank="a"}`:         `vigil_connections has no label "rank"`,
		`sum by (rank) (vigil_sockets)`:       `no metric of the query has a label "rank"`,
		`vigil_http_request_duration_seconds`: `no metric "vigil_http_request_duration_seconds"`,
		`sum(1)`:                              "no metric at all",
	} {
		got := ""
		if err := checkQuery(query, families); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// texts are all values of a key in a JSON document, wherever they are.
func texts(v any, key string) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, v := range v {
			if s, ok := v.(string); ok && k == key {
				out = append(out, s)
			}
			out = append(out, texts(v, key)...)
		}
	case []any:
		for _, v := range v {
			out = append(out, texts(v, key)...)
		}
	}
	return out
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	testutil.OK(t, err)
	return string(b)
}

const (
	alertsFile     = "../../deploy/prometheus/alerts.yaml"
	dashboardFile  = "../../deploy/grafana/exam-day.json"
	operationsFile = "../../docs/operations.md"
)

func TestDashboardAndAlertsAskForMetricsThatThereAre(t *testing.T) {
	_, families := exposition(t)
	var board any
	testutil.OK(t, json.Unmarshal([]byte(readFile(t, dashboardFile)), &board))
	queries := map[string][]string{dashboardFile: append(texts(board, "expr"), texts(board, "definition")...)}
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(readFile(t, alertsFile), -1) {
		queries[alertsFile] = append(queries[alertsFile], m[1])
	}
	for file, list := range queries {
		if len(list) < 20 {
			t.Errorf("%s: got %d queries, want 20 or more", file, len(list))
		}
		for _, q := range list {
			if err := checkQuery(q, families); err != nil {
				t.Errorf("%s: %v, in %s", file, err, q)
			}
		}
	}
}

func TestEachAlertHasItsPlaceInTheDocuments(t *testing.T) {
	alerts, doc := readFile(t, alertsFile), readFile(t, operationsFile)
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(doc, -1) {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(m[1]), " ", "-"))
	}
	names := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(alerts, -1)
	books := regexp.MustCompile(`(?m)^ +runbook: docs/operations\.md#(.*)$`).FindAllStringSubmatch(alerts, -1)
	if len(names) == 0 || len(names) != len(books) {
		t.Fatalf("got %d alerts and %d places, want as many", len(names), len(books))
	}
	for i, m := range names {
		if !slices.Contains(anchors, books[i][1]) {
			t.Errorf("%s: no heading #%s in docs/operations.md", m[1], books[i][1])
		}
		if !strings.Contains(doc, "`"+m[1]+"`") {
			t.Errorf("%s is not in docs/operations.md", m[1])
		}
	}
	for _, name := range regexp.MustCompile("`(Vigil[A-Z]\\w+)`").FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(alerts, "alert: "+name[1]+"\n") {
			t.Errorf("docs/operations.md names the alert %s, which is none", name[1])
		}
	}
}

func TestTheDocumentsListEachMetricOnce(t *testing.T) {
	_, families := exposition(t)
	doc := readFile(t, operationsFile)
	_, list, _ := strings.Cut(doc, "\n## Metrics\n")
	got := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(vigil_\\w+)` .*$").FindAllStringSubmatch(list, -1) {
		if got[m[1]] != "" {
			t.Errorf("%s is listed twice", m[1])
		}
		got[m[1]] = m[0]
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "vigil_") {
			continue
		}
		var labels []string
		for _, l := range labelsOf(f) {
			labels = append(labels, "`"+l+"`")
		}
		want := fmt.Sprintf("| `%s` | %s | %s | %s |", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
		if got[name] != want {
			t.Errorf("got in the list:\n%s\nwant:\n%s", got[name], want)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is listed, and there is no such metric", name)
	}
	for _, name := range regexp.MustCompile("`(vigil_[a-z_]+)").FindAllStringSubmatch(doc, -1) {
		n := strings.TrimSuffix(strings.TrimSuffix(name[1], "_count"), "_bucket")
		if families[n] == nil && !strings.HasSuffix(n, "_") {
			t.Errorf("the text names %s, which is no metric", name[1])
		}
	}
}

func TestMetricsAreNamedByConvention(t *testing.T) {
	text, families := exposition(t)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	testutil.OK(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for name, f := range families {
		if len(f.GetMetric()) > 100 && strings.HasPrefix(name, "vigil_") {
			t.Errorf("%s: got %d series of a quiet server, want few", name, len(f.GetMetric()))
		}
	}
}

// TestPromtoolIsContent has Prometheus's own tool read what a server answers. make lint-deploy has
// it read the rules.
func TestPromtoolIsContent(t *testing.T) {
	promtool := program(t, "promtool")
	text, _ := exposition(t)
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("got %v and:\n%s", err, out)
	}
}
