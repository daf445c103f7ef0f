package lti

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"vigil"
)

func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":{"b":[1,"x",null,true]}}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, `{"\u0061":1}`, `[1]`, `{"a":1e400}`, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := parseObject(data)
		if err != nil {
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		// What is accepted means the same to encoding/json.
		var same map[string]any
		if err := json.Unmarshal(data, &same); err != nil {
			if strings.Contains(err.Error(), "number") {
				return // out of float64's range: kept as text here
			}
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		if len(same) != len(obj) {
			t.Fatalf("got %d names, encoding/json has %d: %q", len(obj), len(same), data)
		}
		for name := range obj {
			obj.text(name)
			obj.integer(name)
			obj.number(name)
			obj.strings(name)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJ4In0.AAAA")
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, compact string) {
		head, payload, err := splitToken(compact)
		if err != nil {
			return
		}
		if strings.Count(compact, ".") != 2 || !compactChars(compact) || len(payload) == 0 {
			t.Fatalf("accepted %q", compact)
		}
		if head.Alg == "none" && verifyToken(compact, algRS256, nil) == nil {
			t.Fatalf("verified %q", compact)
		}
	})
}

func FuzzLaunchForm(f *testing.F) {
	f.Add("state=a&id_token=b.c.d")
	f.Add("state=a&state=b")
	f.Add("%zz=1;x")
	f.Add("a=%00")
	f.Fuzz(func(t *testing.T, body string) {
		params, err := parseParams(body)
		if err != nil {
			return
		}
		for name, value := range params {
			if hasControl(name) || hasControl(value) || !utf8.ValidString(name+value) {
				t.Fatalf("accepted %q", body)
			}
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","use":"enc","key_ops":[]},{"kty":"oct","kid":"a","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := parseKeySet(data)
		if err != nil {
			return
		}
		for kid, key := range set.usable {
			if kid == "" || key.kid != kid || key.alg != algRS256 || key.key == nil {
				t.Fatalf("unusable key %q from %q", kid, data)
			}
			if _, both := set.unfit[kid]; both {
				t.Fatalf("key %q is fit and unfit", kid)
			}
		}
	})
}

func FuzzConfiguration(f *testing.F) {
	const u = "https://lms.example/mod/lti/openid-configuration.php"
	f.Add([]byte(`{"issuer":"https://lms.example","authorization_endpoint":"https://lms.example/a","token_endpoint":"https://lms.example/t","jwks_uri":"https://lms.example/k","registration_endpoint":"https://lms.example/r","scopes_supported":["openid"]}`))
	f.Add([]byte(`{"issuer":"https://evil.example"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfiguration(data, u)
		if err != nil {
			return
		}
		p := c.platform
		for _, endpoint := range []string{p.Issuer, p.AuthorizationEndpoint, p.TokenEndpoint, p.KeySetURL, c.registration} {
			if vigil.Origin(endpoint) != "https://lms.example" {
				t.Fatalf("accepted %q from %q", endpoint, data)
			}
		}
		p.ClientID = "c"
		if err := CheckPlatform(p); err != nil {
			t.Fatalf("accepted a platform that is refused by hand: %v", err)
		}
	})
}

func FuzzAssertionClaims(f *testing.F) {
	const claims = `"iss":"i","aud":"c","sub":"3","iat":1,"exp":61,"jti":"x","token_use":"socket","attempt_end":0,` +
		`"https://purl.imsglobal.org/spec/lti/claim/deployment_id":"1","https://purl.imsglobal.org/spec/lti/claim/resource_link":{"id":"q"},` +
		`"https://purl.imsglobal.org/spec/lti-ap/claim/attempt_number":1`
	f.Add([]byte("{" + claims + "}"))
	f.Add([]byte("{" + claims + `,"vigil":2,"told_at":1001,"attempt_paused_at":1,"requests":["a","b"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := judgeClaims(data, socketUse)
		if j == nil {
			return
		}
		checkAccepted(t, data, j)
		if j.out.Expires.Sub(j.out.Issued) > assertionLife {
			t.Fatalf("accepted %q as %+v", data, j.out)
		}
	})
}

func FuzzPageClaims(f *testing.F) {
	const claims = `"iss":"i","aud":"c","sub":"3","iat":1,"exp":86401,"jti":"x","token_use":"page","vigil":2,"told_at":1001,"requests":[],` +
		`"https://purl.imsglobal.org/spec/lti/claim/deployment_id":"1","https://purl.imsglobal.org/spec/lti/claim/resource_link":{"id":"q"},` +
		`"https://purl.imsglobal.org/spec/lti-ap/claim/attempt_number":1,`
	f.Add([]byte("{" + claims + `"page_requested_at":900,"page_answered_at":1001}`))
	f.Add([]byte("{" + claims + `"page_requested_at":1002,"page_answered_at":1001}`))
	f.Add([]byte("{" + claims + `"page_requested_at":-9223372036854775808,"page_answered_at":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := judgeClaims(data, pageUse)
		if j == nil {
			return
		}
		checkAccepted(t, data, j)
		p := j.page()
		if took := p.Answered.Sub(p.Requested); took < 0 || took > maxPageTime || p.Report.Version < 2 || p.Expires.Sub(p.Issued) > pageLife {
			t.Fatalf("accepted %q as %+v", data, p)
		}
	})
}

func FuzzOpenedClaims(f *testing.F) {
	const claims = `"iss":"i","aud":"c","sub":"3","iat":1,"exp":61,"jti":"x","token_use":"opened","vigil":3,` +
		`"https://purl.imsglobal.org/spec/lti/claim/deployment_id":"1","https://purl.imsglobal.org/spec/lti/claim/resource_link":{"id":"q"},` +
		`"https://purl.imsglobal.org/spec/lti-ap/claim/attempt_number":1`
	f.Add([]byte("{" + claims + `,"opened_at":1}`))
	f.Add([]byte("{" + claims + `,"opened_at":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := judgeClaims(data, openedUse)
		if j == nil {
			return
		}
		checkAccepted(t, data, j)
		if at, ok := j.claims.integer("opened_at"); !ok || at < 1 || time.Unix(at, 0).After(j.now.Add(clockSkew)) {
			t.Fatalf("accepted %q", data)
		}
	})
}

func FuzzAccessClaims(f *testing.F) {
	const claims = `"iss":"i","aud":"c","iat":1,"exp":61,"jti":"x","token_use":"access","vigil":3,` +
		`"https://purl.imsglobal.org/spec/lti/claim/deployment_id":"1","https://purl.imsglobal.org/spec/lti/claim/resource_link":{"id":"q"},`
	f.Add([]byte("{" + claims + `"staff":[{"user":"5","version":7,"all":true,"groups":[{"id":"12","name":"A"}],"rights":["watch"]}],"students":[]}`))
	f.Add([]byte("{" + claims + `"staff":[],"students":[{"user":"9","version":1e3,"groups":null},{"USER":"9","version":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := judgeClaims(data, accessUse)
		if j == nil {
			return
		}
		r := j.access()
		if r.Deployment == "" || r.ResourceLink == "" || j.out.Subject != "" || j.out.Attempt != 0 || j.out.Report.Version < 3 || len(r.Staff)+len(r.Students) > maxAccessTold {
			t.Fatalf("accepted %q as %+v", data, r)
		}
		checkPeople(t, data, r)
	})
}

func FuzzAccessAnswer(f *testing.F) {
	f.Add([]byte(`{"staff":[{"user":"5","version":7,"all":true,"rights":["watch","watch","fly"]}],"students":[{"user":"9","version":8,"groups":[{"id":"12","name":"A"},{"id":"12"}]}]}`))
	f.Add([]byte(`{"staff":[],"students":[{"user":"9","version":8,"name":"Amara \u202eOkafor"},{"user":"10","version":8,"name":7},{"user":"9","version":8,"name":""}]}`))
	f.Add([]byte(`{"staff":[{"user":"6","version":7}],"students":[{"user":"9","version":8,"all":true,"rights":["watch"],"groups":[{"id":"","name":""}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readAccess(data, accessQuestion{Users: []string{"5"}, NamesFor: "5"})
		if err != nil {
			return
		}
		for user, name := range r.Names {
			known := slices.ContainsFunc(r.Students, func(a vigil.Access) bool { return a.UserID == user })
			if !known || name == "" || len(name) > maxStudentName || !utf8.ValidString(name) || len(r.Names) > MaxStudentNames {
				t.Fatalf("accepted %q as the name of %q from %q", name, user, data)
			}
		}
		for _, a := range r.Staff {
			if a.UserID != "5" {
				t.Fatalf("accepted %+v of %q, which was not asked of", a, data)
			}
		}
		checkPeople(t, data, r)
	})
}

// checkPeople checks what is promised of every record that was accepted.
func checkPeople(t *testing.T, data []byte, r AccessReport) {
	t.Helper()
	for _, a := range append(slices.Clone(r.Staff), r.Students...) {
		bad := checkWord(a.UserID) != nil || a.Version < 1 || a.ExamID != "" || !a.At.IsZero() || len(a.Groups) > vigil.MaxGroups
		seen := map[string]bool{}
		for _, g := range a.Groups {
			bad = bad || g.ID == "" || len(g.ID) > vigil.MaxGroupID || seen[g.ID] || !utf8.ValidString(g.Name) || hasControl(g.Name) ||
				utf8.RuneCountInString(g.Name) > vigil.MaxGroupName
			seen[g.ID] = true
		}
		for i, right := range a.Rights {
			bad = bad || !slices.Contains(vigil.Rights, right) || slices.Contains(a.Rights[:i], right)
		}
		if bad {
			t.Fatalf("accepted %q as %+v", data, a)
		}
	}
	for _, a := range r.Students {
		if a.All || a.Rights != nil {
			t.Fatalf("accepted %q as %+v, want no rights of a student", data, a)
		}
	}
}

// judgeClaims does the checks after the signature; nil: refused.
func judgeClaims(data []byte, use assertionUse) *judgedAssertion {
	claims, err := parseObject(data)
	if err != nil {
		return nil
	}
	j := &judgedAssertion{use: use, claims: claims, now: time.Unix(30, 0)}
	j.out.Platform.Issuer, j.out.Platform.ClientID = "i", "c"
	for _, check := range use.checks {
		if check(j) != nil {
			return nil
		}
	}
	return j
}

// checkAccepted checks what is promised of every use that was accepted.
func checkAccepted(t *testing.T, data []byte, j *judgedAssertion) {
	t.Helper()
	o, r := j.out, j.out.Report
	ahead := j.now.Add(clockSkew)
	bad := o.Subject == "" || o.ID == "" || o.Deployment == "" || o.ResourceLink == "" || o.Attempt < 1 ||
		o.Issued.After(ahead) || !o.Expires.After(o.Issued) || o.Expires.Before(j.now.Add(-clockSkew)) ||
		r.Version < 1 || r.Version > vigil.PluginVersion || r.At.After(ahead) || r.At.Before(o.Issued.Add(-maxReportAge)) ||
		r.PausedAt.After(ahead) || len(r.Requests) > maxRequests ||
		r.Version == 1 && (!r.PausedAt.IsZero() || r.Requests != nil || !r.At.Equal(o.Issued))
	for _, id := range r.Requests {
		bad = bad || id == "" || utf8.RuneCountInString(id) > maxRequestID
	}
	if bad {
		t.Fatalf("accepted %q as %+v", data, o)
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://lms.example/a?b=c", "javascript:alert(1)", "https://a@b/", `https://lms.example\@evil/`, "https://[::1]:80/", "//x", "https://lms.example#x", "HTTPS://LMS.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseWebURL(raw)
		if err != nil {
			return
		}
		if u.User != nil || u.Fragment != "" || u.Host == "" || hasControl(raw) || strings.ContainsAny(raw, "\\ #") || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("accepted %q", raw)
		}
	})
}
