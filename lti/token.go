package lti

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"vigil"
)

// Times and bounds of access tokens.
const (
	signBack          = 5 * time.Second // iat of what we sign: Moodle and Open edX allow no skew
	clientAssertLife  = time.Minute
	defaultTokenLife  = 10 * time.Minute // when the platform does not say
	maxTokenLife      = 24 * time.Hour
	tokenMargin       = 30 * time.Second // a token this close to its end is not used any more
	tokenRetry        = 5 * time.Second  // after a refusal the platform is not asked again sooner
	maxTokenEntries   = 10_000
	maxAccessToken    = 16 << 10
	clientAssertion   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	formMedia         = "application/x-www-form-urlencoded"
	maxServiceAnswer  = 256 << 10
	jwtType           = "JWT"
	grantCredentials  = "client_credentials"
	hintKeysFetch     = "The learning platform cannot fetch our key set: it must be allowed to reach this server (Moodle blocks private addresses and ports other than 80 and 443 unless its HTTP security settings allow them)."
	hintNotGranted    = "The learning platform did not grant Vigil this service. Its administrator must allow it in the tool's settings."
	hintTokenRefused  = "The learning platform refused Vigil's access. Its administrator should check the tool's registration and key set URL."
	hintTokenNoAnswer = "The learning platform's token service does not answer. Try again in a minute."
)

// Why there is no access token.
var (
	ErrTokenUnreachable = &Fault{"token_unreachable", vigil.CodeUnavailable, hintTokenNoAnswer}
	ErrTokenKeysFetch   = &Fault{"token_keys_fetch", vigil.CodeUnavailable, hintKeysFetch}
	ErrTokenRefused     = &Fault{"token_refused", vigil.CodeForbidden, hintTokenRefused}
	ErrTokenScope       = &Fault{"token_scope", vigil.CodeForbidden, hintNotGranted}
	ErrTokenAnswer      = &Fault{"token_answer", vigil.CodeUnavailable, "The learning platform's token service gave an answer that cannot be understood."}
)

// tokens caches access tokens by platform and scope. One scope is asked for at a time:
// some platforms answer a wider request with nothing.
type tokens struct {
	mu      sync.Mutex // guards entries
	entries map[tokenID]*tokenEntry
}

type tokenID struct{ platform, client, endpoint, scope string }

type tokenEntry struct {
	asking chan struct{} // holds one token while a request is under way; guards what follows

	value   string
	expires time.Time
	err     error
	tried   time.Time
}

func newTokens() *tokens { return &tokens{entries: map[tokenID]*tokenEntry{}} }

func (c *tokens) entry(id tokenID) *tokenEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[id]
	if e == nil {
		if len(c.entries) >= maxTokenEntries {
			clear(c.entries) // losing cached tokens costs a request each
		}
		e = &tokenEntry{asking: make(chan struct{}, 1)}
		c.entries[id] = e
	}
	return e
}

// accessToken returns a token of a platform for one scope, from the cache or by asking.
// A token equal to spent is not returned: the service has just refused it.
func (t *Tool) accessToken(ctx context.Context, p vigil.Platform, scope, spent string) (string, error) {
	e := t.tokens.entry(tokenID{p.ID, p.ClientID, p.TokenEndpoint, scope})
	select {
	case e.asking <- struct{}{}:
	case <-ctx.Done():
		return "", ErrTokenUnreachable.because("%w", ctx.Err())
	}
	defer func() { <-e.asking }()
	now := t.cfg.Now()
	if e.value != "" && e.value != spent && now.Before(e.expires.Add(-tokenMargin)) {
		return e.value, nil
	}
	if e.err != nil && now.Sub(e.tried) < tokenRetry {
		return "", e.err
	}
	// The request does not end with its first caller: others are waiting for it.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	e.tried = now
	e.value, e.expires, e.err = t.requestToken(ask, p, scope)
	return e.value, e.err
}

// requestToken asks for a token: client credentials with a signed assertion (LTI
// security framework, section 4.1).
func (t *Tool) requestToken(ctx context.Context, p vigil.Platform, scope string) (string, time.Time, error) {
	now := t.cfg.Now()
	audience := p.TokenAudience
	if audience == "" {
		audience = p.TokenEndpoint
	}
	assertion, err := t.keys.sign(ctx, vigil.KeyLTI, jwtType, map[string]any{
		"iss": p.ClientID, "sub": p.ClientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Add(-signBack).Unix(), "exp": now.Add(clientAssertLife).Unix(),
	})
	if err != nil {
		return "", time.Time{}, err
	}
	form := url.Values{
		"grant_type":            {grantCredentials},
		"client_assertion_type": {clientAssertion},
		"client_assertion":      {assertion},
		"scope":                 {scope},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", time.Time{}, ErrTokenUnreachable.because("not a URL")
	}
	req.Header.Set("Content-Type", formMedia)
	req.Header.Set("Accept", "application/json")
	res, err := t.fetch.do(req, p.Private, maxServiceAnswer)
	if err != nil {
		return "", time.Time{}, ErrTokenUnreachable.because("%w", err)
	}
	return readToken(res, scope, now)
}

// readToken reads a token endpoint's answer. The content type is not looked at: Moodle
// sends JSON as text/html. Moodle's answer when it cannot fetch our keys is an HTML page
// with status 404.
func readToken(res answer, scope string, now time.Time) (string, time.Time, error) {
	var none time.Time
	if res.status != http.StatusOK && res.status != http.StatusCreated {
		page := bytes.HasPrefix(bytes.TrimSpace(res.body), []byte("<"))
		switch {
		case res.status == http.StatusNotFound && page:
			return "", none, ErrTokenKeysFetch.because("status 404 with a page")
		case res.status == http.StatusTooManyRequests || res.status >= 500:
			return "", none, ErrTokenUnreachable.because("status %d", res.status)
		default:
			return "", none, ErrTokenRefused.because("status %d, error %q", res.status, oauthError(res.body))
		}
	}
	doc, err := parseObject(res.body)
	if err != nil {
		return "", none, ErrTokenAnswer.because("%w", err)
	}
	if doc.has("scope") {
		granted, ok := doc.str("scope")
		if !ok {
			return "", none, ErrTokenAnswer.because("scope is not a string")
		}
		if !slices.Contains(strings.Fields(granted), scope) {
			return "", none, ErrTokenScope.because("scope %s not granted", scope)
		}
	}
	value, ok := doc.str("access_token")
	if !ok || value == "" || len(value) > maxAccessToken || !visibleASCII(value) {
		return "", none, ErrTokenAnswer.because("no usable access_token")
	}
	if kind, ok := doc.str("token_type"); ok && !strings.EqualFold(kind, "bearer") {
		return "", none, ErrTokenAnswer.because("token_type")
	}
	life := defaultTokenLife
	if seconds, ok := doc.number("expires_in"); ok {
		life = time.Duration(min(max(seconds, 0), maxTokenLife.Seconds())) * time.Second
	} else if s, ok := doc.str("expires_in"); ok {
		if n, err := strconv.Atoi(s); err == nil {
			life = time.Duration(min(max(n, 0), int(maxTokenLife.Seconds()))) * time.Second
		}
	}
	return value, now.Add(life), nil
}

// oauthError reads the error code of an OAuth answer for the log, if it is one of the
// usual short words.
func oauthError(body []byte) string {
	doc, err := parseObject(body)
	if err != nil {
		return ""
	}
	s, _ := doc.str("error")
	if len(s) > 64 || !visibleASCII(s) {
		return ""
	}
	return s
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// serviceRequest makes a service call's request; it is called again for the second try.
type serviceRequest func() (*http.Request, error)

// callService sends a request with an access token for a scope. On 401 or 403 the token
// is renewed and the call tried again, once: platforms use both for an expired token.
func (t *Tool) callService(ctx context.Context, p vigil.Platform, scope string, limit int64, build serviceRequest) (answer, error) {
	spent := ""
	for range 2 {
		token, err := t.accessToken(ctx, p, scope, spent)
		if err != nil {
			return answer{}, fmt.Errorf("%w: %w", errNotSent, err)
		}
		req, err := build()
		if err != nil {
			return answer{}, fmt.Errorf("%w: %w", errNotSent, err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := t.fetch.do(req, p.Private, limit)
		if err != nil {
			return answer{}, err
		}
		if res.status != http.StatusUnauthorized && res.status != http.StatusForbidden || spent != "" {
			return res, nil
		}
		spent = token
	}
	return answer{}, errors.New("lti: unreachable")
}
