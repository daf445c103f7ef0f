package lti_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
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
	{name: "id_token over 64 KB", form: func(_ *rig, _ *login, f url.Values) { f.Set("id_token", strings.Repeat("a", 64<<10+1)) }, want: lti.ErrLaunchParameter},
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

func TestLaunchRefusesWhatIsWrongInOneThing(t *testing.T) {
	for _, row := range hostileLaunches {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			if row.rig != nil {
				row.rig(g)
			}
			q := g.loginParams()
			if row.login != nil {
				row.login(q)
			}
			l := g.beginWith(q)
			if row.after != nil {
				row.after(g)
			}
			kind := row.kind
			if kind == "" {
				kind = lti.MessageResourceLink
			}
			c := g.claims(kind, l)
			if row.claims != nil {
				row.claims(g, c)
			}
			good, _ := testKeys()
			token := good.sign(c)
			if row.token != nil {
				token = row.token(g, c)
			}
			f := url.Values{"state": {l.state}, "id_token": {token}}
			if row.form != nil {
				row.form(g, &l, f)
			}
			got, res, err := g.post(f, l.cookie)
			wantFault(t, err, row.want)
			if row.want == nil && got.Subject != "u1" {
				t.Errorf("got subject %q, want u1", got.Subject)
			}
			if err != nil && strings.Contains(err.Error(), "Amara") {
				t.Errorf("the error holds personal data: %v", err)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
			// The login is spent, good or bad.
			if f.Get("state") == l.state && l.cookie != nil && !errors.Is(err, lti.ErrLaunchForm) && !errors.Is(err, lti.ErrLaunchParameter) {
				f.Set("id_token", good.sign(g.claims(kind, l)))
				f.Del("error")
				if _, _, err := g.post(f, l.cookie); !errors.Is(err, lti.ErrLaunchState) {
					t.Errorf("second launch of the login: got %v, want %v", err, lti.ErrLaunchState)
				}
			}
		})
	}
}

func good() signer { s, _ := testKeys(); return s }

// weakKey is a 512-bit RSA key made elsewhere: crypto/rsa refuses to make one.
func weakKey() signer {
	block, _ := pem.Decode([]byte(weakPEM))
	k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return signer{kid: "good", key: k}
}

func keyWith(name string, value any) func(*rig) {
	return func(g *rig) {
		k := good().jwk()
		k[name] = value
		g.serveKeys(k)
	}
}

// hs256 signs with HMAC under the public key's PEM, the classic confusion.
func hs256(_ *rig, c m) string {
	der, err := x509.MarshalPKIXPublicKey(&good().key.PublicKey)
	if err != nil {
		panic(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	input := b64(mustJSON(m{"alg": "HS256", "typ": "JWT", "kid": "good"})) + "." + b64(mustJSON(c))
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(input))
	return input + "." + b64(h.Sum(nil))
}

func TestLaunchNeedsAFormPost(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	f := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageResourceLink, l))}}
	for _, row := range []struct {
		name, method, path, media, body string
		want                            *lti.Fault
	}{
		{"GET", http.MethodGet, "/lti/launch?" + f.Encode(), "", "", lti.ErrLaunchMethod},
		{"PUT", http.MethodPut, "/lti/launch", "application/x-www-form-urlencoded", f.Encode(), lti.ErrLaunchMethod},
		{"JSON", http.MethodPost, "/lti/launch", "application/json", "{}", lti.ErrLaunchForm},
		{"multipart", http.MethodPost, "/lti/launch", "multipart/form-data; boundary=x", "--x--", lti.ErrLaunchForm},
		{"no media type", http.MethodPost, "/lti/launch", "", f.Encode(), lti.ErrLaunchForm},
		{"bad escape", http.MethodPost, "/lti/launch", "application/x-www-form-urlencoded", "state=%zz", lti.ErrLaunchForm},
		{"semicolon", http.MethodPost, "/lti/launch", "application/x-www-form-urlencoded", f.Encode() + ";x=1", lti.ErrLaunchForm},
		{"state in the query", http.MethodPost, "/lti/launch?state=x", "application/x-www-form-urlencoded", f.Encode(), lti.ErrLaunchForm},
		{"65 parameters", http.MethodPost, "/lti/launch", "application/x-www-form-urlencoded", f.Encode() + many(65), lti.ErrLaunchForm},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, publicURL+row.path, strings.NewReader(row.body))
			if row.media != "" {
				r.Header.Set("Content-Type", row.media)
			}
			r.AddCookie(l.cookie)
			_, _, err := g.send(r)
			wantFault(t, err, row.want)
		})
	}
	if _, _, err := g.post(f, l.cookie); err != nil {
		t.Errorf("the honest launch after them: got %v, want none", err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "=1")
	}
	return b.String()
}

func TestLaunchTellsWhatThePlatformSaid(t *testing.T) {
	g := newRig(t)
	g.clock.add(time.Minute)
	begun := g.clock.now()
	got, err := g.launch(lti.MessageStartProctoring, func(c m) { c["locale"] = "id" })
	if err != nil {
		t.Fatal(err)
	}
	if got.Platform.ID != "p1" || got.Deployment != "1" || got.Message != start || got.Subject != "u1" || got.Name != "Amara Okafor" ||
		got.Locale != "id" || got.Resource != (lti.ResourceLink{ID: "quiz-2", Title: "Quiz"}) || got.Context.Label != "BIO" ||
		got.Target != "/lti/launch" || got.Custom["exam"] != "e1" || got.ReturnURL != g.p.Issuer+"/return.php?x=1" ||
		got.Window != "window" || !got.Started.Equal(begun) || got.MembersURL != g.p.Issuer+"/members" || got.Reference == "" {
		t.Errorf("got %+v", got)
	}
	if p := got.Proctoring; p == nil || p.Attempt != 1 || p.SessionData != "opaque" || p.StartURL != g.p.Issuer+"/start.php" ||
		p.Settings != "{}" || strings.Join(p.Actions, " ") != "pause terminate" || p.ControlURL != g.p.Issuer+"/acs" {
		t.Errorf("got proctoring %+v", p)
	}
	if got.Role != lti.RoleLearner {
		t.Errorf("a proctoring launch with an instructor's role: got %s, want learner", got.Role)
	}

	got, err = g.launch(lti.MessageEndAssessment, func(c m) { c[claimAP+"errormsg "] = "The quiz broke"; c[claimAP+"errorlog"] = "trace" })
	if err != nil {
		t.Fatal(err)
	}
	if got.End == nil || *got.End != (lti.EndAssessment{Attempt: 1, ErrorMsg: "The quiz broke", ErrorLog: "trace"}) || got.Proctoring != nil {
		t.Errorf("got end %+v", got.End)
	}

	got, err = g.launch(lti.MessageDeepLinking, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := got.DeepLinking; d == nil || d.ReturnURL != g.p.Issuer+"/return" || !d.AcceptMultiple || d.Data != "d1" || got.Role != lti.RoleProctor {
		t.Errorf("got deep linking %+v, role %s", d, got.Role)
	}
}

func TestLaunchLeavesOutAReturnURLElsewhere(t *testing.T) {
	g := newRig(t)
	got, err := g.launch(lti.MessageResourceLink, func(c m) {
		c[claimLTI+"launch_presentation"] = m{"return_url": "https://elsewhere.example/"}
	})
	if err != nil || got.ReturnURL != "" {
		t.Errorf("got %q, %v, want none", got.ReturnURL, err)
	}
}

func TestRolesCountByTheirWholeURI(t *testing.T) {
	const sub = "http://purl.imsglobal.org/vocab/lis/v2/membership/"
	const inst = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
	for _, row := range []struct {
		roles []any
		want  lti.Role
	}{
		{[]any{mRole + "Instructor"}, lti.RoleProctor},
		{[]any{mRole + "Learner", mRole + "Instructor"}, lti.RoleProctor},
		{[]any{sub + "Instructor#TeachingAssistant"}, lti.RoleProctor},
		{[]any{mRole + "Administrator"}, lti.RoleProctor},
		{[]any{"http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"}, lti.RoleProctor},
		{[]any{}, lti.RoleLearner},
		{[]any{mRole + "Learner"}, lti.RoleLearner},
		{[]any{sub + "Learner#Instructor"}, lti.RoleLearner},
		{[]any{"Instructor"}, lti.RoleLearner},
		{[]any{mRole + "instructor"}, lti.RoleLearner},
		{[]any{inst + "Instructor"}, lti.RoleLearner},
		{[]any{inst + "Administrator"}, lti.RoleLearner},
		{[]any{mRole + "Instructor#x"}, lti.RoleLearner},
		{[]any{mRole + "Mentor"}, lti.RoleLearner},
		{[]any{"https://evil.example/membership#Instructor"}, lti.RoleLearner},
	} {
		g := newRig(t)
		got, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"roles"] = row.roles })
		if err != nil || got.Role != row.want {
			t.Errorf("roles %v: got %s, %v, want %s", row.roles, got.Role, err, row.want)
		}
	}
}

// One issuer may have several clients: a token of one must not pass for the other.
func TestLaunchRefusesAnotherClientsTokenUnderOurState(t *testing.T) {
	g := newRig(t)
	second := g.addPlatform("p2", "client-2")
	l := g.begin()
	c := g.claims(lti.MessageResourceLink, l)
	c["aud"] = second.ClientID
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {good().sign(c)}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchAudience)
}

// Another platform's key must not pass under this platform's login, though its key set
// is in the cache.
func TestLaunchRefusesAnotherPlatformsTokenUnderOurState(t *testing.T) {
	g, other := newRig(t), newRig(t)
	_, evil := testKeys()
	other.serveKeys(evil.jwk())
	ctx := context.Background()
	p := other.p
	p.ID = "p2"
	if err := errors.Join(g.store.CreatePlatform(ctx, p), g.store.SaveDeployment(ctx, vigil.Deployment{PlatformID: "p2", ID: "1", State: vigil.DeploymentActive})); err != nil {
		t.Fatal(err)
	}
	honest := g.p
	g.p = p
	l := g.begin()
	if _, _, err := g.post(url.Values{"state": {l.state}, "id_token": {evil.sign(g.claims(lti.MessageResourceLink, l))}}, l.cookie); err != nil {
		t.Fatalf("the other platform's own launch: got %v, want none", err)
	}
	g.p = honest
	l = g.begin()
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {evil.sign(g.claims(lti.MessageResourceLink, l))}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchKey)
}

func TestOneLaunchPostedTwentyTimesWinsOnce(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	body := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageResourceLink, l))}}.Encode()
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	tool, err := lti.New(lti.Config{
		PublicURL: publicURL, Store: g.store, Sealer: noSealer{}, Now: g.clock.now, Log: slog.New(slog.DiscardHandler),
		OnError: func(_ http.ResponseWriter, _ *http.Request, e *lti.LaunchError) {
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(e, lti.ErrLaunchState) {
				lost++
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		wg.Go(func() {
			r := httptest.NewRequest(http.MethodPost, publicURL+"/lti/launch", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.AddCookie(l.cookie)
			tool.ServeLaunch(httptest.NewRecorder(), r, func(http.ResponseWriter, *http.Request, lti.Launch) {
				mu.Lock()
				defer mu.Unlock()
				won++
			})
		})
	}
	wg.Wait()
	if won != 1 || lost != 19 {
		t.Errorf("got %d won and %d lost, want 1 and 19", won, lost)
	}
}

type noSealer struct{}

func (noSealer) Seal(b []byte) ([]byte, error) { return b, nil }
func (noSealer) Open(b []byte) ([]byte, error) { return b, nil }

func TestLaunchIsRefusedWhenTheStoreFails(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	g.store.setFail(vigil.Errorf(vigil.CodeUnavailable, "the disk is full"))
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {"a.b.c"}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchStore)
	if g.last.Status != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", g.last.Status)
	}
	g.get(g.loginParams().Encode())
	wantFault(t, g.last, lti.ErrLoginStore)
}

func TestLaunchShowsThePlatformsErrorAsText(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	_, _, err := g.post(url.Values{"state": {l.state}, "error": {"login_required"}, "error_description": {"Please <b>sign in</b>"}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchPlatformError)
	if got, want := g.last.PlatformText, "login_required: Please <b>sign in</b>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknownDeploymentWaitsForTheOperator(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	_, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "9" })
	wantFault(t, err, lti.ErrLaunchDeploymentNew)
	d, err := g.store.Deployment(ctx, "p1", "9")
	if err != nil || d.State != vigil.DeploymentPending {
		t.Fatalf("got %+v, %v, want a pending deployment", d, err)
	}
	// A login that names it is refused at once.
	q := g.loginParams()
	q.Set("lti_deployment_id", "9")
	g.get(q.Encode())
	wantFault(t, g.last, lti.ErrLoginDeployment)
	// Accepted by the operator, it launches.
	d.State = vigil.DeploymentActive
	if err := g.store.SaveDeployment(ctx, d); err != nil {
		t.Fatal(err)
	}
	if _, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "9" }); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestOnlyTheFirstDeploymentOfANewPlatformIsAccepted(t *testing.T) {
	for _, row := range []struct {
		name string
		rig  func(*rig)
		want *lti.Fault
	}{
		{"fresh platform without deployments", func(*rig) {}, nil},
		{"registered long ago", func(g *rig) { g.clock.add(8 * 24 * time.Hour) }, lti.ErrLaunchDeploymentNew},
		{"an issuer of many customers", func(g *rig) { g.update(func(p *vigil.Platform) { p.Issuer = "https://canvas.instructure.com" }) }, lti.ErrLaunchDeploymentNew},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			delete(g.store.deployments, [2]string{"p1", "1"})
			row.rig(g)
			g.p, _ = g.store.Platform(context.Background(), "p1")
			_, err := g.launch(lti.MessageResourceLink, func(c m) {
				for _, claim := range []string{claimNR, claimLTI + "launch_presentation"} {
					delete(c, claim)
				}
			})
			wantFault(t, err, row.want)
			if row.want == nil {
				_, err = g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "2" })
				wantFault(t, err, lti.ErrLaunchDeploymentNew)
			}
		})
	}
}

func TestOfTwoFirstDeploymentsAtOnceOneIsAccepted(t *testing.T) {
	g := newRig(t)
	delete(g.store.deployments, [2]string{"p1", "1"})
	if _, err := g.launch(lti.MessageResourceLink, nil); err != nil {
		t.Fatal(err)
	}
	// The other launch looked for deployments before the first was saved.
	delete(g.store.deployments, [2]string{"p1", "1"})
	_, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "2" })
	wantFault(t, err, lti.ErrLaunchDeploymentNew)
	delete(g.store.deployments, [2]string{"p1", "2"})
	if _, err := g.launch(lti.MessageResourceLink, nil); err != nil {
		t.Errorf("the first one again: got %v, want none", err)
	}
}

func TestLaunchesDoNotFillTheStoreWithDeployments(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	for i := range 500 {
		if err := g.store.SaveDeployment(ctx, vigil.Deployment{PlatformID: "p1", ID: "d" + time.Duration(i).String()}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "one too many" })
	wantFault(t, err, lti.ErrLaunchDeploymentNew)
	if _, err := g.store.Deployment(ctx, "p1", "one too many"); !errors.Is(err, vigil.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}
