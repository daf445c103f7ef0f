package vigil

import (
	"errors"
	"fmt"
)

// Code names a class of failure. Codes are stable: they are sent to browsers in
// JSON problems and error frames, and clients decide by them what to do.
type Code string

// The codes. Each has one HTTP status, and package realtime maps each to one close code or error
// frame.
const (
	CodeInvalid      Code = "invalid"       // the input breaks a rule; sending it again will not help
	CodeUnauthorized Code = "unauthorized"  // who is asking is not proven
	CodeForbidden    Code = "forbidden"     // who is asking is known and may not
	CodeNotFound     Code = "not_found"     // there is no such thing, or it has expired
	CodeExists       Code = "exists"        // a conditional create found the thing already there
	CodeConflict     Code = "conflict"      // a conditional write lost against a newer version
	CodeIllegal      Code = "illegal_state" // the rules do not allow this in the present state
	CodeTooMany      Code = "too_many"      // a rate or size limit; later is fine
	CodeUnavailable  Code = "unavailable"   // a part we depend on does not answer; try again
	CodeInternal     Code = "internal"      // our fault
)

// Status is the HTTP status of an answer with this code.
func (c Code) Status() int {
	switch c {
	case CodeInvalid:
		return 400
	case CodeUnauthorized:
		return 401
	case CodeForbidden:
		return 403
	case CodeNotFound:
		return 404
	case CodeExists, CodeConflict, CodeIllegal:
		return 409
	case CodeTooMany:
		return 429
	case CodeUnavailable:
		return 503
	}
	return 500
}

// Error is the one error type of Vigil. Message is written for the person who
// reads it and says what to do; it never holds secrets, personal data or another
// system's text. Err is the cause: it is logged, never sent.
type Error struct {
	Code    Code
	Message string
	Field   string // the input that is at fault, where one is
	Err     error
}

// Error implements error. It includes the cause and is meant for logs.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, vigil.ErrNotFound) and its like true for every Error of
// the same code: the sentinels below carry a code and nothing else.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Message == "" && t.Err == nil && t.Field == "" && t.Code == e.Code
}

// Sentinels to compare with by errors.Is.
var (
	ErrInvalid     = &Error{Code: CodeInvalid}
	ErrForbidden   = &Error{Code: CodeForbidden}
	ErrNotFound    = &Error{Code: CodeNotFound}
	ErrExists      = &Error{Code: CodeExists}
	ErrConflict    = &Error{Code: CodeConflict}
	ErrIllegal     = &Error{Code: CodeIllegal}
	ErrUnavailable = &Error{Code: CodeUnavailable}
)

// Errorf makes an Error of a code with a message for people.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes a CodeInvalid Error about one field of the input.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives a cause a code and a message for people. A nil cause stays nil.
func Wrap(err error, code Code, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// CodeOf tells the code of an error: the outermost Error's, or CodeInternal for
// any other error. The code of nil is the empty string.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// MessageOf is the message for people within an error; empty: there is none.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

// Transient tells whether the same call may succeed later. An error without a code is
// our own fault or a driver's: worth another try, because what is at stake is data.
func Transient(err error) bool {
	switch CodeOf(err) {
	case CodeUnavailable, CodeInternal, CodeTooMany:
		return true
	}
	return false
}
