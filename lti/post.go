package lti

import (
	"context"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"time"

	"vigil"
)

// Bounds of claims, in and out.
const (
	maxSubject     = 255
	maxAttempt     = 1_000_000
	maxSessionData = 16 << 10
	maxSettings    = 160 << 10 // what our plugin sends with a launch: groups, whose names may be written in escapes
	maxDeepData    = 64 << 10
	maxMessageText = 2000
	postLife       = 5 * time.Minute
	postField      = "JWT"
)

// Post is a signed message to be carried to a platform by the user's browser, as a form
// post. WritePost renders it.
type Post struct {
	URL   string
	Field string // always "JWT"
	JWT   string

	origins []string // of the platform: who may frame the page
}

// Why a message could not be made.
var (
	ErrPostPlatform = &Fault{"post_platform", vigil.CodeForbidden, "This learning platform is not active."}
	ErrPostURL      = &Fault{"post_url", vigil.CodeForbidden, "The learning platform's return address is not on one of its own origins."}
	ErrPostInput    = &Fault{"post_input", vigil.CodeInvalid, "This message to the learning platform is not complete."}
)

// StartRequest is what StartAssessment echoes of a Launch.
type StartRequest struct {
	PlatformID   string
	Deployment   string
	ResourceLink string // id
	Attempt      int
	SessionData  string
	StartURL     string
	// EndReturn asks the platform to send LtiEndAssessment when the attempt ends.
	EndReturn bool
	// ErrorMsg tells the platform that the check-in failed: the attempt does not start.
	ErrorMsg string
}

// StartAssessment makes the LtiStartAssessment message (Proctoring Services 1.0, section
// 4.2) that sends the student back to the platform to begin or resume the attempt.
func (t *Tool) StartAssessment(ctx context.Context, r StartRequest) (Post, error) {
	switch {
	case checkWord(r.ResourceLink) != nil:
		return Post{}, ErrPostInput.because("resource link")
	case r.Attempt < 1 || r.Attempt > maxAttempt:
		return Post{}, ErrPostInput.because("attempt")
	case r.SessionData == "" || len(r.SessionData) > maxSessionData:
		return Post{}, ErrPostInput.because("session data")
	case len(r.ErrorMsg) > maxMessageText:
		return Post{}, ErrPostInput.because("error message")
	}
	claims := map[string]any{
		claimMessageType:  messageStart,
		claimResourceLink: map[string]string{"id": r.ResourceLink},
		claimAttempt:      r.Attempt,
		claimSessionData:  r.SessionData,
		claimEndReturn:    r.EndReturn,
	}
	if r.ErrorMsg != "" {
		claims[claimErrorMsg] = r.ErrorMsg
	}
	return t.post(ctx, r.PlatformID, r.Deployment, r.StartURL, claims)
}

// Item is a chosen link of a deep linking answer (ltiResourceLink). Its URL is our launch
// URL; Custom comes back in every launch of it.
type Item struct {
	Title  string
	Text   string
	Custom map[string]string
}

// DeepLinkAnswer is what was chosen. No items means that nothing was.
type DeepLinkAnswer struct {
	PlatformID string
	Deployment string
	ReturnURL  string // of the DeepLinkingPrompt
	Data       string // of the DeepLinkingPrompt
	Items      []Item
	Msg        string // shown by the platform when set
	ErrorMsg   string
}

// DeepLink makes the LtiDeepLinkingResponse message (Deep Linking 2.0, section 4.4.2).
func (t *Tool) DeepLink(ctx context.Context, r DeepLinkAnswer) (Post, error) {
	if len(r.Items) > 100 || len(r.Data) > maxDeepData || len(r.Msg) > maxMessageText || len(r.ErrorMsg) > maxMessageText {
		return Post{}, ErrPostInput.because("too long")
	}
	items := make([]map[string]any, 0, len(r.Items))
	for _, item := range r.Items {
		out := map[string]any{"type": contentResourceLink, "url": t.url(LaunchPath)}
		if item.Title != "" {
			out["title"] = item.Title
		}
		if item.Text != "" {
			out["text"] = item.Text
		}
		if len(item.Custom) > 0 {
			out["custom"] = item.Custom
		}
		items = append(items, out)
	}
	claims := map[string]any{claimMessageType: messageDeepLink, claimDeepItems: items}
	for name, value := range map[string]string{claimDeepData: r.Data, claimDeepMsg: r.Msg, claimDeepErrorMsg: r.ErrorMsg} {
		if value != "" {
			claims[name] = value
		}
	}
	return t.post(ctx, r.PlatformID, r.Deployment, r.ReturnURL, claims)
}

// post signs a message for an active platform. iat is back-dated: neither Moodle nor Open
// edX allows any skew.
func (t *Tool) post(ctx context.Context, platformID, deployment, to string, claims map[string]any) (Post, error) {
	p, err := t.cfg.Store.Platform(ctx, platformID)
	if err != nil {
		return Post{}, err
	}
	if p.State != vigil.PlatformActive {
		return Post{}, ErrPostPlatform.because("%s", p.State)
	}
	if _, err := platformURL(p, to); err != nil {
		return Post{}, ErrPostURL.because("%w", err)
	}
	if checkWord(deployment) != nil {
		return Post{}, ErrPostInput.because("deployment")
	}
	now := t.cfg.Now()
	claims["iss"], claims["aud"] = p.ClientID, p.Issuer
	claims["iat"], claims["exp"] = now.Add(-signBack).Unix(), now.Add(postLife).Unix()
	claims["nonce"], claims["jti"] = rand.Text(), rand.Text()
	claims[claimVersion], claims[claimDeployment] = versionLTI, deployment
	jwt, err := t.keys.sign(ctx, vigil.KeyLTI, jwtType, claims)
	if err != nil {
		return Post{}, err
	}
	return Post{URL: to, Field: postField, JWT: jwt, origins: p.Origins()}, nil
}

// EndURL is where the browser goes when a launch is over: the platform's return URL with
// a message for the person (LTI core, section 5.4.7 and appendix). The URL's own query
// stays, but for parameters of the same name.
func (t *Tool) EndURL(p vigil.Platform, returnURL, msg, errorMsg string) (string, error) {
	if _, err := platformURL(p, returnURL); err != nil {
		return "", ErrPostURL.because("%w", err)
	}
	u, err := url.Parse(returnURL)
	if err != nil {
		return "", ErrPostURL.because("not a URL")
	}
	var kept []string
	names := []string{"lti_msg", "lti_errormsg", "lti_log", "lti_errorlog"}
	for _, pair := range strings.Split(u.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if pair != "" && !slices.Contains(names, name) {
			kept = append(kept, pair)
		}
	}
	for _, add := range []struct{ name, value string }{{names[0], msg}, {names[1], errorMsg}} {
		if add.value != "" {
			kept = append(kept, add.name+"="+url.QueryEscape(truncate(add.value, maxMessageText)))
		}
	}
	u.RawQuery = strings.Join(kept, "&")
	return u.String(), nil
}

// truncate cuts a string to at most n bytes, between characters.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
