package lti_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/lti/ltitest"
)

// house is a tool on a server of its own beside a test platform, on another host name, as
// in real life: cross-site.
type house struct {
	t     *testing.T
	lms   *ltitest.Platform
	tool  *lti.Tool
	store *memory

	mu       sync.Mutex
	launches []lti.Launch
	refused  []*lti.LaunchError
}

func newHouse(t *testing.T, cfg ltitest.Config) *house {
	t.Helper()
	h := &house{t: t, store: newMemory(time.Now)}
	ownKeysOnce.Do(func() {
		g := newRig(t)
		if err := g.tool.Keys().Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		ownKeys = g.store.keys
	})
	for id, k := range ownKeys {
		h.store.keys[id] = k
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	public := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	if cfg.Like == ltitest.OpenEdX {
		public = server.URL // it breaks over links to hosts without a dot
	}
	var err error
	h.tool, err = lti.New(lti.Config{
		PublicURL: public, Store: h.store, Sealer: mustSealer(), Log: slog.New(slog.DiscardHandler),
		OnError: func(w http.ResponseWriter, _ *http.Request, e *lti.LaunchError) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.refused = append(h.refused, e)
			w.WriteHeader(e.Status)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.tool.Close)
	if h.lms, err = ltitest.Serve(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.lms.Close)
	mux.HandleFunc(lti.LoginPath, h.tool.ServeLogin)
	mux.HandleFunc(lti.KeysPath, h.tool.ServeKeys)
	mux.HandleFunc(lti.LaunchPath, func(w http.ResponseWriter, r *http.Request) { h.tool.ServeLaunch(w, r, h.launched) })
	mux.HandleFunc(lti.RegisterPath+"/{secret}", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p, err := h.tool.Register(r.Context(), r.PathValue("secret"), q.Get("openid_configuration"), q.Get("registration_token"))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(err.Error()))
			return
		}
		_, _ = w.Write([]byte(p.ID))
	})
	return h
}

// launched answers proctoring and deep linking launches as the pages of the tool will.
func (h *house) launched(w http.ResponseWriter, r *http.Request, l lti.Launch) {
	h.mu.Lock()
	h.launches = append(h.launches, l)
	h.mu.Unlock()
	var post lti.Post
	var err error
	switch l.Message {
	case lti.MessageStartProctoring:
		post, err = h.tool.StartAssessment(r.Context(), lti.StartRequest{
			PlatformID: l.Platform.ID, Deployment: l.Deployment, ResourceLink: l.Resource.ID, Attempt: l.Proctoring.Attempt,
			SessionData: l.Proctoring.SessionData, StartURL: l.Proctoring.StartURL, EndReturn: true,
		})
	case lti.MessageDeepLinking:
		post, err = h.tool.DeepLink(r.Context(), lti.DeepLinkAnswer{
			PlatformID: l.Platform.ID, Deployment: l.Deployment, ReturnURL: l.DeepLinking.ReturnURL, Data: l.DeepLinking.Data,
			Items: []lti.Item{{Title: "Vigil: midterm", Custom: map[string]string{"exam": "e1"}}},
		})
	default:
		w.WriteHeader(http.StatusOK)
		return
	}
	if err != nil {
		h.t.Errorf("%s: %v", l.Message, err)
	}
	h.tool.WritePost(w, r, post)
}

func (h *house) last() lti.Launch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.launches) == 0 {
		h.t.Fatalf("no launch came; refused: %v", h.refused)
	}
	return h.launches[len(h.launches)-1]
}

// open launches in a user's browser.
func (h *house) open(l ltitest.Launch) *ltitest.Page {
	h.t.Helper()
	b := ltitest.NewBrowser(nil)
	b.SignIn(h.lms, l.UserID)
	page, err := b.Open(h.t.Context(), h.lms.Begin(l))
	if err != nil {
		h.t.Fatal(err)
	}
	return page
}

// registerDynamically goes through the invitation.
func (h *house) registerDynamically() vigil.Platform {
	h.t.Helper()
	secret, err := h.tool.Invite(h.t.Context(), lti.Invitation{Private: true})
	if err != nil {
		h.t.Fatal(err)
	}
	page, err := ltitest.NewBrowser(nil).Open(h.t.Context(), h.lms.RegistrationURL(h.tool.RegisterURL(secret)))
	if err != nil || page.Status != http.StatusOK {
		h.t.Fatalf("got %v, %+v", err, page)
	}
	p, err := h.store.Platform(h.t.Context(), page.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.lms.Activate(p.ClientID); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// registerByHand copies values both ways.
func (h *house) registerByHand() vigil.Platform {
	h.t.Helper()
	v := h.tool.Values()
	tool := h.lms.Register(ltitest.Tool{LoginURL: v.LoginURL, RedirectURIs: []string{v.LaunchURL}, TargetLinkURI: v.LaunchURL, KeySetURL: v.KeySetURL})
	e := h.lms.Endpoints(tool.ClientID)
	p := vigil.Platform{
		ID: "hand-" + tool.ClientID, Issuer: e.Issuer, ClientID: tool.ClientID, AuthorizationEndpoint: e.Authorization, TokenEndpoint: e.Token,
		TokenAudience: e.TokenAudience, KeySetURL: e.KeySet, Private: true, State: vigil.PlatformActive, Created: time.Now(), Updated: time.Now(),
	}
	if err := lti.CheckPlatform(p); err != nil {
		h.t.Fatal(err)
	}
	if err := h.store.CreatePlatform(h.t.Context(), p); err != nil {
		h.t.Fatal(err)
	}
	p.Version = 1
	return p
}

func TestTheWholeWayWithMoodle(t *testing.T) {
	h := newHouse(t, ltitest.Config{PageSize: 3})
	p := h.registerDynamically()
	if p.State != vigil.PlatformActive || p.Family != "moodle" || len(p.Scopes) != 2 {
		t.Fatalf("got platform %+v", p)
	}
	h.wholeWay(t, p, []string{"flag", "pause", "resume", "terminate", "update"})
}

func TestTheWholeWayWithAnOlderPlugin(t *testing.T) {
	h := newHouse(t, ltitest.Config{Plugin: 1})
	h.wholeWay(t, h.registerDynamically(), []string{"flag", "pause", "resume", "terminate", "update"})
}

func TestTheWholeWayWithoutAPlugin(t *testing.T) {
	h := newHouse(t, ltitest.Config{Plugin: -1})
	h.wholeWay(t, h.registerDynamically(), []string{"flag", "pause", "resume", "terminate", "update"})
}

func TestTheWholeWayWithANewerPlugin(t *testing.T) {
	h := newHouse(t, ltitest.Config{Plugin: vigil.PluginVersion + 1})
	h.wholeWay(t, h.registerDynamically(), []string{"flag", "pause", "resume", "terminate", "update"})
}

func TestTheWholeWayWithOpenEdX(t *testing.T) {
	h := newHouse(t, ltitest.Config{Like: ltitest.OpenEdX, PageSize: 3})
	course, exams := h.registerByHand(), h.registerByHand()
	if course.Issuer != exams.Issuer || course.KeySetURL == exams.KeySetURL {
		t.Fatalf("got %+v and %+v, want one issuer and two key sets", course, exams)
	}
	h.wholeWay(t, exams, []string{"terminate"})
	h.open(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: course.ClientID, UserID: "2"})
	if got := h.last(); got.Platform.ID != course.ID || got.Role != lti.RoleProctor {
		t.Errorf("got %+v, want the course's registration", got)
	}
}

// wholeWay goes through every message and service with one registered platform.
func (h *house) wholeWay(t *testing.T, p vigil.Platform, actions []string) {
	t.Helper()
	ctx := context.Background()

	h.open(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: p.ClientID, UserID: "2"})
	got := h.last()
	if got.Message != lti.MessageResourceLink || got.Role != lti.RoleProctor || got.Subject != "2" || got.Platform.ID != p.ID || got.MembersURL == "" {
		t.Errorf("the instructor's launch: got %+v", got)
	}
	membersURL := got.MembersURL
	h.open(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: p.ClientID, UserID: "3"})
	if got := h.last(); got.Role != lti.RoleLearner || got.Subject != "3" {
		t.Errorf("the student's launch: got %+v", got)
	}

	members, err := h.tool.Members(ctx, p, membersURL, lti.MembersRequest{})
	if err != nil || len(members) != len(h.lms.Users()) {
		t.Errorf("got %d members, %v, want %d", len(members), err, len(h.lms.Users()))
	}

	h.open(ltitest.Launch{Message: ltitest.DeepLinking, ClientID: p.ClientID, UserID: "2"})
	if got := h.lms.DeepLinks(); len(got) != 1 || len(got[0].Links) != 1 || got[0].Links[0].Custom["exam"] != "e1" {
		t.Errorf("got deep links %+v", got)
	}

	page := h.open(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: p.ClientID, UserID: "3", Attempt: 1})
	start := h.last()
	if start.Proctoring == nil || start.Role != lti.RoleLearner || strings.Join(start.Proctoring.Actions, " ") != strings.Join(actions, " ") {
		t.Fatalf("got %+v", start)
	}
	if starts := h.lms.Starts(); len(starts) != 1 || starts[0].UserID != "3" || starts[0].Attempt != 1 || !starts[0].EndReturn {
		t.Fatalf("got starts %+v; the browser shows %d at %v", starts, page.Status, page.Trail)
	}
	attempt, ok := h.lms.FindAttempt("3", start.Resource.ID, 1)
	if !ok {
		t.Fatalf("no attempt began; the browser shows %d at %v", page.Status, page.Trail)
	}
	word, err := h.tool.VerifyAssertion(ctx, h.lms.Assertion(attempt))
	if err != nil || word.Subject != "3" || word.ResourceLink != start.Resource.ID || word.Attempt != 1 || word.Deployment != start.Deployment {
		t.Errorf("got assertion %+v, %v", word, err)
	}
	if word.Report.Version != max(1, min(vigil.PluginVersion, h.lms.Plugin())) {
		t.Errorf("got %+v, want version %d", word.Report, h.lms.Plugin())
	}

	for _, action := range []string{"pause", "resume", "update", "flag", "terminate"} {
		r := lti.ControlRequest{
			Subject: "3", ResourceLink: start.Resource.ID, Attempt: 1, Action: action, Offered: start.Proctoring.Actions,
			IncidentTime: time.Now(), Severity: 0.3, ReasonMsg: "test",
		}
		if h.lms.Plugin() > 0 {
			r.RequestID = "request-" + action
		}
		if action == lti.ActionUpdate {
			r.ExtraMinutes = 5
		}
		before := len(h.lms.Controls())
		result, err := h.tool.Control(ctx, p, start.Proctoring.ControlURL, r)
		if !strings.Contains(strings.Join(actions, " "), action) {
			wantFault(t, err, lti.ErrControlNotOffered)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", action, err)
			continue
		}
		controls := h.lms.Controls()
		if len(controls) != before+1 || controls[before].Action != action || !controls[before].Applied || controls[before].Severity != 0.3 {
			t.Errorf("%s: got %+v", action, controls)
		}
		if want := map[bool]vigil.Applied{true: vigil.AppliedNow}[h.lms.Plugin() >= 2]; result.Applied != want {
			t.Errorf("%s: got %+v, want applied %q", action, result, want)
		}
		attempt, _ = h.lms.AttemptByID(attempt.ID)
		h.checkStamp(t, attempt)
	}
	if got := h.lms.Count(ltitest.AtToken); got > 3 {
		t.Errorf("got %d token requests, want one a scope", got)
	}

	h.open(ltitest.Launch{Message: ltitest.EndAssessment, ClientID: p.ClientID, UserID: "3", Attempt: 1, ErrorMessage: "It broke"})
	if got := h.last(); got.End == nil || got.End.Attempt != 1 || got.End.ErrorMsg != "It broke" {
		t.Errorf("got %+v", got.End)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.refused) != 0 {
		t.Errorf("got refusals %v, want none", h.refused)
	}
}

// checkStamp checks that we read of a page stamp what the platform knows.
func (h *house) checkStamp(t *testing.T, a ltitest.Attempt) {
	t.Helper()
	answered := time.Now()
	compact := h.lms.PageStamp(a, answered.Add(-3*time.Second), answered)
	if h.lms.Plugin() < 2 {
		if compact != "" {
			t.Error("got a stamp of a platform that knows none")
		}
		return
	}
	seen := map[string]bool{}
	for range 2 {
		p, err := h.tool.VerifyPage(t.Context(), compact)
		if err != nil {
			t.Fatal(err)
		}
		seen[p.Nonce] = true
		if p.Subject != a.UserID || p.Attempt != a.Number || p.ResourceLink != a.LinkID || p.Answered.Sub(p.Requested) != 3*time.Second ||
			p.Answered.UnixMilli() != answered.UnixMilli() {
			t.Errorf("got %+v of %+v", p, a)
		}
		if r := p.Report; r.Version != min(vigil.PluginVersion, h.lms.Plugin()) || r.End.Unix() != a.Ends.Unix() || r.PausedAt.IsZero() != (a.Status != ltitest.Paused) || len(r.Requests) != len(a.Requests) {
			t.Errorf("got %+v of %+v", r, a)
		}
	}
	if len(seen) != 1 {
		t.Errorf("got nonces %v of one stamp", seen)
	}
}

// What PyLTI1p3 2.0.0 was seen to do wrong, with a platform that misbehaves.
func TestMisbehavingPlatformIsRefused(t *testing.T) {
	for _, row := range []struct {
		name     string
		mischief ltitest.Mischief
		want     *lti.Fault
	}{
		{"no exp", ltitest.Mischief{Claims: func(c map[string]any) { delete(c, "exp") }}, lti.ErrLaunchExpires},
		{"another audience", ltitest.Mischief{Claims: func(c map[string]any) { c["aud"] = "x" }}, lti.ErrLaunchAudience},
		{"a key that is not published", ltitest.Mischief{Header: func(h map[string]any) { h["kid"] = "x" }}, lti.ErrLaunchKey},
		{"a weak key set", ltitest.Mischief{KeySet: func(s map[string]any) {
			s["keys"].([]any)[0].(map[string]any)["use"] = "enc"
		}}, lti.ErrLaunchKey},
		{"id_token twice", ltitest.Mischief{Form: func(f url.Values) { f.Add("id_token", "x") }}, lti.ErrLaunchForm},
		{"an error", ltitest.Mischief{Form: func(f url.Values) { f.Del("id_token"); f.Set("error", "login_required") }}, lti.ErrLaunchPlatformError},
		{"login without a hint", ltitest.Mischief{Login: func(q url.Values) { q.Del("login_hint") }}, lti.ErrLoginParameter},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newHouse(t, ltitest.Config{})
			p := h.registerByHand()
			h.lms.SetMischief(row.mischief)
			page := h.open(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: p.ClientID, UserID: "2"})
			if len(h.refused) != 1 || page.Status < 400 || page.Status > 499 {
				t.Fatalf("got %d refusals, status %d", len(h.refused), page.Status)
			}
			wantFault(t, h.refused[0], row.want)
		})
	}
}

func TestPlatformThatCannotFetchOurKeysIsNamed(t *testing.T) {
	h := newHouse(t, ltitest.Config{})
	p := h.registerByHand()
	h.lms.SetMischief(ltitest.Mischief{HTTP: func(at ltitest.Endpoint, w http.ResponseWriter, _ *http.Request) bool {
		if at != ltitest.AtToken {
			return false
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<!DOCTYPE html><p>Exception"))
		return true
	}})
	_, err := h.tool.Members(t.Context(), p, h.lms.Endpoints(p.ClientID).Members, lti.MembersRequest{})
	wantFault(t, err, lti.ErrTokenKeysFetch)
}

func TestRevokedTokenIsRenewed(t *testing.T) {
	for _, like := range []ltitest.Like{ltitest.Moodle, ltitest.OpenEdX} {
		h := newHouse(t, ltitest.Config{Like: like})
		p := h.registerByHand()
		members := h.lms.Endpoints(p.ClientID).Members
		for range 2 {
			if _, err := h.tool.Members(t.Context(), p, members, lti.MembersRequest{}); err != nil {
				t.Errorf("like %d: got %v, want none", like, err)
			}
			h.lms.RevokeTokens()
		}
	}
}
