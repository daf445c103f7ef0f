package ltitest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// ReceiptOf says whose receipt a platform expects.
type ReceiptOf struct {
	Issuer       string // the platform
	ClientID     string // the tool's at it
	Deployment   string
	ResourceLink string
	User         string
	Attempt      int
}

// Receipt is what a receipt says (docs/receipts.md).
type Receipt struct {
	Page    string // the page nonce
	From    time.Time
	Until   time.Time
	Watched time.Duration
}

// The reasons for which nothing can be told by a receipt. All others refuse it.
const (
	ReceiptKey   = "receipt_key"
	ReceiptClock = "receipt_clock"
)

const (
	maxReceipt      = 4096
	receiptClockOff = time.Minute
	maxReceiptTime  = 1 << 53
)

// ReadReceipt checks a receipt as a platform does: with the tool's receipt key set, at a time
// of the platform's clock. The reason is empty where it holds.
func ReadReceipt(keySet []byte, of ReceiptOf, now time.Time, text string) (r Receipt, reason string) {
	parts := strings.Split(text, ".")
	if len(text) > maxReceipt || len(parts) != 3 {
		return Receipt{}, "receipt_form"
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(b) == 0 || strings.ContainsAny(part, "\r\n") {
			return Receipt{}, "receipt_form"
		}
		raw[i] = b
	}
	var head map[string]any
	if json.Unmarshal(raw[0], &head) != nil || head["alg"] != "EdDSA" || head["typ"] != "vigil-receipt+jwt" || head["crit"] != nil {
		return Receipt{}, "receipt_form"
	}
	kid, _ := head["kid"].(string)
	key := receiptKey(keySet, kid)
	if key == nil {
		return Receipt{}, ReceiptKey
	}
	if !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return Receipt{}, "receipt_signature"
	}
	return readReceiptClaims(raw[1], of, now)
}

func readReceiptClaims(payload []byte, of ReceiptOf, now time.Time) (r Receipt, reason string) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	var c map[string]any
	if decoder.Decode(&c) != nil || c == nil {
		return Receipt{}, "receipt_form"
	}
	integer := func(name string) int64 {
		n, ok := c[name].(json.Number)
		v, err := n.Int64()
		if !ok || err != nil || v < 0 || v > maxReceiptTime {
			return -1
		}
		return v
	}
	const lti, ap = "https://purl.imsglobal.org/spec/lti/claim/", "https://purl.imsglobal.org/spec/lti-ap/claim/"
	link, _ := c[lti+"resource_link"].(map[string]any)
	page, _ := c["page"].(string)
	from, until, watched := integer("from"), integer("until"), integer("watched")
	for _, check := range []struct {
		ok     bool
		reason string
	}{
		{c["token_use"] == "receipt" && integer("vigil") >= 1, "receipt_use"},
		{c["iss"] == of.ClientID, "receipt_issuer"},
		{c["aud"] == of.Issuer, "receipt_audience"},
		{c[lti+"deployment_id"] == of.Deployment, "receipt_deployment"},
		{link["id"] == of.ResourceLink, "receipt_resource_link"},
		{c["sub"] == of.User, "receipt_subject"},
		{integer(ap+"attempt_number") == int64(of.Attempt), "receipt_attempt_number"},
		{page != "" && len(page) <= 255, "receipt_page"},
		{from > 0 && until >= from && watched >= 0, "receipt_times"},
		{until <= now.Add(receiptClockOff).UnixMilli(), ReceiptClock},
	} {
		if !check.ok {
			return Receipt{}, check.reason
		}
	}
	return Receipt{page, time.UnixMilli(from), time.UnixMilli(until), time.Duration(watched) * time.Second}, ""
}

// receiptKey finds a key in a key set; nil: it is not there.
func receiptKey(set []byte, kid string) ed25519.PublicKey {
	var doc struct {
		Keys []struct{ Kty, Crv, Kid, Alg, X string }
	}
	if kid == "" || json.Unmarshal(set, &doc) != nil {
		return nil
	}
	for _, k := range doc.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if k.Kid == kid && k.Kty == "OKP" && k.Crv == "Ed25519" && (k.Alg == "" || k.Alg == "EdDSA") && err == nil && len(x) == ed25519.PublicKeySize {
			return x
		}
	}
	return nil
}
