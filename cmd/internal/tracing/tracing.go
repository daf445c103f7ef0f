// Package tracing follows launches and commands through the parts of Vigil, and across its servers, by
// OpenTelemetry. It is off unless the environment names an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT); then
// nothing of it is in anything's way.
//
// A command's trace needs no context that travels: its id is made of the session's and the command's, which
// every relayed command and every delivery in the queue has. So a server goes on with it whatever version
// wrote the entry, and also when it died and another one delivers.
//
// Spans tell of routes and operations, never of paths, queries or people.
package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"vigil"
	"vigil/realtime/session"
	"vigil/storage/observed"
)

// Tracing makes spans and sends them.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// FromEnvironment is the tracing that the standard variables of OpenTelemetry ask for; nil: none.
func FromEnvironment(ctx context.Context, node, version string, log *slog.Logger) (*Tracing, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, nil //nolint:nilnil // off is no error
	}
	exporter, err := otlptracehttp.New(ctx) // it reads the environment by itself
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "Traces cannot be sent as the OTEL_EXPORTER_OTLP_… variables say.")
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces not sent", "error", err) }))
	return New(ctx, sdktrace.NewBatchSpanProcessor(exporter), node, version)
}

// New makes the tracing of a server, whose spans go to a processor.
func New(ctx context.Context, to sdktrace.SpanProcessor, node, version string) (*Tracing, error) {
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "vigil"), attribute.String("service.version", version), attribute.String("service.instance.id", node),
	), resource.WithFromEnv()) // which may name it otherwise
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The variable OTEL_RESOURCE_ATTRIBUTES cannot be read.")
	}
	sample, err := sampler(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(to), sdktrace.WithResource(about), sdktrace.WithSampler(sample), sdktrace.WithIDGenerator(ids{}))
	return &Tracing{p, p.Tracer("vigil")}, nil
}

// sampler is the one that the standard variables name. What goes on with a command on another server is decided
// like its beginning, by the trace's id.
func sampler(name, arg string) (sdktrace.Sampler, error) {
	root := sdktrace.AlwaysSample()
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
	case "always_off":
		root = sdktrace.NeverSample()
	case "traceidratio":
		ratio, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			return nil, vigil.Invalid("OTEL_TRACES_SAMPLER_ARG", "The part of the traces that is kept must be a number from 0 to 1; %q is not.", arg)
		}
		root = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, vigil.Invalid("OTEL_TRACES_SAMPLER", "There is no sampler %q here: take always_on, always_off or traceidratio.", name)
	}
	return sdktrace.ParentBased(root, sdktrace.WithRemoteParentSampled(root)), nil
}

// Close sends what is left.
func (t *Tracing) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// wanted is the context's key for the ids that the next root is to have.
type wanted struct{}

// ids gives random ids, but to roots that are to have certain ones.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if c, ok := ctx.Value(wanted{}).(trace.SpanContext); ok {
		return c.TraceID(), c.SpanID()
	}
	var id trace.TraceID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())   //nolint:gosec // not a secret
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()|1) //nolint:gosec // not a secret
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	binary.NativeEndian.PutUint64(id[:], rand.Uint64()|1) //nolint:gosec // not a secret
	return id
}

// commandContext is where a command to a session begins, the same on every server.
func commandContext(sessionID, command string) trace.SpanContext {
	h := sha256.Sum256([]byte(sessionID + "\x00" + command))
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(h[:16]), SpanID: trace.SpanID(h[16:24]), TraceFlags: trace.FlagsSampled, Remote: true,
	})
}

var _ session.Tracer = (*Tracing)(nil)

// Begin implements session.Tracer.
func (t *Tracing) Begin(ctx context.Context, step session.Step, sessionID, command string) (context.Context, func(err error)) {
	at := commandContext(sessionID, command)
	options := []trace.SpanStartOption{trace.WithAttributes(attribute.String("vigil.session", sessionID), attribute.String("vigil.command", command))}
	if step == session.StepCommand {
		ctx = context.WithValue(ctx, wanted{}, at)
		options = append(options, trace.WithNewRoot())
	} else {
		ctx = trace.ContextWithSpanContext(ctx, at)
	}
	ctx, span := t.tracer.Start(ctx, string(step), options...)
	return ctx, func(err error) { end(span, err) }
}

// end ends a span. Errors are told by their codes: their texts may name people.
func end(span trace.Span, err error) {
	if err != nil {
		code := vigil.CodeOf(err)
		span.SetAttributes(attribute.String("error.type", string(code)))
		if code == vigil.CodeUnavailable || code == vigil.CodeInternal {
			span.SetStatus(codes.Error, string(code))
		}
	}
	span.End()
}

// HTTP begins a span for each request to a router. It expects the route context that is found in the request, and
// passes on as it is what has none.
func (t *Tracing) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := chi.RouteContext(r.Context())
		if route == nil {
			next.ServeHTTP(w, r)
			return
		}
		ctx, span := t.tracer.Start(r.Context(), r.Method, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(wrapped, r.WithContext(ctx))
		pattern, status := route.RoutePattern(), wrapped.Status()
		if pattern != "" {
			span.SetName(r.Method + " " + pattern)
		}
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", pattern), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// Transport begins a span for each request to a platform that belongs to a trace. The platform is told nothing of it.
func (t *Tracing) Transport(next http.RoundTripper) http.RoundTripper { return transport{t, next} }

type transport struct {
	t    *Tracing
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsSampled() {
		return p.next.RoundTrip(r)
	}
	ctx, span := p.t.tracer.Start(r.Context(), "platform "+r.Method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname())))
	defer span.End()
	response, err := p.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return response, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	return response, nil
}

// Store begins a span for each operation of a store that belongs to a trace.
func (t *Tracing) Store(backend string) observed.Observer { return storeObserver{t, backend} }

type storeObserver struct {
	t       *Tracing
	backend string
}

// inTrace is the context's key for the span of a store's operation.
type inTrace struct{}

// Begin implements observed.Observer.
func (o storeObserver) Begin(ctx context.Context, operation string) context.Context {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx
	}
	ctx, span := o.t.tracer.Start(ctx, "store "+operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", o.backend), attribute.String("db.operation.name", operation)))
	return context.WithValue(ctx, inTrace{}, span)
}

// End implements observed.Observer.
func (storeObserver) End(ctx context.Context, _ string, _ time.Duration, err error) {
	if span, ok := ctx.Value(inTrace{}).(trace.Span); ok {
		end(span, err)
	}
}
