package lti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

// services are a platform's token and service endpoints on a rig's server.
type services struct {
	*rig
	mu      sync.Mutex
	asked   int                                               // for tokens
	forms   []map[string]string                               // of token requests
	token   func(w http.ResponseWriter, scope string)         // answers a token request
	service func(w http.ResponseWriter, r *http.Request) bool // answers a service request
	calls   []*http.Request
	bodies  []string
}

func newServices(t testing.TB) *services {
	g := &services{rig: newRig(t)}
	g.ensureKeys()
	g.token = func(w http.ResponseWriter, scope string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8") // as Moodle does
		_, _ = w.Write(mustJSON(m{"access_token": fmt.Sprint("t", g.asked), "token_type": "bearer", "expires_in": 3600, "scope": scope}))
	}
	g.mux.HandleFunc("POST /token.php", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		form := map[string]string{}
		for k := range r.PostForm {
			form[k] = r.PostForm.Get(k)
		}
		g.mu.Lock()
		g.asked++
		g.forms = append(g.forms, form)
		f := g.token
		g.mu.Unlock()
		f(w, form["scope"])
	})
	for _, path := range []string{"/acs", "/members", "/access"} {
		g.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			g.mu.Lock()
			g.calls, g.bodies = append(g.calls, r), append(g.bodies, string(body))
			f := g.service
			g.mu.Unlock()
			if f == nil || !f(w, r) {
				_, _ = w.Write([]byte(`{"status":"running"}`))
			}
		})
	}
	return g
}

func (g *services) callCount() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

func (g *services) request() lti.ControlRequest {
	return lti.ControlRequest{
		Subject: "u1", ResourceLink: "quiz-2", Attempt: 1, Action: lti.ActionPause, Offered: []string{"pause", "update"},
		IncidentTime: g.clock.now(), Severity: 0.3,
	}
}

func (g *services) control(change func(*lti.ControlRequest)) (lti.ControlResult, error) {
	r := g.request()
	if change != nil {
		change(&r)
	}
	return g.tool.Control(context.Background(), g.p, g.server.URL+"/acs", r)
}

func status(code int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

func TestControlSendsWhatTheSpecificationSays(t *testing.T) {
	g := newServices(t)
	g.service = status(http.StatusOK, `{"status":"paused","extra_time":10}`)
	got, err := g.control(func(r *lti.ControlRequest) {
		r.Action, r.ExtraMinutes, r.Severity, r.ReasonMsg = lti.ActionUpdate, 10, 0.6, "Power cut"
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != "paused" || got.ExtraMinutes == nil || *got.ExtraMinutes != 10 {
		t.Errorf("got %+v", got)
	}
	r := g.calls[0]
	const media = "application/vnd.ims.lti-ap.v1.control+json"
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != media || !strings.HasPrefix(r.Header.Get("Accept"), media) ||
		r.Header.Get("Authorization") != "Bearer t1" {
		t.Errorf("got %s %v", r.Method, r.Header)
	}
	var body m
	if err := json.Unmarshal([]byte(g.bodies[0]), &body); err != nil {
		t.Fatal(err)
	}
	want := m{
		"user": m{"iss": g.p.Issuer, "sub": "u1"}, "resource_link": m{"id": "quiz-2"}, "attempt_number": 1.0, "action": "update",
		"extra_time": 10.0, "incident_time": "2026-03-02T09:00:00.000Z", "incident_severity": "0.60", "reason_code": "vigil", "reason_msg": "Power cut",
	}
	if fmt.Sprint(body) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", body, want)
	}
}

// The id of a request is for our plugin: other platforms are not sent what the
// specification does not know.
func TestControlSendsARequestIDWhereThereIsOne(t *testing.T) {
	g := newServices(t)
	const id = "01960000-0000-7000-8000-000000000001"
	for i, want := range []any{nil, id, id} {
		if _, err := g.control(func(r *lti.ControlRequest) { r.RequestID, _ = want.(string) }); err != nil {
			t.Fatal(err)
		}
		var body m
		if err := json.Unmarshal([]byte(g.bodies[i]), &body); err != nil {
			t.Fatal(err)
		}
		if got, there := body["request_id"]; got != want || there != (want != nil) {
			t.Errorf("request %d: got request_id %v, want %v", i, got, want)
		}
	}
}

func TestControlReadsWhatWasDone(t *testing.T) {
	g := newServices(t)
	for _, row := range []struct {
		body    string
		applied vigil.Applied
		reason  vigil.NoReason
	}{
		{`{"status":"paused"}`, "", ""},
		{`{"status":"paused","applied":"now"}`, vigil.AppliedNow, ""},
		{`{"status":"paused","applied":"before"}`, vigil.AppliedBefore, ""},
		{`{"status":"none","applied":"no","reason":"not_begun"}`, vigil.AppliedNo, vigil.NoNotBegun},
		{`{"status":"complete","applied":"no","reason":"ended"}`, vigil.AppliedNo, vigil.NoEnded},
		{`{"status":"none","applied":"no","reason":"gone"}`, vigil.AppliedNo, vigil.NoGone},
		{`{"status":"running","applied":"no","reason":"switched_off"}`, vigil.AppliedNo, vigil.NoSwitchedOff},
		{`{"status":"running","applied":"no","reason":"no_end"}`, vigil.AppliedNo, vigil.NoEnd},
		{`{"status":"terminated","applied":"no","reason":"cannot_reopen"}`, vigil.AppliedNo, vigil.NoCannotReopen},
		{`{"status":"running","applied":"no","reason":"override"}`, vigil.AppliedNo, vigil.NoOverride},
		{`{"applied":"no","reason":"because"}`, vigil.AppliedNo, ""},
		{`{"applied":"no","reason":1}`, vigil.AppliedNo, ""},
		{`{"applied":"no"}`, vigil.AppliedNo, ""},
		{`{"applied":"now","reason":"gone"}`, vigil.AppliedNow, ""},
		{`{"applied":"perhaps","reason":"gone"}`, "", ""},
		{`{"applied":"","reason":""}`, "", ""},
		{`{"applied":true,"reason":null}`, "", ""},
		{`{"applied":"no","applied":"now"}`, "", ""},
		{`[]`, "", ""},
	} {
		g.service = status(http.StatusOK, row.body)
		got, err := g.control(nil)
		if err != nil || got.Applied != row.applied || got.Reason != row.reason {
			t.Errorf("%s: got %q, %q, %v, want %q, %q", row.body, got.Applied, got.Reason, err, row.applied, row.reason)
		}
	}
}

func TestControlOutcomes(t *testing.T) {
	for _, row := range []struct {
		name    string
		service func(http.ResponseWriter, *http.Request) bool
		token   func(http.ResponseWriter, string)
		change  func(*lti.ControlRequest)
		want    *lti.Fault
		calls   int
		status  string
	}{
		{name: "accepted without a status", service: status(200, `{}`), calls: 1},
		{name: "accepted without a body", service: status(204, ``), calls: 1},
		{name: "accepted with a page", service: status(200, `<html>`), calls: 1},
		{name: "accepted with a status nobody knows", service: status(200, `{"status":"flying"}`), calls: 1},
		{name: "terminated", service: status(200, `{"status":"terminated"}`), calls: 1, status: "terminated"},
		{name: "415 to the specification's media type", service: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Content-Type") != "application/json" {
				w.WriteHeader(http.StatusUnsupportedMediaType)
				return true
			}
			return false
		}, calls: 2, status: "running"},
		{name: "415 to everything", service: status(415, ``), calls: 2, want: lti.ErrControlRefused},
		{name: "400", service: status(400, `{"error":"x"}`), calls: 1, want: lti.ErrControlRefused},
		{name: "404", service: status(404, ``), calls: 1, want: lti.ErrControlRefused},
		{name: "redirect", service: status(302, ``), calls: 1, want: lti.ErrControlRefused},
		{name: "403 twice", service: status(403, ``), calls: 2, want: lti.ErrControlRefused},
		{name: "429", service: status(429, ``), calls: 1, want: lti.ErrControlUnsent},
		{name: "503", service: status(503, ``), calls: 1, want: lti.ErrControlUnsent},
		{name: "500", service: status(500, ``), calls: 1, want: lti.ErrControlUnknown},
		{name: "504", service: status(504, ``), calls: 1, want: lti.ErrControlUnknown},
		{name: "connection cut before the answer", service: func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, calls: 1, want: lti.ErrControlUnknown},
		{name: "no token service", token: func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) }, want: lti.ErrControlUnsent},
		{name: "not offered", change: func(r *lti.ControlRequest) { r.Action = lti.ActionTerminate }, want: lti.ErrControlNotOffered},
		{name: "unknown action", change: func(r *lti.ControlRequest) { r.Action = "explode"; r.Offered = []string{"explode"} }, want: lti.ErrControlInput},
		{name: "no subject", change: func(r *lti.ControlRequest) { r.Subject = "" }, want: lti.ErrControlInput},
		{name: "no resource link", change: func(r *lti.ControlRequest) { r.ResourceLink = "" }, want: lti.ErrControlInput},
		{name: "attempt 0", change: func(r *lti.ControlRequest) { r.Attempt = 0 }, want: lti.ErrControlInput},
		{name: "no time", change: func(r *lti.ControlRequest) { r.IncidentTime = time.Time{} }, want: lti.ErrControlInput},
		{name: "severity 1.1", change: func(r *lti.ControlRequest) { r.Severity = 1.1 }, want: lti.ErrControlInput},
		{name: "update without minutes", change: func(r *lti.ControlRequest) { r.Action = lti.ActionUpdate }, want: lti.ErrControlInput},
		{name: "pause with minutes", change: func(r *lti.ControlRequest) { r.ExtraMinutes = 5 }, want: lti.ErrControlInput},
		{name: "request id too long", change: func(r *lti.ControlRequest) { r.RequestID = strings.Repeat("x", 65) }, want: lti.ErrControlInput},
		{name: "request id with a line break", change: func(r *lti.ControlRequest) { r.RequestID = "a\nb" }, want: lti.ErrControlInput},
		{name: "reason too long", change: func(r *lti.ControlRequest) { r.ReasonMsg = strings.Repeat("x", 5000) }, want: lti.ErrControlInput},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newServices(t)
			g.service = row.service
			if row.token != nil {
				g.token = row.token
			}
			got, err := g.control(row.change)
			wantFault(t, err, row.want)
			if calls := g.callCount(); calls != row.calls || got.Status != row.status {
				t.Errorf("got %d calls, status %q, want %d, %q", calls, got.Status, row.calls, row.status)
			}
		})
	}
}

func TestControlTimesOutAsUnknown(t *testing.T) {
	g := newServices(t)
	entered, release := make(chan struct{}), make(chan struct{})
	g.service = func(http.ResponseWriter, *http.Request) bool { close(entered); <-release; return false }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-entered; cancel() }()
	_, err := g.tool.Control(ctx, g.p, g.server.URL+"/acs", g.request())
	close(release)
	wantFault(t, err, lti.ErrControlUnknown)
}

func TestControlThatCannotConnectIsUnsent(t *testing.T) {
	g := newServices(t)
	g.service = func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Set("Connection", "close"); return false }
	if _, err := g.control(nil); err != nil { // the token is cached, no connection is left
		t.Fatal(err)
	}
	g.server.CloseClientConnections()
	g.server.Close()
	_, err := g.control(nil)
	wantFault(t, err, lti.ErrControlUnsent)
}

func TestControlGoesToThePlatformOnly(t *testing.T) {
	g := newServices(t)
	for _, u := range []string{"https://evil.example/acs", "javascript:alert(1)", "", g.server.URL + "/acs#x"} {
		_, err := g.tool.Control(context.Background(), g.p, u, g.request())
		wantFault(t, err, lti.ErrControlURL)
	}
	if g.asked != 0 {
		t.Errorf("got %d token requests, want 0", g.asked)
	}
}

func TestAccessTokenIsAskedForOnce(t *testing.T) {
	g := newServices(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := g.control(nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if g.asked != 1 {
		t.Errorf("got %d token requests for 10 calls at once, want 1", g.asked)
	}
	g.clock.add(time.Hour - time.Minute)
	if _, err := g.control(nil); err != nil || g.asked != 1 {
		t.Errorf("a minute before its end: got %d requests, %v, want 1", g.asked, err)
	}
	g.clock.add(40 * time.Second)
	if _, err := g.control(nil); err != nil || g.asked != 2 {
		t.Errorf("20 s before its end: got %d requests, %v, want 2", g.asked, err)
	}
	form := g.forms[0]
	if form["grant_type"] != "client_credentials" || form["scope"] != lti.ScopeControl ||
		form["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("got form %v", form)
	}
	if g.forms[0]["client_assertion"] == g.forms[1]["client_assertion"] {
		t.Error("a client assertion was used twice")
	}
	claims := decode(t, form["client_assertion"])
	now := float64(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Unix())
	if claims["iss"] != "client-1" || claims["sub"] != "client-1" || claims["aud"] != g.p.TokenEndpoint || claims["jti"] == "" ||
		claims["iat"] != now-5 || claims["exp"] != now+60 {
		t.Errorf("got client assertion %v", claims)
	}
}

// decode reads a compact JWS's claims without verifying it.
func decode(t testing.TB, compact string) m {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWS: %q", compact)
	}
	var out m
	if err := json.Unmarshal(unb64(parts[1]), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		g := newServices(t)
		g.service = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "Bearer t1" {
				w.WriteHeader(code)
				return true
			}
			return false
		}
		if got, err := g.control(nil); err != nil || got.Status != "running" || g.asked != 2 || len(g.calls) != 2 {
			t.Errorf("%d: got %v, %v after %d tokens and %d calls, want 2 and 2", code, got, err, g.asked, len(g.calls))
		}
		if _, err := g.control(nil); err != nil || g.asked != 2 {
			t.Errorf("%d: the renewed token is not kept: %d asked, %v", code, g.asked, err)
		}
	}
}

func TestTokenAnswers(t *testing.T) {
	raw := func(code int, body string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, row := range []struct {
		name  string
		token func(http.ResponseWriter, string)
		want  *lti.Fault
	}{
		{"no scope in the answer", raw(200, `{"access_token":"a"}`), nil},
		{"expires_in as a string", raw(200, `{"access_token":"a","expires_in":"3600"}`), nil},
		{"more scopes than asked for", raw(200, `{"access_token":"a","scope":"x `+lti.ScopeControl+` y"}`), nil},
		{"200 with an empty scope", raw(200, `{"access_token":"a","scope":""}`), lti.ErrTokenScope},
		{"another scope", raw(200, `{"access_token":"a","scope":"`+lti.ScopeMembers+`"}`), lti.ErrTokenScope},
		{"scope is an array", raw(200, `{"access_token":"a","scope":[]}`), lti.ErrTokenAnswer},
		{"404 with a page", raw(404, ` <!DOCTYPE html><p>Exception`), lti.ErrTokenKeysFetch},
		{"404 with JSON", raw(404, `{}`), lti.ErrTokenRefused},
		{"400 invalid_client", raw(400, `{"error":"invalid_client"}`), lti.ErrTokenRefused},
		{"401", raw(401, ``), lti.ErrTokenRefused},
		{"redirect", raw(302, ``), lti.ErrTokenRefused},
		{"500", raw(500, ``), lti.ErrTokenUnreachable},
		{"429", raw(429, ``), lti.ErrTokenUnreachable},
		{"200 with a page", raw(200, `<html>`), lti.ErrTokenAnswer},
		{"no token", raw(200, `{}`), lti.ErrTokenAnswer},
		{"token with a line break", raw(200, `{"access_token":"a\nb"}`), lti.ErrTokenAnswer},
		{"token twice", raw(200, `{"access_token":"a","access_token":"b"}`), lti.ErrTokenAnswer},
		{"token of another type", raw(200, `{"access_token":"a","token_type":"mac"}`), lti.ErrTokenAnswer},
		{"answer over 256 KB", raw(200, strings.Repeat(" ", 256<<10)+`{"access_token":"a"}`), lti.ErrTokenUnreachable},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newServices(t)
			g.token = row.token
			_, err := g.control(nil)
			wantFault(t, err, row.want)
			if row.want == nil {
				return
			}
			if len(g.calls) != 0 {
				t.Errorf("got %d calls without a token, want 0", len(g.calls))
			}
			// The platform is not asked again at once.
			_, _ = g.control(nil)
			if g.asked != 1 {
				t.Errorf("got %d token requests, want 1", g.asked)
			}
		})
	}
}

func (g *services) members(r lti.MembersRequest) ([]lti.Member, error) {
	return g.tool.Members(context.Background(), g.p, g.server.URL+"/members", r)
}

func TestMembersFollowsThePages(t *testing.T) {
	g := newServices(t)
	g.service = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Accept") != "application/vnd.ims.lti-nrps.v2.membershipcontainer+json" {
			w.WriteHeader(http.StatusNotAcceptable)
			return true
		}
		if r.URL.Query().Get("page") == "" {
			w.Header().Set("Link", `</members?page=2&rlid=q>; rel="next"`)
			_, _ = w.Write(mustJSON(m{"members": []any{
				m{"user_id": "2", "name": "Ingrid", "roles": []any{"Instructor"}},
				m{"name": "nobody"},
				m{"user_id": "3", "status": "Inactive", "roles": []any{mRole + "Learner"}},
			}}))
			return true
		}
		_, _ = w.Write(mustJSON(m{"members": []any{m{"user_id": "4", "status": "Active"}}}))
		return true
	}
	got, err := g.members(lti.MembersRequest{Role: mRole + "Learner", ResourceLink: "q 1"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Subject != "2" || got[0].Role != lti.RoleProctor || got[0].Name != "Ingrid" || !got[0].Active ||
		got[1].Active || got[1].Role != lti.RoleLearner || got[2].Subject != "4" || !got[2].Active {
		t.Errorf("got %+v", got)
	}
	if q := g.calls[0].URL.Query(); q.Get("role") != mRole+"Learner" || q.Get("rlid") != "q 1" {
		t.Errorf("got query %v", q)
	}
}

func TestMembersThatAreRefused(t *testing.T) {
	link := func(next string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
			_, _ = io.WriteString(w, `{"members":[]}`)
			return true
		}
	}
	n := 0
	for _, row := range []struct {
		name    string
		service func(http.ResponseWriter, *http.Request) bool
		want    *lti.Fault
	}{
		{"next page elsewhere", link("https://evil.example/members"), lti.ErrMembersURL},
		{"next page is a file", link("file:///etc/passwd"), lti.ErrMembersURL},
		{"pages in a circle", link("/members"), lti.ErrMembersAnswer},
		{"pages without end", func(w http.ResponseWriter, r *http.Request) bool {
			n++
			return link(fmt.Sprint("/members?p=", n))(w, r)
		}, lti.ErrMembersBounds},
		{"404", status(404, ``), lti.ErrMembersAnswer},
		{"redirect", status(302, ``), lti.ErrMembersAnswer},
		{"a page of HTML", status(200, `<html>`), lti.ErrMembersAnswer},
		{"no members", status(200, `{}`), lti.ErrMembersAnswer},
		{"a member is a string", status(200, `{"members":["x"]}`), lti.ErrMembersAnswer},
		{"members beyond counting", status(200, `{"members":[`+strings.Repeat("{},", 20_000)+`{}]}`), lti.ErrMembersBounds},
		{"answer over 4 MB", status(200, strings.Repeat(" ", 4<<20)+`{"members":[]}`), lti.ErrMembersAnswer},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newServices(t)
			g.service = row.service
			got, err := g.members(lti.MembersRequest{})
			wantFault(t, err, row.want)
			if got != nil {
				t.Errorf("got %d members of a roster that failed", len(got))
			}
		})
	}
	g := newServices(t)
	_, err := g.tool.Members(context.Background(), g.p, "https://evil.example/members", lti.MembersRequest{})
	wantFault(t, err, lti.ErrMembersURL)
	_, err = g.tool.Members(context.Background(), g.p, "x", lti.MembersRequest{Role: "r"})
	wantFault(t, err, lti.ErrMembersURL)
	g.token = func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{"access_token":"a","scope":""}`) }
	_, err = g.members(lti.MembersRequest{})
	wantFault(t, err, lti.ErrTokenScope)
}

func TestServicesOfAPublicPlatformAreNotLookedForOnThisMachine(t *testing.T) {
	g := newServices(t)
	g.p.Private = false
	_, err := g.control(nil)
	wantFault(t, err, lti.ErrControlUnsent)
	if vigil.CodeOf(err) != vigil.CodeUnavailable || g.asked != 0 {
		t.Errorf("got %v and %d requests", err, g.asked)
	}
}
