package lti_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigil"
	"vigil/lti"
)

// hostile is a launch that is right in everything but one thing.
type hostile struct {
	name   string
	kind   lti.MessageType                      // default LtiResourceLinkRequest
	rig    func(*rig)                           // before the login
	login  func(url.Values)                     // changes the login's parameters
	after  func(*rig)                           // between login and launch
	claims func(g *rig, c m)                    // changes the claims
	token  func(g *rig, c m) string             // makes the id_token instead
	form   func(g *rig, l *login, f url.Values) // changes the form; sets l.cookie nil for none
	want   *lti.Fault                           // nil: accepted
}

func set(name string, value any) func(*rig, m) {
	return func(_ *rig, c m) { c[name] = value }
}

func drop(name string) func(*rig, m) {
	return func(_ *rig, c m) { delete(c, name) }
}

// in changes a member of a claim that is an object.
func in(claim, name string, value any) func(*rig, m) {
	return func(_ *rig, c m) { c[claim].(m)[name] = value }
}

func at(name string, offset time.Duration) func(*rig, m) {
	return func(g *rig, c m) { c[name] = g.clock.now().Add(offset).Unix() }
}

func header(h m) func(*rig, m) string {
	return func(_ *rig, c m) string {
		good, _ := testKeys()
		return signRaw(good.key, mustJSON(h), mustJSON(c))
	}
}

// payload signs a payload made from the honest claims' JSON.
func payload(change func(string) string) func(*rig, m) string {
	return func(_ *rig, c m) string {
		good, _ := testKeys()
		return signRaw(good.key, mustJSON(m{"alg": "RS256", "typ": "JWT", "kid": good.kid}), []byte(change(string(mustJSON(c)))))
	}
}

const (
	start    = lti.MessageStartProctoring
	deepLink = lti.MessageDeepLinking
	endMsg   = lti.MessageEndAssessment
)

var hostileLaunches = []hostile{
	// The form.
	{name: "no state", form: func(_ *rig, _ *login, f url.Values) { f.Del("state") }, want: lti.ErrLaunchParameter},
	{name: "state of another making", form: func(_ *rig, _ *login, f url.Values) { f.Set("state", "abc") }, want: lti.ErrLaunchParameter},
	{name: "no id_token", form: func(_ *rig, _ *login, f url.Values) { f.Del("id_token") }, want: lti.ErrLaunchParameter},
	{name: "id_token over 224 KB", form: func(_ *rig, _ *login, f url.Values) { f.Set("id_token", strings.Repeat("a", 224<<10+1)) }, want: lti.ErrLaunchParameter},
	{name: "id_token with markup", form: func(_ *rig, _ *login, f url.Values) { f.Set("id_token", f.Get("id_token")+"<") }, want: lti.ErrLaunchParameter},
	{name: "id_token twice", form: func(_ *rig, _ *login, f url.Values) { f.Add("id_token", f.Get("id_token")) }, want: lti.ErrLaunchForm},
	{name: "state twice", form: func(_ *rig, _ *login, f url.Values) { f.Add("state", f.Get("state")) }, want: lti.ErrLaunchForm},
	{name: "unknown parameter twice", form: func(_ *rig, _ *login, f url.Values) { f["x"] = []string{"1", "2"} }, want: lti.ErrLaunchForm},
	{name: "control character in a parameter", form: func(_ *rig, _ *login, f url.Values) { f.Set("x", "a\x00b") }, want: lti.ErrLaunchForm},
	{name: "parameter not UTF-8", form: func(_ *rig, _ *login, f url.Values) { f.Set("x", "\xff") }, want: lti.ErrLaunchForm},
	{name: "body over 256 KB", form: func(_ *rig, _ *login, f url.Values) { f.Set("x", strings.Repeat("a", 256<<10)) }, want: lti.ErrLaunchForm},
	{name: "storage value of another making", form: func(_ *rig, _ *login, f url.Values) { f.Set("vigil_binding", "<x>") }, want: lti.ErrLaunchParameter},

	// State and browser.
	{name: "unknown state", form: func(_ *rig, l *login, f url.Values) { f.Set("state", strings.Repeat("A", 43)) }, want: lti.ErrLaunchState},
	{name: "state expired", after: func(g *rig) { g.clock.add(10 * time.Minute) }, claims: at("iat", 0), want: lti.ErrLaunchState},
	{name: "no cookie, posted again", form: func(_ *rig, l *login, f url.Values) { l.cookie = nil; f.Set("vigil_again", "1") }, want: lti.ErrLaunchBinding},
	{name: "no cookie, unknown state", form: func(_ *rig, l *login, f url.Values) { l.cookie = nil; f.Set("state", strings.Repeat("A", 43)) }, want: lti.ErrLaunchState},
	{name: "another browser's cookie", form: func(g *rig, l *login, _ url.Values) { l.cookie = g.begin().cookie }, want: lti.ErrLaunchBinding},
	{name: "wrong storage value, no cookie", form: func(_ *rig, l *login, f url.Values) {
		l.cookie = nil
		f.Set("vigil_binding", strings.Repeat("A", 43))
	}, want: lti.ErrLaunchBinding},
	{name: "another login's state in the same browser", form: func(g *rig, l *login, f url.Values) {
		res := g.get(g.loginParams().Encode(), l.cookie)
		to, _ := res.Location()
		f.Set("state", to.Query().Get("state"))
	}, want: lti.ErrLaunchNonce},
	{name: "error from the platform", form: func(_ *rig, _ *login, f url.Values) {
		f.Del("id_token")
		f.Set("error", "login_required")
		f.Set("error_description", "<script>alert(1)</script>")
	}, want: lti.ErrLaunchPlatformError},
	{name: "error from nowhere", form: func(_ *rig, l *login, f url.Values) {
		f.Del("id_token")
		f.Del("state")
		f.Set("error", "server_error")
	}, want: lti.ErrLaunchPlatformError},
	{name: "platform disabled since login", after: func(g *rig) {
		g.update(func(p *vigil.Platform) { p.State = vigil.PlatformDisabled })
	}, want: lti.ErrLaunchPlatform},
	{name: "platform's key set moved since login", after: func(g *rig) {
		g.update(func(p *vigil.Platform) { p.KeySetURL += "?2" })
	}, want: lti.ErrLaunchPlatform},
	{name: "platform removed since login", after: func(g *rig) {
		_ = g.store.DeletePlatform(context.Background(), g.p.ID)
	}, want: lti.ErrLaunchPlatform},

	// The token's form, algorithm and key.
	{name: "two parts", token: func(g *rig, c m) string { return strings.Join(strings.Split(good().sign(c), ".")[:2], ".") }, want: lti.ErrLaunchToken},
	{name: "four parts", token: func(g *rig, c m) string { return good().sign(c) + ".x" }, want: lti.ErrLaunchToken},
	{name: "no signature", token: func(g *rig, c m) string {
		p := strings.Split(good().sign(c), ".")
		return p[0] + "." + p[1] + "."
	}, want: lti.ErrLaunchToken},
	{name: "header is an array", token: func(_ *rig, c m) string { return signRaw(good().key, []byte(`["RS256"]`), mustJSON(c)) }, want: lti.ErrLaunchToken},
	{name: "header has alg twice", token: func(_ *rig, c m) string {
		return signRaw(good().key, []byte(`{"alg":"none","alg":"RS256","kid":"good"}`), mustJSON(c))
	}, want: lti.ErrLaunchToken},
	{name: "header has crit", token: header(m{"alg": "RS256", "kid": "good", "crit": []any{"b64"}, "b64": false}), want: lti.ErrLaunchToken},
	{name: "header alg is a number", token: header(m{"alg": 256, "kid": "good"}), want: lti.ErrLaunchToken},
	{name: "typ of another kind of token", token: header(m{"alg": "RS256", "kid": "good", "typ": "at+jwt"}), want: lti.ErrLaunchToken},
	{name: "alg none", token: func(_ *rig, c m) string {
		return b64(mustJSON(m{"alg": "none", "kid": "good"})) + "." + b64(mustJSON(c)) + ".AA"
	}, want: lti.ErrLaunchAlgorithm},
	{name: "no alg, but ALG", token: header(m{"ALG": "RS256", "kid": "good"}), want: lti.ErrLaunchAlgorithm},
	{name: "HS256 with the public key", token: hs256, want: lti.ErrLaunchAlgorithm},
	{name: "RS512", token: header(m{"alg": "RS512", "kid": "good"}), want: lti.ErrLaunchAlgorithm},
	{name: "rs256 in lower case", token: header(m{"alg": "rs256", "kid": "good"}), want: lti.ErrLaunchAlgorithm},
	{name: "no kid", token: header(m{"alg": "RS256"}), want: lti.ErrLaunchKey},
	{name: "unknown kid", token: header(m{"alg": "RS256", "kid": "other"}), want: lti.ErrLaunchKey},
	{name: "key of the token's own (jwk)", token: func(_ *rig, c m) string {
		_, evil := testKeys()
		return signRaw(evil.key, mustJSON(m{"alg": "RS256", "kid": "evil", "jwk": evil.jwk()}), mustJSON(c))
	}, want: lti.ErrLaunchKey},
	{name: "key set of the token's own (jku)", token: func(g *rig, c m) string {
		_, evil := testKeys()
		g.mux.HandleFunc("/evil", func(w http.ResponseWriter, _ *http.Request) {
			g.t.Error("the token's own key set was fetched")
			_, _ = w.Write(mustJSON(m{"keys": []m{evil.jwk()}}))
		})
		return signRaw(evil.key, mustJSON(m{"alg": "RS256", "kid": "evil", "jku": g.server.URL + "/evil"}), mustJSON(c))
	}, want: lti.ErrLaunchKey},
	{name: "signed by another key under a known kid", token: func(_ *rig, c m) string {
		_, evil := testKeys()
		return signRaw(evil.key, mustJSON(m{"alg": "RS256", "kid": "good"}), mustJSON(c))
	}, want: lti.ErrLaunchSignature},
	{name: "payload changed after signing", token: func(_ *rig, c m) string {
		parts := strings.Split(good().sign(c), ".")
		c["sub"] = "root"
		return parts[0] + "." + b64(mustJSON(c)) + "." + parts[2]
	}, want: lti.ErrLaunchSignature},
	{name: "signature in padded base64", token: func(_ *rig, c m) string { return good().sign(c) + "==" }, want: lti.ErrLaunchToken},
	{name: "key of 512 bits", rig: func(g *rig) { g.serveKeys(weakKey().jwk()) }, token: func(_ *rig, c m) string { return weakKey().sign(c) }, want: lti.ErrLaunchKey},
	{name: "key for encryption", rig: keyWith("use", "enc"), want: lti.ErrLaunchKey},
	{name: "key for another algorithm", rig: keyWith("alg", "RS512"), want: lti.ErrLaunchKey},
	{name: "key that may only sign", rig: keyWith("key_ops", []any{"sign"}), want: lti.ErrLaunchKey},
	{name: "key of another type", rig: keyWith("kty", "oct"), want: lti.ErrLaunchKey},
	{name: "exponent 1", rig: keyWith("e", "AQ"), want: lti.ErrLaunchKey},
	{name: "exponent 3", rig: keyWith("e", "Aw"), want: lti.ErrLaunchKey},
	{name: "exponent even", rig: keyWith("e", "AQAC"), want: lti.ErrLaunchKey},
	{name: "two keys of one id", rig: func(g *rig) {
		good, evil := testKeys()
		twin := evil.jwk()
		twin["kid"] = "good"
		g.serveKeys(good.jwk(), twin)
	}, want: lti.ErrLaunchKey},
	{name: "elliptic key", rig: func(g *rig) {
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		g.serveKeys(m{"kty": "EC", "kid": "good", "crv": "P-256", "x": b64(k.X.Bytes()), "y": b64(k.Y.Bytes())})
	}, want: lti.ErrLaunchKey},
	{name: "key set server down", rig: func(g *rig) {
		g.setKeySet(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	}, want: lti.ErrKeySetUnavailable},

	// The payload.
	{name: "payload is an array", token: payload(func(s string) string { return "[" + s + "]" }), want: lti.ErrLaunchClaims},
	{name: "payload is not JSON", token: payload(func(s string) string { return s[:len(s)-1] }), want: lti.ErrLaunchClaims},
	{name: "payload with something after it", token: payload(func(s string) string { return s + " {}" }), want: lti.ErrLaunchClaims},
	{name: "payload not UTF-8", token: payload(func(s string) string { return strings.Replace(s, "Amara", "\xc3\x28", 1) }), want: lti.ErrLaunchClaims},
	{name: "claim twice", token: payload(func(s string) string { return `{"sub":"root",` + s[1:] }), want: lti.ErrLaunchClaims},
	{name: "claim twice, once escaped", token: payload(func(s string) string { return `{"s\u0075b":"root",` + s[1:] }), want: lti.ErrLaunchClaims},
	{name: "name twice deep inside", token: payload(func(s string) string {
		return strings.Replace(s, `"id":"quiz-2"`, `"id":"quiz-1","id":"quiz-2"`, 1)
	}), want: lti.ErrLaunchClaims},
	{name: "deeper than 32", token: payload(func(s string) string {
		return `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "," + s[1:]
	}), want: lti.ErrLaunchClaims},
	{name: "half a surrogate pair", token: payload(func(s string) string { return strings.Replace(s, "u1", `\ud800`, 1) }), want: lti.ErrLaunchClaims},

	// OpenID Connect.
	{name: "no iss", claims: drop("iss"), want: lti.ErrLaunchIssuer},
	{name: "another iss", claims: set("iss", "https://evil.example"), want: lti.ErrLaunchIssuer},
	{name: "iss with a slash at the end", claims: func(g *rig, c m) { c["iss"] = g.p.Issuer + "/" }, want: lti.ErrLaunchIssuer},
	{name: "iss is an array", claims: func(g *rig, c m) { c["iss"] = []any{g.p.Issuer} }, want: lti.ErrLaunchIssuer},
	{name: "ISS instead of iss", claims: func(g *rig, c m) { delete(c, "iss"); c["ISS"] = g.p.Issuer }, want: lti.ErrLaunchIssuer},
	{name: "ıss by case folding", claims: func(g *rig, c m) { delete(c, "iss"); c["iſſ"] = g.p.Issuer }, want: lti.ErrLaunchIssuer},
	{name: "no aud", claims: drop("aud"), want: lti.ErrLaunchAudience},
	{name: "aud empty array", claims: set("aud", []any{}), want: lti.ErrLaunchAudience},
	{name: "another aud", claims: set("aud", "client-2"), want: lti.ErrLaunchAudience},
	{name: "aud with a number in it", claims: set("aud", []any{"client-1", 1}), want: lti.ErrLaunchAudience},
	{name: "several aud without azp", claims: set("aud", []any{"client-1", "x"}), want: lti.ErrLaunchParty},
	{name: "several aud with foreign azp", claims: func(_ *rig, c m) { c["aud"], c["azp"] = []any{"client-1", "x"}, "x" }, want: lti.ErrLaunchParty},
	{name: "one aud with foreign azp", claims: set("azp", "x"), want: lti.ErrLaunchParty},
	{name: "azp null", claims: set("azp", nil), want: lti.ErrLaunchParty},
	{name: "no exp", claims: drop("exp"), want: lti.ErrLaunchExpires},
	{name: "exp is a string", claims: func(g *rig, c m) { c["exp"] = "1893456000" }, want: lti.ErrLaunchExpires},
	{name: "exp 61 s ago", claims: at("exp", -61*time.Second), want: lti.ErrLaunchExpires},
	{name: "exp more than a day ahead", claims: at("exp", 24*time.Hour+time.Second), want: lti.ErrLaunchExpires},
	{name: "exp beyond numbers", token: payload(func(s string) string { return strings.Replace(s, `"exp":`, `"exp":1e400,"x":`, 1) }), want: lti.ErrLaunchExpires},
	{name: "no iat", claims: drop("iat"), want: lti.ErrLaunchIssuedAt},
	{name: "iat null", claims: set("iat", nil), want: lti.ErrLaunchIssuedAt},
	{name: "iat 61 s ahead", claims: at("iat", 61*time.Second), want: lti.ErrLaunchIssuedAt},
	{name: "iat over 10 minutes ago", claims: at("iat", -10*time.Minute-time.Second), want: lti.ErrLaunchIssuedAt},
	{name: "nbf ahead", claims: at("nbf", 61*time.Second), want: lti.ErrLaunchNotBefore},
	{name: "nbf is a string", claims: set("nbf", "0"), want: lti.ErrLaunchNotBefore},
	{name: "no nonce", claims: drop("nonce"), want: lti.ErrLaunchNonce},
	{name: "another nonce", claims: set("nonce", "x"), want: lti.ErrLaunchNonce},
	{name: "nonce is an array", claims: func(_ *rig, c m) { c["nonce"] = []any{c["nonce"]} }, want: lti.ErrLaunchNonce},
	{name: "a quiz page's assertion", claims: set("token_use", "socket"), want: lti.ErrLaunchTokenUse},

	// LTI.
	{name: "no version", claims: drop(claimLTI + "version"), want: lti.ErrLaunchVersion},
	{name: "version 1.1", claims: set(claimLTI+"version", "LTI-1p1"), want: lti.ErrLaunchVersion},
	{name: "version is a number", claims: set(claimLTI+"version", 1.3), want: lti.ErrLaunchVersion},
	{name: "no message type", claims: drop(claimLTI + "message_type"), want: lti.ErrLaunchMessage},
	{name: "message type of the tool", claims: set(claimLTI+"message_type", "LtiStartAssessment"), want: lti.ErrLaunchMessage},
	{name: "message type in lower case", claims: set(claimLTI+"message_type", "ltiresourcelinkrequest"), want: lti.ErrLaunchMessage},
	{name: "no sub", claims: drop("sub"), want: lti.ErrLaunchSubject},
	{name: "sub empty", claims: set("sub", ""), want: lti.ErrLaunchSubject},
	{name: "sub is a number", claims: set("sub", 3), want: lti.ErrLaunchSubject},
	{name: "sub of 256 characters", claims: set("sub", strings.Repeat("é", 256)), want: lti.ErrLaunchSubject},
	{name: "sub with a line break", claims: set("sub", "a\nb"), want: lti.ErrLaunchSubject},
	{name: "no target", claims: drop(claimLTI + "target_link_uri"), want: lti.ErrLaunchTarget},
	{name: "target elsewhere", claims: set(claimLTI+"target_link_uri", "https://evil.example/lti/launch"), want: lti.ErrLaunchTarget},
	{name: "target on another path", claims: set(claimLTI+"target_link_uri", publicURL+"/api/v1/x"), want: lti.ErrLaunchTarget},
	{name: "target on another port", claims: set(claimLTI+"target_link_uri", publicURL+":444/lti/launch"), want: lti.ErrLaunchTarget},
	{name: "target by plain http", claims: set(claimLTI+"target_link_uri", "http://vigil.example/lti/launch"), want: lti.ErrLaunchTarget},
	{name: "target with our host as user", claims: set(claimLTI+"target_link_uri", "https://vigil.example@evil.example/lti/launch"), want: lti.ErrLaunchTarget},
	{name: "target with a backslash", claims: set(claimLTI+"target_link_uri", `https://vigil.example\@evil.example/lti/launch`), want: lti.ErrLaunchTarget},
	{name: "target is javascript", claims: set(claimLTI+"target_link_uri", "javascript:alert(1)"), want: lti.ErrLaunchTarget},
	{name: "target null with StartProctoring", kind: start, claims: set(claimLTI+"target_link_uri", nil), want: lti.ErrLaunchTarget},
	{name: "no roles", claims: drop(claimLTI + "roles"), want: lti.ErrLaunchRoles},
	{name: "roles is a string", claims: set(claimLTI+"roles", mRole+"Instructor"), want: lti.ErrLaunchRoles},
	{name: "roles with a number", claims: set(claimLTI+"roles", []any{1}), want: lti.ErrLaunchRoles},
	{name: "no resource link", claims: drop(claimLTI + "resource_link"), want: lti.ErrLaunchResource},
	{name: "no resource link with StartProctoring", kind: start, claims: drop(claimLTI + "resource_link"), want: lti.ErrLaunchResource},
	{name: "no resource link with EndAssessment", kind: endMsg, claims: drop(claimLTI + "resource_link"), want: lti.ErrLaunchResource},
	{name: "resource link id is a number", claims: in(claimLTI+"resource_link", "id", 2), want: lti.ErrLaunchResource},
	{name: "resource link id empty", claims: in(claimLTI+"resource_link", "id", ""), want: lti.ErrLaunchResource},
	{name: "resource link id of 256 characters", claims: in(claimLTI+"resource_link", "id", strings.Repeat("x", 256)), want: lti.ErrLaunchResource},
	{name: "resource link title is an object", claims: in(claimLTI+"resource_link", "title", m{}), want: lti.ErrLaunchResource},
	{name: "context is a string", claims: set(claimLTI+"context", "2"), want: lti.ErrLaunchContext},
	{name: "context id is a number", claims: in(claimLTI+"context", "id", 2), want: lti.ErrLaunchContext},
	{name: "context id of 256 characters", claims: in(claimLTI+"context", "id", strings.Repeat("x", 256)), want: lti.ErrLaunchContext},
	{name: "context type is a string", claims: in(claimLTI+"context", "type", "CourseSection"), want: lti.ErrLaunchContext},
	{name: "name is an object", claims: set("name", m{"a": 1}), want: lti.ErrLaunchPerson},
	{name: "custom is a string", claims: set(claimLTI+"custom", "exam=1"), want: lti.ErrLaunchCustom},
	{name: "custom value is an object", claims: in(claimLTI+"custom", "exam", m{}), want: lti.ErrLaunchCustom},
	{name: "launch presentation is a string", claims: set(claimLTI+"launch_presentation", "x"), want: lti.ErrLaunchPresentation},
	{name: "return URL is javascript", claims: in(claimLTI+"launch_presentation", "return_url", "javascript:alert(1)"), want: lti.ErrLaunchPresentation},
	{name: "return URL is data", claims: in(claimLTI+"launch_presentation", "return_url", "data:text/html,x"), want: lti.ErrLaunchPresentation},
	{name: "members elsewhere", claims: in(claimNR, "context_memberships_url", "https://evil.example/members"), want: lti.ErrLaunchMembersURL},
	{name: "members is a string", claims: set(claimNR, "x"), want: lti.ErrLaunchMembersURL},

	// Deployments.
	{name: "no deployment", claims: drop(claimLTI + "deployment_id"), want: lti.ErrLaunchDeployment},
	{name: "deployment is a number", claims: set(claimLTI+"deployment_id", 1), want: lti.ErrLaunchDeployment},
	{name: "deployment empty", claims: set(claimLTI+"deployment_id", ""), want: lti.ErrLaunchDeployment},
	{name: "new deployment", claims: set(claimLTI+"deployment_id", "9"), want: lti.ErrLaunchDeploymentNew},
	{
		name: "another deployment than at login", login: func(q url.Values) { q.Set("lti_deployment_id", "1") },
		claims: set(claimLTI+"deployment_id", "2"), want: lti.ErrLaunchDeployment,
	},

	// Deep linking.
	{name: "no deep linking settings", kind: deepLink, claims: drop(claimDL + "deep_linking_settings"), want: lti.ErrLaunchDeepLinking},
	{name: "no deep linking return", kind: deepLink, claims: in(claimDL+"deep_linking_settings", "deep_link_return_url", nil), want: lti.ErrLaunchDeepLinkURL},
	{name: "deep linking return elsewhere", kind: deepLink, claims: in(claimDL+"deep_linking_settings", "deep_link_return_url", "https://evil.example/"), want: lti.ErrLaunchDeepLinkURL},
	{name: "deep linking return is javascript", kind: deepLink, claims: in(claimDL+"deep_linking_settings", "deep_link_return_url", "javascript:x"), want: lti.ErrLaunchDeepLinkURL},
	{name: "deep linking accepts no links of ours", kind: deepLink, claims: in(claimDL+"deep_linking_settings", "accept_types", []any{"file"}), want: lti.ErrLaunchDeepLinking},
	{name: "deep linking data is an object", kind: deepLink, claims: in(claimDL+"deep_linking_settings", "data", m{}), want: lti.ErrLaunchDeepLinking},
	{name: "accept_multiple is a string", kind: deepLink, claims: in(claimDL+"deep_linking_settings", "accept_multiple", "true"), want: lti.ErrLaunchDeepLinking},

	// Proctoring.
	{name: "no attempt number", kind: start, claims: drop(claimAP + "attempt_number"), want: lti.ErrLaunchAttempt},
	{name: "attempt number is a string", kind: start, claims: set(claimAP+"attempt_number", "1"), want: lti.ErrLaunchAttempt},
	{name: "attempt number 0", kind: start, claims: set(claimAP+"attempt_number", 0), want: lti.ErrLaunchAttempt},
	{name: "attempt number 1.5", kind: start, claims: set(claimAP+"attempt_number", 1.5), want: lti.ErrLaunchAttempt},
	{name: "attempt number over a million", kind: start, claims: set(claimAP+"attempt_number", 1_000_001), want: lti.ErrLaunchAttempt},
	{name: "attempt number null at the end", kind: endMsg, claims: set(claimAP+"attempt_number", nil), want: lti.ErrLaunchAttempt},
	{name: "attempt number under the Asset Processor's name", kind: start, claims: func(_ *rig, c m) {
		delete(c, claimAP+"attempt_number")
		c[claimAP+"attempt_number2"] = 1
	}, want: lti.ErrLaunchAttempt},
	{name: "no session data", kind: start, claims: drop(claimAP + "session_data"), want: lti.ErrLaunchSessionData},
	{name: "session data empty", kind: start, claims: set(claimAP+"session_data", ""), want: lti.ErrLaunchSessionData},
	{name: "session data over 16 KB", kind: start, claims: set(claimAP+"session_data", strings.Repeat("x", 16<<10+1)), want: lti.ErrLaunchSessionData},
	{name: "session data is an object", kind: start, claims: set(claimAP+"session_data", m{}), want: lti.ErrLaunchSessionData},
	{name: "no start URL", kind: start, claims: drop(claimAP + "start_assessment_url"), want: lti.ErrLaunchStartURL},
	{name: "start URL elsewhere", kind: start, claims: set(claimAP+"start_assessment_url", "https://evil.example/start"), want: lti.ErrLaunchStartURL},
	{name: "start URL on another port", kind: start, claims: func(g *rig, c m) {
		c[claimAP+"start_assessment_url"] = "http://127.0.0.1:1/start"
	}, want: lti.ErrLaunchStartURL},
	{name: "start URL with user info", kind: start, claims: func(g *rig, c m) {
		c[claimAP+"start_assessment_url"] = strings.Replace(g.p.Issuer, "//", "//a@", 1) + "/start"
	}, want: lti.ErrLaunchStartURL},
	{name: "start URL with a fragment", kind: start, claims: func(g *rig, c m) {
		c[claimAP+"start_assessment_url"] = g.p.Issuer + "/start#x"
	}, want: lti.ErrLaunchStartURL},
	{name: "start URL is javascript", kind: start, claims: set(claimAP+"start_assessment_url", "javascript:alert(1)"), want: lti.ErrLaunchStartURL},
	{name: "proctoring settings is a string", kind: start, claims: set(claimAP+"proctoring_settings", "{}"), want: lti.ErrLaunchSettings},
	{name: "proctoring settings data is an object", kind: start, claims: set(claimAP+"proctoring_settings", m{"data": m{}}), want: lti.ErrLaunchSettings},
	{name: "proctoring settings data over 160 KB", kind: start, claims: set(claimAP+"proctoring_settings", m{"data": strings.Repeat("x", 160<<10+1)}), want: lti.ErrLaunchSettings},
	{name: "acs is an array", kind: start, claims: set(claimAP+"acs", []any{"pause"}), want: lti.ErrLaunchControl},
	{name: "acs actions is a string", kind: start, claims: in(claimAP+"acs", "actions", "pause"), want: lti.ErrLaunchControl},
	{name: "control URL elsewhere", kind: start, claims: in(claimAP+"acs", "assessment_control_url", "https://evil.example/acs"), want: lti.ErrLaunchControlURL},
	{name: "control URL is data", kind: start, claims: in(claimAP+"acs", "assessment_control_url", "data:,x"), want: lti.ErrLaunchControlURL},
	{name: "control URL by another name of the host", kind: start, claims: func(g *rig, c m) {
		c[claimAP+"acs"].(m)["assessment_control_url"] = strings.Replace(g.p.Issuer, "127.0.0.1", "localhost", 1) + "/acs"
	}, want: lti.ErrLaunchControlURL},

	// At the edges of the rules, and other platforms' ways: accepted.
	{name: "exp 59 s ago", claims: at("exp", -59*time.Second)},
	{name: "exp an hour ahead", claims: at("exp", time.Hour)},
	{name: "exp with a fraction", claims: func(g *rig, c m) { c["exp"] = float64(g.clock.now().Unix()) + 30.5 }},
	{name: "iat 59 s ahead", claims: at("iat", 59*time.Second)},
	{name: "iat 9 minutes ago", claims: at("iat", -9*time.Minute)},
	{name: "aud an array of us, azp us", claims: func(_ *rig, c m) { c["aud"], c["azp"] = []any{"client-1"}, "client-1" }},
	{name: "several aud with our azp", claims: func(_ *rig, c m) { c["aud"], c["azp"] = []any{"x", "client-1"}, "client-1" }},
	{name: "null context id, empty presentation, no title", claims: func(_ *rig, c m) {
		c[claimLTI+"context"], c[claimLTI+"launch_presentation"] = m{"id": nil}, m{}
		c[claimLTI+"resource_link"] = m{"id": "q"}
	}},
	{name: "null roles for proctoring", kind: start, claims: set(claimLTI+"roles", nil)},
	{name: "no roles for proctoring", kind: start, claims: set(claimLTI+"roles", []any{})},
	{name: "no target for proctoring", kind: start, claims: drop(claimLTI + "target_link_uri")},
	{name: "session data null at the end", kind: endMsg, claims: set(claimAP+"session_data", nil)},
	{name: "custom an empty array as PHP writes it", claims: set(claimLTI+"custom", []any{})},
	{name: "key without alg and use, with key_ops verify", rig: func(g *rig) {
		good, _ := testKeys()
		k := without(without(good.jwk(), "alg"), "use")
		k["key_ops"] = []any{"verify"}
		g.serveKeys(k)
	}},
	{name: "a bad key beside the good one", rig: func(g *rig) {
		good, _ := testKeys()
		g.serveKeys(m{"kty": "OKP", "kid": "x", "crv": "Ed25519", "x": "AA"}, m{"kty": "RSA", "kid": "y", "n": "", "e": ""}, good.jwk())
	}},
	{name: "target at login differs from the token's", login: func(q url.Values) { q.Set("target_link_uri", publicURL+"/") }},
	{name: "EndAssessment", kind: endMsg},
	{name: "DeepLinking", kind: deepLink},
	{name: "StartProctoring", kind: start},
	{name: "unknown action offered", kind: start, claims: in(claimAP+"acs", "actions", []any{"pause", "explode"})},
	{name: "acs without a URL", kind: start, claims: set(claimAP+"acs", m{"actions": []any{"pause"}})},
	{name: "jku and x5u ignored", token: header(m{"alg": "RS256", "kid": "good", "jku": "https://evil.example", "x5u": "https://evil.example"})},
}
