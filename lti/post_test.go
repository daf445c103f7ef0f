package lti_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vigil"
	"vigil/lti"
)

func unb64(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func (g *services) startRequest() lti.StartRequest {
	return lti.StartRequest{
		PlatformID: "p1", Deployment: "1", ResourceLink: "quiz-2", Attempt: 3, SessionData: "opaque",
		StartURL: g.server.URL + "/start.php?x=1", EndReturn: true,
	}
}

func TestStartAssessmentSaysWhatThePlatformChecks(t *testing.T) {
	g := newServices(t)
	ctx := context.Background()
	post, err := g.tool.StartAssessment(ctx, g.startRequest())
	if err != nil {
		t.Fatal(err)
	}
	if post.URL != g.server.URL+"/start.php?x=1" || post.Field != "JWT" {
		t.Errorf("got %+v", post)
	}
	var head m
	if err := json.Unmarshal(unb64(strings.Split(post.JWT, ".")[0]), &head); err != nil {
		t.Fatal(err)
	}
	active := states(t, g.tool.Keys(), vigil.KeyLTI)[vigil.KeyActive][0]
	if head["alg"] != "RS256" || head["kid"] != active || head["typ"] != "JWT" {
		t.Errorf("got header %v", head)
	}
	c := decode(t, post.JWT)
	now := float64(g.clock.now().Unix())
	for name, want := range map[string]any{
		"iss": "client-1", "aud": g.p.Issuer, "iat": now - 5, "exp": now + 300,
		claimLTI + "message_type": "LtiStartAssessment", claimLTI + "version": "1.3.0", claimLTI + "deployment_id": "1",
		claimAP + "attempt_number": 3.0, claimAP + "session_data": "opaque", claimAP + "end_assessment_return": true,
	} {
		if c[name] != want {
			t.Errorf("%s: got %v, want %v", name, c[name], want)
		}
	}
	if link := c[claimLTI+"resource_link"].(m); link["id"] != "quiz-2" || c["nonce"] == "" || c[claimAP+"errormsg"] != nil {
		t.Errorf("got %v", c)
	}
	other, _ := g.tool.StartAssessment(ctx, g.startRequest())
	if decode(t, other.JWT)["nonce"] == c["nonce"] {
		t.Error("two messages have one nonce")
	}
	r := g.startRequest()
	r.ErrorMsg = "The check-in failed"
	post, err = g.tool.StartAssessment(ctx, r)
	if err != nil || decode(t, post.JWT)[claimAP+"errormsg"] != "The check-in failed" {
		t.Errorf("got %v", err)
	}
}

func TestStartAssessmentIsRefused(t *testing.T) {
	g := newServices(t)
	for _, row := range []struct {
		name   string
		change func(*lti.StartRequest)
		want   *lti.Fault
	}{
		{"no session data", func(r *lti.StartRequest) { r.SessionData = "" }, lti.ErrPostInput},
		{"session data too long", func(r *lti.StartRequest) { r.SessionData = strings.Repeat("x", 16<<10+1) }, lti.ErrPostInput},
		{"attempt 0", func(r *lti.StartRequest) { r.Attempt = 0 }, lti.ErrPostInput},
		{"no resource link", func(r *lti.StartRequest) { r.ResourceLink = "" }, lti.ErrPostInput},
		{"no deployment", func(r *lti.StartRequest) { r.Deployment = "" }, lti.ErrPostInput},
		{"message too long", func(r *lti.StartRequest) { r.ErrorMsg = strings.Repeat("x", 2001) }, lti.ErrPostInput},
		{"start URL elsewhere", func(r *lti.StartRequest) { r.StartURL = "https://evil.example/" }, lti.ErrPostURL},
		{"start URL is javascript", func(r *lti.StartRequest) { r.StartURL = "javascript:alert(1)" }, lti.ErrPostURL},
	} {
		r := g.startRequest()
		row.change(&r)
		_, err := g.tool.StartAssessment(context.Background(), r)
		if err == nil {
			t.Errorf("%s: accepted", row.name)
			continue
		}
		wantFault(t, err, row.want)
	}
	g.update(func(p *vigil.Platform) { p.State = vigil.PlatformDisabled })
	_, err := g.tool.StartAssessment(context.Background(), g.startRequest())
	wantFault(t, err, lti.ErrPostPlatform)
	r := g.startRequest()
	r.PlatformID = "p9"
	if _, err := g.tool.StartAssessment(context.Background(), r); vigil.CodeOf(err) != vigil.CodeNotFound {
		t.Errorf("got %v, want not found", err)
	}
}

func TestDeepLinkAnswersWithItems(t *testing.T) {
	g := newServices(t)
	post, err := g.tool.DeepLink(context.Background(), lti.DeepLinkAnswer{
		PlatformID: "p1", Deployment: "1", ReturnURL: g.server.URL + "/return", Data: "d1", Msg: "Done",
		Items: []lti.Item{{Title: "Midterm", Custom: map[string]string{"exam": "e1"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := decode(t, post.JWT)
	items := c[claimDL+"content_items"].([]any)
	item := items[0].(m)
	if len(items) != 1 || item["type"] != "ltiResourceLink" || item["url"] != publicURL+"/lti/launch" || item["title"] != "Midterm" ||
		item["custom"].(m)["exam"] != "e1" || c[claimDL+"data"] != "d1" || c[claimDL+"msg"] != "Done" ||
		c[claimLTI+"message_type"] != "LtiDeepLinkingResponse" || c["aud"] != g.p.Issuer || c["iss"] != "client-1" {
		t.Errorf("got %v", c)
	}
	post, err = g.tool.DeepLink(context.Background(), lti.DeepLinkAnswer{PlatformID: "p1", Deployment: "1", ReturnURL: g.server.URL + "/return"})
	if err != nil {
		t.Fatal(err)
	}
	if items, ok := decode(t, post.JWT)[claimDL+"content_items"].([]any); !ok || len(items) != 0 {
		t.Errorf("nothing chosen: got %v, want an empty list", items)
	}
	_, err = g.tool.DeepLink(context.Background(), lti.DeepLinkAnswer{PlatformID: "p1", Deployment: "1", ReturnURL: "https://evil.example/"})
	wantFault(t, err, lti.ErrPostURL)
	_, err = g.tool.DeepLink(context.Background(), lti.DeepLinkAnswer{PlatformID: "p1", Deployment: "1", Items: make([]lti.Item, 101)})
	wantFault(t, err, lti.ErrPostInput)
}

func TestEndURLKeepsThePlatformsQuery(t *testing.T) {
	g := newServices(t)
	for _, row := range []struct{ url, msg, errorMsg, want string }{
		{"/r.php?a=1&b=%20x", "Done & well", "", "/r.php?a=1&b=%20x&lti_msg=Done+%26+well"},
		{"/r.php", "", "Broken", "/r.php?lti_errormsg=Broken"},
		{"/r.php?lti_msg=old&a=1", "new", "", "/r.php?a=1&lti_msg=new"},
		{"/r.php?a=1", "", "", "/r.php?a=1"},
	} {
		got, err := g.tool.EndURL(g.p, g.server.URL+row.url, row.msg, row.errorMsg)
		if err != nil || got != g.server.URL+row.want {
			t.Errorf("%s: got %s, %v, want %s", row.url, got, err, row.want)
		}
	}
	_, err := g.tool.EndURL(g.p, "https://evil.example/", "x", "")
	wantFault(t, err, lti.ErrPostURL)
}

func TestPostPageMayBeFramedByThePlatformOnly(t *testing.T) {
	g := newServices(t)
	post, err := g.tool.StartAssessment(context.Background(), g.startRequest())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	g.tool.WritePost(w, httptest.NewRequest(http.MethodPost, publicURL+"/x", nil), post)
	res := w.Result()
	body := page(t, res)
	if hidden(t, body, "JWT") != post.JWT || !strings.Contains(body, `action="`+post.URL+`"`) {
		t.Errorf("got %s", body)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "frame-ancestors 'self' "+g.server.URL) {
		t.Errorf("got %s", csp)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Error("the page may be cached")
	}
}
