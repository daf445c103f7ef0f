package lti_test

import (
	"bytes"
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

var update = flag.Bool("update", false, "write testdata/assertions.json anew, and the plugin's copy")

const (
	vectorFile = "testdata/assertions.json"
	vectorCopy = "../moodle-plugin/quizaccess_vigil/tests/fixtures/assertions.json"
)

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
	Use    string          `json:"use,omitempty"` // what it is offered as: page, ended, export or access; socket when empty
	Result string          `json:"result"`
	Older  string          `json:"version_1,omitempty"` // the result of a reader of version 1
	Key    string          `json:"key,omitempty"`
	Header json.RawMessage `json:"header,omitempty"`
	Claims json.RawMessage `json:"claims,omitempty"`
	JWT    string          `json:"jwt"`
	Want   *vectorWant     `json:"want,omitempty"`
}

type vectorWant struct {
	Deployment   string   `json:"deployment"`
	Subject      string   `json:"sub"`
	ResourceLink string   `json:"resource_link"`
	Attempt      int      `json:"attempt_number"`
	AttemptEnd   int64    `json:"attempt_end"`
	Version      int      `json:"vigil"`
	ToldAt       int64    `json:"told_at"`
	PausedAt     int64    `json:"attempt_paused_at"`
	Requests     []string `json:"requests"`

	Page   *wantPage   `json:"page,omitempty"`
	Ended  *wantEnded  `json:"ended,omitempty"`
	Opened int64       `json:"opened_at,omitempty"`
	Access *wantAccess `json:"access,omitempty"`
}

// wantAccess is what a report of groups and rights says; of what is in vectorWant only
// deployment and resource link have a meaning there.
type wantAccess struct {
	Staff    []wantPerson `json:"staff"`
	Students []wantPerson `json:"students"`
}

type wantPerson struct {
	User    string        `json:"user"`
	Version int64         `json:"version"`
	All     bool          `json:"all"`
	Groups  []vigil.Group `json:"groups"`
	Rights  []vigil.Right `json:"rights"`
}

func wantPeople(list []vigil.Access) []wantPerson {
	out := make([]wantPerson, len(list))
	for i, a := range list {
		out[i] = wantPerson{a.UserID, a.Version, a.All, append([]vigil.Group{}, a.Groups...), append([]vigil.Right{}, a.Rights...)}
	}
	return out
}

// wantEnded is what only a report of an end says.
type wantEnded struct {
	Outcome string `json:"outcome"`
	At      int64  `json:"ended_at"`
}

// wantPage is what only a page stamp says.
type wantPage struct {
	Nonce     string `json:"nonce"`
	Requested int64  `json:"requested_at"`
	Answered  int64  `json:"answered_at"`
}

// readAs is what a row's token says, read as what the row offers it as.
func (g *rig) readAs(row vector) (vectorWant, error) {
	switch row.Use {
	case "ended":
		e, err := g.tool.VerifyEnded(context.Background(), row.JWT)
		want := wantOf(e.Deployment, e.Subject, e.ResourceLink, e.Attempt, e.Report)
		want.Ended = &wantEnded{e.Outcome, e.At.Unix()}
		return want, err
	case "opened":
		o, err := g.tool.VerifyOpened(context.Background(), row.JWT)
		want := wantOf(o.Deployment, o.Subject, o.ResourceLink, o.Attempt, o.Report)
		want.Opened = o.At.Unix()
		return want, err
	case "export":
		a, err := g.tool.VerifyExport(context.Background(), row.JWT)
		return wantOf(a.Deployment, a.Subject, a.ResourceLink, a.Attempt, a.Report), err
	case "access":
		r, err := g.tool.VerifyAccess(context.Background(), row.JWT)
		return vectorWant{
			Deployment: r.Deployment, ResourceLink: r.ResourceLink, Requests: []string{},
			Access: &wantAccess{wantPeople(r.Staff), wantPeople(r.Students)},
		}, err
	case "page":
		p, err := g.tool.VerifyPage(context.Background(), row.JWT)
		if err == nil && p.Platform.ID != g.p.ID {
			return vectorWant{}, fmt.Errorf("got platform %q", p.Platform.ID)
		}
		want := wantOf(p.Deployment, p.Subject, p.ResourceLink, p.Attempt, p.Report)
		want.Page = &wantPage{p.Nonce, p.Requested.UnixMilli(), p.Answered.UnixMilli()}
		return want, err
	}
	a, err := g.tool.VerifyAssertion(context.Background(), row.JWT)
	if err == nil && (a.Platform.ID != g.p.ID || a.ID == "" || a.Expires.Sub(a.Issued) > time.Minute) {
		return vectorWant{}, fmt.Errorf("got %+v", a)
	}
	return wantOf(a.Deployment, a.Subject, a.ResourceLink, a.Attempt, a.Report), err
}

func wantOf(deployment, subject, link string, attempt int, r vigil.Report) vectorWant {
	seconds := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	return vectorWant{
		Deployment: deployment, Subject: subject, ResourceLink: link, Attempt: attempt, AttemptEnd: seconds(r.End), Version: r.Version,
		ToldAt: r.At.UnixMilli(), PausedAt: seconds(r.PausedAt), Requests: append([]string{}, r.Requests...),
	}
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
	accepted := map[string]int{}
	for _, row := range v.Rows {
		t.Run(row.Name, func(t *testing.T) {
			got, err := g.readAs(row)
			if row.Result == "accepted" {
				accepted[row.Use]++
				if err != nil {
					t.Fatalf("got %v, want it accepted", err)
				}
				if have, want := string(mustJSON(got)), string(mustJSON(row.Want)); have != want {
					t.Errorf("got %s, want %s", have, want)
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
	if accepted[""] < 5 || accepted["page"] < 5 || accepted["ended"] < 3 || accepted["opened"] < 2 || accepted["export"] < 2 || accepted["access"] < 2 {
		t.Errorf("got %v accepted rows, want more", accepted)
	}
}

// A program that knows version 1 only takes assertions of version 2, and reads of them what
// it knows.
func TestAssertionVectorsForReadersOfVersion1(t *testing.T) {
	v := readVectors(t)
	g := vectorRig(t, v)
	rows := 0
	for _, row := range v.Rows {
		if row.Older == "" {
			continue
		}
		rows++
		got, err := g.tool.VerifyVersion1(context.Background(), row.JWT)
		if row.Older == "accepted" {
			if err != nil || got.Subject == "" || got.Attempt == 0 {
				t.Errorf("%s: got %+v, %v, want it accepted", row.Name, got, err)
			}
			if w := row.Want; w != nil && (got.Report.End.IsZero() != (w.AttemptEnd == 0) || w.AttemptEnd != 0 && got.Report.End.Unix() != w.AttemptEnd) {
				t.Errorf("%s: got the end %s, want %d", row.Name, got.Report.End, w.AttemptEnd)
			}
		} else if f := lti.FaultOf(err); f == nil || f.Name != row.Older {
			t.Errorf("%s: got %v, want %s", row.Name, err, row.Older)
		}
	}
	if rows < 10 {
		t.Errorf("got %d rows, want more", rows)
	}
}

func TestAssertionVectorsAreThePluginsToo(t *testing.T) {
	ours, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(vectorCopy)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("%s and %s differ: write both with go test ./lti -run Assertion -update", vectorFile, vectorCopy)
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
	const now = int64(1772442000)
	v := vectors{
		About:    "Assertions and page stamps of a quiz page, accepted and refused; see docs/assertion.md. The private keys are for tests and protect nothing. Rows run in order against one store.",
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
			row.Want = &vectorWant{
				Deployment: "1", Subject: "3", ResourceLink: "quiz-2", Attempt: 1, AttemptEnd: now + 3600, Version: 1, ToldAt: c["iat"].(int64) * 1000,
				Requests: []string{},
			}
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
	add("exp with a fraction", "assertion_exp", claim("exp", float64(now)+30.5))
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
	add("end with a fraction", "assertion_attempt_end", claim("attempt_end", float64(now)+0.5))

	add("iat and exp at the ends of what an integer holds", "assertion_iat", func(_, c m) { c["iat"], c["exp"] = int64(-9e18), int64(9e18) })
	add("exp beyond all exams", "assertion_exp", func(_, c m) { c["exp"] = int64(1)<<40 + 1 })

	// Version 2. A reader of version 1 ignores what came with it.
	const told = now*1000 - 250
	second := func(name, result string, change func(h, c m)) *vector {
		row := add(name, result, func(h, c m) {
			c["vigil"], c["told_at"], c["requests"] = 2, told, []any{}
			if change != nil {
				change(h, c)
			}
		})
		row.Older = "accepted"
		if row.Want != nil {
			var said struct{ Vigil int64 }
			if json.Unmarshal(row.Claims, &said) == nil {
				row.Want.Version, row.Want.ToldAt = int(min(said.Vigil, vigil.PluginVersion)), told
			}
		}
		return row
	}
	add("version 1 ignores what came later", "accepted", func(_, c m) {
		c["told_at"], c["attempt_paused_at"], c["requests"] = "now", -1, nil
	}).Older = "accepted"
	held := []string{"01960000-0000-7000-8000-000000000001", "01960000-0000-7000-8000-000000000002"}
	second("version 2", "accepted", func(_, c m) { c["requests"] = held }).Want.Requests = held
	second("version 2, no requests", "accepted", nil)
	second("version 2, no end", "accepted", gone("attempt_end")).Want.AttemptEnd = 0
	second("version 2, paused", "accepted", claim("attempt_paused_at", now-120)).Want.PausedAt = now - 120
	second("version 2, paused at 0", "accepted", claim("attempt_paused_at", 0))
	second("version 2, paused 60 s ahead", "accepted", claim("attempt_paused_at", now+60)).Want.PausedAt = now + 60
	second("version 3", "accepted", claim("vigil", 3))
	second("version 4 is read as 3", "accepted", func(_, c m) { c["vigil"], c["extra"] = 4, true })
	second("version a billion", "accepted", claim("vigil", 1_000_000_000))
	second("told 60 s ahead", "accepted", claim("told_at", (now+60)*1000)).Want.ToldAt = (now + 60) * 1000
	second("told an hour before it was made", "accepted", claim("told_at", (now-3600)*1000)).Want.ToldAt = (now - 3600) * 1000
	many := func(n int) []string {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf("01960000-0000-7000-8000-%012d", i)
		}
		return ids
	}
	second("200 requests", "accepted", claim("requests", many(200))).Want.Requests = many(200)
	long := []string{strings.Repeat("é", 64)}
	second("request id of 64 characters", "accepted", claim("requests", long)).Want.Requests = long

	second("version null", "assertion_version", claim("vigil", nil))
	second("version a string", "assertion_version", claim("vigil", "2"))
	second("version with a fraction", "assertion_version", claim("vigil", 2.5))
	second("version 1 said", "assertion_version", claim("vigil", 1))
	second("version 0", "assertion_version", claim("vigil", 0))
	second("told never", "assertion_told_at", gone("told_at"))
	second("told null", "assertion_told_at", claim("told_at", nil))
	second("told a string", "assertion_told_at", claim("told_at", fmt.Sprint(told)))
	second("told with a fraction", "assertion_told_at", claim("told_at", float64(told)+0.5))
	second("told 60.001 s ahead", "assertion_told_at", claim("told_at", (now+60)*1000+1))
	second("told in seconds", "assertion_told_at", claim("told_at", now))
	second("told more than an hour before it was made", "assertion_told_at", claim("told_at", (now-3600)*1000-1))
	second("paused null", "assertion_paused_at", claim("attempt_paused_at", nil))
	second("paused a string", "assertion_paused_at", claim("attempt_paused_at", fmt.Sprint(now)))
	second("paused with a fraction", "assertion_paused_at", claim("attempt_paused_at", float64(now)+0.5))
	second("paused negative", "assertion_paused_at", claim("attempt_paused_at", -1))
	second("paused 61 s ahead", "assertion_paused_at", claim("attempt_paused_at", now+61))
	second("paused in milliseconds", "assertion_paused_at", claim("attempt_paused_at", now*1000))
	second("no list of requests", "assertion_requests", gone("requests"))
	second("requests null", "assertion_requests", claim("requests", nil))
	second("requests a string", "assertion_requests", claim("requests", held[0]))
	second("a request a number", "assertion_requests", claim("requests", []any{held[0], 1}))
	second("a request empty", "assertion_requests", claim("requests", []any{""}))
	second("request id of 65 characters", "assertion_requests", claim("requests", []any{strings.Repeat("é", 65)}))
	second("request id with a line break", "assertion_requests", claim("requests", []any{"a\nb"}))
	second("201 requests", "assertion_requests", claim("requests", strings.Split(strings.Repeat("a", 201), "")))
	second("the end is looked at before the version", "assertion_attempt_end", func(_, c m) {
		c["attempt_end"], c["vigil"], c["told_at"], c["requests"] = nil, nil, nil, nil
	}).Older = "assertion_attempt_end"
	second("the version before the rest", "assertion_version", func(_, c m) { c["vigil"], c["told_at"], c["requests"] = 1, nil, nil })

	// Page stamps.
	const asked, answered = told - 1500, told - 20
	stamp := func(name, result string, change func(h, c m)) *vector {
		row := second(name, result, func(h, c m) {
			c["token_use"], c["exp"], c["page_requested_at"], c["page_answered_at"] = "page", now+86400, asked, answered
			if change != nil {
				change(h, c)
			}
		})
		row.Use, row.Older = "page", "assertion_token_use"
		if row.Want != nil {
			row.Want.Page = &wantPage{fmt.Sprintf("assertion-%03d", n), asked, answered}
		}
		return row
	}
	printed := *stamp("page", "accepted", nil)
	v.Rows = append(v.Rows, vector{Name: "the same page again", Use: "page", Result: "accepted", JWT: printed.JWT, Want: printed.Want})
	stamp("page, paused, with requests", "accepted", func(_, c m) { c["attempt_paused_at"], c["requests"] = now-5, held })
	last := v.Rows[len(v.Rows)-1].Want
	last.PausedAt, last.Requests = now-5, held
	stamp("page, version 3", "accepted", claim("vigil", 3))
	stamp("page nonce that an assertion used up", "accepted", claim("jti", "assertion-001")).Want.Page.Nonce = "assertion-001"
	old := stamp("page of a day and a minute ago", "accepted", func(_, c m) {
		c["iat"], c["exp"], c["told_at"] = now-86460, now-60, (now-86460)*1000
		c["page_requested_at"], c["page_answered_at"] = (now-86461)*1000, (now-86460)*1000
	}).Want
	old.ToldAt, old.Page.Requested, old.Page.Answered = (now-86460)*1000, (now-86461)*1000, (now-86460)*1000
	stamp("page answered at once", "accepted", claim("page_requested_at", answered)).Want.Page.Requested = answered
	stamp("page answered after an hour", "accepted", claim("page_requested_at", answered-3_600_000)).Want.Page.Requested = answered - 3_600_000
	stamp("page answered 60 s ahead", "accepted", claim("page_answered_at", (now+60)*1000)).Want.Page.Answered = (now + 60) * 1000

	v.Rows = append(v.Rows, vector{Name: "a page stamp as an assertion", Result: "assertion_token_use", JWT: printed.JWT})
	v.Rows = append(v.Rows, vector{Name: "an assertion as a page stamp", Use: "page", Result: "assertion_token_use", JWT: first.JWT})
	stamp("page with a nonce", "assertion_token_use", claim("nonce", "n"))
	stamp("page of more than a day", "assertion_exp", claim("exp", now+86401))
	stamp("page that ran out 61 s ago", "assertion_exp", func(_, c m) { c["iat"], c["exp"] = now-86461, now-61 })
	stamp("page from 61 s ahead", "assertion_iat", claim("iat", now+61))
	stamp("page without a nonce of its own", "assertion_jti", gone("jti"))
	stamp("page of an unknown deployment", "assertion_deployment", claim(claimLTI+"deployment_id", "9"))
	stamp("page of version 1", "assertion_version", gone("vigil"))
	stamp("page told never", "assertion_told_at", gone("told_at"))
	stamp("page told in seconds", "assertion_told_at", claim("told_at", now))
	stamp("page paused null", "assertion_paused_at", claim("attempt_paused_at", nil))
	stamp("page without a list of requests", "assertion_requests", gone("requests"))
	stamp("page without its request", "page_times", gone("page_requested_at"))
	stamp("page without its answer", "page_times", gone("page_answered_at"))
	stamp("page whose request is null", "page_times", claim("page_requested_at", nil))
	stamp("page whose request is a string", "page_times", claim("page_requested_at", fmt.Sprint(asked)))
	stamp("page whose answer has a fraction", "page_times", claim("page_answered_at", float64(answered)+0.5))
	stamp("page requested after its answer", "page_times", claim("page_requested_at", answered+1))
	stamp("page answered after more than an hour", "page_times", claim("page_requested_at", answered-3_600_001))
	stamp("page answered 60.001 s ahead", "page_times", claim("page_answered_at", (now+60)*1000+1))
	stamp("page with its times in seconds", "page_times", func(_, c m) { c["page_requested_at"], c["page_answered_at"] = now-2, now })

	// Reports of ends, and questions for what is kept. Of version 2 they need their version only.
	of := func(use, name, result string, change func(h, c m)) *vector {
		row := second(name, result, func(h, c m) {
			delete(c, "attempt_end")
			if c["token_use"] = use; use == "ended" {
				c["outcome"], c["ended_at"] = "submitted", now-30
			}
			if use == "opened" {
				c["opened_at"] = now - 20
			}
			if change != nil {
				change(h, c)
			}
		})
		row.Use, row.Older = use, ""
		if row.Want != nil {
			row.Want.AttemptEnd = 0
			if use == "ended" {
				row.Want.Ended = &wantEnded{"submitted", now - 30}
			}
			if use == "opened" {
				row.Want.Opened = now - 20
			}
		}
		return row
	}
	short := func(_, c m) {
		delete(c, "told_at")
		delete(c, "requests")
	}
	ended := *of("ended", "report of an end", "accepted", nil)
	v.Rows = append(v.Rows, vector{Name: "the same report again", Use: "ended", Result: "assertion_replay", JWT: ended.JWT})
	of("ended", "report of an end, as short as can be", "accepted", short).Want.ToldAt = now * 1000
	for _, outcome := range []string{"abandoned", "switched_off", "deleted", "erased"} {
		of("ended", "report: "+outcome, "accepted", claim("outcome", outcome)).Want.Ended.Outcome = outcome
	}
	oldest := of("ended", "report of version 1", "accepted", func(h, c m) { short(h, c); delete(c, "vigil") }).Want
	oldest.Version, oldest.ToldAt = 1, now*1000
	of("ended", "report without an outcome", "ended_outcome", gone("outcome"))
	of("ended", "report with an outcome that nobody knows", "ended_outcome", claim("outcome", "lost"))
	of("ended", "report without its moment", "ended_at", gone("ended_at"))
	of("ended", "report of an end to come", "ended_at", claim("ended_at", now+61))
	of("ended", "report told in words", "assertion_told_at", claim("told_at", "now"))
	v.Rows = append(v.Rows, vector{Name: "a report as an assertion", Result: "assertion_token_use", JWT: ended.JWT})
	v.Rows = append(v.Rows, vector{Name: "a page stamp as a report", Use: "ended", Result: "assertion_token_use", JWT: printed.JWT})
	opened := *of("opened", "report of an opening", "accepted", nil)
	v.Rows = append(v.Rows, vector{Name: "the same opening again", Use: "opened", Result: "assertion_replay", JWT: opened.JWT})
	of("opened", "report of an opening, as short as can be", "accepted", short).Want.ToldAt = now * 1000
	of("opened", "report of an opening of version 1", "assertion_version", func(h, c m) { short(h, c); delete(c, "vigil") })
	of("opened", "report of an opening without its moment", "opened_at", gone("opened_at"))
	of("opened", "report of an opening to come", "opened_at", claim("opened_at", now+61))
	of("opened", "report of an opening with a moment in words", "opened_at", claim("opened_at", "now"))
	v.Rows = append(v.Rows, vector{Name: "an opening as an end", Use: "ended", Result: "assertion_token_use", JWT: opened.JWT})
	v.Rows = append(v.Rows, vector{Name: "an end as an opening", Use: "opened", Result: "assertion_token_use", JWT: ended.JWT})
	question := *of("export", "question for what is kept", "accepted", nil)
	v.Rows = append(v.Rows, vector{Name: "the same question again", Use: "export", Result: "assertion_replay", JWT: question.JWT})
	of("export", "question for what is kept, as short as can be", "accepted", short).Want.ToldAt = now * 1000
	v.Rows = append(v.Rows, vector{Name: "a report as a question", Use: "export", Result: "assertion_token_use", JWT: ended.JWT})

	// Reports of groups and rights.
	told3 := func(name, result string, change func(h, c m)) *vector {
		row := add(name, result, func(h, c m) {
			for _, name := range []string{"sub", claimAP + "attempt_number", "attempt_end"} {
				delete(c, name)
			}
			c["token_use"], c["vigil"] = "access", 3
			c["staff"] = []any{
				m{"user": "5", "version": 1790000000123, "all": false, "groups": []any{m{"id": "12", "name": "Group A"}}, "rights": []any{"watch", "talk", "time"}},
				m{"user": "6", "version": 1790000000124, "all": false, "groups": []any{}, "rights": []any{}},
			}
			c["students"] = []any{m{"user": "9", "version": 1790000000125, "groups": []any{m{"id": "12", "name": "Group A"}}}}
			if change != nil {
				change(h, c)
			}
		})
		row.Use = "access"
		if result == "accepted" {
			a := []vigil.Group{{ID: "12", Name: "Group A"}}
			row.Want = &vectorWant{Deployment: "1", ResourceLink: "quiz-2", Requests: []string{}, Access: &wantAccess{
				Staff: []wantPerson{
					{"5", 1790000000123, false, a, []vigil.Right{vigil.RightWatch, vigil.RightTalk, vigil.RightTime}},
					{"6", 1790000000124, false, []vigil.Group{}, []vigil.Right{}},
				},
				Students: []wantPerson{{"9", 1790000000125, false, a, []vigil.Right{}}},
			}}
		}
		return row
	}
	access := *told3("report of groups and rights", "accepted", nil)
	v.Rows = append(v.Rows, vector{Name: "the same report of groups and rights again", Use: "access", Result: "assertion_replay", JWT: access.JWT})
	told3("report of groups and rights, nobody", "accepted", func(_, c m) { c["staff"], c["students"] = []any{}, []any{} }).Want.Access = &wantAccess{[]wantPerson{}, []wantPerson{}}
	told3("report of groups and rights, version 4 with a right that is not known", "accepted", func(_, c m) {
		c["vigil"], c["staff"] = 4, []any{m{"user": "5", "version": 1, "all": true, "groups": []any{}, "rights": []any{"watch", "fly"}}}
	}).Want.Access.Staff = []wantPerson{{"5", 1, true, []vigil.Group{}, []vigil.Right{vigil.RightWatch}}}
	told3("report of groups and rights of version 2", "assertion_version", claim("vigil", 2))
	told3("report of groups and rights about a user", "access_subject", claim("sub", "3"))
	told3("report of groups and rights about an attempt", "access_subject", claim(claimAP+"attempt_number", 1))
	told3("report of groups and rights without students", "access_people", gone("students"))
	told3("report of groups and rights of somebody without a version", "access_people", claim("staff", []any{m{"user": "5"}}))
	v.Rows = append(v.Rows, vector{Name: "a report of groups and rights as an assertion", Result: "assertion_token_use", JWT: access.JWT})
	v.Rows = append(v.Rows, vector{Name: "a report of an end as one of groups and rights", Use: "access", Result: "assertion_token_use", JWT: ended.JWT})

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
	for _, file := range []string{vectorFile, vectorCopy} {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
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
