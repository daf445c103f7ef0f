package lti

import (
	"errors"
	"fmt"
	"net/http"

	"vigil"
)

// Fault is the sentinel of one check. Compare with errors.Is; Name is what the log and
// the test vectors call it.
type Fault struct { //nolint:errname // a fault is what a check found; errors made of it are vigil.Errors
	Name    string
	Code    vigil.Code
	Message string // for the person in front of the screen
}

// Error implements error.
func (f *Fault) Error() string { return "lti: " + f.Name }

// because makes the error of a fault: a *vigil.Error with the fault's code and message
// whose cause is the fault, followed by a detail for the log. The detail must not hold
// personal data or a token.
func (f *Fault) because(format string, args ...any) error {
	return &vigil.Error{Code: f.Code, Message: f.Message, Err: fmt.Errorf("%w: "+format, append([]any{f}, args...)...)}
}

// FaultOf returns the fault that an error came from, or nil.
func FaultOf(err error) *Fault {
	f, _ := errors.AsType[*Fault](err)
	return f
}

// LaunchError is a login or launch that was refused, as Config.OnError gets it.
type LaunchError struct {
	Reference string // also in the log
	Stage     string // "login" or "launch"
	Status    int    // HTTP status: always 4xx, or 503 when the store or the platform does not answer
	Message   string // for the person who reads it: what happened and what to do
	// PlatformText is what the platform itself reported, if it did: untrusted text, to be
	// escaped like any other.
	PlatformText string
	Fault        *Fault         // nil when the cause is not a check
	Platform     vigil.Platform // while it has no ID: at most the issuer and client id that the request claims
	Err          error
}

// Error implements error.
func (e *LaunchError) Error() string {
	return e.Stage + " " + e.Reference + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *LaunchError) Unwrap() error { return e.Err }

// plainError is the default of Config.OnError.
func plainError(w http.ResponseWriter, _ *http.Request, e *LaunchError) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = fmt.Fprintf(w, "%s\n%s\nReference: %s\n", e.Message, e.PlatformText, e.Reference)
}

// statusOf maps the code of a refusal to an HTTP status. A refusal is never a 500: what
// is our own fault is shown as 503, to be tried again.
func statusOf(code vigil.Code) int {
	if code == vigil.CodeInternal {
		code = vigil.CodeUnavailable
	}
	return code.Status()
}
