package lti

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"vigil"
)

// CloseScript tells the platform's page, which opened ours in a frame or a window, that
// registration is over (Dynamic Registration, section 3.6.3). The message holds nothing,
// so any origin may have it.
const CloseScript = `(window.opener || window.parent).postMessage({subject: "org.imsglobal.lti.close"}, "*");`

// Bounds and names of registration.
const (
	defaultInvitationLife = 7 * 24 * time.Hour
	maxInvitationLife     = 90 * 24 * time.Hour
	maxRegistrationToken  = 16 << 10

	memberToolConfiguration     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	memberPlatformConfiguration = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	contentResourceLink         = "ltiResourceLink"
)

// Invitation says what an invitation link allows.
type Invitation struct {
	// Private lets the platform lie on a private network or on this machine.
	Private bool
	// Review leaves the platform pending until the operator activates it. Otherwise it is
	// active at once: making the invitation was the approval.
	Review bool
	// TTL is how long the link works. Default 7 days, at most 90.
	TTL time.Duration
}

// Why a registration failed.
var (
	ErrRegistrationInvitation = &Fault{"registration_invitation", vigil.CodeNotFound, "Vigil does not know this invitation: the link may not be whole, or may have expired. Copy it once more, or ask the operator for a new one (vigil invite)."}
	ErrRegistrationUsed       = &Fault{"registration_used", vigil.CodeNotFound, "This invitation was used already: each registers one learning platform. If that was yours, activate the tool there; else ask the operator for a new one (vigil invite)."}
	ErrRegistrationExpired    = &Fault{"registration_expired", vigil.CodeNotFound, "This invitation has expired. Ask the operator for a new one (vigil invite)."}
	ErrRegistrationBusy       = &Fault{"registration_busy", vigil.CodeConflict, "This invitation is being used at this very moment. Look in a minute whether your learning platform has the tool; if not, open the link again."}
	ErrRegistrationTries      = &Fault{"registration_tries", vigil.CodeNotFound, "This invitation has seen too many tries that failed. Ask the operator for a new one (vigil invite)."}
	ErrRegistrationURL        = &Fault{"registration_url", vigil.CodeInvalid, "The configuration address that the learning platform gave is not a usable web address."}
	ErrRegistrationPlain      = &Fault{"registration_plain", vigil.CodeInvalid, "The learning platform's address is http, and this invitation is for https only. If the platform is on a private network or on this machine, ask the operator for an invitation made for that (vigil invite --private); else it needs https."}
	ErrRegistrationToken      = &Fault{"registration_token", vigil.CodeInvalid, "The registration token that the learning platform gave is not usable."}
	ErrRegistrationFetch      = &Fault{"registration_fetch", vigil.CodeUnavailable, "The learning platform's configuration could not be read. If it is on a private network or on this machine, ask the operator for an invitation made for that (vigil invite --private)."}
	ErrRegistrationConfig     = &Fault{"registration_config", vigil.CodeInvalid, "The learning platform's configuration is not complete or not well-formed."}
	ErrRegistrationIssuer     = &Fault{"registration_issuer", vigil.CodeForbidden, "The learning platform's configuration names an issuer that it does not come from."}
	ErrRegistrationEndpoint   = &Fault{"registration_endpoint", vigil.CodeForbidden, "The learning platform's configuration names an address that is not its own or not https."}
	ErrRegistrationSupport    = &Fault{"registration_support", vigil.CodeInvalid, "The learning platform does not support what LTI 1.3 needs (RS256 and private_key_jwt)."}
	ErrRegistrationRefused    = &Fault{"registration_refused", vigil.CodeUnavailable, "The learning platform refused the registration."}
	ErrRegistrationAnswer     = &Fault{"registration_answer", vigil.CodeUnavailable, "The learning platform's answer to the registration cannot be understood."}
	ErrRegistrationExists     = &Fault{"registration_exists", vigil.CodeExists, "This learning platform is registered already under the same client id, and goes on working as before: you can close this page. A registration never changes one that exists; to have a second one, choose to register a new tool."}
)

// family is a product whose issuer is known to differ from the origin of its
// configuration.
type family struct {
	code    string
	issuers []string
	hosts   []string // of configuration and endpoints; with a leading dot: and below it
}

// families known to differ: Canvas's cloud has one issuer for all its customers.
var families = []family{{
	code:    "canvas",
	issuers: []string{"https://canvas.instructure.com", "https://canvas.beta.instructure.com", "https://canvas.test.instructure.com"},
	hosts:   []string{".instructure.com", ".canvaslms.com"},
}}

func familyOf(code, issuer string) *family {
	for i := range families {
		if families[i].code == code && slices.Contains(families[i].issuers, issuer) {
			return &families[i]
		}
	}
	return nil
}

func (f *family) owns(raw string) bool {
	u, err := parseWebURL(raw)
	if f == nil || err != nil || u.Scheme != "https" {
		return false
	}
	for _, h := range f.hosts {
		if strings.HasSuffix("."+strings.ToLower(u.Hostname()), h) {
			return true
		}
	}
	return false
}

// Invite makes an invitation and returns the secret of its link: the page is
// RegisterPath + "/" + secret. Only the secret's hash is kept.
func (t *Tool) Invite(ctx context.Context, i Invitation) (string, error) {
	if i.TTL == 0 {
		i.TTL = defaultInvitationLife
	}
	if i.TTL < 0 || i.TTL > maxInvitationLife {
		return "", vigil.Invalid("ttl", "An invitation lives for at most 90 days.")
	}
	secret := rand.Text()
	now := t.cfg.Now()
	err := t.cfg.Store.CreateInvitation(ctx, vigil.Invitation{
		Hash: digest(secret), Private: i.Private, Review: i.Review, Created: now, Expires: now.Add(i.TTL),
	})
	return secret, err
}

// RegisterURL is the link of an invitation.
func (t *Tool) RegisterURL(secret string) string { return t.url(RegisterPath) + "/" + secret }

// Invited tells whether an invitation can still be used, and why not: for the page that
// asks before anything is done. It counts no try. Whoever has the secret may know what
// became of it.
func (t *Tool) Invited(ctx context.Context, secret string) error {
	i, err := t.cfg.Store.Invitation(ctx, digest(secret))
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		return ErrRegistrationInvitation.because("not found")
	case err != nil:
		return err
	case i.PlatformID != "":
		return ErrRegistrationUsed.because("platform %s", i.PlatformID)
	case !t.cfg.Now().Before(i.Expires):
		return ErrRegistrationExpired.because("at %s", i.Expires.UTC().Format(time.RFC3339))
	case i.Tries >= vigil.MaxInvitationTries:
		return ErrRegistrationTries.because("%d tries", i.Tries)
	}
	return nil
}

const (
	kindRegistering = "lti.registering" // Record kind: by the invitation's hash
	// registering is longer than a registration takes, which is two requests, each bounded by
	// fetchTimeout: a process that died in it locks nobody out for longer.
	registering = 30 * time.Second
)

// Register runs a Dynamic Registration: reads the platform's configuration, checks that
// it speaks for itself, registers our client there, and keeps the platform with its
// deployment if it named one. Every call counts as a try of the invitation, which allows
// ten; only success spends it. While one is under way another is ErrRegistrationBusy, and asks the
// platform nothing: each would leave a tool there. The new platform is pending until the invitation is
// spent, so that of two registrations at once one remains; then it becomes active unless
// the invitation asked for a review. A platform that exists is never changed.
func (t *Tool) Register(ctx context.Context, secret, configURL, token string) (vigil.Platform, error) {
	now := t.cfg.Now()
	hash := digest(secret)
	err := t.cfg.Store.CreateRecord(ctx, vigil.Record{Kind: kindRegistering, Key: hash, Expires: now.Add(registering)}, now)
	if errors.Is(err, vigil.ErrExists) {
		return vigil.Platform{}, ErrRegistrationBusy.because("under way")
	}
	if err != nil {
		return vigil.Platform{}, err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		if _, err := t.cfg.Store.TakeRecord(ctx, kindRegistering, hash, t.cfg.Now()); err != nil && !errors.Is(err, vigil.ErrNotFound) {
			t.cfg.Log.WarnContext(ctx, "an invitation stays busy for half a minute", "error", err)
		}
	}()
	invitation, err := t.cfg.Store.TryInvitation(ctx, hash, now)
	if errors.Is(err, vigil.ErrNotFound) {
		if err := t.Invited(ctx, secret); err != nil {
			return vigil.Platform{}, err
		}
		return vigil.Platform{}, ErrRegistrationInvitation.because("not to be tried")
	}
	if err != nil {
		return vigil.Platform{}, err
	}
	if len(token) > maxRegistrationToken || token != "" && !visibleASCII(token) {
		return vigil.Platform{}, ErrRegistrationToken.because("characters or length")
	}
	config, err := t.readConfiguration(ctx, configURL, invitation.Private)
	if err != nil {
		return vigil.Platform{}, err
	}
	client, err := t.postRegistration(ctx, config, token, invitation.Private)
	if err != nil {
		return vigil.Platform{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return vigil.Platform{}, err
	}
	p := config.platform
	p.ID, p.ClientID, p.Private = id.String(), client.id, invitation.Private
	p.State, p.Created, p.Updated = vigil.PlatformPending, now, now
	if err := CheckPlatform(p); err != nil {
		return vigil.Platform{}, &vigil.Error{Code: ErrRegistrationAnswer.Code, Message: ErrRegistrationAnswer.Message, Err: fmt.Errorf("%w: %w", ErrRegistrationAnswer, err)}
	}
	return t.keepRegistration(ctx, p, client.deployment, invitation)
}

// keepRegistration stores what came of a registration.
func (t *Tool) keepRegistration(ctx context.Context, p vigil.Platform, deployment string, i vigil.Invitation) (vigil.Platform, error) {
	store := t.cfg.Store
	err := store.CreatePlatform(ctx, p)
	if errors.Is(err, vigil.ErrExists) {
		return vigil.Platform{}, ErrRegistrationExists.because("issuer and client id")
	}
	if err != nil {
		return vigil.Platform{}, err
	}
	if err := store.SpendInvitation(ctx, i.Hash, p.ID, t.cfg.Now()); err != nil {
		undo := store.DeletePlatform(context.WithoutCancel(ctx), p.ID)
		if undo != nil {
			t.cfg.Log.ErrorContext(ctx, "platform of a lost registration stays pending", "platform", p.ID, "error", undo)
		}
		if errors.Is(err, vigil.ErrConflict) || errors.Is(err, vigil.ErrNotFound) {
			return vigil.Platform{}, ErrRegistrationUsed.because("spent by another registration")
		}
		return vigil.Platform{}, err
	}
	if deployment != "" {
		d := vigil.Deployment{PlatformID: p.ID, ID: deployment, State: vigil.DeploymentActive, Created: t.cfg.Now()}
		if err := store.SaveDeployment(ctx, d); err != nil {
			return vigil.Platform{}, err
		}
	}
	stored, err := store.Platform(ctx, p.ID)
	if err != nil {
		return vigil.Platform{}, err
	}
	if !i.Review {
		stored.State, stored.Updated = vigil.PlatformActive, t.cfg.Now()
		if err := store.UpdatePlatform(ctx, stored); err != nil {
			return vigil.Platform{}, err
		}
		if stored, err = store.Platform(ctx, p.ID); err != nil {
			return vigil.Platform{}, err
		}
	}
	t.cfg.Log.InfoContext(ctx, "platform registered", "platform", stored.ID, "issuer", stored.Issuer, "state", stored.State, "family", stored.Family)
	return stored, nil
}

// configuration is what we need of a platform's OpenID configuration.
type configuration struct {
	platform     vigil.Platform
	registration string   // endpoint
	scopes       []string // to ask for
}

// readConfiguration fetches and checks a platform's OpenID configuration.
func (t *Tool) readConfiguration(ctx context.Context, configURL string, private bool) (configuration, error) {
	u, err := parseWebURL(configURL)
	if err != nil {
		return configuration{}, ErrRegistrationURL.because("%w", err)
	}
	if u.Scheme != "https" && !private {
		return configuration{}, ErrRegistrationPlain.because("http, and the invitation is not for a private network")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, configURL, nil)
	if err != nil {
		return configuration{}, ErrRegistrationURL.because("not a URL")
	}
	req.Header.Set("Accept", "application/json")
	res, err := t.fetch.do(req, private, maxFetchBytes)
	if err != nil {
		return configuration{}, ErrRegistrationFetch.because("%w", err)
	}
	if res.status != http.StatusOK {
		return configuration{}, ErrRegistrationFetch.because("status %d", res.status)
	}
	return parseConfiguration(res.body, configURL)
}

// parseConfiguration reads a configuration and checks that it speaks for itself: the
// issuer has the origin it was fetched from, and the endpoints lie on it too; families
// known to differ are held to their list.
func parseConfiguration(data []byte, configURL string) (configuration, error) {
	doc, err := parseObject(data)
	if err != nil {
		return configuration{}, ErrRegistrationConfig.because("%w", err)
	}
	var out configuration
	p := &out.platform
	for _, f := range []struct {
		name string
		dst  *string
	}{
		{"issuer", &p.Issuer},
		{"authorization_endpoint", &p.AuthorizationEndpoint},
		{"token_endpoint", &p.TokenEndpoint},
		{"jwks_uri", &p.KeySetURL},
		{"registration_endpoint", &out.registration},
	} {
		s, ok := doc.str(f.name)
		if !ok || s == "" {
			return configuration{}, ErrRegistrationConfig.because("%s", f.name)
		}
		*f.dst = s
	}
	if doc.has("authorization_server") {
		aud, ok := doc.str("authorization_server")
		if !ok || len(aud) > maxURL || !plainText(aud) {
			return configuration{}, ErrRegistrationConfig.because("authorization_server")
		}
		p.TokenAudience = aud
	}
	if lms, ok := doc.object(memberPlatformConfiguration); ok {
		p.Family = truncate(lms.text("product_family_code"), 64)
	}
	fam := familyOf(strings.ToLower(p.Family), p.Issuer)
	issuer, err := parseWebURL(p.Issuer)
	if err != nil || issuer.RawQuery != "" {
		return configuration{}, ErrRegistrationIssuer.because("not a URL")
	}
	if vigil.Origin(p.Issuer) != vigil.Origin(configURL) && !fam.owns(configURL) {
		return configuration{}, ErrRegistrationIssuer.because("another origin than the configuration's")
	}
	p.Name = issuer.Host
	for _, endpoint := range []string{p.AuthorizationEndpoint, p.TokenEndpoint, p.KeySetURL, out.registration} {
		e, err := parseWebURL(endpoint)
		if err != nil {
			return configuration{}, ErrRegistrationEndpoint.because("%w", err)
		}
		if issuer.Scheme == "https" && e.Scheme != "https" {
			return configuration{}, ErrRegistrationEndpoint.because("not https although the issuer is")
		}
		if vigil.Origin(endpoint) != vigil.Origin(p.Issuer) && !fam.owns(endpoint) {
			return configuration{}, ErrRegistrationEndpoint.because("another origin than the issuer's")
		}
	}
	for name, need := range map[string]string{
		"id_token_signing_alg_values_supported": algRS256,
		"token_endpoint_auth_methods_supported": "private_key_jwt",
	} {
		if !doc.has(name) {
			continue
		}
		list, ok := doc.strings(name)
		if !ok {
			return configuration{}, ErrRegistrationConfig.because("%s", name)
		}
		if !slices.Contains(list, need) {
			return configuration{}, ErrRegistrationSupport.because("%s", name)
		}
	}
	out.scopes = []string{ScopeControl, ScopeMembers}
	if doc.has("scopes_supported") {
		list, ok := doc.strings("scopes_supported")
		if !ok {
			return configuration{}, ErrRegistrationConfig.because("scopes_supported")
		}
		out.scopes = slices.DeleteFunc(out.scopes, func(s string) bool { return !slices.Contains(list, s) })
	}
	p.Scopes = out.scopes
	return out, nil
}

// client is what the platform answered.
type client struct {
	id         string
	deployment string
}

// postRegistration registers our client. All messages are asked for, whatever the
// platform lists: Moodle never lists LtiStartProctoring and its plugin sends it all the
// same; platforms leave out what they do not know.
func (t *Tool) postRegistration(ctx context.Context, c configuration, token string, private bool) (client, error) {
	body, err := json.Marshal(t.clientMetadata(c.scopes))
	if err != nil {
		return client{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.registration, bytes.NewReader(body))
	if err != nil {
		return client{}, ErrRegistrationEndpoint.because("not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := t.fetch.do(req, private, maxFetchBytes)
	if err != nil {
		return client{}, ErrRegistrationRefused.because("%w", err)
	}
	if res.status != http.StatusOK && res.status != http.StatusCreated {
		return client{}, ErrRegistrationRefused.because("status %d, error %q", res.status, oauthError(res.body))
	}
	doc, err := parseObject(res.body)
	if err != nil {
		return client{}, ErrRegistrationAnswer.because("%w", err)
	}
	var out client
	out.id, _ = doc.str("client_id")
	if checkWord(out.id) != nil {
		return client{}, ErrRegistrationAnswer.because("client_id")
	}
	// Moodle puts its deployment id, a string, into the tool's configuration.
	if tool, ok := doc.object(memberToolConfiguration); ok && tool.has("deployment_id") {
		out.deployment, _ = tool.str("deployment_id")
		if checkWord(out.deployment) != nil {
			return client{}, ErrRegistrationAnswer.because("deployment_id")
		}
	}
	return out, nil
}

// clientMetadata is our registration request.
func (t *Tool) clientMetadata(scopes []string) map[string]any {
	launch := t.url(LaunchPath)
	message := func(kind MessageType, label string) map[string]any {
		return map[string]any{"type": kind, "target_link_uri": launch, "label": label}
	}
	out := map[string]any{
		"application_type":             "web",
		"response_types":               []string{"id_token"},
		"grant_types":                  []string{"implicit", grantCredentials},
		"initiate_login_uri":           t.url(LoginPath),
		"redirect_uris":                []string{launch},
		"client_name":                  t.cfg.Name,
		"jwks_uri":                     t.url(KeysPath),
		"token_endpoint_auth_method":   "private_key_jwt",
		"id_token_signed_response_alg": algRS256,
		"scope":                        strings.Join(scopes, " "),
		memberToolConfiguration: map[string]any{
			"domain":            strings.TrimPrefix(t.origin, t.public.Scheme+"://"),
			"description":       t.cfg.Description,
			"target_link_uri":   launch,
			"custom_parameters": map[string]string{},
			"claims":            []string{"iss", "sub", "name", "given_name", "family_name"},
			"messages": []map[string]any{
				message(MessageDeepLinking, t.cfg.Name),
				message(MessageStartProctoring, t.cfg.Name),
				message(MessageEndAssessment, t.cfg.Name),
			},
		},
	}
	if t.cfg.LogoURL != "" {
		out["logo_uri"] = t.cfg.LogoURL
	}
	return out
}

// ConfigurationOrigin is the origin of a platform that is about to register: the only
// one that may frame the registration page.
func ConfigurationOrigin(configURL string) (string, error) {
	u, err := url.Parse(configURL)
	if err != nil || u.Fragment != "" || vigil.Origin(configURL) == "" {
		return "", ErrRegistrationURL.because("not a URL")
	}
	return vigil.Origin(configURL), nil
}
