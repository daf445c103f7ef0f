package lti

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"vigil"
)

// The actions of the Assessment Control Service (Proctoring Services 1.0, section 4.4).
const (
	ActionPause     = "pause"
	ActionResume    = "resume"
	ActionTerminate = "terminate"
	ActionUpdate    = "update" // gives extra time
	ActionFlag      = "flag"
)

var controlActions = []string{ActionPause, ActionResume, ActionTerminate, ActionUpdate, ActionFlag}

const (
	mediaControl     = "application/vnd.ims.lti-ap.v1.control+json"
	mediaJSON        = "application/json"
	maxExtraMinutes  = 7 * 24 * 60
	maxReasonCode    = 255
	maxReasonMessage = 4 << 10
	defaultReason    = "vigil"
)

// ControlRequest asks the platform to act on one attempt.
type ControlRequest struct {
	Subject      string // the user's sub
	ResourceLink string // the resource link's id
	Attempt      int
	Action       string
	Offered      []string  // acs.actions of the launch; an action not among them is not sent
	ExtraMinutes int       // with ActionUpdate; the platform adds it, so a repeat doubles it
	IncidentTime time.Time // required; a repeat of a request must have the same
	Severity     float64   // 0 to 1
	ReasonCode   string    // "vigil" when empty: some platforms insist
	ReasonMsg    string
	// RequestID is the same for every repeat of a request. It is ours alone, not of the
	// specification: set it where the platform's side is our plugin, and leave it empty
	// elsewhere, where it is not sent.
	RequestID string
}

// ControlResult is what the platform answered.
type ControlResult struct {
	// Status is none, running, paused, terminated or complete; empty when the platform
	// accepted the request without saying. It is a claim, not proof: Open edX answers
	// "terminated" to a flag.
	Status string
	// ExtraMinutes is the extra time that the platform says the attempt has, in all; nil
	// when it did not say.
	ExtraMinutes *int
	// Applied is what our plugin says that it did, and Reason why it did not
	// (docs/assertion.md). Other platforms, and older plugins, leave it unsaid; so does a
	// word that is not known here.
	Applied vigil.Applied
	Reason  vigil.NoReason
}

// How a control request failed. What to do next depends on it:
// ErrControlNotOffered, ErrControlRefused and ErrControlInput will fail again;
// ErrControlUnsent did not reach the platform and may be sent again; of
// ErrControlUnknown nobody can say whether it took effect.
var (
	ErrControlInput      = &Fault{"control_input", vigil.CodeInvalid, "This request to the learning platform is not complete."}
	ErrControlURL        = &Fault{"control_url", vigil.CodeForbidden, "The learning platform's control address is not on one of its own origins."}
	ErrControlNotOffered = &Fault{"control_not_offered", vigil.CodeIllegal, "The learning platform does not offer this action."}
	ErrControlRefused    = &Fault{"control_refused", vigil.CodeForbidden, "The learning platform refused the request."}
	ErrControlUnsent     = &Fault{"control_unsent", vigil.CodeUnavailable, "The learning platform could not be reached; nothing was changed there."}
	ErrControlUnknown    = &Fault{"control_unknown", vigil.CodeUnavailable, "The learning platform did not answer in time: whether it acted is not known."}
)

// Control sends one request to a platform's Assessment Control Service and waits for the
// answer. It sends the media type of the specification and, when that is answered 415,
// application/json. A 2xx answer that cannot be read counts as accepted.
func (t *Tool) Control(ctx context.Context, p vigil.Platform, controlURL string, r ControlRequest) (ControlResult, error) {
	if err := r.check(); err != nil {
		return ControlResult{}, err
	}
	if _, err := platformURL(p, controlURL); err != nil {
		return ControlResult{}, ErrControlURL.because("%w", err)
	}
	body, err := json.Marshal(r.body(p.Issuer))
	if err != nil {
		return ControlResult{}, err
	}
	for _, media := range []string{mediaControl, mediaJSON} {
		res, err := t.callService(ctx, p, ScopeControl, maxServiceAnswer, func() (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, controlURL, bytes.NewReader(body))
			if err == nil {
				req.Header.Set("Content-Type", media)
				req.Header.Set("Accept", mediaControl+", "+mediaJSON+";q=0.9")
			}
			return req, err
		})
		switch {
		case errors.Is(err, errNotSent):
			return ControlResult{}, controlUnsent(err)
		case err != nil:
			return ControlResult{}, ErrControlUnknown.because("%w", err)
		case res.status == http.StatusUnsupportedMediaType && media == mediaControl:
			continue
		case res.status >= 200 && res.status < 300:
			return readControl(res.body), nil
		case res.status == http.StatusTooManyRequests || res.status == http.StatusServiceUnavailable:
			return ControlResult{}, ErrControlUnsent.because("status %d", res.status)
		case res.status >= 500 || res.status == http.StatusRequestTimeout:
			return ControlResult{}, ErrControlUnknown.because("status %d", res.status)
		default:
			return ControlResult{}, ErrControlRefused.because("status %d", res.status)
		}
	}
	return ControlResult{}, ErrControlRefused.because("status 415 to both media types")
}

// controlUnsent names the reason why a request did not leave: what was refused when access
// was asked for stays refused, the rest may be tried again. The message for people is the
// token's, which says more.
func controlUnsent(err error) error {
	outcome, message := ErrControlUnsent, ErrControlUnsent.Message
	if f := FaultOf(err); f != nil {
		message = f.Message
		if f == ErrTokenRefused || f == ErrTokenScope {
			outcome = ErrControlRefused
		}
	}
	return &vigil.Error{Code: outcome.Code, Message: message, Err: fmt.Errorf("%w: %w", outcome, err)}
}

// check refuses what must not be sent.
func (r ControlRequest) check() error {
	switch {
	case !slices.Contains(controlActions, r.Action):
		return ErrControlInput.because("unknown action")
	case !slices.Contains(r.Offered, r.Action):
		return ErrControlNotOffered.because("%s", r.Action)
	case checkWord(r.Subject) != nil, checkWord(r.ResourceLink) != nil:
		return ErrControlInput.because("subject or resource link")
	case r.Attempt < 1 || r.Attempt > maxAttempt:
		return ErrControlInput.because("attempt")
	case r.IncidentTime.IsZero():
		return ErrControlInput.because("incident time")
	case !(r.Severity >= 0 && r.Severity <= 1):
		return ErrControlInput.because("severity")
	case r.Action == ActionUpdate && (r.ExtraMinutes < 1 || r.ExtraMinutes > maxExtraMinutes):
		return ErrControlInput.because("extra minutes")
	case r.Action != ActionUpdate && r.ExtraMinutes != 0:
		return ErrControlInput.because("extra minutes with %s", r.Action)
	case len(r.ReasonCode) > maxReasonCode || len(r.ReasonMsg) > maxReasonMessage:
		return ErrControlInput.because("reason too long")
	case r.RequestID != "" && checkRequestID(r.RequestID) != nil:
		return ErrControlInput.because("request id")
	}
	return nil
}

// body is the request as the wire has it. The severity is a string because edx-exams
// insists on one; the time has milliseconds so that two requests of one second differ.
func (r ControlRequest) body(issuer string) map[string]any {
	reason := r.ReasonCode
	if reason == "" {
		reason = defaultReason
	}
	out := map[string]any{
		"user":              map[string]string{"iss": issuer, "sub": r.Subject},
		"resource_link":     map[string]string{"id": r.ResourceLink},
		"attempt_number":    r.Attempt,
		"action":            r.Action,
		"incident_time":     r.IncidentTime.UTC().Format("2006-01-02T15:04:05.000Z"),
		"incident_severity": strconv.FormatFloat(r.Severity, 'f', 2, 64),
		"reason_code":       reason,
	}
	if r.ReasonMsg != "" {
		out["reason_msg"] = r.ReasonMsg
	}
	if r.Action == ActionUpdate {
		out["extra_time"] = r.ExtraMinutes
	}
	if r.RequestID != "" {
		out["request_id"] = r.RequestID
	}
	return out
}

// The words of our plugin's answer.
var (
	appliedWords = []vigil.Applied{vigil.AppliedNow, vigil.AppliedBefore, vigil.AppliedNo}
	noReasons    = []vigil.NoReason{
		vigil.NoNotBegun, vigil.NoEnded, vigil.NoGone, vigil.NoSwitchedOff, vigil.NoEnd, vigil.NoCannotReopen, vigil.NoOverride,
	}
)

// readControl reads a 2xx answer as far as it can be read.
func readControl(body []byte) ControlResult {
	doc, err := parseObject(body)
	if err != nil {
		return ControlResult{}
	}
	var out ControlResult
	if s, ok := doc.str("status"); ok && slices.Contains([]string{"none", "running", "paused", "terminated", "complete"}, s) {
		out.Status = s
	}
	if n, ok := doc.integer("extra_time"); ok && n >= 0 && n <= maxExtraMinutes*10 {
		minutes := int(n)
		out.ExtraMinutes = &minutes
	}
	if s, _ := doc.str("applied"); slices.Contains(appliedWords, vigil.Applied(s)) {
		out.Applied = vigil.Applied(s)
	}
	if s, _ := doc.str("reason"); out.Applied == vigil.AppliedNo && slices.Contains(noReasons, vigil.NoReason(s)) {
		out.Reason = vigil.NoReason(s)
	}
	return out
}
