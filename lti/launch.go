package lti

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"vigil"
)

// Why a launch was refused before its token was looked at.
var (
	ErrLaunchMethod        = &Fault{"launch_method", vigil.CodeInvalid, "A launch is a form post from your learning platform. Start again from your course."}
	ErrLaunchForm          = &Fault{"launch_form", vigil.CodeInvalid, "The learning platform's launch is not well-formed. Start again from your course."}
	ErrLaunchParameter     = &Fault{"launch_parameter", vigil.CodeInvalid, "The learning platform's launch is not complete. Start again from your course."}
	ErrLaunchPlatformError = &Fault{"launch_platform_error", vigil.CodeForbidden, "Your learning platform stopped the launch and reported an error. Start again from your course; if it happens again, show this page to its administrator."}
	ErrLaunchState         = &Fault{"launch_state", vigil.CodeForbidden, "This launch has expired or was used before. Start again from your course."}
	ErrLaunchBinding       = &Fault{"launch_binding", vigil.CodeForbidden, "This launch was begun in another browser, or your browser keeps no cookies for Vigil. Allow cookies, or open Vigil in a new window, and start again from your course."}
	ErrLaunchPlatform      = &Fault{"launch_platform", vigil.CodeForbidden, "This learning platform's registration was changed or switched off. Start again from your course."}
	ErrLaunchStore         = &Fault{"launch_store", vigil.CodeUnavailable, "Vigil cannot check the launch at the moment. Start again from your course in a minute."}
)

// Form fields of our own, added when a launch posts itself again.
const (
	fieldAgain   = "vigil_again"
	fieldBinding = "vigil_binding"
)

// launchForm is the form of a launch.
type launchForm struct {
	state, idToken string
	again          bool   // posted by our own page
	binding        string // from the platform's storage
	platformError  string
}

// claimed is the platform that the id_token says it is from. Nothing has been checked: it is
// for the log only.
func (f launchForm) claimed() vigil.Platform {
	_, payload, err := splitToken(f.idToken)
	if err != nil {
		return vigil.Platform{}
	}
	claims, err := parseObject(payload)
	if err != nil {
		return vigil.Platform{}
	}
	iss, _ := claims.str("iss")
	aud, _ := claims.str("aud")
	if list, ok := claims.strings("aud"); ok && len(list) > 0 {
		aud = list[0]
	}
	return claimedPlatform(iss, aud)
}

// maxClaimed bounds in bytes what the log says of a platform that is not known.
const maxClaimed = 200

// claimedPlatform is a platform of which only the claimed names are known.
func claimedPlatform(issuer, clientID string) vigil.Platform {
	return vigil.Platform{Issuer: truncate(issuer, maxClaimed), ClientID: truncate(clientID, maxClaimed)}
}

// ServeLaunch answers the form post that ends a login. When every check passes it calls
// onLaunch, which writes the response; otherwise Config.OnError does. A launch that
// comes without the browser's cookie is answered with a page that tries again.
func (t *Tool) ServeLaunch(w http.ResponseWriter, r *http.Request, onLaunch func(http.ResponseWriter, *http.Request, Launch)) {
	noStore(w)
	form, err := t.readLaunch(w, r)
	if err != nil {
		t.refuse(w, r, "launch", vigil.Platform{}, err)
		return
	}
	if form.platformError == "" && t.binding(r) == "" {
		if done, err := t.retryBinding(w, r, form); done {
			return
		} else if err != nil {
			t.refuse(w, r, "launch", form.claimed(), err)
			return
		}
	}
	launch, p, err := t.judge(r.Context(), form, t.binding(r))
	if err != nil {
		if p.ID == "" {
			p = form.claimed()
		}
		t.refuseLaunch(w, r, p, form, err)
		return
	}
	launch.Reference = NewReference()
	t.cfg.Log.InfoContext(r.Context(), "launch", "reference", launch.Reference, "platform", p.ID,
		"message", string(launch.Message), "role", string(launch.Role))
	onLaunch(w, r, launch)
}

// readLaunch reads the form of a launch. Its query must not hold any of the fields.
func (t *Tool) readLaunch(w http.ResponseWriter, r *http.Request) (launchForm, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		return launchForm{}, ErrLaunchMethod.because("%s", truncate(r.Method, 16))
	}
	body, err := readForm(w, r)
	if err != nil {
		return launchForm{}, ErrLaunchForm.because("%w", err)
	}
	params, err := parseParams(body)
	if err != nil {
		return launchForm{}, ErrLaunchForm.because("%w", err)
	}
	if r.URL.RawQuery != "" {
		query, err := parseParams(r.URL.RawQuery)
		if err != nil {
			return launchForm{}, ErrLaunchForm.because("query: %w", err)
		}
		for _, name := range []string{"state", "id_token", "error", fieldAgain, fieldBinding} {
			if _, there := query[name]; there {
				return launchForm{}, ErrLaunchForm.because("%s in the query", name)
			}
		}
	}
	form := launchForm{
		state: params["state"], idToken: params["id_token"], again: params[fieldAgain] != "", binding: params[fieldBinding],
	}
	if params["error"] != "" {
		form.platformError = truncate(params["error"], 200)
		if d := params["error_description"]; d != "" {
			form.platformError += ": " + truncate(d, 500)
		}
	}
	switch {
	case !isSecret(form.state):
		// Also when the platform reports an error: a state of ours is 43 characters.
		if form.platformError == "" {
			return launchForm{}, ErrLaunchParameter.because("state")
		}
		form.state = ""
	case form.platformError == "" && (form.idToken == "" || len(form.idToken) > maxTokenBytes):
		return launchForm{}, ErrLaunchParameter.because("id_token")
	case form.platformError == "" && !compactChars(form.idToken):
		return launchForm{}, ErrLaunchParameter.because("id_token has characters that no token has")
	case form.binding != "" && !isSecret(form.binding):
		return launchForm{}, ErrLaunchParameter.because(fieldBinding)
	}
	return form, nil
}

// compactChars tells whether a string has only the characters of a compact JWS, so that
// it can go into our page that posts it again.
func compactChars(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.=+/", c)) {
			return false
		}
	}
	return true
}

// retryBinding answers a launch that came without the browser's cookie, if another try
// can help: our page posts it again from our own origin when it is a window of its own,
// or asks the platform's storage when it is in a frame. The login stays unspent. Done
// false and no error means that the launch is to be judged (and, without a binding,
// refused).
func (t *Tool) retryBinding(w http.ResponseWriter, r *http.Request, form launchForm) (done bool, err error) {
	if form.binding != "" {
		return false, nil
	}
	rec, err := t.cfg.Store.GetRecord(r.Context(), kindLogin, digest(form.state), t.cfg.Now())
	if errors.Is(err, vigil.ErrNotFound) {
		return false, ErrLaunchState.because("no such login")
	}
	if err != nil {
		return false, ErrLaunchStore.because("%w", err)
	}
	var login loginRecord
	if err := json.Unmarshal(rec.Value, &login); err != nil {
		return false, ErrLaunchStore.because("%w", err)
	}
	if form.again {
		return false, nil
	}
	p, err := t.cfg.Store.Platform(r.Context(), login.Platform)
	if err != nil {
		return false, ErrLaunchPlatform.because("%w", err)
	}
	t.writeAgainPage(w, r, p, againPage{
		State: form.state, Token: form.idToken, Frame: login.Frame,
		Origin: vigil.Origin(p.AuthorizationEndpoint), Key: storageKey(form.state),
	})
	return true, nil
}

// judge spends the login that a launch names and puts the launch through every check.
func (t *Tool) judge(ctx context.Context, form launchForm, cookie string) (Launch, vigil.Platform, error) {
	var p vigil.Platform
	if form.state == "" {
		return Launch{}, p, ErrLaunchPlatformError.because("without a state of ours")
	}
	rec, err := t.cfg.Store.TakeRecord(ctx, kindLogin, digest(form.state), t.cfg.Now())
	if errors.Is(err, vigil.ErrNotFound) {
		return Launch{}, p, ErrLaunchState.because("no such login")
	}
	if err != nil {
		return Launch{}, p, ErrLaunchStore.because("%w", err)
	}
	var login loginRecord
	if err := json.Unmarshal(rec.Value, &login); err != nil {
		return Launch{}, p, ErrLaunchStore.because("%w", err)
	}
	if p, err = t.cfg.Store.Platform(ctx, login.Platform); err != nil {
		if errors.Is(err, vigil.ErrNotFound) {
			return Launch{}, p, ErrLaunchPlatform.because("removed")
		}
		return Launch{}, p, ErrLaunchStore.because("%w", err)
	}
	bound := cookie != "" && digest(cookie) == login.Binding ||
		form.binding != "" && digest(form.binding) == login.Storage
	j := &judged{tool: t, form: form, bound: bound, login: login, platform: p, now: t.cfg.Now()}
	for _, c := range launchChecks {
		if err := c.check(ctx, j); err != nil {
			return Launch{}, p, err
		}
	}
	j.out.Platform = j.platform
	j.out.Started = time.UnixMilli(login.Started)
	return j.out, p, nil
}

// refuseLaunch is refuse with what the platform reported, if it did.
func (t *Tool) refuseLaunch(w http.ResponseWriter, r *http.Request, p vigil.Platform, form launchForm, err error) {
	e := t.logRefusal(r, "launch", p, err)
	if errors.Is(err, ErrLaunchPlatformError) {
		e.PlatformText = form.platformError
	}
	t.cfg.OnError(w, r, e)
}

// refuse logs a refusal and has its page written.
func (t *Tool) refuse(w http.ResponseWriter, r *http.Request, stage string, p vigil.Platform, err error) {
	t.cfg.OnError(w, r, t.logRefusal(r, stage, p, err))
}

// logRefusal makes a LaunchError and logs it under its reference.
func (t *Tool) logRefusal(r *http.Request, stage string, p vigil.Platform, err error) *LaunchError {
	e := &LaunchError{Reference: NewReference(), Stage: stage, Status: statusOf(vigil.CodeOf(err)), Platform: p, Fault: FaultOf(err), Err: err}
	if ve, ok := errors.AsType[*vigil.Error](err); ok && ve.Message != "" {
		e.Message = ve.Message
	} else {
		e.Message = "Vigil could not handle this request. Start again from your course."
	}
	level, name := slog.LevelWarn, "none"
	if e.Status >= 500 {
		level = slog.LevelError
	}
	if e.Fault != nil {
		name = e.Fault.Name
	}
	t.cfg.Log.Log(r.Context(), level, "launch refused", "stage", stage, "reference", e.Reference, "check", name,
		"platform", p.ID, "issuer", p.Issuer, "client_id", p.ClientID, "error", err)
	return e
}

// NewReference makes a number for people to read out: ten letters and digits.
func NewReference() string { return rand.Text()[:10] }
