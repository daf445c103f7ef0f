package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"vigil"
	"vigil/cmd/internal/tracing"
	"vigil/internal/testutil"
	"vigil/realtime/session"
)

// server is the tracing of one server, whose spans are kept in memory.
func server(t *testing.T, node string) (*tracing.Tracing, *tracetest.InMemoryExporter) {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	tr, err := tracing.New(t.Context(), sdktrace.NewSimpleSpanProcessor(kept), node, "dev")
	testutil.OK(t, err)
	return tr, kept
}

func TestServersGoOnWithACommandWithoutBeingToldItsTrace(t *testing.T) {
	here, hereKept := server(t, "here")
	there, thereKept := server(t, "there")
	_, end := there.Begin(t.Context(), session.StepPlatform, "session", "command")
	end(vigil.ErrNotFound)
	_, end = here.Begin(t.Context(), session.StepCommand, "session", "command")
	end(nil)
	_, end = here.Begin(t.Context(), session.StepCommand, "another", "command")
	end(nil)
	first, other, rest := hereKept.GetSpans()[0], hereKept.GetSpans()[1], thereKept.GetSpans()[0]
	if first.Parent.IsValid() || rest.SpanContext.TraceID() != first.SpanContext.TraceID() || rest.Parent.SpanID() != first.SpanContext.SpanID() {
		t.Errorf("got %v below %v, want it below %v", rest.SpanContext, rest.Parent, first.SpanContext)
	}
	if other.SpanContext.TraceID() == first.SpanContext.TraceID() {
		t.Error("got two sessions' commands in one trace")
	}
}

func TestServersThatKeepAPartOfTheTracesKeepTheSamePart(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
	here, hereKept := server(t, "here")
	there, thereKept := server(t, "there")
	for i := range 100 {
		_, end := here.Begin(t.Context(), session.StepCommand, "session", strconv.Itoa(i))
		end(nil)
		_, end = there.Begin(t.Context(), session.StepStudent, "session", strconv.Itoa(i))
		end(nil)
	}
	a, b := hereKept.GetSpans(), thereKept.GetSpans()
	if len(a) != len(b) || len(a) < 20 || len(a) > 80 {
		t.Fatalf("got %d and %d of 100 commands, want about half, and as many", len(a), len(b))
	}
	for i := range a {
		if a[i].SpanContext.TraceID() != b[i].SpanContext.TraceID() {
			t.Errorf("got %v here and %v there, want the same", a[i].SpanContext.TraceID(), b[i].SpanContext.TraceID())
		}
	}
}

func TestASamplerThatThereIsNotIsRefused(t *testing.T) {
	for sampler, arg := range map[string]string{"jaeger_remote": "", "traceidratio": "much"} {
		t.Setenv("OTEL_TRACES_SAMPLER", sampler)
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", arg)
		if _, err := tracing.New(t.Context(), sdktrace.NewSimpleSpanProcessor(tracetest.NewInMemoryExporter()), "n", "dev"); vigil.CodeOf(err) != vigil.CodeInvalid {
			t.Errorf("%s %s: got %v, want CodeInvalid", sampler, arg, err)
		}
	}
}

func TestPlatformsAreToldNothingOfTraces(t *testing.T) {
	tr, kept := server(t, "here")
	platform := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if h := r.Header.Get("traceparent") + r.Header.Get("tracestate") + r.Header.Get("baggage"); h != "" {
			t.Errorf("got %q, want nothing", h)
		}
	}))
	t.Cleanup(platform.Close)
	get := func(r *http.Request) {
		response, err := tr.Transport(http.DefaultTransport).RoundTrip(r)
		testutil.OK(t, err)
		testutil.OK(t, response.Body.Close())
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, platform.URL+"/keys?secret=1", http.NoBody)
	testutil.OK(t, err)
	get(r)
	if n := len(kept.GetSpans()); n != 0 {
		t.Errorf("got %d spans of a request that belongs to no trace, want none", n)
	}
	ctx, end := tr.Begin(t.Context(), session.StepPlatform, "session", "command")
	get(r.WithContext(ctx))
	end(nil)
	if all := kept.GetSpans(); len(all) != 2 || all[0].Name != "platform GET" || all[0].Parent.SpanID() != all[1].SpanContext.SpanID() {
		t.Errorf("got %+v, want the request below the delivery", all)
	}
}
