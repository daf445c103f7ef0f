package lti_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

var update = flag.Bool("update", false, "write testdata/assertions.json anew")

const vectorFile = "testdata/assertions.json"

// vectors is testdata/assertions.json, described in docs/assertion.md.
type vectors struct {
	About    string            `json:"about"`
	Clock    int64             `json:"clock"`
	Platform vectorPlatform    `json:"platform"`
	KeySet   map[string]any    `json:"key_set"`
	Keys     map[string]rawKey `json:"private_keys"`
	Rows     []vector          `json:"rows"`
}

type vectorPlatform struct {
	Issuer      string            `json:"issuer"`
	ClientID    string            `json:"client_id"`
	Deployments map[string]string `json:"deployments"`
}

type vector struct {
	Name   string          `json:"name"`
	Result string          `json:"result"`
	Key    string          `json:"key,omitempty"`
	Header json.RawMessage `json:"header,omitempty"`
	Claims json.RawMessage `json:"claims,omitempty"`
	JWT    string          `json:"jwt"`
	Want   *vectorWant     `json:"want,omitempty"`
}

type vectorWant struct {
	Deployment   string `json:"deployment"`
	Subject      string `json:"sub"`
	ResourceLink string `json:"resource_link"`
	Attempt      int    `json:"attempt_number"`
	AttemptEnd   int64  `json:"attempt_end"`
}

// rawKey is an RSA private key as JWK.
type rawKey map[string]string

func (k rawKey) signer(kid string) signer {
	n := func(name string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(k[name])
		if err != nil {
			panic(err)
		}
		return new(big.Int).SetBytes(b)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n("n"), E: int(n("e").Int64())}, D: n("d"), Primes: []*big.Int{n("p"), n("q")}}
	key.Precompute()
	return signer{kid: kid, key: key}
}

func privateJWK(s signer) rawKey {
	return rawKey{
		"kty": "RSA", "kid": s.kid, "n": b64(s.key.N.Bytes()), "e": b64(big.NewInt(int64(s.key.E)).Bytes()), "d": b64(s.key.D.Bytes()),
		"p": b64(s.key.Primes[0].Bytes()), "q": b64(s.key.Primes[1].Bytes()),
		"dp": b64(s.key.Precomputed.Dp.Bytes()), "dq": b64(s.key.Precomputed.Dq.Bytes()), "qi": b64(s.key.Precomputed.Qinv.Bytes()),
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	var v vectors
	data, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// vectorRig is a tool that knows the vectors' platform, at the vectors' time.
func vectorRig(t testing.TB, v vectors) *rig {
	t.Helper()
	g := newRig(t)
	g.clock.t = time.Unix(v.Clock, 0)
	body := mustJSON(v.KeySet)
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	g.update(func(p *vigil.Platform) { p.Issuer, p.ClientID = v.Platform.Issuer, v.Platform.ClientID })
	clear(g.store.deployments)
	for id, state := range v.Platform.Deployments {
		d := vigil.Deployment{PlatformID: g.p.ID, ID: id, State: vigil.DeploymentState(state)}
		if err := g.store.SaveDeployment(context.Background(), d); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestAssertionVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	v := readVectors(t)
	g := vectorRig(t, v)
	accepted := 0
	for _, row := range v.Rows {
		t.Run(row.Name, func(t *testing.T) {
			got, err := g.tool.VerifyAssertion(context.Background(), row.JWT)
			if row.Result == "accepted" {
				accepted++
				if err != nil {
					t.Fatalf("got %v, want it accepted", err)
				}
				end := int64(0)
				if !got.AttemptEnd.IsZero() {
					end = got.AttemptEnd.Unix()
				}
				if have := (vectorWant{got.Deployment, got.Subject, got.ResourceLink, got.Attempt, end}); have != *row.Want {
					t.Errorf("got %+v, want %+v", have, *row.Want)
				}
				if got.Platform.ID != g.p.ID || got.ID == "" || got.Expires.Sub(got.Issued) > time.Minute {
					t.Errorf("got %+v", got)
				}
				return
			}
			f := lti.FaultOf(err)
			if f == nil || f.Name != row.Result {
				t.Fatalf("got %v, want %s", err, row.Result)
			}
			wantFault(t, err, f)
		})
	}
	if accepted < 5 {
		t.Errorf("got %d accepted rows, want more", accepted)
	}
}

// The vectors' headers and claims are what their tokens hold, so that another language's
// tests can sign them anew and compare.
func TestAssertionVectorsAreWhatTheySay(t *testing.T) {
	v := readVectors(t)
	for _, row := range v.Rows {
		if row.Key == "" {
			continue
		}
		var claims map[string]any
		if err := json.Unmarshal(row.Claims, &claims); err != nil {
			t.Fatalf("%s: %v", row.Name, err)
		}
		if got := decode(t, row.JWT); fmt.Sprint(got) != fmt.Sprint(claims) {
			t.Errorf("%s: got claims %v, want %v", row.Name, got, claims)
		}
		parts := strings.Split(row.JWT, ".")
		if again := signRaw(v.Keys[row.Key].signer(row.Key).key, unb64(parts[0]), unb64(parts[1])); again != row.JWT {
			t.Errorf("%s: signing again gives another token", row.Name)
		}
	}
}

// writeVectors makes the file. The keys of an old file stay.
func writeVectors(t *testing.T) {
	t.Helper()
	good, evil := testKeys()
	if data, err := os.ReadFile(vectorFile); err == nil {
		var old vectors
		if err := json.Unmarshal(data, &old); err != nil {
			t.Fatal(err)
		}
		good, evil = old.Keys["good"].signer("good"), old.Keys["stranger"].signer("stranger")
	}
	evil.kid = "stranger"
	weakSet := good.jwk()
	weakSet["kid"], weakSet["use"] = "encryption", "enc"
	const now = 1772442000
	v := vectors{
		About:    "Assertions of a quiz page, accepted and refused; see docs/assertion.md. The private keys are for tests and protect nothing. Rows run in order against one store.",
		Clock:    now,
		Platform: vectorPlatform{Issuer: "https://lms.example", ClientID: "client-1", Deployments: map[string]string{"1": "active", "2": "pending"}},
		KeySet:   m{"keys": []any{good.jwk(), weakSet}},
		Keys:     map[string]rawKey{"good": privateJWK(good), "stranger": privateJWK(evil)},
	}
	honest := func() m {
		return m{
			"iss": "https://lms.example", "aud": "client-1", "sub": "3", "iat": now, "exp": now + 60, "token_use": "socket",
			claimLTI + "deployment_id": "1",
			claimLTI + "resource_link": m{"id": "quiz-2"},
			claimAP + "attempt_number": 1,
			"attempt_end":              now + 3600,
		}
	}
	n := 0
	add := func(name, result string, change func(header, claims m)) *vector {
		n++
		h, c := m{"alg": "RS256", "typ": "JWT", "kid": "good"}, honest()
		c["jti"] = fmt.Sprintf("assertion-%03d", n)
		if change != nil {
			change(h, c)
		}
		row := vector{Name: name, Result: result, Key: "good", Header: mustJSON(h), Claims: mustJSON(c)}
		row.JWT = signRaw(good.key, row.Header, row.Claims)
		if result == "accepted" {
			row.Want = &vectorWant{Deployment: "1", Subject: "3", ResourceLink: "quiz-2", Attempt: 1, AttemptEnd: now + 3600}
		}
		v.Rows = append(v.Rows, row)
		return &v.Rows[len(v.Rows)-1]
	}
	raw := func(name, result, jwt string) {
		v.Rows = append(v.Rows, vector{Name: name, Result: result, JWT: jwt})
	}
	claim := func(name string, value any) func(h, c m) { return func(_, c m) { c[name] = value } }
	gone := func(name string) func(h, c m) { return func(_, c m) { delete(c, name) } }

	first := *add("honest", "accepted", nil)
	raw("the same one again", "assertion_replay", first.JWT)
	add("another of the same attempt", "accepted", nil)
	add("no end", "accepted", gone("attempt_end")).Want.AttemptEnd = 0
	add("end 0", "accepted", claim("attempt_end", 0)).Want.AttemptEnd = 0
	add("end in the past", "accepted", claim("attempt_end", now-10)).Want.AttemptEnd = now - 10
	add("aud an array of one", "accepted", claim("aud", []any{"client-1"}))
	add("azp us", "accepted", claim("azp", "client-1"))
	add("unknown claim", "accepted", claim("extra", m{"a": 1}))
	add("iat 60 s ahead", "accepted", func(_, c m) { c["iat"], c["exp"] = now+60, now+120 })
	add("exp 60 s ago", "accepted", func(_, c m) { c["iat"], c["exp"] = now-120, now-60 })
	add("a short life", "accepted", claim("exp", now+5))
	add("attempt a million", "accepted", claim(claimAP+"attempt_number", 1_000_000)).Want.Attempt = 1_000_000
	add("sub of 255 characters", "accepted", claim("sub", strings.Repeat("é", 255))).Want.Subject = strings.Repeat("é", 255)

	raw("empty", "assertion_form", "")
	raw("two parts", "assertion_form", strings.Join(strings.Split(first.JWT, ".")[:2], "."))
	raw("over 16 KB", "assertion_form", first.JWT+strings.Repeat("A", 16<<10))
	raw("payload with a claim twice", "assertion_form", signRaw(good.key, first.Header, []byte(`{"sub":"1",`+string(first.Claims[1:]))))
	raw("payload is an array", "assertion_form", signRaw(good.key, first.Header, []byte(`[]`)))
	add("crit", "assertion_form", func(h, _ m) { h["crit"] = []any{"exp"} })
	add("no iss", "assertion_issuer", gone("iss"))
	add("unknown iss", "assertion_platform", claim("iss", "https://evil.example"))
	add("iss with a slash at the end", "assertion_platform", claim("iss", "https://lms.example/"))
	add("no aud", "assertion_audience", gone("aud"))
	add("two aud", "assertion_audience", claim("aud", []any{"client-1", "x"}))
	add("unknown aud", "assertion_platform", claim("aud", "client-2"))
	add("aud is the tool's URL", "assertion_platform", claim("aud", "https://vigil.example"))
	add("foreign azp", "assertion_audience", claim("azp", "x"))
	add("RS512", "assertion_algorithm", func(h, _ m) { h["alg"] = "RS512" })
	add("alg none", "assertion_algorithm", func(h, _ m) { h["alg"] = "none" })
	add("HS256", "assertion_algorithm", func(h, _ m) { h["alg"] = "HS256" })
	add("no kid", "assertion_key", func(h, _ m) { delete(h, "kid") })
	add("unknown kid", "assertion_key", func(h, _ m) { h["kid"] = "other" })
	add("key for encryption", "assertion_key", func(h, _ m) { h["kid"] = "encryption" })
	strange := add("a stranger's key under a known kid", "assertion_signature", nil)
	strange.Key, strange.JWT = "stranger", signRaw(evil.key, strange.Header, strange.Claims)
	parts := strings.Split(first.JWT, ".")
	changed := honest()
	changed["sub"], changed["jti"] = "4", "assertion-changed"
	raw("claims changed after signing", "assertion_signature", parts[0]+"."+b64(mustJSON(changed))+"."+parts[2])
	add("no token_use", "assertion_token_use", gone("token_use"))
	add("another token_use", "assertion_token_use", claim("token_use", "id"))
	add("with a nonce", "assertion_token_use", claim("nonce", "n"))
	add("with a null nonce", "assertion_token_use", claim("nonce", nil))
	add("with a message type", "assertion_token_use", claim(claimLTI+"message_type", "LtiResourceLinkRequest"))
	add("no iat", "assertion_iat", gone("iat"))
	add("iat is a string", "assertion_iat", claim("iat", fmt.Sprint(now)))
	add("iat 61 s ahead", "assertion_iat", func(_, c m) { c["iat"], c["exp"] = now+61, now+121 })
	add("no exp", "assertion_exp", gone("exp"))
	add("exp with a fraction", "assertion_exp", claim("exp", now+30.5))
	add("exp 61 s after iat", "assertion_exp", claim("exp", now+61))
	add("exp before iat", "assertion_exp", claim("exp", now-1))
	add("exp 61 s ago", "assertion_exp", func(_, c m) { c["iat"], c["exp"] = now-121, now-61 })
	add("no jti", "assertion_jti", gone("jti"))
	add("jti is a number", "assertion_jti", claim("jti", 1))
	add("jti of 256 characters", "assertion_jti", claim("jti", strings.Repeat("x", 256)))
	add("no sub", "assertion_sub", gone("sub"))
	add("sub is a number", "assertion_sub", claim("sub", 3))
	add("sub of 256 characters", "assertion_sub", claim("sub", strings.Repeat("é", 256)))
	add("sub with a line break", "assertion_sub", claim("sub", "a\nb"))
	add("no deployment", "assertion_deployment", gone(claimLTI+"deployment_id"))
	add("deployment is a number", "assertion_deployment", claim(claimLTI+"deployment_id", 1))
	add("unknown deployment", "assertion_deployment", claim(claimLTI+"deployment_id", "9"))
	add("pending deployment", "assertion_deployment", claim(claimLTI+"deployment_id", "2"))
	add("no resource link", "assertion_resource_link", gone(claimLTI+"resource_link"))
	add("resource link is a string", "assertion_resource_link", claim(claimLTI+"resource_link", "quiz-2"))
	add("resource link id empty", "assertion_resource_link", claim(claimLTI+"resource_link", m{"id": ""}))
	add("no attempt number", "assertion_attempt_number", gone(claimAP+"attempt_number"))
	add("attempt number is a string", "assertion_attempt_number", claim(claimAP+"attempt_number", "1"))
	add("attempt number 0", "assertion_attempt_number", claim(claimAP+"attempt_number", 0))
	add("attempt number with a fraction", "assertion_attempt_number", claim(claimAP+"attempt_number", 1.5))
	add("end is a string", "assertion_attempt_end", claim("attempt_end", "0"))
	add("end null", "assertion_attempt_end", claim("attempt_end", nil))
	add("end negative", "assertion_attempt_end", claim("attempt_end", -1))
	add("end with a fraction", "assertion_attempt_end", claim("attempt_end", now+0.5))

	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAssertionIsExchangedOnceByTwentyAtOnce(t *testing.T) {
	g := newRig(t)
	token := good().sign(g.assertionClaims("once"))
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = g.tool.VerifyAssertion(context.Background(), token) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantFault(t, err, lti.ErrAssertionReplay)
		}
	}
	if won != 1 {
		t.Errorf("got %d winners, want 1", won)
	}
	// For as long as the assertion could pass by its times.
	g.clock.add(2 * time.Minute)
	_, err := g.tool.VerifyAssertion(context.Background(), token)
	wantFault(t, err, lti.ErrAssertionReplay)
	g.clock.add(time.Second)
	_, err = g.tool.VerifyAssertion(context.Background(), token)
	wantFault(t, err, lti.ErrAssertionExpires)
}

// Two platforms may use the same ids.
func TestAssertionIDsBelongToTheirPlatform(t *testing.T) {
	g := newRig(t)
	second := g.addPlatform("p2", "client-2")
	for _, client := range []string{"client-1", second.ClientID} {
		c := g.assertionClaims("same")
		c["aud"] = client
		if got, err := g.tool.VerifyAssertion(context.Background(), good().sign(c)); err != nil || got.Platform.ClientID != client {
			t.Errorf("%s: got %v", client, err)
		}
	}
}

func TestAssertionOfAPlatformThatIsOff(t *testing.T) {
	g := newRig(t)
	g.update(func(p *vigil.Platform) { p.State = vigil.PlatformDisabled })
	_, err := g.tool.VerifyAssertion(context.Background(), good().sign(g.assertionClaims("a")))
	wantFault(t, err, lti.ErrAssertionPlatform)
}

func TestAssertionAndLaunchDoNotServeAsEachOther(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	c := g.claims(lti.MessageResourceLink, l)
	c["jti"], c[claimAP+"attempt_number"] = "x", 1
	_, err := g.tool.VerifyAssertion(context.Background(), good().sign(c))
	wantFault(t, err, lti.ErrAssertionTokenUse)
}

func TestAssertionWithoutAStore(t *testing.T) {
	g := newRig(t)
	token := good().sign(g.assertionClaims("a"))
	g.store.setFail(vigil.Errorf(vigil.CodeUnavailable, "the disk is full"))
	if _, err := g.tool.VerifyAssertion(context.Background(), token); !errors.Is(err, vigil.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

// Whatever order the platform's keys come in, and whatever else is in the set.
func TestAssertionFindsItsKeyById(t *testing.T) {
	g := newRig(t)
	good, evil := testKeys()
	g.serveKeys(evil.jwk(), maps.Clone(good.jwk()))
	if _, err := g.tool.VerifyAssertion(context.Background(), good.sign(g.assertionClaims("a"))); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
