//go:build unix

package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay/redistest"
)

// spans are what servers have sent.
type spans struct {
	mu   sync.Mutex
	list []span
}

type span struct {
	name, server      string
	trace, id, parent string
	attributes        map[string]string
}

// ServeHTTP is what a collector of OpenTelemetry does at /v1/traces.
func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range req.GetResourceSpans() {
		server := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.instance.id" {
				server = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, p := range scope.GetSpans() {
				one := span{
					p.GetName(), server, hex.EncodeToString(p.GetTraceId()), hex.EncodeToString(p.GetSpanId()), hex.EncodeToString(p.GetParentSpanId()),
					map[string]string{},
				}
				for _, a := range p.GetAttributes() {
					one.attributes[a.GetKey()] = a.GetValue().GetStringValue()
					if n := a.GetValue().GetIntValue(); n != 0 {
						one.attributes[a.GetKey()] = strconv.FormatInt(n, 10)
					}
				}
				s.list = append(s.list, one)
			}
		}
	}
}

func (s *spans) all() []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// named are the spans of that name.
func (s *spans) named(name string) (out []span) {
	for _, p := range s.all() {
		if p.name == name {
			out = append(out, p)
		}
	}
	return out
}

// below tells whether a span of a name has another for its parent.
func (s *spans) below(parent span, name string) bool {
	return slices.ContainsFunc(s.named(name), func(p span) bool {
		return p.trace == parent.trace && p.parent == parent.id && p.server == parent.server
	})
}

// TestALaunchAndACommandAreFollowedAcrossServers has a student on one server and a proctor on another, who pauses the
// student's attempt: what both servers and the LMS do for it is one trace.
func TestALaunchAndACommandAreFollowedAcrossServers(t *testing.T) {
	got := &spans{}
	at := httptest.NewServer(got)
	t.Cleanup(at.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", at.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	s := newSite(t)
	redis := "--redis=redis://" + redistest.Start(t).Address
	to := s.front()
	one, two := s.beside(), s.beside()
	one.serve(redis)
	two.serve(redis)

	to(one)
	st := s.student(student)
	session := st.Welcome().Session
	to(two)
	w := s.proctor()
	testutil.Until(t, "the student on the dashboard", func() bool { return w.Connection(session) == vigil.ConnOnline })
	id, sent := w.Command(protocol.CommandUp{Kind: vigil.CommandPause, Targets: []string{session}})
	if !sent {
		t.Fatal("got a command that was not sent")
	}
	testutil.Until(t, "the LMS to have paused", func() bool {
		answer := w.Progress(id, session).LMS
		return answer != nil && answer.State == vigil.LMSAccepted
	})

	var launch, command span
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range got.all() {
				t.Logf("%.8s %s %s<%s %s %v", p.server, p.trace, p.id, p.parent, p.name, p.attributes)
			}
		}
	})
	testutil.Until(t, "the launch's trace: the page, the store, and the LMS's keys", func() bool {
		for _, p := range got.named("POST /lti/launch") {
			launch = p
			if got.below(p, "store take_record") && got.below(p, "platform GET") {
				return true
			}
		}
		return false
	})
	if launch.parent != "" || launch.attributes["http.response.status_code"] != "303" && launch.attributes["http.response.status_code"] != "200" {
		t.Errorf("got %+v, want a root with its status", launch)
	}
	testutil.Until(t, "the command's trace: stored here, written to the student there, and answered by the LMS", func() bool {
		for _, p := range got.named("command") {
			command = p
			if p.attributes["vigil.command"] != id {
				continue
			}
			student, platform := got.named("command to student"), got.named("command to platform")
			return got.below(p, "store transition") &&
				slices.ContainsFunc(student, func(q span) bool {
					return q.trace == p.trace && q.parent == p.id && q.server != p.server && got.below(q, "store update_command")
				}) &&
				slices.ContainsFunc(platform, func(q span) bool {
					return q.trace == p.trace && q.parent == p.id && got.below(q, "platform POST") && got.below(q, "store save_delivery")
				})
		}
		return false
	})
	if command.parent != "" || command.trace == launch.trace {
		t.Errorf("got %+v, want a root of a trace of its own", command)
	}
	for _, p := range got.all() { // nothing that names people, and no secrets
		for k, v := range p.attributes {
			if strings.ContainsAny(v, "?&=@") || strings.Contains(v, "/lti/launch/") || k == "url.full" || k == "url.path" {
				t.Errorf("got %s=%q in %s", k, v, p.name)
			}
		}
	}
}

func TestNothingIsTracedUnlessTheEnvironmentAsksForIt(t *testing.T) {
	if a := whole(t); a.tracing != nil || a.tracer() != nil || a.transport() != nil {
		t.Error("got tracing without an endpoint")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	if a := whole(t); a.tracing == nil {
		t.Error("got no tracing with an endpoint")
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if a := whole(t); a.tracing != nil {
		t.Error("got tracing though it is disabled")
	}
}
