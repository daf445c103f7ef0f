package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/cmd/internal/seat"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// scrape reads the page of metrics: every line must be a comment or a sample.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	status, body := get(t, address)
	if status != http.StatusOK {
		t.Fatalf("got %d for the metrics, want 200", status)
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "# HELP ") || strings.HasPrefix(line, "# TYPE ") {
			continue
		}
		name, text, ok := cutLast(line, " ")
		v, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			t.Fatalf("got a line %q, want a sample", line)
		}
		out[name] = v
	}
	return out
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func TestTheAdminListenerTellsHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	admin := "http://" + s.admin
	if status, body := get(t, admin+"/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("got %d %q, want ok", status, body)
	}
	if status, body := get(t, admin+"/readyz"); status != http.StatusOK || body != "ready\n" {
		t.Errorf("got %d %q, want ready", status, body)
	}
	for path, want := range map[string]int{"/debug/pprof/": http.StatusOK, "/debug/pprof/heap": http.StatusOK, "/debug/pprof/cmdline": http.StatusNotFound} {
		if status, _ := get(t, admin+path); status != want { // a command line may hold secrets
			t.Errorf("%s: got %d, want %d", path, status, want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		if status, _ := get(t, s.tool+path); status != http.StatusNotFound {
			t.Errorf("%s in public: got %d, want 404", path, status)
		}
	}
	st := s.student(student)
	s.proctor()
	st.Signal(vigil.KindCopy, 0, length(3))
	s.ok(st.Settled(t.Context()))
	got := scrape(t, admin+"/metrics")
	for name, want := range map[string]float64{
		"vigil_sockets": 2, `vigil_connections{role="student",state="online"}`: 1, `vigil_connections{role="proctor",state="online"}`: 1, "vigil_exams": 1,
		"vigil_store_up": 1, "vigil_signal_queue_length": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: got %v (%v), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{`vigil_signals_total{outcome="stored"}`, "vigil_frames_received_total", "vigil_frames_sent_total", "go_goroutines"} {
		if got[name] < 1 {
			t.Errorf("%s: got %v, want some", name, got[name])
		}
	}

	unlock := lock(t, s.db)
	if status, body := get(t, admin+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "store") {
		t.Errorf("with the store locked: got %d %q, want 503 because of the store", status, body)
	}
	if status, _ := get(t, admin+"/healthz"); status != http.StatusOK {
		t.Errorf("with the store locked: got %d for health, want 200", status)
	}
	unlock()
	testutil.Until(t, "the server to be ready again", func() bool { status, _ := get(t, admin+"/readyz"); return status == http.StatusOK })
}

func TestTheAdminListenerAnswersNoNameThatCouldBeAnybodys(t *testing.T) {
	h := byAddress(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), []string{"vigil.internal.example"})
	for host, want := range map[string]int{
		"127.0.0.1:9090": 200, "10.0.0.3": 200, "[::1]:9090": 200, "localhost:9090": 200, "vigil:9090": 200, "Vigil.internal.example:9090": 200,
		"evil.example:9090": 421, "evil.example": 421, "127.0.0.1.evil.example": 421, "": 421, "localhost.": 421,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = host
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: got %d, want %d", host, w.Code, want)
		}
	}
}

func TestTheAdminListenerCanBeOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := &node{T: t, log: &output{}}
	ctx, stop := cancelable(t)
	done := make(chan int, 1)
	go func() { done <- run(ctx, append(s.args(), "--admin-listen=off"), nil, &output{}, n.log) }()
	testutil.Until(t, "the pages", func() bool { status, _ := get(t, s.tool+"/"); return status == http.StatusOK })
	if status, _ := get(t, "http://"+s.admin+"/healthz"); status != 0 {
		t.Errorf("got %d, want nobody there", status)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

// TestSIGTERMDrains stops a process in order: readiness fails while it finishes, clients
// are told when to come back, and nobody is lost by the restart.
func TestSIGTERMDrains(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	t.Parallel()
	s := newSite(t)
	server := s.process("--drop-grace=1m")
	st := s.student(student)
	p := s.proctor()
	session := st.Welcome().Session
	st.Signal(vigil.KindCopy, 0, length(3))
	s.ok(st.Settled(t.Context()))

	// A request that is not finished yet keeps the process from ending.
	slow, err := net.Dial("tcp", s.listen)
	s.ok(err)
	t.Cleanup(func() { slow.Close() })
	_, err = fmt.Fprintf(slow, "POST /api/v1/socket/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{", s.listen)
	s.ok(err)
	testutil.Until(t, "the request to be in work", func() bool {
		return scrape(t, "http://"+s.admin+"/metrics")[`vigil_connections{role="student",state="online"}`] == 1
	})
	ended := make(chan int, 1)
	go func() { ended <- server.end() }()
	testutil.Until(t, "readiness to fail", func() bool {
		status, body := get(t, "http://"+s.admin+"/readyz")
		return status == http.StatusServiceUnavailable && body == "draining\n"
	})
	if status, _ := get(t, "http://"+s.admin+"/healthz"); status != http.StatusOK {
		t.Errorf("got %d for health while draining, want 200", status)
	}
	_, err = fmt.Fprint(slow, `                   }`)
	s.ok(err)
	answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
	s.ok(err)
	answer.Body.Close()
	slow.Close()
	if code := <-ended; code != 0 {
		t.Errorf("got exit code %d, want 0:\n%s", code, server.log)
	}
	testutil.Until(t, "the student to be sent away", func() bool { return st.Closes()[protocol.CloseDrain] == 1 })
	st.Signal(vigil.KindCopy, 0, length(4)) // while nobody is there

	s.process("--drop-grace=1m")
	s.ok(st.Settled(t.Context()))
	testutil.Until(t, "the student to be shown online", func() bool { return p.Connection(session) == vigil.ConnOnline })
	if got := p.Gaps(session); len(got) != 0 {
		t.Errorf("got gaps %+v, want none by a restart in order", got)
	}
	if row := p.Row(session); row.Lost != nil && row.Lost.Gaps != 0 {
		t.Errorf("got %+v, want no lost time", row.Lost)
	}
}

// TestTheLogIsJSONAndHoldsNothingPersonal takes a walk with values that are easy to find,
// on the most talkative level, and through refusals as well.
func TestTheLogIsJSONAndHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.db = filepath.Join(t.TempDir(), "copy.db") // the server makes this one itself
	server := s.serve("--log-level=debug")
	s.register()
	p := s.lms.Platform()
	pupil := p.AddUser(ltitest.User{ID: "sensitive-sub-of-a-pupil", Given: "Xanthippe", Family: "Vandersloot", Email: "xan@lms.example", Role: ltitest.Learner})
	teacher := p.AddUser(ltitest.User{ID: "sensitive-sub-of-a-teacher", Given: "Zuleikha", Family: "Quillfeather", Email: "quill@lms.example", Role: ltitest.Instructor})
	sitting := s.seat(pupil.ID)
	token, err := sitting.Token(t.Context())
	s.ok(err)
	st := s.connect(sitting, func(c *client.Config) { c.Header = http.Header{"User-Agent": {"sensitive-agent"}} })
	b := ltitest.NewBrowser(nil)
	b.SignIn(p, teacher.ID)
	board, err := b.Open(t.Context(), p.Begin(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: s.client, UserID: teacher.ID, LinkID: lms.LinkID}))
	s.ok(err)
	d := &desk{site: s, proctor: watch(t, s.tool, b, board), attempt: sitting.Attempt, session: st.Welcome().Session}
	secrets := []string{"eyJ", token.Token}
	for _, c := range b.Cookies(s.tool) {
		secrets = append(secrets, c.Value)
	}
	person, err := seat.At(s.tool, b, board)
	s.ok(err)
	ticket, err := person.Token(t.Context())
	s.ok(err)
	window := openWindow(t, s.tool, person)
	secrets = append(secrets, ticket.Token, window[strings.LastIndex(window, "/")+1:])
	for range 2 { // it works once
		_, err = b.Open(t.Context(), window)
		s.ok(err)
	}
	st.Chat("sensitive-chat of a student")
	d.proctor.Chat(d.session, "sensitive-chat of a proctor")
	d.answer(d.give(protocol.CommandUp{Kind: vigil.CommandFlag, Text: "sensitive-reason"}), vigil.LMSAccepted)
	d.give(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "sensitive-message"})
	st.Signal(vigil.KindCopy, 0, json.RawMessage(`{"length":5,"text":"sensitive-text"}`))
	s.ok(st.Settled(t.Context()))
	testutil.Until(t, "the message", func() bool { return len(st.Commands()) > 0 })
	testutil.Until(t, "the chat", func() bool { return len(st.Lines()) > 0 && len(d.proctor.Lines()) > 1 })

	// What is refused is logged, too.
	s.down()
	d.answer(d.extend(60), vigil.LMSWaiting)
	if status := peek(t, person, "/members"); status < 500 {
		t.Errorf("got %d for the members while the LMS is away, want a failure", status)
	}
	s.up()
	unlock := lock(t, s.db)
	st.Chat("sensitive-chat in an outage")
	st.Signal(vigil.KindCopy, 0, json.RawMessage(`{"length":5,"hash":"sensitive-hash"}`))
	d.proctor.Chat(d.session, "sensitive-chat in an outage")
	d.give(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "sensitive-message"})
	if _, err := s.seatOrNot(another); err == nil {
		t.Error("got a seat while nothing can be stored, want a failure")
	}
	testutil.Until(t, "the outage in the log", func() bool { return strings.Contains(server.log.String(), "signals cannot be stored") })
	unlock()
	s.ok(st.Settled(t.Context()))
	p.SetMischief(ltitest.Mischief{
		Claims:  func(c map[string]any) { c["aud"] = "sensitive-audience" },
		IDToken: func(raw string) string { return raw },
	})
	b = ltitest.NewBrowser(nil)
	b.SignIn(p, another)
	page, err := b.Open(t.Context(), p.Begin(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: s.client, UserID: another, LinkID: lms.LinkID}))
	s.ok(err)
	if page.Status < 400 {
		t.Errorf("got %d for a launch for somebody else, want a refusal", page.Status)
	}
	p.SetMischief(ltitest.Mischief{})
	for path, form := range map[string]url.Values{
		"/lti/launch":                      {"id_token": {"eyJzZW5zaXRpdmUtdG9rZW4"}, "state": {"sensitive-state"}},
		"/lti/launch#stranger":             {"id_token": {p.Assertion(sitting.Attempt)}, "state": {strings.Repeat("A", 43)}},
		"/lti/launch#error":                {"error": {"sensitive-error"}, "error_description": {"sensitive-description"}, "state": {"sensitive-state"}},
		"/lti/login":                       {"iss": {"https://unknown-issuer.example"}, "login_hint": {"sensitive-hint"}, "lti_message_hint": {"sensitive-hint"}, "target_link_uri": {s.tool}},
		"/lti/register/sensitive-secret":   {"openid_configuration": {"https://sensitive.example/"}, "registration_token": {"sensitive-registration"}},
		"/api/v1/socket/token":             {"assertion": {"sensitive-assertion"}},
		"/open?code=sensitive-code":        {"code": {"sensitive-code"}},
		"/checkin/sensitive-session/start": {"consent": {"yes"}},
	} {
		res, err := plain.PostForm(s.tool+path, form)
		s.ok(err)
		res.Body.Close()
		if res.StatusCode < 400 {
			t.Errorf("%s: got %d, want a refusal", path, res.StatusCode)
		}
	}
	res, err := plain.Post(s.tool+"/api/v1/socket/token", "application/json", strings.NewReader(`{"assertion":"`+p.Assertion(sitting.Attempt)+`x"}`))
	s.ok(err)
	res.Body.Close()
	bad := s.seat(another)
	bad.Client = &http.Client{Transport: badToken{}, Timeout: time.Minute}
	if _, err := bad.Token(t.Context()); err == nil {
		t.Error("got a token, want a refusal")
	}
	st.Close()
	if code := server.end(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}

	text := server.log.String()
	lines := 0
	for line := range strings.Lines(text) {
		var entry struct {
			Time  time.Time `json:"time"`
			Level string    `json:"level"`
			Msg   string    `json:"msg"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" {
			t.Errorf("got the line %q, want JSON with time, level and msg", line)
		}
		lines++
	}
	if lines < 10 {
		t.Errorf("got %d lines, want a walk's", lines)
	}
	if !strings.Contains(text, "https://unknown-issuer.example") {
		t.Error("got no issuer of the refused login in the log, want it: it is no person")
	}
	if len(secrets) < 5 {
		t.Errorf("got the secrets %q, want tokens, a cookie and a code among them", secrets)
	}
	words := append(secrets, "sensitive", "lms.example")
	for _, u := range p.Users() {
		words = append(words, u.Given, u.Family, u.Email)
	}
	for _, word := range words {
		if i := strings.Index(text, word); i >= 0 {
			t.Errorf("got %q in the log, want it nowhere:\n%s", word, lineAt(text, i))
		}
	}
}

// peek asks for data of an exam as its dashboard does.
func peek(t *testing.T, p *seat.Proctor, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Tool+"/api/v1/exams/"+p.Exam+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func lineAt(text string, i int) string {
	from, to := strings.LastIndexByte(text[:i], '\n')+1, strings.IndexByte(text[i:], '\n')
	return text[from : i+to]
}

// badToken spoils the assertions that pass through it.
type badToken struct{}

// RoundTrip implements http.RoundTripper.
func (badToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Origin", "https://sensitive-origin.example")
	return plain.Transport.RoundTrip(r)
}
