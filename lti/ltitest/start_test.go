package ltitest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vigil/lti/ltitest"
)

func TestStartAssessmentIsVerifiedCompletely(t *testing.T) {
	p, tool, id, clk := setup(t, ltitest.Config{})
	now := clk.Now().Unix()
	type change = func(h, c map[string]any)
	set := func(name string, v any) change { return func(_, c map[string]any) { c[name] = v } }
	del := func(name string) change { return func(_, c map[string]any) { delete(c, name) } }
	for name, row := range map[string]struct {
		change change
		want   int
	}{
		"honest":              {func(_, _ map[string]any) {}, 200},
		"session data":        {set(ltitest.ClaimAP+"session_data", "x"), 403},
		"no session data":     {del(ltitest.ClaimAP + "session_data"), 403},
		"issuer":              {set("iss", "x"), 401},
		"audience":            {set("aud", "x"), 401},
		"no audience":         {del("aud"), 401},
		"expired":             {set("exp", now-1), 401},
		"no exp":              {del("exp"), 401},
		"far exp":             {set("exp", now+3600), 401},
		"from the future":     {set("iat", now+2), 401},
		"no nonce":            {del("nonce"), 401},
		"deployment":          {set(ltitest.ClaimLTI+"deployment_id", "9"), 401},
		"deployment a number": {set(ltitest.ClaimLTI+"deployment_id", 2), 401},
		"message type":        {set(ltitest.ClaimLTI+"message_type", "LtiDeepLinkingResponse"), 401},
		"version":             {set(ltitest.ClaimLTI+"version", "1.3"), 401},
		"attempt":             {set(ltitest.ClaimAP+"attempt_number", 2), 401},
		"attempt a string":    {set(ltitest.ClaimAP+"attempt_number", "1"), 401},
		"no link":             {del(ltitest.ClaimLTI + "resource_link"), 401},
		"link":                {set(ltitest.ClaimLTI+"resource_link", map[string]any{"id": "quiz-3"}), 401},
		"end return":          {set(ltitest.ClaimAP+"end_assessment_return", "yes"), 400},
		"kid":                 {func(h, _ map[string]any) { h["kid"] = "x" }, 401},
		"alg":                 {func(h, _ map[string]any) { h["alg"] = "HS256" }, 401},
		"tool's error":        {set(ltitest.ClaimAP+"errormsg", "no consent"), 403},
	} {
		tool.Start = row.change
		page := open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}))
		if page.Status != row.want {
			t.Errorf("%s: got %d %s, want %d", name, page.Status, page.Body, row.want)
		}
	}
	if got := len(p.Attempts("", "quiz-2")); got != 1 {
		t.Errorf("attempts: got %d, want 1", got)
	}
}

func TestStartAssessmentNonceIsForOnce(t *testing.T) {
	p, tool, id, clk := setup(t, ltitest.Config{})
	c := p.Claims(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}, "n")
	_, jwt := tool.StartJWT(c)
	if _, err := p.VerifyStart(t.Context(), jwt); err != nil {
		t.Fatal(err)
	}
	if _, err := p.VerifyStart(t.Context(), jwt); err == nil {
		t.Error("a replay was taken")
	}
	_, again := tool.StartJWT(c)
	if _, err := p.VerifyStart(t.Context(), again); err != nil {
		t.Errorf("a fresh answer to the same launch: got %v", err)
	}
	clk.Add(time.Hour)
	_, late := tool.StartJWT(c)
	if _, err := p.VerifyStart(t.Context(), late); err == nil {
		t.Error("an answer after the session's life was taken")
	}
}

func TestKeySetOfTheToolIsFetchedLikeThePlatformDoes(t *testing.T) {
	for like, want := range map[ltitest.Like]int{ltitest.Moodle: 1, ltitest.OpenEdX: 2} {
		p, tool, id, _ := setup(t, ltitest.Config{Like: like})
		for n := 1; n <= 2; n++ {
			open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: n}))
		}
		if got := p.Fetches(tool.URL + "/keys"); got != want || len(p.Starts()) != 2 {
			t.Errorf("like %d: got %d fetches for %d starts, want %d for 2", like, got, len(p.Starts()), want)
		}
		tool.Key = ltitest.NewKey(2048)
		open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 3}))
		if got := len(p.Starts()); got != 3 {
			t.Errorf("like %d, after rotation: got %d starts, want 3", like, got)
		}
	}
}

func TestOpenEdXAnswersBadStartsWith500(t *testing.T) {
	p, tool, id, clk := setup(t, ltitest.Config{Like: ltitest.OpenEdX})
	tool.Start = func(_, c map[string]any) { c["iat"] = clk.Now().Unix() + 2 }
	page := open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}))
	if page.Status != http.StatusInternalServerError {
		t.Errorf("2 s ahead: got %d, want 500", page.Status)
	}
	c := p.Claims(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}, "n")
	u, jwt := tool.StartJWT(c)
	page, err := ltitest.NewBrowser(nil).Submit(t.Context(), ltitest.Form{Method: "POST", Action: u, Fields: url.Values{"JWT": {jwt}}}, nil)
	if err != nil || page.Status != http.StatusForbidden {
		t.Errorf("without its cookie: got %v %v, want 403", page, err)
	}
}

func TestContinueIsForTheSameUserOnce(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	c := p.Claims(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}, "n")
	u, jwt := tool.StartJWT(c)
	status, _, h := tool.Do(t.Context(), http.MethodPost, u, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, url.Values{"JWT": {jwt}}.Encode())
	_ = status
	// Do follows the redirect without a cookie: refused, and the code is not spent.
	if status != http.StatusUnauthorized || h == nil {
		t.Fatalf("without a cookie: got %d, want 401", status)
	}
	_, jwt = tool.StartJWT(c)
	page, err := signedIn(p, "4").Submit(t.Context(), ltitest.Form{Method: "POST", Action: u, Fields: url.Values{"JWT": {jwt}}}, nil)
	if err != nil || page.Status != http.StatusForbidden {
		t.Fatalf("another student: got %v %v, want 403", page, err)
	}
	b := signedIn(p, "3")
	if got := open(t, b, page.URL.String()).Status; got != http.StatusOK {
		t.Errorf("the student: got %d, want 200", got)
	}
	if got := open(t, b, page.URL.String()).Status; got != http.StatusForbidden {
		t.Errorf("again: got %d, want 403", got)
	}
}

func TestAssertionSaysWhoIsInWhichAttempt(t *testing.T) {
	p, _, id, clk := setup(t, ltitest.Config{})
	a := begun(t, p, id)
	get := func(user, attempt string) (int, map[string]any) {
		page := open(t, signedIn(p, user), p.Issuer()+"/vigil/assertion?attempt="+attempt)
		var m map[string]string
		_ = json.Unmarshal([]byte(page.Body), &m)
		parts := strings.Split(m["assertion"], ".")
		var c map[string]any
		if len(parts) == 3 {
			b, _ := base64.RawURLEncoding.DecodeString(parts[1])
			_ = json.Unmarshal(b, &c)
			if page.Header.Get("Cache-Control") != "no-store" {
				t.Error("the assertion may be stored")
			}
		}
		return page.Status, c
	}
	status, c := get("3", a.ID)
	if status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	now := float64(clk.Now().Unix())
	link, _ := c[ltitest.ClaimLTI+"resource_link"].(map[string]any)
	for name, pair := range map[string][2]any{
		"iss": {c["iss"], p.Issuer()}, "aud": {c["aud"], id.ClientID}, "sub": {c["sub"], "3"}, "iat": {c["iat"], now}, "exp": {c["exp"], now + 60},
		"use": {c["token_use"], "socket"}, "deployment": {c[ltitest.ClaimLTI+"deployment_id"], id.DeploymentID}, "link": {link["id"], "quiz-2"},
		"attempt": {c[ltitest.ClaimAP+"attempt_number"], 1.0}, "end": {c["attempt_end"], now + 1800}, "message": {c[ltitest.ClaimLTI+"message_type"], nil},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	if _, second := get("3", a.ID); second["jti"] == c["jti"] || c["jti"] == "" {
		t.Errorf("jti: got %v twice", c["jti"])
	}
	if status, _ := get("4", a.ID); status != http.StatusNotFound {
		t.Errorf("someone else's attempt: got %d, want 404", status)
	}
	clk.Add(31 * time.Minute)
	if status, _ := get("3", a.ID); status != http.StatusGone {
		t.Errorf("after the end: got %d, want 410", status)
	}
}

func TestExportOutlivesARestart(t *testing.T) {
	p, _, id, clk := setup(t, ltitest.Config{})
	a := begun(t, p, id)
	waiting := p.Claims(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "4", Attempt: 1}, "n")
	b, err := p.Export()
	if err != nil {
		t.Fatal(err)
	}
	q := ltitest.New(ltitest.Config{Issuer: p.Issuer(), Now: clk.Now})
	defer q.Close()
	if err := q.Import(b); err != nil {
		t.Fatal(err)
	}
	got, ok := q.AttemptByID(a.ID)
	if !ok || got.Status != ltitest.Running || !got.Ends.Equal(a.Ends) {
		t.Errorf("attempt: got %+v, want %+v", got, a)
	}
	if q.Key("").ID != p.Key("").ID || q.Cookie("3").Value != p.Cookie("3").Value || len(q.Tools()) != 1 {
		t.Error("keys, cookies or tools were lost")
	}
	waiting["iss"], waiting["aud"] = id.ClientID, p.Issuer()
	waiting["nonce"] = "fresh"
	waiting[ltitest.ClaimLTI+"message_type"] = "LtiStartAssessment"
	if _, err := q.VerifyStart(t.Context(), ltitest.Sign(map[string]any{}, waiting, nil)); err == nil || strings.Contains(err.Error(), "too long") {
		t.Errorf("the waiting launch was forgotten: %v", err)
	}
	if q.Import([]byte("{}")) == nil || q.Import([]byte("x")) == nil {
		t.Error("a broken state was taken")
	}
}

func FuzzControl(f *testing.F) {
	f.Add([]byte(order("pause", "")), 0)
	f.Add([]byte(order("update", `,"extra_time":5`)), 1)
	f.Fuzz(func(t *testing.T, b []byte, like int) { ltitest.CheckControl(t, b, like) })
}

func FuzzStartAssessment(f *testing.F) {
	p := ltitest.New(ltitest.Config{Issuer: "http://127.0.0.1:1", KeyBits: 1024})
	f.Add("e30.e30.AA")
	f.Add(ltitest.Sign(map[string]any{"alg": "RS256"}, map[string]any{"iss": "x"}, []byte("k")))
	f.Fuzz(func(t *testing.T, s string) {
		if st, err := p.VerifyStart(t.Context(), s); err == nil {
			t.Errorf("%q was taken: %+v", s, st)
		}
	})
}
