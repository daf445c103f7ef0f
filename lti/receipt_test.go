package lti_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/lti/ltitest"
)

const (
	receiptFile = "testdata/receipts.json"
	receiptCopy = "../moodle-plugin/quizaccess_vigil/tests/fixtures/receipts.json"
)

// receiptVectors is testdata/receipts.json, described in docs/receipts.md.
type receiptVectors struct {
	About    string            `json:"about"`
	Clock    int64             `json:"clock"`
	Expected receiptExpected   `json:"expected"`
	KeySet   json.RawMessage   `json:"key_set"`
	Keys     map[string]string `json:"private_keys"`
	Rows     []receiptVector   `json:"rows"`
}

type receiptExpected struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	Deployment   string `json:"deployment"`
	ResourceLink string `json:"resource_link"`
	Subject      string `json:"sub"`
	Attempt      int    `json:"attempt_number"`
}

type receiptVector struct {
	Name   string       `json:"name"`
	Result string       `json:"result"`
	JWT    string       `json:"jwt"`
	Want   *receiptWant `json:"want,omitempty"`
}

type receiptWant struct {
	Page    string `json:"page"`
	From    int64  `json:"from"`
	Until   int64  `json:"until"`
	Watched int64  `json:"watched"`
}

func readReceiptVectors(t testing.TB) receiptVectors {
	t.Helper()
	data, err := os.ReadFile(receiptFile)
	if err != nil {
		t.Fatal(err)
	}
	var v receiptVectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (e receiptExpected) of() ltitest.ReceiptOf {
	return ltitest.ReceiptOf{
		Issuer: e.Issuer, ClientID: e.ClientID, Deployment: e.Deployment, ResourceLink: e.ResourceLink, User: e.Subject, Attempt: e.Attempt,
	}
}

func TestReceiptVectors(t *testing.T) {
	if *update {
		writeReceiptVectors(t)
	}
	v := readReceiptVectors(t)
	accepted := 0
	for _, row := range v.Rows {
		got, reason := ltitest.ReadReceipt(v.KeySet, v.Expected.of(), time.Unix(v.Clock, 0), row.JWT)
		if row.Want == nil {
			if reason != row.Result {
				t.Errorf("%s: got %q, want %s", row.Name, reason, row.Result)
			}
			continue
		}
		accepted++
		have := receiptWant{got.Page, got.From.UnixMilli(), got.Until.UnixMilli(), int64(got.Watched / time.Second)}
		if reason != "" || have != *row.Want {
			t.Errorf("%s: got %+v, %q, want %+v", row.Name, have, reason, *row.Want)
		}
	}
	if accepted < 3 || len(v.Rows) < 25 {
		t.Errorf("got %d rows, %d of them accepted, want more", len(v.Rows), accepted)
	}
	ours, theirs := must(t)(os.ReadFile(receiptFile)), must(t)(os.ReadFile(receiptCopy))
	if !bytes.Equal(ours, theirs) {
		t.Errorf("%s and %s differ: write both with go test ./lti -run Receipt -update", receiptFile, receiptCopy)
	}
}

func must(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func receiptClaims() lti.ReceiptClaims {
	until := time.UnixMilli(1772442000123)
	return lti.ReceiptClaims{
		Issuer: "https://lms.example", ClientID: "client-1", Deployment: "1", ResourceLink: "quiz-7", Subject: "5", Attempt: 2,
		Nonce: "0123456789abcdef0123456789abcdef", From: until.Add(-90 * time.Second), Until: until, Watched: 754321 * time.Millisecond,
	}
}

func TestAReceiptHoldsAtThePlatformThatReadsOurKeySet(t *testing.T) {
	g := newRig(t)
	if err := g.tool.Keys().Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	g.tool.ServeReceiptKeys(w, httptest.NewRequest(http.MethodGet, publicURL+lti.ReceiptsPath, nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	c := receiptClaims()
	text, err := g.tool.SignReceipt(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	of := ltitest.ReceiptOf{Issuer: c.Issuer, ClientID: c.ClientID, Deployment: "1", ResourceLink: "quiz-7", User: "5", Attempt: 2}
	got, reason := ltitest.ReadReceipt(w.Body.Bytes(), of, c.Until, text)
	if reason != "" || got.Page != c.Nonce || !got.From.Equal(c.From) || !got.Until.Equal(c.Until) || got.Watched != 754*time.Second {
		t.Errorf("got %+v, %q", got, reason)
	}
	// Of the other sets none holds: a socket token's key must not vouch for a page.
	for _, use := range []vigil.KeyUse{vigil.KeyLTI, vigil.KeySocket, vigil.KeyEvidence} {
		set, err := g.tool.Keys().Set(t.Context(), use)
		if err != nil {
			t.Fatal(err)
		}
		if _, reason := ltitest.ReadReceipt(set, of, c.Until, text); reason != ltitest.ReceiptKey {
			t.Errorf("%s keys: got %q, want %s", use, reason, ltitest.ReceiptKey)
		}
	}
	socket, err := g.tool.Sign(t.Context(), vigil.KeyReceipt, "vigil-socket+jwt", m{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.tool.VerifySocket(t.Context(), socket); err == nil {
		t.Error("a receipt key signs socket tokens")
	}
}

func TestAnIncompleteReceiptIsNotSigned(t *testing.T) {
	g := newRig(t)
	if err := g.tool.Keys().Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*lti.ReceiptClaims){
		"no issuer": func(c *lti.ReceiptClaims) { c.Issuer = "" }, "no client": func(c *lti.ReceiptClaims) { c.ClientID = "" },
		"no deployment": func(c *lti.ReceiptClaims) { c.Deployment = "" }, "no link": func(c *lti.ReceiptClaims) { c.ResourceLink = "" },
		"no user": func(c *lti.ReceiptClaims) { c.Subject = "" }, "no attempt": func(c *lti.ReceiptClaims) { c.Attempt = 0 },
		"no page": func(c *lti.ReceiptClaims) { c.Nonce = "" }, "no begin": func(c *lti.ReceiptClaims) { c.From = time.Time{} },
		"ends before it begins": func(c *lti.ReceiptClaims) { c.Until = c.From.Add(-time.Second) },
	} {
		c := receiptClaims()
		edit(&c)
		if text, err := g.tool.SignReceipt(t.Context(), c); err == nil {
			t.Errorf("%s: got %s", name, text)
		}
	}
}

func TestANextReceiptKeyIsPublishedForADayBeforeItSigns(t *testing.T) {
	k, _, c := keyring(t)
	ctx := t.Context()
	if err := k.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	first := states(t, k, vigil.KeyReceipt)
	tend := func() map[vigil.KeyState][]string {
		t.Helper()
		if err := k.Tend(ctx); err != nil {
			t.Fatal(err)
		}
		return states(t, k, vigil.KeyReceipt)
	}
	c.add(24*time.Hour - time.Minute)
	if err := k.Rotate(ctx, vigil.KeyReceipt); vigil.CodeOf(err) != vigil.CodeIllegal {
		t.Errorf("rotating within a day: got %v, want %s", err, vigil.CodeIllegal)
	}
	c.add(29*24*time.Hour + time.Hour)
	second := tend()
	if second[vigil.KeyActive][0] != first[vigil.KeyNext][0] || len(second[vigil.KeyRetired]) != 1 {
		t.Fatalf("got %v after a month, want %s to sign", second, first[vigil.KeyNext][0])
	}
	c.add(23 * time.Hour)
	if got := tend(); len(got[vigil.KeyRetired]) != 1 {
		t.Errorf("got %v, want the retired key published for a day", got)
	}
	c.add(2 * time.Hour)
	if got := tend(); len(got[vigil.KeyRetired]) != 0 {
		t.Errorf("got %v, want the retired key gone after a day", got)
	}
}

func FuzzReceipt(f *testing.F) {
	v := readReceiptVectors(f)
	for _, row := range v.Rows {
		f.Add(row.JWT)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, reason := ltitest.ReadReceipt(v.KeySet, v.Expected.of(), time.Unix(v.Clock, 0), text)
		if reason == "" && (got.Page == "" || got.Until.Before(got.From)) {
			t.Errorf("got %+v of %q", got, text)
		}
	})
}

// writeReceiptVectors makes the file. Its keys come from fixed seeds, so that only what
// changes changes.
func writeReceiptVectors(t *testing.T) {
	t.Helper()
	seed := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	good, next, stranger := seed(1), seed(2), seed(3)
	jwk := func(kid string, k ed25519.PrivateKey) m {
		return m{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": b64(k.Public().(ed25519.PublicKey))}
	}
	wrongCurve := jwk("curve", stranger)
	wrongCurve["crv"] = "X25519"
	short := jwk("short", stranger)
	short["x"] = b64([]byte("short"))
	v := receiptVectors{
		About: "Receipts, accepted and refused; see docs/receipts.md. The private keys (seeds) are for tests and protect nothing.",
		Clock: 1772442000,
		Expected: receiptExpected{
			Issuer: "https://lms.example", ClientID: "client-1", Deployment: "1", ResourceLink: "quiz-7", Subject: "5", Attempt: 2,
		},
		KeySet: mustJSON(m{"keys": []any{jwk("good", good), jwk("next", next), wrongCurve, short}}),
		Keys:   map[string]string{"good": b64(good.Seed()), "next": b64(next.Seed()), "stranger": b64(stranger.Seed())},
	}
	const nonce = "0123456789abcdef0123456789abcdef"
	clock := v.Clock * 1000
	base := m{
		"iss": "client-1", "aud": "https://lms.example", "sub": "5", "iat": v.Clock, "token_use": "receipt", "vigil": 1,
		claimLTI + "deployment_id": "1", claimLTI + "resource_link": m{"id": "quiz-7"}, claimAP + "attempt_number": 2,
		"page": nonce, "from": clock - 90_000, "until": clock - 400, "watched": 754,
	}
	with := func(edit m) m {
		c := maps.Clone(base)
		maps.Copy(c, edit)
		for name, value := range c {
			if value == nil {
				delete(c, name)
			}
		}
		return c
	}
	head := func(kid string) m { return m{"alg": "EdDSA", "typ": "vigil-receipt+jwt", "kid": kid} }
	sign := func(h, c any, k ed25519.PrivateKey) string {
		input := b64(mustJSON(h)) + "." + b64(mustJSON(c))
		return input + "." + b64(ed25519.Sign(k, []byte(input)))
	}
	row := func(name, result, jwt string, claims m) {
		r := receiptVector{Name: name, Result: result, JWT: jwt}
		if result == "accepted" {
			n := func(name string) int64 {
				var v int64
				if err := json.Unmarshal(mustJSON(claims[name]), &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
			r.Want = &receiptWant{claims["page"].(string), n("from"), n("until"), n("watched")}
		}
		v.Rows = append(v.Rows, r)
	}
	claims := func(name, result string, edit m) {
		row(name, result, sign(head("good"), with(edit), good), with(edit))
	}
	claims("good", "accepted", nil)
	row("by the next key", "accepted", sign(head("next"), base, next), base)
	claims("of the page's first moment", "accepted", m{"from": clock, "until": clock, "watched": 0})
	claims("a minute ahead of the platform's clock", "accepted", m{"until": clock + 60_000})
	claims("of a later version, with more in it", "accepted", m{"vigil": 2, "more": m{"x": []int{1}}})
	claims("hours old", "accepted", m{"from": clock - 9e6, "until": clock - 8e6})
	good0 := sign(head("good"), base, good)
	parts := strings.Split(good0, ".")
	row("empty", "receipt_form", "", nil)
	row("two parts", "receipt_form", parts[0]+"."+parts[1], nil)
	row("padded", "receipt_form", good0+"=", nil)
	row("a line break in it", "receipt_form", parts[0]+"."+parts[1]+".\n"+parts[2], nil)
	row("too long", "receipt_form", sign(head("good"), with(m{"more": strings.Repeat("x", 4096)}), good), nil)
	row("a header that is no object", "receipt_form", sign([]int{1}, base, good), nil)
	row("claims that are no object", "receipt_form", sign(head("good"), "x", good), nil)
	row("alg none", "receipt_form", b64(mustJSON(m{"alg": "none", "typ": "vigil-receipt+jwt", "kid": "good"}))+"."+parts[1]+".eA", nil)
	row("RS256", "receipt_form", sign(m{"alg": "RS256", "typ": "vigil-receipt+jwt", "kid": "good"}, base, good), nil)
	row("a socket token's type", "receipt_form", sign(m{"alg": "EdDSA", "typ": "vigil-socket+jwt", "kid": "good"}, base, good), nil)
	row("crit", "receipt_form", sign(m{"alg": "EdDSA", "typ": "vigil-receipt+jwt", "kid": "good", "crit": []string{"x"}}, base, good), nil)
	row("no kid", "receipt_key", sign(m{"alg": "EdDSA", "typ": "vigil-receipt+jwt"}, base, good), nil)
	row("a key that is not published", "receipt_key", sign(head("stranger"), base, stranger), nil)
	row("a key of another curve", "receipt_key", sign(head("curve"), base, stranger), nil)
	row("a key that is too short", "receipt_key", sign(head("short"), base, stranger), nil)
	row("signed by another key than it names", "receipt_signature", sign(head("good"), base, stranger), nil)
	row("altered", "receipt_signature", parts[0]+"."+b64(mustJSON(with(m{"sub": "6"})))+"."+parts[2], nil)
	row("a signature that is too short", "receipt_signature", parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString([]byte("x")), nil)
	claims("an assertion's use", "receipt_use", m{"token_use": "socket"})
	claims("no version", "receipt_use", m{"vigil": nil})
	claims("another tool's", "receipt_issuer", m{"iss": "client-2"})
	claims("another platform's", "receipt_audience", m{"aud": "https://other.example"})
	claims("an array of audiences", "receipt_audience", m{"aud": []string{"https://lms.example"}})
	claims("another deployment's", "receipt_deployment", m{claimLTI + "deployment_id": "2"})
	claims("a number for a deployment", "receipt_deployment", m{claimLTI + "deployment_id": 1})
	claims("another quiz's", "receipt_resource_link", m{claimLTI + "resource_link": m{"id": "quiz-8"}})
	claims("a quiz that is no object", "receipt_resource_link", m{claimLTI + "resource_link": "quiz-7"})
	claims("a classmate's", "receipt_subject", m{"sub": "6"})
	claims("another attempt's", "receipt_attempt_number", m{claimAP + "attempt_number": 1})
	claims("a text for an attempt", "receipt_attempt_number", m{claimAP + "attempt_number": "2"})
	claims("no page", "receipt_page", m{"page": nil})
	claims("an empty page", "receipt_page", m{"page": ""})
	claims("a page that is too long", "receipt_page", m{"page": strings.Repeat("x", 256)})
	claims("no end", "receipt_times", m{"until": nil})
	claims("ends before it begins", "receipt_times", m{"from": clock, "until": clock - 1})
	claims("a fraction", "receipt_times", m{"until": 1.5})
	claims("nothing watched is not said", "receipt_times", m{"watched": nil})
	claims("further ahead", "receipt_clock", m{"until": clock + 60_001})
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{receiptFile, receiptCopy} {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
